"""``verify``."""

import argparse
from pathlib import Path
from typing import Any

from ..system.memory import MB
from ..system.progress import Bar
from .commands import add_command, answer


def _verify(options: argparse.Namespace, bar: Bar) -> None:
    from ..dataset.reader import Dataset
    from ..dataset.verify import verify

    result = verify(Dataset(options.dataset), bar)
    bar.clear()
    size = f"{result['reviews']:,} reviews, {result['bytes'] / MB:.1f} MB"
    answer(options, result, lambda: [f"{result['dataset']} is whole: {size}"])


def add_verify(commands: Any) -> None:
    """Add the command to the parser."""
    verify = add_command(commands, "verify", _verify, "check every byte of a dataset directory")
    verify.add_argument("dataset", type=Path, metavar="DATASET", help="a dataset directory")
