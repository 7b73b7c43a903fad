"""Rows of CSV and TSV: one parser says where they end, and a block of them is parsed where it goes.

A row that is no CSV ends at its line, and the next line begins another. In TSV quotes are most often
characters: a row that reads as whole rows without its quotes is read so.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ...system.errors import plural
from ..encoding import DECODE_ERRORS, NotText, checked
from ..reader_settings import ReaderSettings
from ..rows import MAX_TEXT_BYTES, TOO_LONG, BadRow, Row
from .csv_columns import UNKNOWN_COLUMNS, Columns

_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")


@dataclass(frozen=True)
class CsvFile:
    """What is the same in all blocks of a file."""

    name: str
    settings: ReaderSettings
    delimiter: str
    columns: Columns = UNKNOWN_COLUMNS

    @property
    def lines_are_rows(self) -> bool:
        """Whether a row with a line end in it is the exception that only the parser may find."""
        return self.delimiter == "\t"

    @property
    def quoting(self) -> Literal[0, 3]:
        """The `csv` module's constant."""
        return csv.QUOTE_MINIMAL if self.settings.quotes else csv.QUOTE_NONE

    def row(self, cells: list[str], line: int, lines: int) -> Row | BadRow:
        """Return the row of the cells of a line."""
        place, columns = f"{self.name}:{line}", self.columns
        if len(cells) != columns.count:
            has = plural(len(cells), "column")
            return BadRow(place, f"has {has}, expected {columns.count:,} as in the first row", lines)
        try:
            text = checked(cells[columns.text], self.settings)
            label = columns.label
            if label is not None:
                label = checked(cells[label], self.settings).decode()
            kept = tuple(checked(cells[index], self.settings).decode() for index in columns.kept)
        except NotText as error:
            return BadRow(place, str(error))
        return Row(text, label, place, None, kept)


class _Literal(Exception):
    """The quotes of a row of TSV are characters."""


class RowParser:
    """Parse rows one after the other: the definition of where each ends."""

    def __init__(self, data: bytes, line: int, file: CsvFile, at_end: bool):
        """Parse `data`, which begins with a row at `line`; not `at_end`, more may follow it."""
        self.start, self.line = 0, line
        """Where the next row begins, as offset and as line."""
        self._data, self._file, self._at_end = data, file, at_end
        # a return at the end may be followed by the line end that belongs to it
        cut = max(data.rfind(b"\n"), data.rfind(b"\r", 0, max(0, len(data) - 1))) + 1
        self._stop = len(data) if at_end else cut
        self._end = self._lines = self._first_end = 0
        self._out_of_lines = self._first_fits = self._last_fits = False

    def cells(self) -> Iterator[tuple[int, int, list[str] | str]]:
        """Yield line, number of lines, and cells, or why there are none, of each row that is not empty.

        Ends before a row that may go on in what follows `data`.
        """
        csv.field_size_limit(MAX_TEXT_BYTES)
        while self.start < self._stop:
            reader = csv.reader(
                self._given_lines(),
                delimiter=self._file.delimiter,
                quoting=self._file.quoting,
                strict=True,
            )
            while True:
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except (csv.Error, _Literal) as error:
                    if self._may_go_on():
                        return
                    yield from self._refused(error)
                    break  # the line after this one was given to the reader already
                line, lines = self.line, self._lines
                self._advance(self._end, lines)
                if cells:
                    yield line, lines, cells

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield each row that is not empty, in order; `start` and `line` are then behind it."""
        for line, lines, cells in self.cells():
            if isinstance(cells, str):
                yield BadRow(f"{self._file.name}:{line}", cells)
            else:
                yield self._file.row(cells, line, lines)

    def _given_lines(self) -> Iterator[str]:
        """Yield lines from `start` on; csv.Error in the place of one that makes a row too long."""
        self._end, self._lines, self._out_of_lines = self.start, 0, False
        errors, nul = DECODE_ERRORS[self._file.settings.errors], self._file.settings.errors != "strict"
        rows_of_tsv = self._file.lines_are_rows and self._file.columns.count > 0
        for match in _LINE.finditer(self._data, self.start, self._stop):
            self._end = match.end()
            if not self._lines:
                self._first_end = self._end
            self._lines += 1
            if self._end - self.start > MAX_TEXT_BYTES:
                raise csv.Error(TOO_LONG)
            line = match.group().decode("utf-8", errors)
            if nul and "\0" in line:  # which csv refuses up to Python 3.10
                line = checked(line, self._file.settings).decode()
            if rows_of_tsv and self._file.settings.quotes:
                self._look_for_rows(line)
            yield line
        self._out_of_lines = True

    def _look_for_rows(self, line: str) -> None:
        """Raise _Literal when the lines of what is quoted are rows themselves.

        A text of several lines has no tab in most of them: if it is the last column, its first line
        has all columns and no other has; if not, no line in its middle has.
        """
        count = self._file.columns.count
        fits = count > 1 and line.count("\t") == count - 1
        if self._lines == 1:
            self._first_fits = fits
        elif (fits and self._first_fits) or (self._lines > 2 and self._last_fits):
            raise _Literal
        self._last_fits = fits and self._lines > 1

    def _may_go_on(self) -> bool:
        """Whether the row that begins at `start` is only not here yet."""
        if not self._out_of_lines or self._at_end:
            return False
        return len(self._data) - self.start <= MAX_TEXT_BYTES

    def _refused(self, error: Exception) -> Iterator[tuple[int, int, list[str] | str]]:
        """Yield a row that ends with its first line, and is no CSV."""
        line, text = self.line, self._data[self.start : self._first_end]
        self._advance(self._first_end, 1)
        if self._out_of_lines and not self._at_end:
            error = csv.Error(TOO_LONG)
        if len(text) > MAX_TEXT_BYTES:
            yield line, 1, TOO_LONG
        elif self._file.lines_are_rows and self._file.settings.quotes:
            errors = DECODE_ERRORS[self._file.settings.errors]
            yield line, 1, text.decode("utf-8", errors).rstrip("\r\n").split("\t")
        else:
            yield line, 1, f"is no CSV: {_explain(str(error))}"

    def _advance(self, end: int, lines: int) -> None:
        self.start, self.line = end, self.line + lines
        self._first_end, self._lines = end, 0


def _explain(error: str) -> str:
    if error in ("unexpected end of data", TOO_LONG):
        return "the quote that begins a field here is never closed (--no-quotes reads it as a character)"
    return f"{error} (--no-quotes reads quotes as characters)" if "expected after" in error else error


@dataclass(frozen=True)
class CsvBlock:
    """A block of whole rows, not yet parsed, in which quotes stand only around fields."""

    data: bytes
    first: int
    """The line it begins with."""
    file: CsvFile

    def rows(self) -> Iterator[Row | BadRow]:
        file = self.file
        if b"\0" in self.data:  # which csv refuses up to Python 3.10
            yield from RowParser(self.data, self.first, file, at_end=True).rows()
            return
        # quotes stand only where they should, so no row is refused: a quarter less CPU than RowParser
        csv.field_size_limit(MAX_TEXT_BYTES)
        errors = DECODE_ERRORS[file.settings.errors]
        text = io.TextIOWrapper(io.BytesIO(self.data), "utf-8", errors=errors, newline="")
        reader = csv.reader(text, delimiter=file.delimiter, quoting=file.quoting, strict=True)
        line = 0
        for cells in reader:
            if cells:
                yield file.row(cells, self.first + line, reader.line_num - line)
            line = reader.line_num
