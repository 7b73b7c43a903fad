"""Check that a killed and resumed run ends with the bits of an undisturbed one.

A training run is started as a process of its own, killed with SIGKILL at a random moment, and resumed,
again and again until it ends; then it is compared with a run that was not interrupted.

    python scripts/verify_resume.py DATASET --work DIR --kills 50
"""

import argparse
import hashlib
import json
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lowmem_sentiment.distributed.tf_config import without_cluster
from lowmem_sentiment.monitoring.event_reader import read_values
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.system.errors import LowmemError
from lowmem_sentiment.system.files import writing
from lowmem_sentiment.system.npz import read_arrays
from lowmem_sentiment.system.progress import Bar, Progress, no_progress


def digests(run: str | Path) -> dict[str, str]:
    """Return the SHA-256 of a run's weights, of its history, and of its TensorBoard curves."""
    run = RunDirectory(run)
    arrays = read_arrays(run.weights_file, str(run.weights_file))
    weights = b"".join(arrays[name].tobytes() for name in sorted(arrays))
    parts = {"weights": weights, "history": run.metrics_file.read_bytes(), "curves": _curves(run)}
    return {name: hashlib.sha256(content).hexdigest() for name, content in parts.items()}


def _curves(run: RunDirectory) -> bytes:
    """Return every value of the event files but time and memory, in the order written."""
    points = [
        f"{part} {value.tag} {step} {value.tensor.SerializeToString()!r}"
        for part, step, value in read_values(run)
        if not value.tag.startswith(("process/", "result/seconds", "result/peak_"))
    ]
    return "\n".join(points).encode()


def verify_resume(
    dataset: str | Path,
    work: str | Path,
    *,
    kills: int = 10,
    seed: int = 0,
    options: Sequence[str] = (),
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Train on `dataset` undisturbed and with `kills` kills, and return both runs' digests.

    The runs are in a new folder in `work`, which is kept if they differ; `options` are further ones of
    `train`. The moments are drawn from `seed`, after the process has started up; a run that ends before
    its kill is followed by another, so that every kill counts.
    """
    with writing(Path(work)):
        Path(work).mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="verify-", dir=work))
    command = [sys.executable, "-m", "lowmem_sentiment", "train", str(dataset), *options]
    begun = time.monotonic()
    _killed([*command, "--run", str(folder / "undisturbed")], None)
    longest = time.monotonic() - begun
    expected, done, generator = digests(folder / "undisturbed"), 0, random.Random(seed)
    rounds: list[dict[str, Any]] = []
    while done < kills:
        run, before = folder / f"killed-{len(rounds) + 1}", done
        killed = True
        while killed:
            how = "--resume" if RunDirectory(run).config_file.exists() else "--run"
            # Starting takes a part of the time; moments before it kill nothing of interest.
            after = generator.uniform(0.3, 0.7) * longest if done < kills else None
            killed = _killed([*command, how, str(run)], after)
            done += killed
            progress("kill and resume", done, kills, unit="kills")
        found = digests(run)
        rounds.append({"kills": done - before, "identical": found == expected, **found})
    identical = all(entry["identical"] for entry in rounds)
    if identical:
        shutil.rmtree(folder)
    return {"kills": done, "runs": rounds, "undisturbed": expected, "identical": identical}


def _killed(command: list[str], after: float | None) -> bool:
    """Run `command`, kill it `after` seconds, and return whether it was killed rather than ended."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=without_cluster()
    )
    try:
        _, errors = process.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    if process.returncode:
        raise LowmemError(f"training failed: {errors.strip()[-500:]}")
    return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the digests as one JSON object; return 1 if a resumed run differs."""
    parser = argparse.ArgumentParser(
        description="Kill training at random moments, resume it, and compare it with an undisturbed run."
    )
    add = parser.add_argument
    add("dataset", type=Path, metavar="DATASET", help="a dataset directory")
    add(
        "--work",
        type=Path,
        required=True,
        metavar="DIR",
        help="for the runs, kept if they differ",
    )
    add("--kills", type=int, default=10, metavar="N", help="how many times to kill (default: 10)")
    add("--seed", type=int, default=0, metavar="N", help="seed of the moments (default: 0)")
    add("--options", type=shlex.split, default=[], metavar="TEXT",
        help='further options of train, such as "--epochs 1 --save-every 100"')  # fmt: skip
    options = parser.parse_args(arguments)
    try:
        result = verify_resume(
            options.dataset,
            options.work,
            kills=options.kills,
            seed=options.seed,
            options=options.options,
            progress=Bar(),
        )
    except LowmemError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(result, indent=1))
    return 0 if result["identical"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
