"""``export``."""

import argparse
from pathlib import Path

from ..monitoring.terminal_text import table
from ..system.progress import Bar
from .options import add_json, add_output
from .output import answer, report, room


def run(options: argparse.Namespace, bar: Bar) -> None:
    """Export a run and print where."""
    from ..model.export import EXPORT, export
    from ..runs.run_directory import RunDirectory
    from ..system.directories import refuse_existing

    # before TensorFlow is imported, which takes 2 s
    refuse_existing(options.out, EXPORT, overwrite=options.overwrite, inputs=[options.run])
    if options.format == "saved-model":
        RunDirectory(options.run).config()

    out = export(
        options.run, options.out, format=options.format, overwrite=options.overwrite, report=report
    )
    content = {"run": str(options.run), "format": options.format, "out": str(out)}
    answer(options, content, lambda: table(content, room()))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the command's parser."""
    add_json(parser)
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="a run directory")
    add(
        "--format",
        default="saved-model",
        metavar="FORMAT",
        help="saved-model: takes raw "
        "texts, for TensorFlow Serving; weights: all that predict reads; keras: model.keras and "
        "the words of its columns (default: %(default)s)",
    )
    add_output(parser, "the directory to make")
