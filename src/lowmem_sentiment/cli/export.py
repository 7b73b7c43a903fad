"""``export``."""

import argparse
from pathlib import Path

from ..decisions.settings import DecisionSettings
from ..monitoring.terminal_text import table
from ..system.errors import SettingsError
from ..system.progress import Bar
from .options import add_json, add_output, add_settings, given
from .output import answer, report, room


def run(options: argparse.Namespace, bar: Bar) -> None:
    """Export a run and print where."""
    from ..decisions.recorded import decision
    from ..model.export import EXPORT, export
    from ..runs.run_directory import RunDirectory
    from ..system.directories import refuse_existing

    # before TensorFlow is imported, which takes 2 s
    refuse_existing(options.out, EXPORT, overwrite=options.overwrite, inputs=[options.run])
    chosen, how = given(options, DecisionSettings), None
    if options.format == "saved-model":
        labels = RunDirectory(options.run).config()["labels"]
        how = decision(options.run, DecisionSettings(**chosen), labels)
    elif chosen:
        raise SettingsError(
            f"--{next(iter(chosen))} was given, and --format {options.format}; expected saved-model"
        )
    out = export(
        options.run,
        options.out,
        format=options.format,
        overwrite=options.overwrite,
        decision=how,
        report=report,
    )
    content = {"run": str(options.run), "format": options.format, "out": str(out)}
    answer(options, content, lambda: table(content, room()))


def add_options(parser: argparse.ArgumentParser) -> None:
    add_json(parser)
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="a run directory")
    add(
        "--format",
        default="saved-model",
        metavar="FORMAT",
        help="saved-model: takes raw "
        "texts, for TensorFlow Serving; weights: the files that predict reads; keras: model.keras and "
        "the words of its columns (default: %(default)s)",
    )
    add_output(parser, "the directory to make")
    add_settings(parser, DecisionSettings)
