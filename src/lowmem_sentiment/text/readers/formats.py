"""Open a file or a stream of texts, and read it in its format."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from ...system.errors import DataError, SettingsError
from ..opening import Input, decoded, opened
from ..reader_settings import TEXT_NAMES, ReaderSettings, Reading, WantedFields
from ..rows import BLOCK_BYTES, BadRow, Block, JoinedCount, JoinedLines, Row, blocks_of
from .archives import archive_rows
from .csv_tsv import csv_blocks
from .json_records import json_blocks
from .lines import line_blocks, parse_fasttext, parse_plain
from .parquet import parquet_rows
from .sqlite import sqlite_rows
from .tar import tar_members
from .zip import zip_members

WITH_COLUMNS = ("csv", "tsv", "jsonl", "parquet", "sqlite", "zip", "tar")

_ROWS = 1_000  # per answer: a block of empty lines stays small too

_FEW_JOINED, _FEW_IN = 3, 10
"""Texts of lines that look like rows are reported unless there are more, and over one in ten: where many
texts span lines, that is how they are."""


def blocks_in(file: Input, format_: str, reading: Reading) -> Iterator[Block]:
    """Yield the rows of a file in blocks. If no label is wanted, an empty line is a text."""
    if format_ in ("tar", "zip"):
        members = (tar_members if format_ == "tar" else zip_members)(file)
        yield from blocks_of(archive_rows(members, file, reading, partial(blocks_in, reading=reading)))
        return
    if format_ in ("parquet", "sqlite"):
        rows = (parquet_rows if format_ == "parquet" else sqlite_rows)(file, reading)
        yield from blocks_of(rows)
        return
    stream = decoded(file.stream, file.name, reading.settings)
    read: Callable[[], bytes] = partial(stream.read, BLOCK_BYTES)
    if reading.as_they_come:
        read = partial(stream.read1, 1 << 18)
    if format_ == "jsonl":
        yield from json_blocks(read, file.name, reading)
    elif format_ in ("csv", "tsv"):
        yield from csv_blocks(read, file.name, reading, format_)
    else:
        labelled = reading.fields.labelled
        parse = partial(parse_fasttext, labelled=labelled) if format_ == "fasttext" else parse_plain
        keep_blank = format_ == "text" and not labelled
        yield from line_blocks(read, file.name, reading.settings, parse, keep_blank)


def read_rows(
    source: str | Path | BinaryIO,
    settings: ReaderSettings | None = None,
    *,
    text_names: tuple[str, ...] = TEXT_NAMES,
    keep: Sequence[str] = (),
    warn: Callable[[str], None] = lambda line: None,
    on_bad_row: Callable[[BadRow], object] | None = None,
) -> Iterator[list[Row]]:
    """Yield rows without labels from a file, or from a binary stream as they arrive.

    They are read as by `prepare files`; a file of unknown format has one text per line. `text_names` are
    the usual names of the text column; the columns `keep` are kept. Rows are never held back, so
    each line can be answered at once. Takes 256 KiB and one text, of 16 MiB at most, of memory.

    `on_bad_row` receives each bad row; without it, the first one raises DataError, after the rows before
    it. `warn` is told at the end of a few texts that may be several rows joined by stray quotes. Raises
    InputMissing for a file that cannot be opened.
    """
    settings = settings or ReaderSettings()
    fields = WantedFields(text_names, labelled=False, keep=tuple(keep))
    reading = Reading(settings, fields, as_they_come=True, warn=warn)
    with opened(source) as file:
        format_ = file.format(settings) or "text"
        if keep and format_ not in WITH_COLUMNS:
            raise SettingsError(
                f"{file.name} has no columns to keep: it is read as {format_}; expected "
                f"one of {', '.join(WITH_COLUMNS)} (--format)"
            )
        count, joined = 0, JoinedCount()
        for block in blocks_in(file, format_, reading):
            for rows in _good_rows(block, joined, on_bad_row):
                count += len(rows)
                yield rows
        if 0 < joined.count <= max(_FEW_JOINED, count // _FEW_IN):
            warn(joined.warning())


def _good_rows(
    block: Block, joined: JoinedCount, on_bad_row: Callable[[BadRow], object] | None
) -> Iterator[list[Row]]:
    rows: list[Row] = []
    for row in block.rows():
        if isinstance(row, Row):
            rows.append(row)
        elif isinstance(row, JoinedLines):
            joined.add(row)
        elif isinstance(row, BadRow) and on_bad_row is not None:
            on_bad_row(row)
        elif isinstance(row, BadRow):
            if rows:
                yield rows
            raise DataError(str(row))
        if len(rows) == _ROWS:
            yield rows
            rows = []
    if rows:
        yield rows
