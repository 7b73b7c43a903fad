"""JSON files, written with a checksum and read back through a declared schema.

A schema is a dataclass: the names of its fields are the keys, their annotations the types. `parse` checks
parsed JSON against it, and returns an instance or raises a DataError that names the file and the key.
"""

import dataclasses
import hashlib
import json
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from .errors import DataError, SettingsError, printable
from .files import read_regular, replace_file
from .settings import alternatives

Schema = TypeVar("Schema")

MAX_JSON_BYTES = 64 << 20
"""A manifest takes 200 bytes per shard; parsed JSON takes about ten times its size in memory."""

_INT64 = 1 << 63


def parse(schema: type[Schema], content: Any, where: str) -> Schema:
    """Return parsed JSON as an instance of a dataclass; DataError names a key with a wrong value.

    Annotations may be str, int (of 64 bits), float, bool, None, Any, unions, list[X], tuple[X, ...],
    dict[str, X] and other dataclasses. An unknown key is refused, as this version could not honour it,
    unless the class has `ignores_unknown_keys = True`. Its `former_keys` are keys of earlier versions
    that changed no result.

    >>> @dataclasses.dataclass
    ... class Shard:
    ...     file: str
    ...     records: int = 0
    >>> parse(Shard, {"file": "a"}, "dataset.json")
    Shard(file='a', records=0)
    >>> parse(Shard, {"file": 1}, "dataset.json")
    Traceback (most recent call last):
    lowmem_sentiment.system.errors.DataError: dataset.json: file is 1, expected a text
    """
    parsed: Schema = _object(schema, content, where, "")
    return parsed


def _object(schema: type, content: Any, where: str, key: str) -> Any:
    if not isinstance(content, dict):
        raise _wrong(where, key, content, "an object")
    fields = {field.name: field for field in dataclasses.fields(schema) if field.init}
    hints = typing.get_type_hints(schema)
    prefix = f"{key}." if key else ""
    known = {*fields, *getattr(schema, "former_keys", ())}
    unknown = [name for name in content if name not in known]
    if unknown and not getattr(schema, "ignores_unknown_keys", False):
        raise DataError(
            f"{where}: {printable(prefix + unknown[0])} is not known to this version; expected no keys "
            f"but {', '.join(fields)}"
        )
    values = {}
    for name, field in fields.items():
        if name in content:
            values[name] = _value(hints[name], content[name], where, prefix + name)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise DataError(f"{where}: {printable(prefix + name)} is missing")
    try:
        return schema(**values)
    except SettingsError as error:
        raise DataError(f"{where}: {f'{key}: ' if key else ''}{error}") from None


def _value(kind: Any, value: Any, where: str, key: str) -> Any:
    found = next((each for each in alternatives(kind) if _is_a(each, value)), None)
    if found is None:
        raise _wrong(where, key, value, " or ".join(map(_describe, alternatives(kind))))
    outer, arguments = typing.get_origin(found) or found, typing.get_args(found)
    if outer in (list, tuple):
        return outer(_value(arguments[0], each, where, f"{key}[{nth}]") for nth, each in enumerate(value))
    if outer is dict:
        return {name: _value(arguments[1], each, where, f"{key}.{name}") for name, each in value.items()}
    if dataclasses.is_dataclass(outer):
        return _object(found, value, where, key)
    return float(value) if outer is float else value


def _is_a(kind: Any, value: Any) -> bool:
    """Return whether a JSON value fits a type at its outermost level."""
    outer = typing.get_origin(kind) or kind
    if outer is Any:
        return True
    if outer in (int, float):  # a whole number of hundreds of digits would not fit
        whole = isinstance(value, int) and not isinstance(value, bool) and -_INT64 <= value < _INT64
        return whole or (outer is float and isinstance(value, float))
    if outer is tuple:
        return isinstance(value, list | tuple)
    return isinstance(value, dict if dataclasses.is_dataclass(outer) else outer)


_NAMES = {
    str: "a text",
    int: "a whole number of 64 bits",
    float: "a number",
    bool: "true or false",
    types.NoneType: "null",
}


def _describe(kind: Any) -> str:
    if typing.get_origin(kind) in (list, tuple):
        each = " or ".join(map(_describe, alternatives(typing.get_args(kind)[0])))
        return f"a list, each of it {each}"
    if typing.get_origin(kind) is dict or dataclasses.is_dataclass(kind):
        return "an object"
    return _NAMES.get(kind, str(kind))


def _wrong(where: str, key: str, value: Any, expected: str) -> DataError:
    try:
        shown = json.dumps(value)
    except (RecursionError, ValueError):
        shown = type(value).__name__
    return DataError(
        f"{where}: {printable(key) or 'the whole'} is {printable(shown, 60)}, expected {expected}"
    )


def check_format(content: Any, where: str, kind: str, *versions: int) -> None:
    """Raise DataError unless parsed JSON has the format `kind` in one of the known `versions`."""
    found = (content.get("format"), content.get("version")) if isinstance(content, dict) else content
    if found not in [(kind, version) for version in versions]:
        raise DataError(
            f"{where} has format and version {printable(repr(found), 100)}, expected {kind!r} and "
            f"{' or '.join(map(str, versions))}; another version of this software may have made it"
        )


def parse_json(text: bytes, where: str) -> Any:
    """Return parsed JSON of any kind; DataError if it is not JSON, or nested too deeply."""
    if len(text) > MAX_JSON_BYTES:
        raise DataError(f"{where} has {len(text):,} bytes of JSON, expected {MAX_JSON_BYTES:,} at most")
    try:
        return json.loads(text)
    except ValueError as error:
        raise DataError(f"{where} is damaged: it is not JSON ({error})") from None
    except RecursionError:
        raise DataError(f"{where} is damaged: its JSON is nested too deeply") from None


def _checksum(content: dict[str, Any]) -> str:
    """Return the SHA-256 of `content` as canonical JSON, without its "checksum"."""
    rest = {key: value for key, value in content.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` and its checksum as indented JSON, atomically; OutputError if that fails."""
    with replace_file(path) as file:
        file.write(to_json(content))


def to_json(content: dict[str, Any]) -> bytes:
    """Return the bytes that `write_json` writes.

    Half surrogates, from a path that is not UTF-8, are written as JSON escapes.
    """
    sealed = {**content, "checksum": _checksum(content)}
    text = json.dumps(sealed, indent=1, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def read_json(path: Path) -> dict[str, Any]:
    """Read a file of `write_json`; InputMissing, or DataError for a flipped bit or a cut file."""
    content = parse_json(read_regular(path, MAX_JSON_BYTES), str(path))
    try:
        if isinstance(content, dict) and content.get("checksum") == _checksum(content):
            return content
    except RecursionError:  # writing JSON takes more stack than parsing it
        raise DataError(f"{path} is damaged: its JSON is nested too deeply") from None
    raise DataError(f"{path} is damaged: its content does not match its checksum")
