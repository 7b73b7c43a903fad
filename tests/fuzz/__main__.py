"""Damage files of every kind, run the commands that read them, and report what no user should see.

A case is made from (seed, kind, number) alone, so that what was found can be found again: each failure is
printed with the options that replay it. The commands run in this process, which imports no TensorFlow.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from .fuzzer import Fuzzer
from .kinds import KINDS


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fuzz.sh", description="Damage files and run what reads them.")
    parser.add_argument("--cases", type=int, default=2_000, metavar="N", help="in all kinds together")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--kind", dest="kinds", action="append", choices=KINDS, help="may be repeated")
    parser.add_argument(
        "--case", type=int, metavar="N", help="replay one case of one --kind, and show it"
    )
    parser.add_argument("--run", type=Path, metavar="RUN", help="a trained run (default: train one)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="with --case: leave the files there")
    return parser.parse_args()


def _train(folder: Path) -> Path:
    """Train a run that keeps its best epoch, in another process: TensorFlow stays out of this one."""
    code = (
        "import sys; from pathlib import Path; from helpers import write_imdb\n"
        "from lowmem_sentiment.cli import main\n"
        "folder = Path(sys.argv[1]); npz, _ = write_imdb(folder)\n"
        "main(['prepare', 'imdb', '--npz', str(npz), '--out', str(folder / 'data')])\n"
        "main(['train', str(folder / 'data'), '--run', str(folder / 'run'), '--hidden', '8,4',"
        " '--batch-size', '8', '--validation-split', '0.1', '--keep-best'])\n"
    )
    command = [sys.executable, "-c", code, str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "run"


def main() -> int:
    """Run the cases that the arguments ask for; return 1 when one of them failed."""
    options = _parse()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as temporary:
        folder = Path(temporary)
        trained = options.run or _train(folder)
        fuzzer = Fuzzer(folder, trained, options.seed)
        names = options.kinds or [name for name, kind in KINDS.items() if not kind.tensorflow]
        for name in names:
            fuzzer.expect(name)
        if options.case is not None:
            wrong, answer = fuzzer.check(names[0], options.case)
            print(answer.raised or answer, wrong or "nothing is wrong", sep="\n")
            if options.keep:
                shutil.copytree(folder / "case", options.keep)
            return int(wrong is not None)
        return _run_all(fuzzer, names, options)


def _run_all(fuzzer: Fuzzer, names: list[str], options: argparse.Namespace) -> int:
    """Run the kinds in turn; print each failure with its replay, and a line a kind at the end."""
    codes = {name: Counter[int | None]() for name in names}
    failed, start = Counter[str](), time.monotonic()
    for number in range(-(-options.cases // len(names))):
        for name in names:
            wrong, answer = fuzzer.check(name, number)
            codes[name][answer.code] += 1
            if wrong:
                failed[name] += 1
                print(f"--kind {name!r} --seed {options.seed} --case {number}: {wrong}", flush=True)
    for name, each in codes.items():
        print(f"{name:21}{each.total():7,} cases, {each[0]:6,} answered, {failed[name]:5,} failed")
    cases = sum(each.total() for each in codes.values())
    print(f"{cases:,} cases in {time.monotonic() - start:.0f} s, {failed.total():,} failed")
    return int(failed.total() > 0)


sys.exit(main())
