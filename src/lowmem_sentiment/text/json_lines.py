"""Files with a review a line: JSON Lines, and fastText's ``__label__``.

They are cut at line ends, and parsed where the chunk goes.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ..system.errors import DataError
from .chunks import CHUNK_BYTES, MAX_TEXT_BYTES, BadRow, Chunk, Review, Rules
from .format_settings import FilesSettings

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class _Lines:
    """A chunk of whole lines, not yet parsed."""

    data: bytes
    name: str
    first: int
    split: str | None
    settings: FilesSettings
    parse: Callable[[bytes, FilesSettings], tuple[str | bytes, str | bytes]]
    """Gives text and label of a line; ValueError says why it cannot."""

    def reviews(self) -> Iterator[Review | BadRow]:
        rules = Rules.of(self.settings)
        for number, line in enumerate(self.data.split(b"\n"), self.first):
            line = line.rstrip(b"\r")
            if not line or line.isspace():
                continue
            place = f"{self.name}:{number}"
            try:
                text, label = self.parse(line, self.settings)
            except (ValueError, RecursionError) as error:
                yield BadRow(place, str(error))
            else:
                yield rules.review(text, label, self.split, place)


def line_chunks(
    stream: BinaryIO, name: str, split: str | None, settings: FilesSettings, parse: Callable
) -> Iterator[Chunk]:
    """Yield the lines of a file, cut at line ends, about `CHUNK_BYTES` at a time."""
    carry, number = b"", 1
    while block := stream.read(CHUNK_BYTES):
        if number == 1 and not carry:
            block = block.removeprefix(BOM)
        end = block.rfind(b"\n") + 1
        if not end:
            carry += block
            if len(carry) > MAX_TEXT_BYTES:
                raise DataError(f"{name}:{number}: the line is longer than {MAX_TEXT_BYTES:,} bytes")
            continue
        data, carry = carry + block[:end], block[end:]
        yield _Lines(data, name, number, split, settings, parse)
        number += data.count(b"\n")
    if carry:
        yield _Lines(carry, name, number, split, settings, parse)


def parse_json(line: bytes, settings: FilesSettings) -> tuple[str, str]:
    """Give text and label of a line of JSON; a label that is a number or truth stays as written."""
    fields = settings.text_column or "text", settings.label_column or "label"
    try:
        row = json.loads(line.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise ValueError(f"is no JSON: {error}") from None
    if not isinstance(row, dict):
        raise ValueError(f"is no JSON object but a {type(row).__name__}")
    for field in fields:
        if field not in row:
            held = ", ".join(list(row)[:8]) or "nothing"
            raise ValueError(f"has no field {field!r}; it has {held} (--text-field, --label-field)")
    text, label = (row[field] for field in fields)
    if not isinstance(text, str):
        raise ValueError(f"has no text: its field {fields[0]!r} is {json.dumps(text)[:40]}")
    if label is None or isinstance(label, dict | list):
        raise ValueError(f"has no label: its field {fields[1]!r} is {json.dumps(label)[:40]}")
    return text, label if isinstance(label, str) else json.dumps(label)


_FASTTEXT = re.compile(rb"\s*__label__(\S+)\s+(.*)", re.DOTALL)


def parse_fasttext(line: bytes, settings: FilesSettings) -> tuple[bytes, bytes]:
    """Give text and label of a line ``__label__pos text``."""
    match = _FASTTEXT.fullmatch(line)
    if not match:
        raise ValueError("does not start with __label__NAME and a text")
    label, text = match.groups()
    if text.startswith(b"__label__"):
        raise ValueError("has several labels, expected one")
    return text, label
