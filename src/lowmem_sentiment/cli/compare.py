"""``compare``."""

import argparse
from pathlib import Path
from typing import Any

from ..system.progress import Bar
from ..system.settings import plain
from .options import add_json
from .output import answer, columns


def run(options: argparse.Namespace, bar: Bar) -> None:
    from ..evaluation.compare import compare

    comparison = compare(options.runs, options.data, progress=bar)
    bar.clear()
    answer(options, comparison, lambda: _comparison_lines(comparison))


def _comparison_lines(comparison: dict[str, Any]) -> list[str]:
    from ..evaluation.significance import in_words

    metrics = comparison["metrics"]
    rows = [["", *(each["run"] for each in metrics)]]
    rows += [[name, *map(plain, values)] for name, values in comparison["settings"].items()]
    rows += [
        [name, *(f"{each[name]:.4f}" for each in metrics)]
        for name in metrics[0]
        if all(isinstance(each.get(name), float) for each in metrics)
    ]
    tests = [f"{test['run']} against the first: {in_words(test)}" for test in comparison["against_first"]]
    what = f"{comparison['reviews']:,} test reviews of {comparison['data']}"
    return [what, *columns(rows), *tests]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the command's parser."""
    add_json(parser)
    add = parser.add_argument
    add("runs", type=Path, nargs="+", metavar="RUN", help="two or more finished runs")
    add(
        "--data",
        type=Path,
        metavar="DATASET",
        help="the dataset whose test reviews are predicted (default: that of the first run, or of the "
        "first one on n-grams)",
    )
