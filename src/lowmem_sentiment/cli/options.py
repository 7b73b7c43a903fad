"""Options of the command line, made from the fields of settings."""

import argparse
import dataclasses
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any

from ..system.settings import expected


def add_settings(
    parser: argparse.ArgumentParser, settings: type, leave_out: Iterable[str] = (), **defaults: Any
) -> None:
    """Add an option for each field of a settings class (`system.settings`).

    What is not given is left out of the namespace, so that `given` tells it from what is. `defaults`
    are shown in place of the class's own.
    """
    hints = typing.get_type_hints(settings)
    for field in dataclasses.fields(settings):
        if field.name in leave_out or not field.metadata:
            continue
        default = defaults.get(field.name, field.default)
        option = "--" + field.name.replace("_", "-")
        text, kind = field.metadata["help"], _plain_type(hints[field.name])
        if kind is bool:
            name = f"--no-{option[2:]}" if default is True else option
            parser.add_argument(
                name,
                dest=field.name,
                action="store_const",
                const=not default,
                default=argparse.SUPPRESS,
                help=text,
            )
            continue
        shown = field.metadata["shown"]
        if shown is None:
            shown = "" if default in (None, (), dataclasses.MISSING) else _text(default)
        parser.add_argument(
            option,
            dest=field.name,
            default=argparse.SUPPRESS,
            required=default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
            metavar=field.metadata["metavar"],
            choices=field.metadata["choices"] or None,
            type=field.metadata["read"] or _reader(kind, field),
            help=f"{text} (default: {shown})".replace("%", "%%") if shown else text.replace("%", "%%"),
        )


def given(options: argparse.Namespace, settings: type) -> dict[str, Any]:
    """Return the fields of `settings` that were given as options."""
    names = (field.name for field in dataclasses.fields(settings))
    return {name: getattr(options, name) for name in names if hasattr(options, name)}


def _plain_type(kind: Any) -> Any:
    """Return X of "X | None", and anything else as it is."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return next(each for each in typing.get_args(kind) if each is not types.NoneType)
    return kind


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _reader(kind: Any, field: dataclasses.Field) -> Callable[[str], Any]:
    """Return what reads an option's value; of tuples the parts, separated by commas."""
    one = typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else kind

    def read(text: str) -> Any:
        try:
            if one is not kind:
                return tuple(one(part.strip()) for part in text.split(",")) if text.strip() else ()
            return one(text)
        except ValueError:
            what = {int: "a whole number", float: "a number"}.get(one, one.__name__)
            what = f"{what}s, separated by commas" if one is not kind else what
            ranged = {"at_least", "above", "at_most", "below"}
            if any(field.metadata[name] is not None for name in ranged):
                what += f", {expected(field)}"
            raise argparse.ArgumentTypeError(f"it is {text!r}, expected {what}") from None

    return read
