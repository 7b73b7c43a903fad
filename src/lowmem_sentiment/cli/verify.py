"""``verify``."""

import argparse
from pathlib import Path

from ..system.memory import MB
from ..system.progress import Bar
from .options import add_json
from .output import answer


def run(options: argparse.Namespace, bar: Bar) -> None:
    from ..dataset.reader import Dataset
    from ..dataset.verify import verify

    result = verify(Dataset(options.dataset), bar)
    bar.clear()
    size = f"{result['reviews']:,} reviews, {result['bytes'] / MB:.1f} MB"
    answer(options, result, lambda: [f"{result['dataset']} is whole: {size}"])


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the command's parser."""
    add_json(parser)
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a dataset directory")
