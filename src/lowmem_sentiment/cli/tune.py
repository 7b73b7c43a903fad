"""``tune``."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..monitoring.terminal_text import columns, table
from ..search.settings import RANGES, TuneSettings
from ..system.errors import CheckFailed, SettingsError, plural
from ..system.progress import Bar
from ..system.signals import stop_on_signals
from .options import HTML, add_json, add_lists, add_paths, add_settings, given
from .output import answer, report, room

if TYPE_CHECKING:  # NumPy takes 0.1 s, and --help does not need it
    from ..search.cross_validation import CrossValidation
    from ..search.results import TuningResult

SHOWN = 10
"""Rows of the table on a terminal; --csv and --json have them all."""


def run(options: argparse.Namespace, bar: Bar) -> None:
    from ..reporting.page import check_page_path, write_page
    from ..reporting.tuning_report import folds_page, tuning_page
    from ..search.cross_validation import cross_validate
    from ..search.tune import tune
    from ..system.files import check_output

    settings = TuneSettings(**{**given(options, TuneSettings), "grid": tuple(options.grid)})
    if options.csv and settings.folds:
        raise SettingsError("--csv is the table of a search; expected --folds with --json or --html")
    if options.html:
        check_page_path(options.html)
    if options.csv:
        check_output(options.csv, "rank,candidate,kind,")
    verb: Callable[..., Any] = cross_validate if settings.folds else tune
    with stop_on_signals() as stop:
        result = verb(options.dataset, options.out, settings, stop=stop, progress=bar, report=report)
    bar.clear()
    lines = _fold_lines if settings.folds else _lines
    answer(options, result.to_json(), lambda: lines(result))
    if options.csv:
        result.write_csv(options.csv)
    if options.html:
        write_page(options.html, folds_page(result) if settings.folds else tuning_page(result))
    if not settings.folds and result.failed:
        again = "; the same command tries again" if settings.grid else ""
        raise CheckFailed(
            f"{len(result.failed)} of {plural(result.trained, 'run')} failed, the first: "
            f"{result.failed[0].error}{again}"
        )


def _fold_lines(result: "CrossValidation") -> list[str]:
    """Return the estimates with all the data, and the learning curve."""
    from ..reporting.tuning_report import folds_summary

    lines = table(folds_summary(result), room())
    return lines if len(result.points) < 2 else [*_learning_curve(result), "", *lines]


def _learning_curve(result: "CrossValidation") -> list[str]:
    """Return a chart of accuracy by training reviews, and its numbers."""
    from ..monitoring.event_reader import Curve
    from ..monitoring.terminal_chart import Style, characters_for, draw
    from ..reporting.tuning_report import estimate_text

    points = [(each.reviews, each.metrics["accuracy"]) for each in result.points]
    steps, values = [reviews for reviews, _ in points], [each.mean for _, each in points]
    curves = [Curve("folds", part, "accuracy", steps, values) for part in ("train", "validation")]
    style = Style(width=min(80, room()), characters=characters_for(sys.stdout), unit="reviews")
    title, *chart = draw(curves, ["folds"], style)
    del title  # it tells training from validation
    cells = [["training reviews", "accuracy"], *([f"{n:,}", estimate_text(each)] for n, each in points)]
    return ["accuracy by training reviews, on the folds", *chart, "", *columns(cells, room())]


def _lines(result: "TuningResult") -> list[str]:
    from ..reporting.tuning_report import summary

    head, *rows = result.table()
    every = zip(result.candidates, rows, strict=True)
    shown = [row for each, row in every if each.rank <= SHOWN or each is result.default]
    lines = columns([head, *shown], room())
    if len(rows) > len(shown):
        lines.append(f"... {len(rows) - len(shown)} more: --csv FILE, or --json")
    return [*lines, "", *table(summary(result), room())]


def add_options(parser: argparse.ArgumentParser) -> None:
    add_json(parser)
    parser.epilog = RANGES
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a dataset directory")
    out = "the folder for the runs and the winner; a search in it is resumed"
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help=out)
    add_paths(parser, "FILE", csv="also write the table to FILE", html=HTML)
    add_lists(
        parser,
        "NAME=VALUES",
        grid="train every combination of these values, such as epochs=1,2,3 hidden=50,50,50:32,32, "
        "instead of random settings; a single value applies to all runs. Finished runs are kept, "
        "interrupted ones resumed",
    )
    add_settings(parser, TuneSettings)
