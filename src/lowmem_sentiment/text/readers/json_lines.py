"""JSON Lines: one object per line."""

import json
from typing import Any

from ...system.errors import printable
from ..encoding import DECODE_ERRORS, checked
from ..reader_settings import USUAL_FIELDS, ReaderSettings, WantedFields


def parse_json_line(
    line: bytes, settings: ReaderSettings, fields: WantedFields = USUAL_FIELDS
) -> tuple[bytes, str | None, tuple[Any, ...]]:
    """Return text, label and the fields kept of a line of JSON.

    A label that is a number or truth stays as written.

    ValueError says why there are none.
    """
    try:
        row = json.loads(line.decode("utf-8", DECODE_ERRORS[settings.errors]))
    except ValueError as error:
        raise ValueError(f"is no JSON: {error}") from None
    except RecursionError:
        raise ValueError("is no JSON: it is nested too deeply") from None
    if not isinstance(row, dict):
        raise ValueError(f"is no JSON object but a {type(row).__name__}")
    name, text = _field(row, settings.text_column, fields.text_names, "--text-column")
    if not isinstance(text, str):
        raise ValueError(f"has no text: its field {name!r} is {json.dumps(text)[:40]}")
    kept = tuple(_kept(_field(row, each, (), "--keep")[1], settings) for each in fields.keep)
    if not fields.labelled:
        return checked(text, settings), None, kept
    name, label = _field(row, settings.label_column, fields.label_names, "--label-column")
    if label is None or isinstance(label, dict | list):
        raise ValueError(f"has no label: its field {name!r} is {json.dumps(label)[:40]}")
    label = label if isinstance(label, str) else json.dumps(label)
    return checked(text, settings), checked(label, settings).decode(), kept


def _kept(value: Any, settings: ReaderSettings) -> Any:
    return checked(value, settings).decode() if isinstance(value, str) else value


def _field(
    row: dict[str, Any], wanted: str | None, usual: tuple[str, ...], option: str
) -> tuple[str, object]:
    """Return name and value of the field `wanted`, or of the first of the usual names."""
    names = usual if wanted is None else (wanted,)
    for name in names:
        if name in row:
            return name, row[name]
    held = ", ".join(printable(name, 30) for name in list(row)[:8]) or "nothing"
    raise ValueError(f"has no field {names[0]!r}; it has {held} ({option} names another)")
