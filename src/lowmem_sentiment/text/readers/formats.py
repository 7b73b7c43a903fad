"""Open a file or a stream of texts, and read it in its format."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from ...system.errors import DataError, SettingsError
from ..opening import decoded, opened, unpacked
from ..reader_settings import TEXT_NAMES, USUAL_FIELDS, ReaderSettings, WantedFields, format_by_name
from ..rows import BLOCK_BYTES, BadRow, Block, Row, blocks_of
from .csv_tsv import csv_blocks
from .fasttext import parse_fasttext
from .json_lines import parse_json_line
from .lines import ParseLine, line_blocks, parse_plain
from .tar import tar_rows

_ROWS = 1_000  # that are answered together: a block of empty lines stays small too


def blocks_in(
    stream: Any,
    name: str,
    format_: str,
    settings: ReaderSettings,
    *,
    fields: WantedFields = USUAL_FIELDS,
    as_they_come: bool = False,
    warn: Callable[[str], None] = lambda line: None,
    report_columns: Callable[[dict[str, Any]], object] = lambda columns: None,
) -> Iterator[Block]:
    """Yield the rows of an unpacked stream, in blocks.

    `as_they_come` takes what has arrived and never waits to fill a block. Where no label is wanted, an
    empty line is a text.
    """
    if format_ == "tar":
        yield from blocks_of(tar_rows(stream, name, settings))
        return
    stream = decoded(stream, name, settings)
    read = partial(stream.read1, 1 << 18) if as_they_come else partial(stream.read, BLOCK_BYTES)
    if format_ in ("csv", "tsv"):
        yield from csv_blocks(
            read,
            name,
            settings,
            format_=format_,
            fields=fields,
            warn=warn,
            report_columns=report_columns,
        )
        return
    parsers: dict[str, ParseLine] = {
        "jsonl": partial(parse_json_line, fields=fields),
        "fasttext": parse_fasttext,
        "text": parse_plain,
    }
    keep_blank = format_ == "text" and not fields.labelled
    yield from line_blocks(read, name, settings, parsers[format_], keep_blank)


def read_rows(
    source: str | Path | BinaryIO,
    settings: ReaderSettings | None = None,
    *,
    text_names: tuple[str, ...] = TEXT_NAMES,
    keep: Sequence[str] = (),
    warn: Callable[[str], None] = lambda line: None,
    on_bad_row: Callable[[BadRow], object] | None = None,
) -> Iterator[list[Row]]:
    """Yield rows without labels from a file, or from a binary stream as they come, some at a time.

    They are read as `prepare files` reads them; a file whose name shows no format has one text per line.
    `text_names` are the usual names of the text's column; the values of the columns `keep` are kept. Rows
    are never held back for what comes after them, so each line can be answered at once. In memory are
    256 KiB and one text, of 16 MiB at most, at a time.

    `on_bad_row` receives each row that is not a text; without it, DataError is raised for the first one,
    after the rows before it. Raises InputMissing for what cannot be opened.
    """
    settings = settings or ReaderSettings()
    with opened(source) as (raw, name):
        format_ = settings.format or format_by_name(name) or "text"
        if format_ == "tar":
            raise SettingsError(
                f"{name} is a tar, expected texts in one of csv, tsv, jsonl, fasttext, text"
            )
        if keep and format_ not in ("csv", "tsv", "jsonl"):
            raise SettingsError(
                f"{name} has no columns to keep: it is read as {format_}; expected "
                "one of csv, tsv, jsonl (--format)"
            )
        blocks = blocks_in(
            unpacked(raw, name),
            name,
            format_,
            settings,
            as_they_come=True,
            fields=WantedFields(text_names, labelled=False, keep=tuple(keep)),
            warn=warn,
        )
        for block in blocks:
            yield from _good_rows(block, on_bad_row)


def _good_rows(block: Block, on_bad_row: Callable[[BadRow], object] | None) -> Iterator[list[Row]]:
    """Yield the rows of a block, `_ROWS` at a time."""
    rows: list[Row] = []
    for row in block.rows():
        if not isinstance(row, BadRow):
            rows.append(row)
        elif on_bad_row is not None:
            on_bad_row(row)
        else:
            if rows:
                yield rows
            raise DataError(str(row))
        if len(rows) == _ROWS:
            yield rows
            rows = []
    if rows:
        yield rows
