"""Texts to predict from a file or a stream, in the blocks in which they come."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ..system.errors import DataError, InputMissing, SettingsError, printable
from .opening import open_file, unpacked
from .reader_settings import TEXT_NAMES, ReaderSettings, format_by_name
from .readers.formats import blocks_in
from .rows import BadRow

_BLOCK = 1_000  # texts: a block of empty lines stays small too


def read_texts(
    source: str | Path | BinaryIO,
    settings: ReaderSettings | None = None,
    *,
    text_column: str | None = None,
    warn: Callable[[str], None] = lambda line: None,
) -> Iterator[list[bytes]]:
    """Yield blocks of texts (UTF-8) from a file, or from a binary stream as they come.

    They are read as `prepare files` reads them; a name that says no format is a text a line.
    `text_column` is looked for before the usual names. A block is never held back for what comes
    after it: answering each block at once answers each line at once. In memory are 256 KiB and one
    text, of 16 MiB at most, at a time.

    Raises InputMissing, and DataError, after the texts before it, for a row that is none.
    """
    settings = settings or ReaderSettings()
    if not hasattr(source, "read1") and Path(source).is_dir():
        raise InputMissing(f"cannot read {printable(source, 1_000)}: it is a folder, expected a file")
    opened = _stream(source) if hasattr(source, "read1") else open_file(source)
    names = TEXT_NAMES if text_column is None else (text_column, *TEXT_NAMES)
    with opened as (raw, name):
        format_ = settings.format or format_by_name(name) or "text"
        if format_ == "tar":
            raise SettingsError(
                f"{name} is a tar, expected texts in one of csv, tsv, jsonl, fasttext, text"
            )
        blocks = blocks_in(
            unpacked(raw, name),
            name,
            format_,
            settings,
            as_they_come=True,
            text_names=names,
            labelled=False,
            warn=warn,
        )
        for block in blocks:
            texts = []
            for row in block.rows():
                if isinstance(row, BadRow):
                    if texts:
                        yield texts
                    raise DataError(str(row))
                texts.append(row.text)
                if len(texts) == _BLOCK:
                    yield texts
                    texts = []
            if texts:
                yield texts


@contextlib.contextmanager
def _stream(stream: BinaryIO) -> Iterator[tuple[BinaryIO, str]]:
    name = getattr(stream, "name", "input")
    yield stream, printable(name, 1_000) if isinstance(name, str) else "input"
