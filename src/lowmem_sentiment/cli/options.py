"""Options of the command line, made from the fields of settings."""

import argparse
import dataclasses
import functools
from collections.abc import Iterable
from typing import Any

from ..system.errors import SettingsError
from ..system.settings import plain, plain_type, read_value


def add_settings(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup,
    settings: type,
    leave_out: Iterable[str] = (),
    **defaults: Any,
) -> None:
    """Add an option for each field of a settings class (`system.settings`).

    What is not given is left out of the namespace, so that `given` tells it from what is. `defaults`
    are shown instead of the class's own.
    """
    for field in dataclasses.fields(settings):
        if field.name in leave_out or not field.metadata:
            continue
        default = defaults.get(field.name, field.default)
        option, declared = "--" + field.name.replace("_", "-"), field.metadata
        if plain_type(settings, field.name) is bool:
            parser.add_argument(
                f"--no-{option[2:]}" if default is True else option,
                dest=field.name,
                action="store_const",
                const=not default,
                default=argparse.SUPPRESS,
                help=declared["help"].replace("%", "%%"),
            )
            continue
        shown = declared["shown"]
        if shown is None and default not in (None, (), dataclasses.MISSING):
            shown = plain(default)
        text = f"{declared['help']} (default: {shown})" if shown else declared["help"]
        parser.add_argument(
            *filter(None, (option, declared["alias"])),
            dest=field.name,
            default=argparse.SUPPRESS,
            metavar=declared["metavar"],
            choices=declared["choices"] or None,
            type=functools.partial(_read, settings, field.name),
            help=text.replace("%", "%%"),
        )


def _read(settings: type, name: str, text: str) -> Any:
    try:
        return read_value(settings, name, text)
    except SettingsError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def given(options: argparse.Namespace, settings: type) -> dict[str, Any]:
    """Return the fields of `settings` that were given as options."""
    names = (field.name for field in dataclasses.fields(settings))
    return {name: getattr(options, name) for name in names if hasattr(options, name)}
