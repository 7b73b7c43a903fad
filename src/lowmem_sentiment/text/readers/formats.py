"""Open a file or a stream of texts, and read it in its format."""

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from ...system.errors import DataError, SettingsError, printable
from ..encoding import NotText
from ..opening import Input, decoded, opened, unpacked
from ..reader_settings import (
    LABEL_NAMES,
    TEXT_NAMES,
    ReaderSettings,
    Reading,
    WantedFields,
    format_by_name,
)
from ..rows import (
    BLOCK_BYTES,
    AnyRow,
    BadRow,
    Block,
    JoinedCount,
    JoinedLines,
    PassedOver,
    Row,
    blocks_of,
)
from .archives import Member, tar_members, zip_members
from .csv_tsv import csv_blocks
from .databases import parquet_rows, sqlite_rows
from .folders import HIDDEN, Folders, no_texts, text_of
from .json_records import json_blocks
from .lines import line_blocks, parse_fasttext, parse_plain

_STREAMED = ("csv", "tsv", "jsonl")
"""Formats of files in archives that are read as files of their own."""

WITH_COLUMNS = ("csv", "tsv", "jsonl", "parquet", "sqlite", "zip", "tar")

_ROWS = 1_000  # per answer: a block of empty lines stays small too

_FEW_JOINED, _FEW_IN = 3, 10
"""Texts of lines that look like rows are reported unless there are more, and over one in ten: where many
texts span lines, that is how they are."""


def blocks_in(file: Input, format_: str, reading: Reading) -> Iterator[Block]:
    """Yield the rows of a file in blocks. If no label is wanted, an empty line is a text."""
    name = file.name
    if format_ == "tar":
        yield from blocks_of(_archive_rows(tar_members(file.stream, name), name, reading))
        return
    if format_ in ("zip", "parquet", "sqlite"):
        if file.path is None:
            raise SettingsError(
                f"{name} is {format_}, which cannot be read from a pipe, compressed or in an archive; "
                "save it as a file"
            )
        if format_ == "zip":
            rows = _archive_rows(zip_members(file.path, name), name, reading)
        else:
            rows = (parquet_rows if format_ == "parquet" else sqlite_rows)(file.path, name, reading)
        yield from blocks_of(rows)
        return
    stream = decoded(file.stream, name, reading.settings)
    read: Callable[[], bytes] = partial(stream.read, BLOCK_BYTES)
    if not reading.fields.labelled:
        read = partial(stream.read1, 1 << 18)
    if format_ == "jsonl":
        yield from json_blocks(read, name, reading)
    elif format_ in ("csv", "tsv"):
        yield from csv_blocks(read, name, reading, format_)
    else:
        labelled, settings = reading.fields.labelled, reading.settings
        if format_ == "fasttext":
            parse = partial(parse_fasttext, settings=settings, labelled=labelled)
        else:
            parse = partial(parse_plain, settings=settings)
        yield from line_blocks(read, name, parse, keep_blank=format_ == "text" and not labelled)


def _archive_rows(members: Iterable[Member], name: str, reading: Reading) -> Iterator[AnyRow]:
    """Yield the rows of texts in folders, and of tables in an archive; DataError if there are none."""
    rules = Folders(name, reading.settings)
    found_any = False
    for member in members:
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        place = f"{name}:{printable(member.name, 1_000)}"
        problem = member.problem
        if not parts or ".." in parts or member.name.startswith(("/", "\\")):
            problem = "names no file inside the archive"
        if problem is not None:
            found_any = True
            yield BadRow(place, problem)
            continue
        found = rules.find(parts)
        format_ = format_by_name(member.name)
        if not isinstance(found, str):
            found_any = True
            if reading.fields.keep:
                raise SettingsError(f"{place} has no columns to keep; expected tables in the archive")
            try:
                text = text_of(member.stream, place, member.size, reading.settings)
                yield Row(text, found.label, place, found.split)
            except NotText as error:
                yield BadRow(place, str(error))
        elif format_ in _STREAMED and found != HIDDEN:
            found_any = True
            split = rules.split(parts[:-1], printable(member.name, 200))
            stream = io.BufferedReader(member.stream, 1 << 18)
            member_file = Input(unpacked(stream, place), place, None, stream)
            for block in blocks_in(member_file, format_, reading):
                for row in block.rows():
                    yield row._replace(split=split) if isinstance(row, Row) else row
        else:
            yield PassedOver(place, found)
    if not found_any:
        raise DataError(no_texts(name, reading.settings))


def read_rows(
    source: str | Path | BinaryIO,
    settings: ReaderSettings | None = None,
    *,
    text_names: tuple[str, ...] = TEXT_NAMES,
    label_names: tuple[str, ...] = LABEL_NAMES,
    keep: Sequence[str] = (),
    warn: Callable[[str], None] = lambda line: None,
    on_bad_row: Callable[[BadRow], object] | None = None,
) -> Iterator[list[Row]]:
    """Yield rows without labels from a file, or from a binary stream as they arrive.

    They are read as by `prepare files`; a file of unknown format has one text per line. `text_names` are
    the usual names of the text column, `label_names` those of a label that only helps to tell rows from
    lines of a text; the columns `keep` are kept. Rows are never held back, so
    each line can be answered at once. Takes 256 KiB and one text, of 16 MiB at most, of memory.

    `on_bad_row` receives each bad row; without it, the first one raises DataError, after the rows before
    it. `warn` is told at the end of a few texts that may be several rows joined by stray quotes. Raises
    InputMissing for a file that cannot be opened.
    """
    settings = settings or ReaderSettings()
    fields = WantedFields(text_names, False, label_names, tuple(keep))
    waits = isinstance(source, str | Path) and os.path.isfile(source)
    reading = Reading(settings, fields, as_they_come=not waits, warn=warn)
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
        for line in joined.warnings(max(_FEW_JOINED, count // _FEW_IN)):
            warn(line)


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
