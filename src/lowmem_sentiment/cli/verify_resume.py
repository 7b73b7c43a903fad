"""``verify-resume``."""

import argparse
import shlex
from pathlib import Path

from ..system.errors import CheckFailed
from ..system.progress import Bar
from .options import add_json
from .output import answer, table


def run(options: argparse.Namespace, bar: Bar) -> None:
    from ..evaluation.verify_resume import verify_resume

    result = verify_resume(
        options.dataset,
        options.work,
        kills=options.kills,
        seed=options.seed,
        options=options.options,
        progress=bar,
    )
    bar.clear()
    runs = result["runs"]
    same = sum(entry["identical"] for entry in runs)
    answer(
        options,
        result,
        lambda: table(
            {
                "kills": f"{result['kills']} by SIGKILL, in {len(runs)} runs, each resumed to its end",
                "identical": f"{same} of {len(runs)} runs, in weights, history and curves",
                "weights": f"sha256 {result['undisturbed']['weights']}",
            }
        ),
    )
    if not result["identical"]:
        raise CheckFailed(f"{len(runs) - same} of {len(runs)} resumed runs differ")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the command's parser."""
    add_json(parser)
    add = parser.add_argument
    add("dataset", type=Path, metavar="DATASET", help="a dataset directory")
    add("--work", type=Path, required=True, metavar="DIR", help="directory for the runs; emptied first")
    add("--kills", type=int, default=10, metavar="N", help="how many times to kill")
    add("--seed", type=int, default=0, metavar="N", help="of the moments")
    add(
        "--options",
        type=shlex.split,
        default=[],
        metavar="TEXT",
        help='further options of train, such as "--epochs 1 --save-every 100"',
    )
