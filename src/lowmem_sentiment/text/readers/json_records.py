"""JSON Lines, one object per line, and JSON arrays of objects, read item by item."""

import codecs
import contextlib
import functools
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ...system.errors import DataError, printable
from ..encoding import DECODE_ERRORS, checked
from ..reader_settings import ReaderSettings, Reading, WantedFields
from ..rows import MAX_TEXT_BYTES, TOO_LONG, BadRow, Block, Row, blocks_of
from .lines import Read, Unread, line_blocks

_BETWEEN = re.compile(r"[\s,]*")

_LINE_END = re.compile(r"[\r\n]+")

_NAMES = 50  # fields that are recorded in the manifest

_CACHED_CHARACTERS = 32  # of a number

_MAX_DIGITS = 4_300  # of an integer that Python reads


class _Written(str):
    """A number as it is written: as labels, 1.50 and 1.5 differ."""

    __slots__ = ()


_cached = functools.lru_cache(4_096)(_Written)  # a line of 15 MiB of digits takes 183 MB, not 1.3 GB


def _number(text: str) -> _Written:
    return _cached(text) if len(text) < _CACHED_CHARACTERS else _Written(text)


def _not_json(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_float=_number, parse_int=_number, parse_constant=_not_json)


class Fields(NamedTuple):
    """Names of the fields to read; a nested one is written as review.text."""

    texts: tuple[str, ...]
    """One, or several that are joined by a space."""
    label: str | None
    kept: tuple[str, ...]


def json_blocks(read: Read, name: str, reading: Reading) -> Iterator[Block]:
    """Yield blocks of the objects in a stream; its first bytes show whether it is an array.

    The first object decides which fields are read.
    """
    unread = Unread(read)
    _read_line(unread)
    lines = _lines(unread.data)
    may_continue = not lines[0].startswith("[") and not lines[0].endswith("}")
    if may_continue and not lines[1:]:
        unread.more(b"\n\r")
        lines = _lines(unread.data)
    first = [unread.data]

    def again() -> bytes:
        return first.pop() if first else read()

    if lines[0].startswith("[") or (may_continue and lines[1:] and lines[1].startswith('"')):
        yield from blocks_of(_items(again, name, reading))
        return
    fields = _first_fields(lines, name, reading)
    parse = functools.partial(
        _parse_line, settings=reading.settings, wanted=reading.fields, fields=fields
    )
    yield from line_blocks(again, name, parse)


def _parse_line(
    line: bytes, settings: ReaderSettings, wanted: WantedFields, fields: Fields | None
) -> tuple[bytes, str | None, tuple[Any, ...]]:
    """Return text, label and kept values of a line of JSON; ValueError gives the reason it cannot.

    A label that is a number or a truth value stays as written.
    """
    try:
        item = _DECODER.decode(line.decode("utf-8", DECODE_ERRORS[settings.errors]))
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from None
    except RecursionError:
        raise ValueError("is not JSON: it is nested too deeply") from None
    return _row(item, settings, fields or _choose(item, settings, wanted))


def _row(
    item: Any, settings: ReaderSettings, fields: Fields
) -> tuple[bytes, str | None, tuple[Any, ...]]:
    if not isinstance(item, dict):
        raise ValueError(f"is not a JSON object but {_kind(item)}")
    texts = [_value(item, name, "--text-column") for name in fields.texts]
    for name, text in zip(fields.texts, texts, strict=True):
        if not isinstance(text, str) or isinstance(text, _Written):
            if text is None and len(texts) > 1:
                continue
            raise ValueError(f"has no text: its field {name!r} is {_shown(text)}")
    try:
        kept = tuple(_plain(_value(item, name, "--keep")) for name in fields.kept)
    except RecursionError:
        raise ValueError("has a field to keep that is nested too deeply") from None
    kept = tuple(checked(value, settings).decode() if isinstance(value, str) else value for value in kept)
    joined = checked(" ".join(filter(None, texts)), settings)
    if fields.label is None:
        return joined, None, kept
    label = _value(item, fields.label, "--label-column")
    if label is None or isinstance(label, dict | list):
        raise ValueError(f"has no label: its field {fields.label!r} is {_shown(label)}")
    label = str(label) if isinstance(label, str) else json.dumps(label)
    return joined, checked(label, settings).decode(), kept


def _choose(item: Any, settings: ReaderSettings, fields: WantedFields) -> Fields:
    """Return the fields to read, as an object names them; ValueError if it lacks one."""
    if not isinstance(item, dict):
        raise ValueError(f"is not a JSON object but {_kind(item)}")
    text = _name(item, settings.text_column, fields.text_names, "--text-column")
    texts = (text,) if _has(item, text) else tuple(part.strip() for part in text.split(","))
    label = None
    if fields.labelled:
        label = _name(item, settings.label_column, fields.label_names, "--label-column")
    return Fields(texts, label, fields.keep)


def _name(item: dict[str, Any], wanted: str | None, usual: tuple[str, ...], option: str) -> str:
    """Return the name of the field `wanted`, or of the first usual one in any case."""
    if wanted is not None:
        names = [wanted]
    else:
        folded = {name.lower(): name for name in reversed(item)}
        names = [folded.get(name.lower(), name) for name in usual]
    for name in names:
        if _has(item, name) or all(_has(item, part.strip()) for part in name.split(",")):
            return name
    raise _no_field(item, names[0], option)


def _no_field(item: dict[str, Any], name: str, option: str) -> ValueError:
    held = ", ".join(printable(name, 30) for name in list(item)[:8]) or "nothing"
    return ValueError(f"has no field {name!r}; it has {held} ({option} names another)")


def _has(item: dict[str, Any], name: str) -> bool:
    try:
        _value(item, name, "")
    except ValueError:
        return False
    return True


def _value(item: dict[str, Any], name: str, option: str) -> Any:
    """Return the value of a field, nested or not; ValueError if there is none."""
    if name in item:
        return item[name]
    value: Any = item
    for key in name.split("."):
        if not isinstance(value, dict) or key not in value:
            raise _no_field(item, name, option)
        value = value[key]
    return value


def _kind(value: Any) -> str:
    kinds = {list: "an array", _Written: "a number", str: "a string", bool: "true or false"}
    return kinds.get(type(value), "null")


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, _Written) else json.dumps(value)[:40]


def _first_fields(lines: list[str], name: str, reading: Reading) -> Fields | None:
    """Return and report the fields of the first line that has them."""
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            item = _DECODER.decode(line)
            fields = _choose(item, reading.settings, reading.fields)
            _report(item, fields, name, reading)
            return fields
    return None


def _report(item: dict[str, Any], fields: Fields, name: str, reading: Reading) -> None:
    read = [*fields.texts, fields.label or ""]
    read += [name.split(".")[0] for name in read]  # a nested field's parent
    others = [key[:200] for key in item if key not in read][:_NAMES]
    columns = {"text": ",".join(fields.texts), "label": fields.label, "others": others}
    reading.found(name, columns)


# --- arrays ---


def _read_line(unread: Unread) -> None:
    """Read on to the end of a line that is not empty, or to a bracket that begins an array."""
    while not unread.at_end and len(unread.data) <= MAX_TEXT_BYTES:
        content = _content(unread.data)
        if content.startswith(b"[") or b"\n" in content or b"\r" in content:
            break
        unread.more(b"\n\r[")


def _content(head: bytes) -> bytes:
    return head.removeprefix(codecs.BOM_UTF8).lstrip()


def _lines(head: bytes) -> list[str]:
    """Return the lines that are not empty, or one empty line."""
    lines = map(str.strip, _LINE_END.split(_content(head).decode("utf-8", "replace")))
    return [line for line in lines if line] or [""]


def _items(read: Read, name: str, reading: Reading) -> Iterator[Row | BadRow]:
    """Yield a row for each item of an array, or of objects one after the other.

    One item, of 16 MiB at most, is in memory at a time.
    """
    settings, fields = reading.settings, None
    for number, item in enumerate(_decoded(read, name, settings), 1):
        place = f"{name}: item {number}"
        try:
            if fields is None:
                fields = _choose(item, settings, reading.fields)
                _report(item, fields, name, reading)
            text, label, kept = _row(item, settings, fields)
        except (ValueError, RecursionError) as error:
            yield BadRow(place, str(error))
        else:
            yield Row(text, label, place, None, kept)


def _plain(item: Any) -> Any:
    """Return a value without `_Written`; a number that JSON would write otherwise becomes text."""
    if isinstance(item, dict):
        return {key: _plain(value) for key, value in item.items()}
    if isinstance(item, list):
        return [_plain(value) for value in item]
    if not isinstance(item, _Written):
        return item
    survives = len(item) <= _MAX_DIGITS and json.dumps(json.loads(item)) == item
    return json.loads(item) if survives else str(item)


def _decoded(read: Read, name: str, settings: ReaderSettings) -> Iterator[Any]:
    """Yield the items; DataError if the file is not JSON, or ends within the array."""
    decoder = codecs.getincrementaldecoder("utf-8")(DECODE_ERRORS[settings.errors])
    text, at, count, ended = decoder.decode(read()).lstrip("\ufeff \t\r\n"), 0, 0, False
    in_array = text.startswith("[")
    at = int(in_array)
    while True:
        between = _BETWEEN.match(text, at)
        at = between.end() if between else at
        if in_array and text.startswith("]", at):
            in_array, ended = False, True
            at += 1
            continue
        if at < len(text):
            if ended:
                raise DataError(f"{name}: something follows the JSON array after item {count}")
            try:
                item, end = _DECODER.raw_decode(text, at)
            except RecursionError:
                raise DataError(f"{name}: item {count + 1} is nested too deeply") from None
            except ValueError as error:
                reason = str(error)
            else:
                # a value at the end may continue unless its last character closes it
                if end < len(text) or isinstance(item, dict | list):
                    yield item
                    count, at = count + 1, end
                    continue
                reason = "it ends within a number"
            if len(text) - at > MAX_TEXT_BYTES:
                raise DataError(f"{name}: item {count + 1} {TOO_LONG}, or is not JSON ({reason})")
        text, at = text[at:], 0
        # twice as much each time: an item is decoded again when more of it has arrived
        parts = [text]
        size = 0
        while size <= len(text) and (more := read()):
            parts.append(decoder.decode(more))
            size += len(more)
        if not size:
            break
        text = "".join(parts)
    if text.strip():
        raise DataError(f"{name}: item {count + 1} is not JSON: {reason}")
    if in_array:
        raise DataError(f"{name} is cut short: its JSON array does not end")
