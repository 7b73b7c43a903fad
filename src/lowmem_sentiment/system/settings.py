"""A setting's default, help and range in one place: the field of a frozen dataclass.

`check_settings` holds the ranges when a value is built, `cli.options` makes an option of each field, and
`schema.parse` reads them back from JSON.
"""

import dataclasses
import math
import typing
from collections.abc import Callable, Sequence
from typing import Any

from .errors import SettingsError


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
    shown: str | None = None,
    alias: str | None = None,
) -> Any:
    """Return a dataclass field with the range that `check_settings` holds; of a tuple, for each part.

    `help` is the option's. `metavar` names its value there, `read` reads it (default: by the field's
    type), and `shown` is how help names the default ("": not at all). `alias` is another name of the
    option.
    """
    described = {
        "help": help,
        "metavar": metavar,
        "choices": tuple(choices),
        "at_least": at_least,
        "above": above,
        "at_most": at_most,
        "below": below,
        "read": read,
        "shown": shown,
        "alias": alias,
    }
    if isinstance(default, dict | list):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=described)
    return dataclasses.field(default=default, metadata=described)


def check_settings(settings: Any) -> None:
    """Raise SettingsError for the first field out of its range, with what was expected."""
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if value is None or not field.metadata or isinstance(value, bool | dict):
            continue
        parts = value if isinstance(value, tuple) else (value,)
        if not all(_holds(part, field.metadata) for part in parts):
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else repr(value)
            raise SettingsError(f"{field.name} is {shown}, expected {expected(field)}")


def _holds(value: Any, range_: typing.Mapping[str, Any]) -> bool:
    if range_["choices"]:
        return value in range_["choices"]
    return (
        (range_["at_least"] is None or value >= range_["at_least"])
        and (range_["above"] is None or value > range_["above"])
        and (range_["at_most"] is None or value <= range_["at_most"])
        and (range_["below"] is None or value < range_["below"])
    )  # not a number holds none of them


def plain(value: Any) -> str:
    """Return a setting's value as its option takes it.

    >>> plain((50, 50)), plain({"1": "bad", "5": "good"})
    ('50,50', '1=bad,5=good')
    """
    if isinstance(value, dict):
        value = [f"{name}={each}" for name, each in value.items()]
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def expected(field: dataclasses.Field) -> str:
    """Return a field's range in words: "1 or more", "0 to below 1", "one of none, balanced"."""
    range_ = field.metadata
    if range_["choices"]:
        return f"one of {', '.join(range_['choices'])}"
    low, high = "", ""
    if range_["at_least"] is not None:
        low = f"{range_['at_least']:,}"
    elif range_["above"] is not None:
        low = f"above {range_['above']:,}"
    if range_["at_most"] is not None:
        high = f"{range_['at_most']:,}"
    elif range_["below"] is not None and range_["below"] < math.inf:
        high = f"below {range_['below']:,}"
    if not high:
        return f"{low} or more" if range_["at_least"] is not None else f"more than {range_['above']:,}"
    return f"{low} {'to' if range_['at_least'] is not None else 'and'} {high}"


def check_each(settings: Any, checks: dict[str, tuple[bool, str]]) -> None:
    """Raise SettingsError for the first setting whose check does not hold, with what was expected."""
    for name, (holds, expectation) in checks.items():
        if not holds:
            raise SettingsError(f"{name} is {getattr(settings, name)!r}, expected {expectation}")
