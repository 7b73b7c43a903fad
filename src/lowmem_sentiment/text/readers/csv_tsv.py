"""CSV and TSV files, cut into blocks of whole rows.

To parse in several processes, a file is cut unparsed: while quotes occur only around fields, and doubled
within them, a line end after an even number of quotes ends a row. If a quote occurs elsewhere, the
reading process parses that block itself, and cuts again after it. So the rows depend neither on the block
size nor on which process parses them.
"""

import codecs
import dataclasses
from collections import Counter
from collections.abc import Iterator

import numpy as np

from ...system.errors import DataError, printable
from ..reader_settings import Reading
from ..rows import BLOCK_BYTES, MAX_TEXT_BYTES, TOO_LONG, BadRow, Block, ParsedRows
from .columns import find_columns, looks_like_header
from .csv_rows import TOO_MANY, CsvBlock, CsvFile, RowParser
from .lines import Read, Unread

_LINE_END, _RETURN, _QUOTE = b'\n\r"'

_SAMPLE_BYTES = 1 << 16

_DELIMITERS = {"csv": (",", ";", "\t", "|"), "tsv": ("\t",)}


def csv_blocks(read: Read, name: str, reading: Reading, format_: str = "csv") -> Iterator[Block]:
    """Yield blocks of the rows that each call of `read` completes; quoted fields may hold line ends.

    Raises DataError if the first row does not have the columns.
    """
    rest = Unread(read)
    rest.more(b"\n\r")
    rest.data = rest.data.removeprefix(codecs.BOM_UTF8)
    file = _open(rest, name, reading, format_)
    if file is not None:
        reading.found(name, file.columns.described())
    while file is not None and (rest.data or not rest.at_end):
        end = _last_row_end(rest.data[: 2 * BLOCK_BYTES], file)
        if end == 0 and 2 * BLOCK_BYTES < len(rest.data) <= MAX_TEXT_BYTES:  # one long row
            end = _last_row_end(rest.data, file)
        if end:
            block = CsvBlock(rest.data[:end], rest.line, file)
            rest.cut(end, rest.line + block.data.count(b"\n"))
            yield block
            continue
        parser = RowParser(rest.data, rest.line, file, rest.at_end)
        parsed = list(parser.rows(until=BLOCK_BYTES))
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
    """Return the end of the last whole row (0: none is whole); None if only the parser can tell."""
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
    # to the parser a single return is a line end
    returns = np.flatnonzero(text[:end] == _RETURN)
    return None if (text[returns + 1] != _LINE_END).any() else end


def _open(rest: Unread, name: str, reading: Reading, format_: str) -> CsvFile | None:
    """Return the file with its delimiter and columns, its header read; None for an empty file."""
    settings = reading.settings
    delimiters = (settings.delimiter,) if settings.delimiter else _DELIMITERS[format_]
    errors = []  # with the number of columns: the delimiter with most columns wins
    for delimiter in delimiters:
        file = _spaced(rest, CsvFile(name, settings, delimiter))
        found, parser = _first_row(rest, file)
        if found is None:
            return None
        line, _, cells = found
        place = f"{name}:{line}"
        if cells == TOO_MANY:
            raise DataError(f"{place}: {cells}")
        try:
            if isinstance(cells, str):
                raise DataError(f"{place}: {cells}")
            columns, is_header = find_columns(cells, place, reading)
        except DataError as error:
            errors.append((len(cells) if isinstance(cells, list) else 0, error))
            continue
        if is_header:
            rest.cut(parser.start, parser.line)
        elif looks_like_header(cells, columns):
            shown = ", ".join(printable(cell, 30) for cell in cells[:8])
            reading.warn(
                f"{place}: {shown} looks like a header, but is read as a row; pass --header if it is one"
            )
        file = _spaced(rest, dataclasses.replace(file, columns=columns))
        return file if reading.as_they_come else _with_sample(rest, file)
    raise max(errors, key=lambda each: each[0])[1]


def _spaced(rest: Unread, file: CsvFile) -> CsvFile:
    """Return the file as one with spaces before quotes, if all fields but the first of a row are so."""
    while not rest.data and not rest.at_end:
        rest.more(b"\n\r")
    cells = next(RowParser(rest.data, rest.line, file, rest.at_end).cells(), (0, 0, ""))[2][1:]
    spaced = bool(cells) and isinstance(cells, list) and all(cell.startswith(' "') for cell in cells)
    return dataclasses.replace(file, spaced=True) if spaced and file.settings.quotes else file


def _with_sample(rest: Unread, file: CsvFile) -> CsvFile:
    """Return the file with what the first 64 KiB show.

    These are the labels that occur several times in rows of one line, and whether all rows are quoted.
    """
    while len(rest.data) < _SAMPLE_BYTES and not rest.at_end:
        rest.more(b"\n\r")
    sample = rest.data[:_SAMPLE_BYTES]
    parser = RowParser(sample, rest.line, file, at_end=len(sample) == len(rest.data))
    label, count = file.columns.telling, file.columns.count
    labels: Counter[str] = Counter()
    begin, quoted = 0, True
    for _, lines, row in parser.cells():
        if label is not None and lines == 1 and isinstance(row, list) and len(row) == count:
            labels[row[label]] += 1
        quoted = quoted and sample.startswith(b'"', begin)
        begin = parser.start
    repeated = frozenset(each for each, times in labels.items() if times > 1)
    return dataclasses.replace(file, labels=repeated, quoted=quoted)


def _first_row(rest: Unread, file: CsvFile) -> tuple[tuple[int, int, list[str] | str] | None, RowParser]:
    """Return the first row that is not empty (None if all are), and the parser after it."""
    while True:
        parser = RowParser(rest.data, rest.line, file, rest.at_end)
        if found := next(parser.cells(), None):
            return found, parser
        if rest.at_end:
            return None, parser
        if len(rest.data) > MAX_TEXT_BYTES:
            raise DataError(f"{file.name}:{rest.line}: {TOO_LONG}, expected a row with its line end")
        rest.more(b"\n\r")
