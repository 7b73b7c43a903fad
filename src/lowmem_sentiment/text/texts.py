"""Texts from a file or a stream, as UTF-8 bytes, in the blocks in which they come.

Text lines, CSV, TSV and JSON Lines are read, each also as .gz. Whatever is wrong is a DataError
that names file and line, raised after the texts before it were given.
"""

import codecs
import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ..system.errors import DataError, InputMissing
from .format_settings import TextSettings

# A block is what one read brings: from a pipe what is there, from a file this much, some 200
# reviews. More makes prediction no faster.
_READ_BYTES = 1 << 18

_BLOCK = 1_000  # texts: a block of empty lines stays small too

# One line or CSV field. Without a limit a stream that has no line ends would fill the memory.
MAX_TEXT_BYTES = 128 << 20

_BYTE_ORDER_MARK = codecs.BOM_UTF8


def read_texts(
    source: str | Path | BinaryIO, settings: TextSettings | None = None
) -> Iterator[list[bytes]]:
    """Yield blocks of texts from a file, or from a binary stream as they come.

    A block is never held back for what comes after it: who answers each block at once answers
    each line at once (but for CSV rows before one that is cut inside a quoted text). In memory
    are 256 KiB and one text at a time.

    Raises InputMissing, and DataError for text that is not in the encoding, a missing column or
    field, a broken quote, a line over 128 MiB, a damaged .gz file.
    """
    settings = settings or TextSettings()
    if hasattr(source, "read1"):
        lines = _Lines(source, getattr(source, "name", "input"), settings)
        yield from _blocks(lines, settings.format_of(""))
        return
    path = Path(source)
    try:
        with open(path, "rb") as file:
            stream = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
            yield from _blocks(_Lines(stream, str(path), settings), settings.format_of(path.name))
    except OSError as error:
        raise InputMissing(f"cannot read {path}: {error.strerror or error}") from error


def _blocks(lines: "_Lines", format_: str) -> Iterator[list[bytes]]:
    block = []
    try:
        for text in _READERS[format_](lines):
            if text is not None:
                block.append(text)
            if block and (lines.at_end_of_read or len(block) >= _BLOCK):
                yield block
                block = []
    except (DataError, OSError):
        if block:  # these were well
            yield block
        raise
    if block:
        yield block


class _Lines:
    """Iterate over the lines of a stream as UTF-8 bytes, without their ends."""

    def __init__(self, stream: BinaryIO, name: str, settings: TextSettings):
        self.name, self.settings = name, settings
        self.number = 0
        """Of the line that was given last, from 1."""
        self.at_end_of_read = False
        """No other line is here yet: the next one may have to be waited for."""
        self._stream = stream if settings.is_ascii_based else _Transcoder(stream, settings)
        self._decode: Callable[[bytes], bytes] | None = None
        if settings.is_ascii_based:
            self._decode = self._check if settings.keeps_bytes else self._transcode

    def error(self, what: str, line: int | None = None) -> DataError:
        return DataError(f"{self.name}, line {line or self.number}: {what}")

    def _check(self, line: bytes) -> bytes:
        line.decode()
        return line

    def _transcode(self, line: bytes) -> bytes:
        return line.decode(self.settings.encoding, self.settings.errors).encode()

    def __iter__(self) -> Iterator[bytes]:
        decode = self._decode
        for line in self._raw_lines():
            self.number += 1
            if decode:
                try:
                    line = decode(line)
                except UnicodeDecodeError as error:
                    raise self._undecodable(error) from error
            if self.number == 1:
                line = line.removeprefix(_BYTE_ORDER_MARK)
            yield line[:-1] if line[-1:] == b"\r" else line

    def _undecodable(self, error: UnicodeDecodeError) -> DataError:
        return self.error(
            f"byte {error.object[error.start]:#04x} at column {error.start + 1} is no "
            f"{self.settings.encoding}; pass --encoding, or --errors replace"
        )

    def _raw_lines(self) -> Iterator[bytes]:
        parts: list[bytes] = []  # of a line that has not ended; joined once, not once a read
        size = 0
        while chunk := self._read():
            first, *lines = chunk.split(b"\n")
            parts.append(first)
            size += len(first)
            if size > MAX_TEXT_BYTES:
                raise self.error(
                    f"is longer than {MAX_TEXT_BYTES >> 20} MiB; expected a text a line", self.number + 1
                )
            if not lines:
                continue
            rest = lines.pop()
            self.at_end_of_read = not lines
            line, parts = b"".join(parts), []  # a long line is not held twice
            yield line
            for nth, line in enumerate(lines, 1):
                self.at_end_of_read = nth == len(lines)
                yield line
            parts.append(rest)
            size = len(rest)
        self.at_end_of_read = True
        if last := b"".join(parts):
            yield last

    def _read(self) -> bytes:
        try:
            return self._stream.read1(_READ_BYTES)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise self.error(
                f"the .gz file is damaged or cut short ({error})", self.number + 1
            ) from error
        except UnicodeDecodeError as error:
            raise self.error(
                f"is no {self.settings.encoding} here or soon after; pass --encoding, or "
                "--errors replace",
                self.number + 1,
            ) from error


class _Transcoder:
    """Read a stream in an encoding whose line ends are not one byte (UTF-16) as UTF-8."""

    def __init__(self, stream: BinaryIO, settings: TextSettings):
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(settings.encoding)(settings.errors)

    def read1(self, size: int) -> bytes:
        while data := self._stream.read1(size):
            if text := self._decoder.decode(data):
                return text.encode()
        return self._decoder.decode(b"", final=True).encode()


# --- formats: each yields texts, and None for lines without one ---


def _plain(lines: _Lines) -> Iterator[bytes | None]:
    return iter(lines)


def _delimited(lines: _Lines, delimiter: str) -> Iterator[bytes | None]:
    # The limit is the module's own and cannot be set for one reader; its default is 128 KiB.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_TEXT_BYTES))
    rows = csv.reader((line.decode() + "\n" for line in lines), delimiter=delimiter, strict=True)
    column: int | None = lines.settings.text_column_number
    while True:
        first_line = lines.number + 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise lines.error(
                f"the row that begins here has a broken quote or line end ({error})", first_line
            ) from error
        if row is None:
            return
        if not row:  # an empty line
            yield None
        elif column is None:
            column = _find_column(lines, row)
            yield None
        elif column >= len(row):
            raise lines.error(f"has {len(row)} columns, expected {column + 1} or more", first_line)
        else:
            yield row[column].encode()


def _find_column(lines: _Lines, header: list[str]) -> int:
    wanted = lines.settings.text_column
    if wanted not in header:
        raise lines.error(
            f"there is no column {wanted!r}; the first line has {', '.join(map(repr, header))}: "
            "choose one of them, or a number from 1 where there is no header"
        )
    return header.index(wanted)


def _json_lines(lines: _Lines) -> Iterator[bytes | None]:
    field = lines.settings.text_field
    for line in lines:
        if not line.strip():
            yield None
            continue
        try:
            item = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise lines.error(f"is no JSON ({error})") from error
        text = item.get(field) if isinstance(item, dict) else None
        if not isinstance(text, str):
            held = ", ".join(map(repr, item)) if isinstance(item, dict) else "no fields at all"
            raise lines.error(f"has no text in the field {field!r}; it has {held}")
        yield text.encode("utf-8", "replace")  # JSON can spell half a surrogate pair


_READERS: dict[str, Callable[[_Lines], Iterator[bytes | None]]] = {
    "text": _plain,
    "csv": lambda lines: _delimited(lines, ","),
    "tsv": lambda lines: _delimited(lines, "\t"),
    "jsonl": _json_lines,
}
