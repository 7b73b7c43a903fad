"""``curves``."""

import argparse
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..system.progress import Bar, terminal_size
from .options import add_json
from .output import answer, print_text, warn

if TYPE_CHECKING:
    from ..monitoring.event_reader import Curve

LEAST_ROWS = 6
"""With fewer rows a chart shows little."""


def run(options: argparse.Namespace, bar: Bar) -> None:
    """Draw the curves, or write them as CSV or JSON."""
    from ..monitoring.event_reader import choose, read_curves, write_csv
    from ..system.files import check_output, replace_file

    read = [curve for run in options.runs for curve in read_curves(run, warn)]
    curves = choose(read, options.charts or (["all"] if options.json or options.csv else []))
    if options.csv:
        check_output(options.csv, "run,part,tag,step,value")
        with replace_file(options.csv) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
            write_csv(curves, text)
    if options.json:
        answer(options, {"curves": [curve._asdict() for curve in curves]}, list)
    elif not options.csv:
        print_text("\n".join(_charts(curves, read)))


def _charts(curves: "list[Curve]", read: "list[Curve]") -> list[str]:
    """Return the charts, as many of them in the terminal's height as are easy to read."""
    from ..monitoring import terminal_chart

    runs = list(dict.fromkeys(curve.run for curve in curves))
    by_tag = {curve.tag: [each for each in curves if each.tag == curve.tag] for curve in curves}
    size, frame = terminal_size(sys.stdout), terminal_chart.FRAME_LINES
    room = size.lines - (len(runs) + 2) * (len(runs) > 1)  # the legend
    shown = max(1, min(len(by_tag), room // (frame + LEAST_ROWS)))
    style = terminal_chart.Style(
        size.columns,
        max(LEAST_ROWS, min(20, room // shown - frame)),
        colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR"),
        characters=terminal_chart.characters_for(sys.stdout),
        epochs=terminal_chart.epoch_ends(read),
    )
    lines = []
    for chart in by_tag.values():
        lines += [*terminal_chart.draw(chart, runs, style), ""]
    return lines + terminal_chart.legend(curves, runs, style) if len(runs) > 1 else lines[:-1]


def add_options(parser: argparse.ArgumentParser) -> None:
    add_json(parser)
    add = parser.add_argument
    add("runs", type=Path, nargs="+", metavar="RUN", help="run directories, drawn into the same charts")
    chart = (
        "draw this chart, such as process/anonymous_MB, or all; may be repeated (default: loss, accuracy)"
    )
    add("--chart", dest="charts", action="append", default=[], metavar="TAG", help=chart)
    add("--csv", type=Path, metavar="FILE", help="write one row per point to FILE instead of drawing")
