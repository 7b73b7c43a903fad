"""Measure what README says: `python scripts/benchmark.py scale 1000000`.

Every measured command runs in a process of its own, as a user would run it. Results are printed as a
table and written as JSON beside this file, under results/.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
COMMAND = [sys.executable, "-m", "lowmem_sentiment"]
MB = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(metavar="BENCHMARK", required=True)
    _add_scale(commands)
    options = parser.parse_args()
    options.run(options)


# --- measuring ---


def measure(command: list[str], **options: Any) -> dict[str, Any]:
    """Run a command and give its standard output, seconds, processor seconds, and peak memory.

    "peak_bytes" is the proportional set size of the command and all its children together, sampled
    20 times a second: a page that n processes share counts 1/n in each.
    """
    begun, used = time.monotonic(), _cpu_seconds()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    peak = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            peak[0] = max(peak[0], sum(map(_proportional, _family(process.pid))))

    thread = threading.Thread(target=watch)
    thread.start()
    output, _ = process.communicate()
    done.set()
    thread.join()
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return {
        "output": output,
        "seconds": time.monotonic() - begun,
        "cpu_seconds": _cpu_seconds() - used,
        "peak_bytes": peak[0],
    }


def _cpu_seconds() -> float:
    """Give the processor time of all commands that have ended: it suffers less from neighbours."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _family(pid: int) -> list[int]:
    """Give a process and all below it."""
    found = [pid]
    for parent in found:
        try:
            tasks = os.listdir(f"/proc/{parent}/task")
            for task in tasks:
                found += map(int, Path(f"/proc/{parent}/task/{task}/children").read_text().split())
        except OSError:  # it has ended
            continue
    return found


def _proportional(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def machine() -> dict[str, Any]:
    """Give what a timing has to be read with."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processors": len(os.sched_getaffinity(0)),
        "model": models[0] if models else platform.processor(),
        "python": platform.python_version(),
    }


def save(name: str, result: dict[str, Any]) -> None:
    """Write a result beside this file."""
    RESULTS.mkdir(exist_ok=True)
    content = json.dumps({"machine": machine(), **result}, indent=1)
    (RESULTS / f"{name}.json").write_text(content + "\n")


# --- scale ---


def _add_scale(commands: Any) -> None:
    scale = commands.add_parser("scale", help="prepare and train on N synthetic reviews, and on fewer")
    scale.add_argument("reviews", type=int, nargs="?", default=1_000_000, metavar="N")
    scale.add_argument("--base", type=int, default=50_000, help="what N is compared with")
    scale.add_argument("--directory", type=Path, help="where datasets go, and are removed again")
    scale.set_defaults(run=_scale)


def _scale(options: argparse.Namespace) -> None:
    rows = []
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        for reviews in (options.base, options.reviews):
            rows.append(_scale_row(reviews, Path(folder)))
            print(json.dumps(rows[-1]), file=sys.stderr)
    first, last = rows
    result = {
        "rows": rows,
        "train_memory_difference_bytes": last["train_peak_bytes"] - first["train_peak_bytes"],
        "prepare_memory_difference_bytes": last["prepare_peak_bytes"] - first["prepare_peak_bytes"],
        "train_throughput_ratio": last["train_reviews_per_second"] / first["train_reviews_per_second"],
        "prepare_throughput_ratio": last["prepare_reviews_per_second"]
        / first["prepare_reviews_per_second"],
    }
    save("scale", result)
    print(f"{'reviews':>10}{'tokens':>14}{'on disk':>10}", end="")
    print(f"{'prepare':>12}{'':>9}{'train':>12}{'':>9}{'accuracy':>10}")
    for row in rows:
        print(
            f"{row['reviews']:>10,}{row['tokens']:>14,}{row['disk_bytes'] / MB:>7.0f} MB"
            f"{row['prepare_reviews_per_second']:>10,.0f}/s{row['prepare_peak_bytes'] / MB:>6.0f} MB"
            f"{row['train_reviews_per_second']:>10,.0f}/s{row['train_peak_bytes'] / MB:>6.0f} MB"
            f"{row['val_accuracy']:>10.4f}"
        )


def _scale_row(reviews: int, folder: Path) -> dict[str, Any]:
    data, run = folder / f"data-{reviews}", folder / f"run-{reviews}"
    made = [*COMMAND, "prepare", "synthetic", "--json", "--reviews", str(reviews), "--out", str(data)]
    prepared = measure(made)
    manifest = json.loads(prepared["output"])
    trained = measure([*COMMAND, "train", "--json", "--epochs", "1", str(data), "--run", str(run)])
    summary = json.loads(trained["output"])
    disk = sum(file.stat().st_size for file in data.iterdir())
    shutil.rmtree(data)
    return {
        "reviews": reviews,
        "tokens": manifest["tokens"],
        "disk_bytes": disk,
        "prepare_seconds": prepared["seconds"],
        "prepare_cpu_seconds": prepared["cpu_seconds"],
        "prepare_reviews_per_second": reviews / prepared["seconds"],
        "prepare_peak_bytes": prepared["peak_bytes"],
        "train_seconds": summary["seconds"]["training"],
        "train_cpu_seconds": trained["cpu_seconds"],
        "train_reviews_per_second": summary["reviews_per_second"],
        "train_peak_bytes": summary["peak_resident_bytes"],
        "train_peak_anonymous_bytes": summary["peak_anonymous_bytes"],
        "val_accuracy": summary["val_accuracy"],
    }


if __name__ == "__main__":
    main()
