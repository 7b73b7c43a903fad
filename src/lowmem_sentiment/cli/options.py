"""Options of the command line: made from the fields of settings, and readers for the others.

A reader raises ArgumentTypeError with what was received and what was expected.
"""

import argparse
import dataclasses
import math
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any

from ..system.memory import parse_size
from ..system.settings import expected, plain


def add_settings(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup,
    settings: type,
    leave_out: Iterable[str] = (),
    **defaults: Any,
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
            shown = "" if default in (None, (), dataclasses.MISSING) else plain(default)
        parser.add_argument(
            *filter(None, (option, field.metadata["alias"])),
            dest=field.name,
            default=argparse.SUPPRESS,
            required=default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
            metavar=field.metadata["metavar"],
            choices=field.metadata["choices"] or None,
            type=field.metadata["read"] or _reader(kind, field),
            help=f"{text} (default: {shown})".replace("%", "%%") if shown else text.replace("%", "%%"),
        )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def given(options: argparse.Namespace, settings: type) -> dict[str, Any]:
    """Return the fields of `settings` that were given as options."""
    names = (field.name for field in dataclasses.fields(settings))
    return {name: getattr(options, name) for name in names if hasattr(options, name)}


def _plain_type(kind: Any) -> Any:
    """Return X of "X | None", and anything else as it is."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return next(each for each in typing.get_args(kind) if each is not types.NoneType)
    return kind


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
            if one is not kind:
                what = f"{what.removeprefix('a ')}s, separated by commas"
            ranged = {"at_least", "above", "at_most", "below"}
            if any(field.metadata[name] is not None for name in ranged):
                what += f", {expected(field)}"
            raise argparse.ArgumentTypeError(f"it is {text!r}, expected {what}") from None

    return read


# --- readers ---


def whole_number(at_least: int | None = None, at_most: int | None = None) -> Callable[[str], int]:
    """Return the reader of a whole number in a range.

    >>> whole_number(1)("12")
    12
    """
    return _number_reader(int, "a whole number", at_least, at_most, above=None)


def number(
    at_least: float | None = None, at_most: float | None = None, above: float | None = None
) -> Callable[[str], float]:
    """Return the reader of a finite number in a range."""
    return _number_reader(float, "a number", at_least, at_most, above)


def _number_reader(
    kind: type, what: str, at_least: Any, at_most: Any, above: Any
) -> Callable[[str], Any]:
    low = f"{at_least:,}" if at_least is not None else f"above {above:,}" if above is not None else ""
    if low and at_most is not None:
        what += f", {low} {'to' if above is None else 'and at most'} {at_most:,}"
    elif at_least is not None:
        what += f", {low} or more"
    elif low:
        what += f", more than {above:,}"
    elif at_most is not None:
        what += f", at most {at_most:,}"

    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        holds = (
            math.isfinite(value)
            and (at_least is None or value >= at_least)
            and (above is None or value > above)
            and (at_most is None or value <= at_most)
        )
        return value if holds else _refuse(text, what)

    return read


def size(text: str) -> int:
    """Read a size such as 700M or 1.5G in bytes."""
    try:
        return parse_size(text)
    except (ValueError, OverflowError, StopIteration):
        return _refuse(text, "a size above 0, such as 700M, 1.5G or 300000000")


def pair(text: str) -> tuple[str, str]:
    """Read NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not (name.strip() and equals):
        _refuse(text, "NAME=VALUE")
    return name.strip(), value.strip()


def list_of(read: Callable[[str], Any]) -> Callable[[str], tuple]:
    """Return the reader of a list separated by commas; an empty text is an empty list."""

    def read_all(text: str) -> tuple:
        return tuple(read(part.strip()) for part in text.split(",")) if text.strip() else ()

    return read_all


def _refuse(text: str, what: str) -> typing.NoReturn:
    raise argparse.ArgumentTypeError(f"it is {text!r}, expected {what}")
