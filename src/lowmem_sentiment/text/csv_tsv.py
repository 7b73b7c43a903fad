"""CSV and TSV files.

A line end ends a row if an even number of quotes stands before it, as long as quotes stand only
around fields, and doubled within them. So a file is cut into chunks unparsed, and parsed where the
chunk goes. From the first place on where a quote stands elsewhere, only a parser knows where rows
end: from there the reading process parses.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np

from ..system.errors import DataError
from .chunks import CHUNK_BYTES, MAX_TEXT_BYTES, BadRow, Chunk, Review, Rules, gather
from .format_settings import LABEL_NAMES, TEXT_NAMES, FilesSettings
from .json_lines import BOM

_LINE_END, _RETURN, _QUOTE = b'\n\r"'


class _Columns(NamedTuple):
    text: int
    label: int
    count: int
    """Of the first row: every other one has as many."""


@dataclass(frozen=True)
class _File:
    """What is the same in all chunks of a file."""

    name: str
    split: str | None
    settings: FilesSettings
    delimiter: str

    def rows(
        self, stream: BinaryIO, first: int, columns: _Columns | None
    ) -> Iterator[tuple[str, str, str | None, str] | BadRow]:
        """Yield text, label, split and place of each row of a part that starts at line `first`.

        Without `columns` it is the file's first part, whose first row tells them.
        """
        for line, row in self.parse(stream, first):
            place = f"{self.name}:{line}"
            if isinstance(row, csv.Error):
                yield BadRow(place, f"is no CSV: {row}")
                continue
            if columns is None:
                columns, is_header = _find_columns(row, place, self.settings)
                if is_header:
                    continue
            if len(row) != columns.count:
                reason = f"has {len(row)} columns, expected {columns.count} as in the first row"
                yield BadRow(place, reason)
            else:
                yield row[columns.text], row[columns.label], self.split, place

    def parse(self, stream: BinaryIO, first: int) -> Iterator[tuple[int, list[str] | csv.Error]]:
        """Yield the line of each row that is not empty, and its fields or why there are none."""
        text = io.TextIOWrapper(stream, "utf-8", errors="surrogateescape", newline="")
        csv.field_size_limit(MAX_TEXT_BYTES)
        quoting = csv.QUOTE_MINIMAL if self.settings.quotes else csv.QUOTE_NONE
        reader = csv.reader(text, delimiter=self.delimiter, quoting=quoting, strict=True)
        while True:
            line = first + reader.line_num
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                row = error
            if row != []:
                yield line, row


@dataclass(frozen=True)
class _Cut:
    """A chunk of whole rows, not yet parsed."""

    data: bytes
    first: int
    """The line it starts at."""
    file: _File
    columns: _Columns | None

    def reviews(self) -> Iterator[Review | BadRow]:
        review = Rules.of(self.file.settings).review
        for row in self.file.rows(io.BytesIO(self.data), self.first, self.columns):
            yield row if isinstance(row, BadRow) else review(*row)


def csv_chunks(
    stream: BinaryIO, name: str, split: str | None, settings: FilesSettings, delimiter: str
) -> Iterator[Chunk]:
    """Yield the rows of a CSV or TSV file; quoted fields may hold line ends."""
    file, columns = _File(name, split, settings, delimiter), None
    rest, line = stream.read(len(BOM)).removeprefix(BOM), 1
    while True:
        block = stream.read(CHUNK_BYTES)
        rest += block
        if not rest:
            return
        data = rest if block else rest + b"\n"
        end = _last_row_end(data, file)
        if end is None or len(data) > MAX_TEXT_BYTES or (not block and end < len(data)):
            rejoined = io.BufferedReader(_Rejoined(rest, stream))
            yield from gather(file.rows(rejoined, line, columns), Rules.of(settings))
            return
        chunk, rest = _Cut(data[:end], line, file, columns), rest[end:]
        line += chunk.data.count(b"\n")
        if columns is None:
            row = next(file.parse(io.BytesIO(chunk.data), chunk.first), None)
            if row is None:
                continue
            columns, _ = _find_columns(row[1], f"{name}:{row[0]}", settings)
        if end:
            yield chunk


def _last_row_end(data: bytes, file: _File) -> int | None:
    """Give where the last whole row ends (0: none is whole); None where only a parser can tell."""
    end, text = data.rfind(b"\n") + 1, np.frombuffer(data, np.uint8)
    if file.settings.quotes:
        quotes = np.flatnonzero(text == _QUOTE)
        while (count := np.searchsorted(quotes, end)) % 2:
            end = data.rfind(b"\n", 0, quotes[count - 1]) + 1  # before the field it is in
        opening, closing = quotes[:count:2], quotes[1:count:2]
        delimiter = ord(file.delimiter)
        before = np.where(opening > 0, text[opening - 1], _LINE_END)
        if not (
            np.isin(before, (delimiter, _LINE_END, _QUOTE)).all()
            and np.isin(text[closing + 1], (delimiter, _RETURN, _LINE_END, _QUOTE)).all()
        ):
            return None
    # to the parser a return alone is a line end; up to Python 3.10 it takes no NUL
    returns = np.flatnonzero(text[:end] == _RETURN)
    if (text[returns + 1] != _LINE_END).any() or data.find(b"\0", 0, end) >= 0:
        return None
    return end


class _Rejoined(io.RawIOBase):
    """What was read of a stream already, and then its rest."""

    def __init__(self, head: bytes, stream: BinaryIO):
        self._parts = [io.BytesIO(head), stream]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = next(filter(None, (part.read(len(buffer)) for part in self._parts)), b"")
        buffer[: len(data)] = data
        return len(data)


def _find_columns(row: list[str], place: str, settings: FilesSettings) -> tuple[_Columns, bool]:
    """Give the columns, and whether the first row is a header.

    Columns given by number (from 1) have no header unless `settings.header`; a name needs one.
    """
    wanted = (settings.text_column, TEXT_NAMES), (settings.label_column, LABEL_NAMES)
    header = [field.strip() for field in row]
    found, named = [], settings.header
    for column, usual in wanted:
        if column is not None and column.isdigit():
            index = int(column) - 1
            if not 0 <= index < len(row):
                raise DataError(f"{place}: there is no column {column}; expected 1 to {len(row)}")
        else:
            names = usual if column is None else (column,)
            folded = [field.lower() for field in header] if column is None else header
            index = next((folded.index(name) for name in names if name in folded), None)
            if index is None:
                shown = ", ".join(repr(field[:30]) for field in header[:8])
                raise DataError(
                    f"{place}: no column is named {' or '.join(names)}; expected one of {shown}, "
                    "or a number from 1: --text-column, --label-column"
                )
            named = True
        found.append(index)
    return _Columns(*found, len(row)), named
