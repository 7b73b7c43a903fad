"""Open a file or a stream of texts: compression, byte-order mark, encoding."""

import contextlib
import io
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..system.errors import DataError, InputMissing, printable
from .decompression import Decompressed, compression_of
from .encoding import Transcoder
from .reader_settings import COMPRESSED, ReaderSettings
from .rows import BLOCK_BYTES

STDIN = "-"

_HEAD_BYTES = 6  # the longest magic number

_ZIP = b"PK\x03\x04"

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@contextlib.contextmanager
def opened(source: str | Path | BinaryIO) -> Iterator[tuple[BinaryIO, str]]:
    """Open a file, standard input for "-", or a stream; return it with its name for messages.

    Raises InputMissing where it cannot be opened, and DataError where it cannot be read or changes
    meanwhile.
    """
    if not isinstance(source, str | Path):
        given = getattr(source, "name", "input")
        yield source, printable(given, 1_000) if isinstance(given, str) else "input"
        return
    if str(source) == STDIN:
        if sys.stdin is None:
            raise InputMissing("standard input is closed; expected texts")
        yield sys.stdin.buffer, "<stdin>"
        return
    name = printable(source, 1_000)
    try:
        raw = open(source, "rb", BLOCK_BYTES)  # noqa: SIM115
    except OSError as error:
        raise InputMissing(f"cannot read {name}: {error.strerror}") from error
    with raw:
        before = _state(raw)
        try:
            yield raw, name
        except OSError as error:
            raise DataError(f"{name} cannot be read to its end: {error.strerror or error}") from error
        if before is not None and _state(raw) != before:
            raise DataError(f"{name} changed while it was read; try again when it is whole")


def _state(raw: BinaryIO) -> tuple[int, int] | None:
    """Return what changes when a file does; None for pipes."""
    status = os.fstat(raw.fileno())
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def unpacked(raw: Any, name: str) -> BinaryIO:
    """Return the content of a stream that may be gzip, bzip2 or xz: its first bytes tell."""
    if not hasattr(raw, "peek"):
        raw = io.BufferedReader(raw)
    head = raw.peek(_HEAD_BYTES)[:_HEAD_BYTES]
    if magic := compression_of(head):
        return io.BufferedReader(Decompressed(raw, magic, name), BLOCK_BYTES)
    if head.startswith(_ZIP):  # a member that is not compressed would be read as text, its header too
        raise DataError(f"{name} is a zip archive, expected its content: unzip -p reads it for a -")
    if len(head) < _HEAD_BYTES and name.lower().endswith((*COMPRESSED, ".tgz", ".tbz2", ".txz")):
        raise DataError(f"{name} is damaged or cut short: it has {len(head)} bytes, expected more")
    return raw


def decoded(stream: Any, name: str, settings: ReaderSettings) -> Any:
    """Return a stream as UTF-8; bytes that are not in the encoding are left to the check of each row."""
    if settings.encoding_name != "utf-8":
        return Transcoder(stream, settings)
    if hasattr(stream, "peek") and stream.peek(2)[:2] in _UTF16_MARKS:
        raise DataError(f"{name} is UTF-16, expected UTF-8; pass --encoding utf-16")
    return stream
