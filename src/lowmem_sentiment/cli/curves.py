"""``curves``."""

import argparse
import io
import os
import sys
from pathlib import Path
from typing import Any

from ..system.progress import Bar, terminal_size
from .options import add_json
from .output import answer, print_text, warn


def run(options: argparse.Namespace, bar: Bar) -> None:
    """Draw the curves, or write them as CSV or JSON."""
    from ..monitoring.event_reader import choose, read_curves, write_csv
    from ..system.files import replace_file

    curves = [curve for run in options.runs for curve in read_curves(run, warn)]
    curves = choose(curves, options.charts or (["all"] if options.json or options.csv else []))
    if options.csv:
        with replace_file(options.csv) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
            write_csv(curves, text)
    if options.json:
        answer(options, {"curves": [curve._asdict() for curve in curves]}, list)
    elif not options.csv:
        print_text("\n".join(_charts(curves)))


def _charts(curves: list[Any]) -> list[str]:
    """Return the charts, in the terminal's width; two fill its height."""
    from ..monitoring.terminal_chart import draw

    size = terminal_size(sys.stdout)
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    charts: dict[str, list[Any]] = {}
    for curve in curves:
        charts.setdefault(curve.tag, []).append(curve)
    lines = []
    for chart in charts.values():
        room = size.lines // min(2, len(charts))
        height = max(4, min(20, room - len(chart) - 4))  # title, axis, steps, an empty line; the legend
        lines += [*draw(chart, size.columns, height, colour), ""]
    return lines


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the command's parser."""
    add_json(parser)
    add = parser.add_argument
    add("runs", type=Path, nargs="+", metavar="RUN", help="run directories, drawn into the same charts")
    chart = (
        "draw this chart, such as process/anonymous_MB, or all; may be repeated (default: loss, accuracy)"
    )
    add("--chart", dest="charts", action="append", default=[], metavar="TAG", help=chart)
    add("--csv", type=Path, metavar="FILE", help="write one row per point to FILE instead of drawing")
