"""Rows of CSV and TSV: one parser decides where they end; a worker parses a block of them.

A row that is not valid CSV ends at its line, and the next line begins another. In TSV quotes are mostly
plain characters: if the lines of a quoted text look like rows, they are read as rows.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ...system.errors import DataError, plural, printable
from ..encoding import DECODE_ERRORS, NotText, checked
from ..reader_settings import ReaderSettings
from ..rows import MAX_TEXT_BYTES, TOO_LONG, AnyRow, BadRow, JoinedLines, PassedOver, Row
from .columns import UNKNOWN_COLUMNS, Columns

_NO_QUOTES = "(--no-quotes reads quotes as characters)"

_LINES_OF_ROWS = 3  # without labels, only so many lines and more can tell that they are rows

_MAX_COLUMNS = 100_000  # a row of 16 MiB has 8 million, which take 1.4 GB

TOO_MANY = f"has more than {_MAX_COLUMNS:,} columns"

_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")


@dataclass(frozen=True)
class CsvFile:
    """Properties shared by all blocks of a file."""

    name: str
    settings: ReaderSettings
    delimiter: str
    columns: Columns = UNKNOWN_COLUMNS
    labels: frozenset[str] = frozenset()
    """Labels that occur several times in the first rows."""
    quoted: bool = False
    """Whether the first rows all begin with a quote; then a line without one continues a text."""
    spaced: bool = False
    """Whether a space stands between a delimiter and a quote."""

    @property
    def lines_are_rows(self) -> bool:
        """Whether lines are normally rows, so that only the parser may join several."""
        return self.delimiter == "\t"

    @cached_property
    def _telling(self) -> int:
        """The column whose value distinguishes rows from text: the label's, or else the last."""
        return self.columns.count - 1 if self.columns.telling is None else self.columns.telling

    @cached_property
    def _header(self) -> frozenset[str]:
        return frozenset(self.columns.names)

    def row(self, cells: list[str], line: int, lines: int) -> AnyRow:
        """Return a row made of a line's cells; DataError for a header in a different order."""
        place, columns = f"{self.name}:{line}", self.columns
        if len(cells) != columns.count:
            has = plural(len(cells), "column")
            return BadRow(place, f"has {has}, expected {columns.count:,} as in the first row", lines)
        if cells[self._telling] in self._header and self._is_header(cells):
            if all(cell.strip() == name for cell, name in zip(cells, columns.names, strict=True)):
                return PassedOver(place, "a repeated header")
            raise DataError(
                f"{place}: a second header has the columns in another order, "
                f"{printable(', '.join(cells))}; expected {printable(', '.join(columns.names))}, or two "
                "files"
            )
        try:
            text = checked(columns.text(cells), self.settings)
            label = columns.label
            if label is not None:
                label = checked(cells[label], self.settings).decode()
            kept = tuple(checked(cells[index], self.settings).decode() for index in columns.kept)
        except NotText as error:
            return BadRow(place, str(error))
        return Row(text, label, place, None, kept)

    def _is_header(self, cells: list[str]) -> bool:
        names = sorted(cell.strip() for cell in cells)
        return len(names) > 1 and names == sorted(self.columns.names)

    def rows(self, cells: list[str], line: int, data: list[bytes]) -> Iterator[AnyRow]:
        """Yield one row for the lines `data`, or a row per line if stray quotes swallowed rows.

        Lines are rows if each has all columns and the last label occurs before, or if all have labels of
        the first rows. Otherwise, if all lines look like rows, JoinedLines follows.
        """
        count, lines, labelled = self.columns.count, len(data), self.columns.telling is not None
        # a quick test first: most lines of texts have too few columns, or are blank between paragraphs
        delimiters = [each.count(self.delimiter.encode()) for each in data]
        if count == 1:
            enough = not any(delimiters) and not any(map(bytes.isspace, data))
        else:
            enough = min(delimiters) >= count - 1
        if self.quoted:
            enough = enough and all(each.startswith(b'"') for each in data)
        parsed = [self._alone(each) for each in data] if enough else []
        labels = [row[self._telling] for row in parsed if len(row) == count]
        if len(labels) < lines:
            yield self.row(cells, line, lines)
        elif count > 1 and (
            self.labels.issuperset(labels)
            or (labels[-1] in labels[:-1] and (labelled or lines >= _LINES_OF_ROWS))
        ):
            for nth, row in enumerate(parsed):
                yield self.row(row, line + nth, 1)
            yield JoinedLines(f"{self.name}:{line}", (), split=True)
        elif count > 1 and lines > _LINES_OF_ROWS and all(each.strip() == each != "" for each in labels):
            reason = f"has a quoted text of {lines:,} lines that look like rows; is a quote missing?"
            yield BadRow(f"{self.name}:{line}", f"{reason} {_NO_QUOTES}", lines)
        else:
            yield self.row(cells, line, lines)
            told = tuple(map(str.strip, labels)) if labelled else ()
            if all(told):
                yield JoinedLines(f"{self.name}:{line}", told)

    def _alone(self, line: bytes) -> list[str]:
        text = line.decode("utf-8", DECODE_ERRORS[self.settings.errors]).rstrip("\r\n")
        try:
            reader = csv.reader(
                [text], delimiter=self.delimiter, skipinitialspace=self.spaced, strict=True
            )
            return next(reader, [])
        except csv.Error:
            return text.split(self.delimiter)


class _Literal(Exception):
    """The quotes in a row of TSV are plain characters."""


class RowParser:
    """Parse rows one after the other; defines where each ends."""

    def __init__(self, data: bytes, line: int, file: CsvFile, at_end: bool):
        """Parse `data`, which begins with a row at `line`; unless `at_end`, more may follow."""
        self.start, self.line = 0, line
        """Offset and line of the next row."""
        self._data, self._file, self._at_end = data, file, at_end
        # a return at the end may be followed by the line end that belongs to it
        cut = max(data.rfind(b"\n"), data.rfind(b"\r", 0, max(0, len(data) - 1))) + 1
        self._stop = len(data) if at_end else cut
        self._end = self._lines = self._first_end = 0
        self._out_of_lines = self._first_fits = self._last_fits = False

    def cells(self) -> Iterator[tuple[int, int, list[str] | str]]:
        """Yield line, number of lines, and cells (or the error) of each row that is not empty.

        Stops before a row that may continue after `data`.
        """
        csv.field_size_limit(MAX_TEXT_BYTES)
        while self.start < self._stop:
            reader = csv.reader(
                self._given_lines(),
                delimiter=self._file.delimiter,
                quoting=csv.QUOTE_MINIMAL if self._file.settings.quotes else csv.QUOTE_NONE,
                skipinitialspace=self._file.spaced,
                strict=True,
            )
            while True:
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except (csv.Error, _Literal) as error:
                    more = self._out_of_lines and not self._at_end
                    if more and len(self._data) - self.start <= MAX_TEXT_BYTES:
                        return  # the row may be incomplete
                    yield from self._refused(error)
                    break  # the line after this one was given to the reader already
                line, lines = self.line, self._lines
                self._advance(self._end, lines)
                if cells:
                    yield line, lines, cells

    def rows(self, until: int | None = None) -> Iterator[AnyRow]:
        """Yield each row that is not empty, in order, up to the one that ends at `until` or later.

        `start` and `line` are then after the last.
        """
        begin = self.start
        for line, lines, cells in self.cells():
            if isinstance(cells, str):
                yield BadRow(f"{self._file.name}:{line}", cells)
            elif lines == 1:
                yield self._file.row(cells, line, lines)
            else:
                data = self._data[begin : self.start]
                yield from self._file.rows(cells, line, _LINE.findall(data)[-lines:])
            begin = self.start
            if until is not None and begin >= until:
                return

    def _given_lines(self) -> Iterator[str]:
        """Yield lines from `start` on; raise csv.Error when a row gets too long."""
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
            if len(match.group()) > _MAX_COLUMNS and self._has_too_many_columns(match.group()):
                raise csv.Error(TOO_MANY)
            line = match.group().decode("utf-8", errors)
            if nul and "\0" in line:  # which csv refuses up to Python 3.10
                line = checked(line, self._file.settings).decode()
            if rows_of_tsv and self._file.settings.quotes:
                self._look_for_rows(line)
            yield line
        self._out_of_lines = True

    def _has_too_many_columns(self, line: bytes) -> bool:
        delimiters = line.count(self._file.delimiter.encode())
        return delimiters >= _MAX_COLUMNS and not (self._file.settings.quotes and b'"' in line)

    def _look_for_rows(self, line: str) -> None:
        """Raise _Literal if the lines of a quoted text are rows themselves.

        Most lines of a text have no tab: if it is the last column, only its first line has all columns;
        otherwise no line in the middle has.
        """
        count = self._file.columns.count
        fits = count > 1 and line.count("\t") == count - 1
        if self._lines == 1:
            self._first_fits = fits
        elif (fits and self._first_fits) or (self._lines > 2 and self._last_fits):
            raise _Literal
        self._last_fits = fits and self._lines > 1

    def _refused(self, error: Exception) -> Iterator[tuple[int, int, list[str] | str]]:
        """Yield a row that ends with its first line, since it is not valid CSV."""
        line, text = self.line, self._data[self.start : self._first_end]
        self._advance(self._first_end, 1)
        if self._out_of_lines and not self._at_end:
            error = csv.Error(TOO_LONG)
        if len(text) > MAX_TEXT_BYTES:
            yield line, 1, TOO_LONG
        elif str(error) == TOO_MANY:
            yield line, 1, TOO_MANY
        elif self._file.lines_are_rows and self._file.settings.quotes:
            errors = DECODE_ERRORS[self._file.settings.errors]
            yield line, 1, text.decode("utf-8", errors).rstrip("\r\n").split("\t")
        else:
            yield line, 1, f"is not CSV: {_explain(str(error))}"

    def _advance(self, end: int, lines: int) -> None:
        self.start, self.line = end, self.line + lines
        self._first_end, self._lines = end, 0


def _explain(error: str) -> str:
    if error in ("unexpected end of data", TOO_LONG):
        return "the quote that begins a field here is never closed (--no-quotes reads it as a character)"
    return f"{error} {_NO_QUOTES}" if "expected after" in error else error


@dataclass(frozen=True)
class CsvBlock:
    """A block of whole rows, not yet parsed."""

    data: bytes
    first: int
    """The line it begins with."""
    file: CsvFile

    def rows(self) -> Iterator[AnyRow]:
        return RowParser(self.data, self.first, self.file, at_end=True).rows()
