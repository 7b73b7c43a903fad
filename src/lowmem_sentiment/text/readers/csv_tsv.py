"""CSV and TSV files.

Where rows end is defined by one parser that reads them one after the other (`_RowParser`); a row that
is no CSV ends at its line, and the next line begins another. To parse in several processes, a file is
cut into blocks unparsed: a line end ends a row if an even number of quotes stands before it, as long
as quotes stand only around fields, and doubled within them. Where a quote stands elsewhere, the
reading process parses a block itself, and cuts again after it. So the rows depend neither on the size
of the blocks nor on who parses them.

In TSV quotes are most often characters: a row that reads as whole rows without its quotes is read so.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from ...system.errors import DataError, printable
from ..encoding import DECODE_ERRORS, NotText, checked
from ..reader_settings import LABEL_NAMES, TEXT_NAMES, ReaderSettings
from ..rows import BLOCK_BYTES, MAX_TEXT_BYTES, TOO_LONG, BadRow, Block, ParsedRows, Row
from .lines import Read

_LINE_END, _RETURN, _QUOTE = b'\n\r"'

_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")

_ANY_LINE_END = re.compile(rb"\r\n|\r|\n")

_NAMES = 50  # columns that are named in messages and in the manifest

_DELIMITERS = {"csv": (",", ";", "\t"), "tsv": ("\t",)}


@dataclass(frozen=True)
class _Columns:
    text: int
    label: int | None
    count: int
    """Of the first row: every other one has as many."""
    kept: tuple[int, ...]
    names: tuple[str, ...]
    """The first `_NAMES` of them; none where there is no header."""

    def described(self) -> dict[str, Any]:
        """Return the names of the columns, or their numbers from 1, as JSON can hold them."""

        def name(index: int | None) -> str | None:
            if index is None or index >= len(self.names):
                return None if index is None else str(index + 1)
            return self.names[index].encode("utf-8", "replace").decode()

        others = set(range(min(self.count, _NAMES))) - {self.text, self.label}
        return {
            "text": name(self.text),
            "label": name(self.label),
            "others": [*map(name, sorted(others))],
        }


@dataclass(frozen=True)
class CsvFile:
    """What is the same in all blocks of a file."""

    name: str
    settings: ReaderSettings
    delimiter: str
    columns: _Columns = _Columns(0, None, 0, (), ())
    """No column: they are still to be found in the first row."""

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
            plural = "" if len(cells) == 1 else "s"
            reason = f"has {len(cells)} column{plural}, expected {columns.count} as in the first row"
            return BadRow(place, reason, lines)
        try:
            text = checked(cells[columns.text], self.settings)
            label = columns.label
            if label is not None:
                label = checked(cells[label], self.settings).decode()
            kept = tuple(checked(cells[index], self.settings).decode() for index in columns.kept)
        except NotText as error:
            return BadRow(place, str(error))
        return Row(text, label, place, None, kept)


def _quoting(settings: ReaderSettings) -> Literal[0, 3]:
    return csv.QUOTE_MINIMAL if settings.quotes else csv.QUOTE_NONE


class _Literal(Exception):
    """The quotes of a row of TSV are characters."""


class _RowParser:
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

    def rows(self) -> Iterator[tuple[int, int, list[str] | str]]:
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
                    if self._may_go_on(error):
                        return
                    yield from self._refused(error)
                    break  # the line after this one was given to the reader already
                line, lines = self.line, self._lines
                self._advance(self._end, lines)
                if cells:
                    yield line, lines, cells

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

    def _may_go_on(self, error: Exception) -> bool:
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
    """A block of whole rows, not yet parsed; `_last_row_end` has looked at its quotes."""

    data: bytes
    first: int
    """The line it begins with."""
    file: CsvFile

    def rows(self) -> Iterator[Row | BadRow]:
        file = self.file
        if b"\0" in self.data:  # which csv refuses up to Python 3.10
            yield from _parsed(_RowParser(self.data, self.first, file, at_end=True))
            return
        # quotes stand only where they should, so no row is refused: a quarter less CPU than _RowParser
        csv.field_size_limit(MAX_TEXT_BYTES)
        errors = DECODE_ERRORS[file.settings.errors]
        text = io.TextIOWrapper(io.BytesIO(self.data), "utf-8", errors=errors, newline="")
        reader = csv.reader(text, delimiter=file.delimiter, quoting=file.quoting, strict=True)
        line = 0
        for cells in reader:
            if cells:
                yield file.row(cells, self.first + line, reader.line_num - line)
            line = reader.line_num


def _parsed(parser: _RowParser) -> Iterator[Row | BadRow]:
    file = parser._file
    for line, lines, cells in parser.rows():
        if isinstance(cells, str):
            yield BadRow(f"{file.name}:{line}", cells)
        else:
            yield file.row(cells, line, lines)


class _Rest:
    """What was read of a file, and is not yet cut into rows."""

    def __init__(self, read: Read):
        self._read = read
        self.data, self.line, self.at_end = b"", 1, False

    def more(self, wanted: bytes) -> None:
        """Read until one of the bytes `wanted` comes, or a row would be too long, or nothing is left."""
        parts, size = [self.data], len(self.data)  # joined once, not once a reading
        while block := self._read():
            parts.append(block)
            size += len(block)
            if size > MAX_TEXT_BYTES or any(block.find(byte) >= 0 for byte in wanted):
                break
        else:
            self.at_end = True
            if parts[-1] and not parts[-1].endswith(b"\n"):
                parts.append(b"\n")
        self.data = b"".join(parts)

    def cut(self, end: int, line: int) -> None:
        """Let go of the rows up to `end`; the next begins at `line`."""
        self.data, self.line = self.data[end:], line

    def skip_line(self) -> None:
        """Read on to the end of a line without keeping it."""
        block, self.data, self.line = b"", b"", self.line + 1
        while True:
            match = _ANY_LINE_END.search(block)
            if match and (match.end() < len(block) or match.group() != b"\r"):
                self.data = block[match.end() :]
                return
            more = self._read()
            if not more:
                self.at_end = True
                return
            block = (b"\r" if match else b"") + more


def csv_blocks(
    read: Read,
    name: str,
    settings: ReaderSettings,
    *,
    format_: str = "csv",
    text_names: tuple[str, ...] = TEXT_NAMES,
    labelled: bool = True,
    keep: tuple[str, ...] = (),
    warn: Callable[[str], None] = lambda line: None,
    report_columns: Callable[[dict[str, Any]], object] = lambda columns: None,
) -> Iterator[Block]:
    """Yield blocks of the rows that each reading completes; quoted fields may hold line ends.

    `text_names` are the usual names of the column of texts, the likeliest first. Without `labelled` no
    label is looked for. `keep` are columns whose values are kept. `report_columns` gets the names, or
    numbers from 1, of the columns of text and label, and of others. Raises DataError where the first row
    does not have the columns.
    """
    rest = _Rest(read)
    rest.more(b"\n\r")
    rest.data = rest.data.removeprefix(codecs.BOM_UTF8)
    file = _open(rest, name, settings, format_, _Wanted(settings, text_names, labelled, keep), warn)
    if file is not None:
        report_columns(file.columns.described())
    while file is not None and (rest.data or not rest.at_end):
        fits = len(rest.data) <= MAX_TEXT_BYTES
        end = _last_row_end(rest.data if fits else rest.data[: 2 * BLOCK_BYTES], file)
        if end:
            block = CsvBlock(rest.data[:end], rest.line, file)
            rest.cut(end, rest.line + block.data.count(b"\n"))
            yield block
            continue
        parser, parsed = _RowParser(rest.data, rest.line, file, rest.at_end), []
        for row in _parsed(parser):
            parsed.append(row)
            if parser.start >= BLOCK_BYTES:
                break
        if parser.start:
            rest.cut(parser.start, parser.line)
            if parsed:
                yield ParsedRows(parsed)
        elif len(rest.data) > MAX_TEXT_BYTES:
            yield ParsedRows([BadRow(f"{name}:{rest.line}", TOO_LONG)])
            rest.skip_line()
        else:
            # within quotes only a quote, and then a line end, can end a row
            quoted = rest.data.find(b"\n") >= 0 and not file.lines_are_rows
            rest.more(b'"' if quoted and b'"' not in rest.data.rpartition(b"\n")[2] else b"\n\r")


def _last_row_end(data: bytes, file: CsvFile) -> int | None:
    """Return where the last whole row ends (0: none is whole); None where only the parser can tell."""
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
        if file.lines_are_rows and (count or len(quotes)):
            ends = np.flatnonzero(text[:end] == _LINE_END)
            if len(quotes) > count or (np.searchsorted(quotes, ends) % 2).any():
                return None
    # to the parser a return alone is a line end
    returns = np.flatnonzero(text[:end] == _RETURN)
    return None if (text[returns + 1] != _LINE_END).any() else end


class _Wanted(NamedTuple):
    """Which columns to look for."""

    settings: ReaderSettings
    text_names: tuple[str, ...]
    labelled: bool
    keep: tuple[str, ...] = ()


def _open(
    rest: _Rest,
    name: str,
    settings: ReaderSettings,
    format_: str,
    wanted: _Wanted,
    warn: Callable[[str], None],
) -> CsvFile | None:
    """Return the file with its delimiter and columns, its header read; None for an empty file."""
    delimiters = (settings.delimiter,) if settings.delimiter else _DELIMITERS[format_]
    errors = []
    for delimiter in delimiters:
        file = CsvFile(name, settings, delimiter)
        found, parser = _first_row(rest, file)
        if found is None:
            return None
        line, _, cells = found
        place = f"{name}:{line}"
        try:
            if isinstance(cells, str):
                raise DataError(f"{place}: {cells}")
            columns, is_header = _find_columns(cells, place, wanted)
        except DataError as error:
            errors.append(error)
            continue
        if is_header:
            rest.cut(parser.start, parser.line)
        elif _looks_like_header(cells, columns):
            shown = ", ".join(printable(cell, 30) for cell in cells[:8])
            warn(
                f"{place}: {shown} looks like a header, but is read as a row; pass --header if it is one"
            )
        return CsvFile(name, settings, delimiter, columns)
    raise errors[0]


def _first_row(rest: _Rest, file: CsvFile) -> tuple[tuple[int, int, list[str] | str] | None, _RowParser]:
    """Return the first row that is not empty (None: there is none), and the parser behind it."""
    while True:
        parser = _RowParser(rest.data, rest.line, file, rest.at_end)
        if found := next(parser.rows(), None):
            return found, parser
        if rest.at_end:
            return None, parser
        if len(rest.data) > MAX_TEXT_BYTES:
            raise DataError(f"{file.name}:{rest.line}: {TOO_LONG}, expected a row with its line end")
        rest.more(b"\n\r")


def _find_columns(cells: list[str], place: str, wanted: _Wanted) -> tuple[_Columns, bool]:
    """Return the columns, and whether the first row is a header.

    Columns given by number (from 1) have no header unless `settings.header`; a name needs one.
    """
    settings = wanted.settings
    header = [cell.strip() for cell in cells]
    text, named = _find_column(header, place, settings.text_column, wanted.text_names, "--text-column")
    label = None
    if wanted.labelled:
        label, also = _find_column(header, place, settings.label_column, LABEL_NAMES, "--label-column")
        named = named or also
    kept = []
    for column in wanted.keep:
        index, also = _find_column(header, place, column, (), "--keep")
        kept.append(index)
        named = named or also
    has_header = named or settings.header
    names = [cell[:200] for cell in header[:_NAMES]] if has_header else ()
    return _Columns(text, label, len(cells), tuple(kept), tuple(names)), has_header


def _find_column(
    header: list[str], place: str, column: str | None, usual: tuple[str, ...], option: str
) -> tuple[int, bool]:
    """Return a column's index, and whether it was found by a name."""
    if column is not None and column.isdecimal():
        index = int(column) - 1
        if not 0 <= index < len(header):
            raise DataError(f"{place}: there is no column {column}; expected 1 to {len(header)}")
        return index, False
    names = tuple(name.lower() for name in usual) if column is None else (column,)
    folded = [cell.lower() for cell in header] if column is None else header
    name = next((name for name in names if name in folded), None)
    if name is None:
        shown = ", ".join(repr(cell[:30]) for cell in header[:8])
        raise DataError(
            f"{place}: no column is named {printable(' or '.join(names))}; the first row has {shown}: "
            f"choose one of them, or a number from 1 where there is no header ({option}); or another "
            "--delimiter"
        )
    if folded.count(name) > 1:
        numbers = [str(nth) for nth, cell in enumerate(folded, 1) if cell == name]
        raise DataError(
            f"{place}: {len(numbers)} columns are named {name!r} ({', '.join(numbers)}); choose one by "
            f"its number: {option} {numbers[0]} --header"
        )
    return folded.index(name), True


def _looks_like_header(cells: list[str], columns: _Columns) -> bool:
    def named(index: int | None, names: tuple[str, ...]) -> bool:
        return index is not None and cells[index].strip().lower() in names

    return named(columns.text, TEXT_NAMES) or named(columns.label, LABEL_NAMES)
