"""A setting's default, help and range in one place: the field of a frozen dataclass.

`Settings` checks the ranges when a value is built, `cli.options` makes an option of each field,
`read_value` reads a field from text, and `schema.parse` reads the whole class from JSON.
"""

import csv
import dataclasses
import math
import operator
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any

from .errors import SettingsError, did_you_mean

BOUNDS = {"at_least": operator.ge, "above": operator.gt, "at_most": operator.le, "below": operator.lt}

Reader = tuple[Callable[[str], Any], str]
"""A function that reads a setting's text, or raises ValueError, and what it expects in words."""


def parse_size(text: str) -> int:
    """Read a size such as "700M", "1.5G" or "300000000" in bytes; ValueError for anything else."""
    units = {"KI": 2**10, "MI": 2**20, "GI": 2**30, "K": 10**3, "M": 10**6, "G": 10**9, "": 1}
    number = text.strip().upper().removesuffix("B")
    unit = next(unit for unit in units if number.endswith(unit))
    size = float(number.removesuffix(unit)) * units[unit]
    if not 1 <= size < 1 << 63:
        raise ValueError(f"a size of {text}")
    return int(size)


SIZE: Reader = parse_size, "a size above 0, such as 700M, 1.5G or 300000000"


def setting(
    default: Any,
    help: str = "",
    *,
    metavar: str | None = None,
    choices: Sequence[str] = (),
    read: Reader | None = None,
    **bounds: float,
) -> Any:
    """Return a dataclass field whose range (of each part of a tuple) `Settings` checks.

    `help` and `metavar` are the option's; `read` reads its text (default: by the field's type). `bounds`
    are of `BOUNDS`, such as at_least=0.
    """
    declared = {"help": help, "metavar": metavar, "choices": choices, "read": read, "bounds": bounds}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=declared)
    return dataclasses.field(default=default, metadata=declared)


class Settings:
    """The base of settings dataclasses: SettingsError for the first field out of its range."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]  # its subclasses are dataclasses
            if field.metadata:
                _check(field, getattr(self, field.name))


def _check(field: dataclasses.Field[Any], value: Any) -> None:
    if value is None:
        return
    declared, hint = field.metadata, ""
    if declared["choices"]:
        holds = value in declared["choices"]
        hint = "" if holds else did_you_mean(str(value), declared["choices"])
    else:
        bounds, parts = declared["bounds"].items(), value if isinstance(value, tuple) else (value,)
        holds = all(BOUNDS[name](part, bound) for name, bound in bounds for part in parts)  # NaN: none
    if not holds:
        shown = plain(value) if isinstance(value, tuple) else repr(value)
        raise SettingsError(f"{field.name} is {shown}, expected {_range(field)}{hint}")


def _range(field: dataclasses.Field[Any]) -> str:
    """Return a field's range in words: "1 or more", "0 to below 1", "one of none, balanced"."""
    declared = field.metadata
    if declared["choices"]:
        return f"one of {', '.join(declared['choices'])}"
    at_least, above, at_most, below = map(declared["bounds"].get, BOUNDS)
    high = f"{at_most:,}" if at_most is not None else ""
    if below is not None and below < math.inf:
        high = f"below {below:,}"
    if at_least is not None:
        return f"{at_least:,} to {high}" if high else f"{at_least:,} or more"
    if above is not None:
        return f"above {above:,} and {high}" if high else f"more than {above:,}"
    return high


def plain(value: Any) -> str:
    """Return a setting's value as text for its option; names are quoted as in CSV.

    >>> plain((50, 50)), plain({"1": "bad", "5, or so": "good"})
    ('50,50', '1=bad,"5, or so"=good')
    """
    if isinstance(value, dict):
        return ",".join(f"{_quoted(name, ',=')}={_quoted(each)}" for name, each in value.items())
    return ",".join(map(_quoted, value)) if isinstance(value, tuple | list) else str(value)


def _quoted(name: Any, marks: str = ",") -> str:
    text = str(name)
    if not text.startswith('"') and not any(mark in text for mark in marks):
        return text
    return '"' + text.replace('"', '""') + '"'


def plain_type(settings: type, name: str) -> Any:
    """Return the type of a field; X if it is X | None."""
    kinds = alternatives(typing.get_type_hints(settings)[name])
    return next(each for each in kinds if each is not types.NoneType)


def alternatives(kind: Any) -> tuple[Any, ...]:
    """Return the types of a union, or the type itself."""
    union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    return typing.get_args(kind) if union else (kind,)


_READERS: dict[type, Reader] = {
    int: (int, "a whole number"),
    float: (float, "a number"),
    bool: ({"true": True, "false": False}.__getitem__, "true or false"),
}


def read_value(settings: type, name: str, text: str) -> Any:
    """Return the value of a field from text in the form of `plain`.

    Raises SettingsError if it cannot be read; its range is checked when the settings are built.
    """
    field = next(each for each in dataclasses.fields(settings) if each.name == name)
    kind = plain_type(settings, name)
    several = typing.get_origin(kind) is tuple
    one = typing.get_args(kind)[0] if several else kind
    read, expected = field.metadata["read"] or _READERS.get(one, (one, ""))
    try:
        if not several:
            value = read(text)
        else:
            parts = next(csv.reader([text.strip()], skipinitialspace=True, strict=True), [])
            value = tuple(read(part.strip()) for part in parts)
    except (ValueError, KeyError, OverflowError, csv.Error):
        if several:
            expected = f"{expected.removeprefix('a ')}s, separated by commas"
        if not field.metadata["read"] and (held := _range(field)):
            expected += f", {held}"
        raise SettingsError(f"{name} is {text!r}, expected {expected}") from None
    if field.metadata["choices"]:
        _check(field, value)
    return value
