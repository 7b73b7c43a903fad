"""A setting's default, help and range in one place: the field of a frozen dataclass.

`check_settings` checks the ranges when a value is built, `cli.options` makes an option of each field,
`read_value` reads a field from text, and `schema.parse` reads the whole class from JSON.
"""

import dataclasses
import math
import operator
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any

from .errors import SettingsError

SIZE = "a size above 0, such as 700M, 1.5G or 300000000"


def setting(
    default: Any,
    help: str,
    *,
    metavar: str | None = None,
    choices: Sequence[str] = (),
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    read: Callable[[str], Any] | None = None,
    form: str = "",
    shown: str | None = None,
    alias: str | None = None,
) -> Any:
    """Return a dataclass field with a range, for each part of a tuple, that `check_settings` checks.

    `help`, `metavar` and `alias`, a second name, are the option's. `read` reads its text (default: by the
    field's type) and raises ValueError for anything but what `form` describes. Help shows `shown` as the
    default ("": none).
    """
    declared = {name: value for name, value in locals().items() if name != "default"}
    if isinstance(default, dict | list):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=declared)
    return dataclasses.field(default=default, metadata=declared)


def check_settings(settings: Any) -> None:
    """Raise SettingsError for the first field out of its range, with what was expected."""
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if value is None or not field.metadata or isinstance(value, bool | dict):
            continue
        parts = value if isinstance(value, tuple) else (value,)
        if not all(_holds(part, field.metadata) for part in parts):
            shown = plain(value) if isinstance(value, tuple) else repr(value)
            raise SettingsError(f"{field.name} is {shown}, expected {_range(field)}")


_BOUNDS = {"at_least": operator.ge, "above": operator.gt, "at_most": operator.le, "below": operator.lt}


def _holds(value: Any, declared: typing.Mapping[str, Any]) -> bool:
    if declared["choices"]:
        return value in declared["choices"]
    bounds = ((holds, declared[name]) for name, holds in _BOUNDS.items() if declared[name] is not None)
    return all(holds(value, bound) for holds, bound in bounds)  # NaN holds none


def _range(field: dataclasses.Field[Any]) -> str:
    """Return a field's range in words: "1 or more", "0 to below 1", "one of none, balanced"."""
    declared = field.metadata
    if declared["choices"]:
        return f"one of {', '.join(declared['choices'])}"
    at_least, above, at_most, below = (declared[name] for name in _BOUNDS)
    high = f"{at_most:,}" if at_most is not None else ""
    if below is not None and below < math.inf:
        high = f"below {below:,}"
    if at_least is not None:
        return f"{at_least:,} to {high}" if high else f"{at_least:,} or more"
    if above is not None:
        return f"above {above:,} and {high}" if high else f"more than {above:,}"
    return high


def plain(value: Any) -> str:
    """Return a setting's value as its option takes it.

    >>> plain((50, 50)), plain({"1": "bad", "5": "good"})
    ('50,50', '1=bad,5=good')
    """
    if isinstance(value, dict):
        value = [f"{name}={each}" for name, each in value.items()]
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def plain_type(settings: type, name: str) -> Any:
    """Return the type of a field; X where it is X | None."""
    kind = typing.get_type_hints(settings)[name]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return next(each for each in typing.get_args(kind) if each is not types.NoneType)
    return kind


def read_value(settings: type, name: str, text: str) -> Any:
    """Return the value of a field that is written as `plain` writes it.

    Raises SettingsError where it cannot be read; its range is checked when the settings are built.
    """
    field = next(each for each in dataclasses.fields(settings) if each.name == name)
    kind, read = plain_type(settings, name), field.metadata["read"]
    one = typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else kind
    try:
        if read or one is kind:
            return _BOOLS[text] if kind is bool else (read or kind)(text)
        return tuple(one(part.strip()) for part in text.split(",")) if text.strip() else ()
    except (ValueError, KeyError, OverflowError):
        what = field.metadata["form"] or _FORMS[one][one is not kind]
        if not field.metadata["form"] and (held := _range(field)):
            what += f", {held}"
        raise SettingsError(f"{name} is {text!r}, expected {what}") from None


_BOOLS = {"true": True, "false": False}

_FORMS = {
    int: ("a whole number", "whole numbers, separated by commas"),
    float: ("a number", "numbers, separated by commas"),
    bool: ("true or false", "true or false, separated by commas"),
}
