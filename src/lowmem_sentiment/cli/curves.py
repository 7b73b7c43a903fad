"""``curves``."""

import argparse
import io
from pathlib import Path
from typing import Any

from ..system.progress import Bar
from .commands import add_command, answer


def _curves(options: argparse.Namespace, bar: Bar) -> None:
    from ..monitoring.event_reader import CHARTS, choose, read_curves, write_csv
    from ..monitoring.terminal_chart import draw
    from ..system.files import replace_file

    curves = [curve for run in options.runs for curve in read_curves(run)]
    tags = sorted({curve.tag for curve in curves})
    if options.charts and options.charts != ["all"]:
        tags = options.charts
    elif not (options.charts or options.json or options.csv):
        tags = [tag for tag in CHARTS if tag in tags] or tags
    curves = choose(curves, tags)
    if options.csv:
        with replace_file(options.csv) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
            write_csv(curves, text)
        if not options.json:
            return
    charts = [[curve for curve in curves if curve.tag == tag] for tag in tags]
    answer(
        options,
        {"curves": [curve._asdict() for curve in curves]},
        lambda: [line for chart in charts for line in (*draw(chart), "")],
    )


def add_curves(commands: Any) -> None:
    curves = add_command(commands, "curves", _curves, "draw the curves of runs in the terminal")
    add = curves.add_argument
    add("runs", type=Path, nargs="+", metavar="RUN", help="run directories, drawn into the same charts")
    add("--chart", dest="charts", action="append", default=[], metavar="TAG", help="draw this one, such "
        "as process/anonymous_MB, or all; may be repeated (default: accuracy and loss)")  # fmt: skip
    add("--csv", type=Path, metavar="FILE", help="write a row a point to FILE instead of drawing")
