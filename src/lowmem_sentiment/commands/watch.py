"""``tensorboard`` and ``curves``: watch runs."""

import argparse
import io
from pathlib import Path
from typing import Any

from ..progress import Bar
from . import add_command, answer, say


def _tensorboard(options: argparse.Namespace, bar: Bar) -> None:
    from ..dashboard import serve

    serve(options.runs, options.host, options.port, say)


def _curves(options: argparse.Namespace, bar: Bar) -> None:
    from ..atomic import replace_file
    from ..history import CHARTS, choose, draw, read_curves, write_csv

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


def add_tensorboard(commands: Any) -> None:
    board = add_command(
        commands, "tensorboard", _tensorboard, "show the curves of runs in a browser", json_=False
    )
    board.add_argument("runs", type=Path, metavar="DIR", help="a run directory, or a folder of them")
    board.add_argument("--host", default="127.0.0.1", help="address to listen on")
    board.add_argument("--port", type=int, default=6006, help="port to listen on")


def add_curves(commands: Any) -> None:
    curves = add_command(commands, "curves", _curves, "draw the curves of runs in the terminal")
    add = curves.add_argument
    add("runs", type=Path, nargs="+", metavar="RUN", help="run directories, drawn into the same charts")
    add("--chart", dest="charts", action="append", default=[], metavar="TAG", help="draw this one, such "
        "as process/anonymous_MB, or all; may be repeated (default: accuracy and loss)")  # fmt: skip
    add("--csv", type=Path, metavar="FILE", help="write a row a point to FILE instead of drawing")
