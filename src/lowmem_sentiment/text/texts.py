"""Texts to predict from a file or a stream, in the blocks in which they come."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from ..system.errors import DataError, InputMissing, SettingsError, printable
from .opening import open_file, unpacked
from .reader_settings import TEXT_NAMES, ReaderSettings, WantedFields, format_by_name
from .readers.formats import blocks_in
from .rows import BadRow, Block, Row

_BLOCK = 1_000  # texts: a block of empty lines stays small too


def read_rows(
    source: str | Path | BinaryIO,
    settings: ReaderSettings | None = None,
    *,
    text_names: tuple[str, ...] = TEXT_NAMES,
    keep: Sequence[str] = (),
    warn: Callable[[str], None] = lambda line: None,
    on_bad_row: Callable[[BadRow], object] | None = None,
) -> Iterator[list[Row]]:
    """Yield blocks of rows without labels from a file, or from a binary stream as they come.

    They are read as `prepare files` reads them; a name that says no format has one text per line.
    `text_names` are the usual names of the text's column; the values of the columns `keep` are kept. A
    block is never held back for what comes after it: answering each block at once answers each line
    at once. In memory are 256 KiB and one text, of 16 MiB at most, at a time.

    `on_bad_row` gets each row that is no text; without it, DataError is raised for the first, after the
    rows before it. Raises InputMissing for what cannot be opened.
    """
    settings = settings or ReaderSettings()
    with _opened(source) as (raw, name):
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
    """Yield the rows of a block, `_BLOCK` at a time."""
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
        if len(rows) == _BLOCK:
            yield rows
            rows = []
    if rows:
        yield rows


def read_texts(
    source: str | Path | BinaryIO, settings: ReaderSettings | None = None
) -> Iterator[list[bytes]]:
    """Yield blocks of texts (UTF-8), as `read_rows` reads them."""
    for rows in read_rows(source, settings):
        yield [row.text for row in rows]


@contextlib.contextmanager
def _opened(source: str | Path | BinaryIO) -> Iterator[tuple[BinaryIO, str]]:
    """Open a file, or return a stream, with its name for messages."""
    if not isinstance(source, str | Path):
        name = getattr(source, "name", "input")
        yield source, printable(name, 1_000) if isinstance(name, str) else "input"
        return
    if Path(source).is_dir():
        raise InputMissing(f"cannot read {printable(source, 1_000)}: it is a folder, expected a file")
    with open_file(source) as opened:
        yield opened
