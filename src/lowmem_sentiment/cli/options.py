"""Options of the command line, made from the fields of settings."""

import argparse
import dataclasses
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..system.errors import SettingsError
from ..system.settings import plain, plain_type, read_value

HTML = "also write a report with charts, one page for any browser; replaces an earlier report only"

RUN_OR_EXPORT = "a run directory, or the output of export --format weights"

_SECOND_NAMES = {("TrainingSettings", "num_words"): "--num-features"}


def add_settings(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup,
    settings: type,
    leave_out: Iterable[str] = (),
) -> None:
    """Add an option for each field of a settings class (`system.settings`).

    Options that are not given are left out of the namespace, so that `given` finds the others. Help shows
    the default, unless the field's help does.
    """
    for field in dataclasses.fields(settings):
        if field.name in leave_out or not field.metadata:
            continue
        option, text = "--" + field.name.replace("_", "-"), field.metadata["help"].replace("%", "%%")
        kind, choices = plain_type(settings, field.name), field.metadata["choices"]
        if kind is bool:
            parser.add_argument(
                f"--no-{option[2:]}" if field.default is True else option,
                dest=field.name,
                action="store_const",
                const=not field.default,
                default=argparse.SUPPRESS,
                help=text,
            )
            continue
        if "(default: " not in text and field.default not in (None, (), dataclasses.MISSING):
            text += f" (default: {plain(field.default)})"
        usual = f"{{{','.join(choices)}}}" if choices else "N" if kind is int else None
        parser.add_argument(
            *filter(None, (option, _SECOND_NAMES.get((settings.__name__, field.name)))),
            dest=field.name,
            default=argparse.SUPPRESS,
            metavar=field.metadata["metavar"] or usual,
            type=functools.partial(_read, settings, field.name),
            help=text,
        )


def _read(settings: type, name: str, text: str) -> Any:
    try:
        return read_value(settings, name, text)
    except SettingsError as error:  # it names the setting: argparse need not name the option before it
        raise argparse.ArgumentError(None, str(error)) from None


def add_flags(container: argparse._ActionsContainer, **helps: str) -> None:
    """Add an option without a value for each name."""
    for name, text in helps.items():
        container.add_argument(f"--{name}", action="store_true", help=text)


def add_paths(container: argparse._ActionsContainer, metavar: str, **helps: str) -> None:
    """Add an option that takes a path for each name."""
    for name, text in helps.items():
        container.add_argument(f"--{name}", type=Path, metavar=metavar, help=text)


def add_lists(container: argparse._ActionsContainer, metavar: str, kind: Any = str, **helps: str) -> None:
    """Add an option that takes one or more values, and may be repeated, for each name."""
    for name, text in helps.items():
        container.add_argument(
            f"--{name}", nargs="+", action="extend", default=[], type=kind, metavar=metavar, help=text
        )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    add_flags(parser, json="print one JSON object")


def add_output(parser: argparse.ArgumentParser, help: str, default: str | None = None) -> None:
    """Add --out, which is required without a default, and --overwrite."""
    shown = f"{help} (default: {default})" if default else help
    parser.add_argument(
        "--out", type=Path, default=default, required=not default, metavar="DIR", help=shown
    )
    add_flags(parser, overwrite="replace DIR if it exists; files in it of other programs stay")


def given(options: argparse.Namespace, settings: type, leave_out: Iterable[str] = ()) -> dict[str, Any]:
    """Return the fields of `settings` that were given as options."""
    names = {field.name for field in dataclasses.fields(settings)}.difference(leave_out)
    return {name: value for name, value in vars(options).items() if name in names}
