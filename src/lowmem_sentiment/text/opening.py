"""Open a file or a stream of texts: its kind, compression, byte-order mark and encoding."""

import contextlib
import io
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ..system.errors import DataError, InputMissing, printable
from .decompression import Decompressed, RawStream, compression_of
from .encoding import Transcoder
from .reader_settings import COMPRESSED, ReaderSettings, format_by_name
from .rows import BLOCK_BYTES

STDIN = "-"

_HEAD_BYTES = 512  # up to a tar's mark

_FORMATS = {b"PK\x03\x04": "zip", b"PAR1": "parquet", b"SQLite format 3\0": "sqlite"}

_CSV = "save it as CSV"
_OTHERS = {
    b"ARROW1\0\0": ("an Arrow file", "write it as Parquet"),
    b"FEA1": ("a Feather file", "write it as Parquet"),
    b"\x89HDF": ("an HDF5 file", _CSV),
    b"\xd0\xcf\x11\xe0": ("an old Excel or Word file", _CSV),
    b"%PDF-": ("a PDF", "extract its text"),
    b"{\\rtf": ("RTF", "save it as text"),
    b"Rar!\x1a": ("a RAR archive", "unpack it"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it"),
    b"\x04\x22\x4d\x18": ("lz4", "unpack it: lz4 -d"),
    b"Obj\x01": ("an Avro file", "write it as Parquet"),
    **{bytes([0x80, nth]): ("a pickle", f"as it could run code; {_CSV}") for nth in range(2, 6)},
}

_MARKS = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}


class Input(NamedTuple):
    """A file or stream that is open, and unpacked if it was compressed."""

    stream: Any
    """Binary, with `read`, `read1` and `peek`."""
    name: str
    """For messages; printable."""
    path: str | None
    """The path of an uncompressed file; None: it can only be read once, from start to end."""
    packed: Any
    """The stream as it is on disk: its `tell()` shows how far it was read."""

    def format(self, settings: ReaderSettings) -> str | None:
        """Return the format by `settings`, the first bytes, or else the name; None if none shows it.

        Raises DataError for an unsupported format, and if the bytes contradict `settings`.
        """
        found, given = self._found_format(), settings.format
        if given and found != given and found in ("tar", *_FORMATS.values()):
            raise DataError(
                f"{self.name} is {found} by its first bytes, but --format is {given}; expected no "
                "--format"
            )
        return given or found

    def _found_format(self) -> str | None:
        head = self.stream.peek(_HEAD_BYTES)[:_HEAD_BYTES]
        if head[257:262] == b"ustar":
            return "tar"
        for magic, (kind, advice) in _OTHERS.items():
            if head.startswith(magic):
                raise DataError(f"{self.name} is {kind}, which is not read; {advice}")
        found = next((kind for magic, kind in _FORMATS.items() if head.startswith(magic)), None)
        if found := found or format_by_name(self.name):
            return found
        is_fasttext = head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"__label__")
        return "fasttext" if is_fasttext else None


@contextlib.contextmanager
def opened(source: str | Path | BinaryIO) -> Iterator[Input]:
    """Open a file, standard input for "-", or a stream.

    Raises InputMissing if it cannot be opened, and DataError if it cannot be read or changes meanwhile.
    """
    if not isinstance(source, str | Path):
        given = getattr(source, "name", "input")
        yield _input(source, printable(given, 1_000) if isinstance(given, str) else "input", None)
        return
    if str(source) == STDIN:
        if sys.stdin is None:
            raise InputMissing("standard input is closed; expected texts")
        yield _input(sys.stdin.buffer, "<stdin>", None)
        return
    name = printable(source, 1_000)
    try:
        raw = open(source, "rb", BLOCK_BYTES)  # noqa: SIM115
    except OSError as error:
        raise InputMissing(f"cannot read {name}: {error.strerror}") from error
    with raw:
        before = _state(raw)
        try:
            yield _input(raw, name, None if before is None else str(source))
        except OSError as error:
            raise DataError(f"{name} cannot be read to its end: {error.strerror or error}") from error
        if before is not None and _state(raw) != before:
            raise DataError(f"{name} changed while it was read; try again when it is whole")


def _state(raw: BinaryIO) -> tuple[int, int] | None:
    """Return values that change with a file; None for pipes."""
    status = os.fstat(raw.fileno())
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def _input(raw: Any, name: str, path: str | None) -> Input:
    stream = unpacked(raw, name)
    return Input(stream, name, path if stream is raw else None, raw)


def unpacked(raw: Any, name: str) -> BinaryIO:
    """Return the content of a stream, decompressed if its first bytes show a compression."""
    if not hasattr(raw, "peek"):
        raw = io.BufferedReader(raw)
    head = raw.peek(_HEAD_BYTES)[:_HEAD_BYTES]
    if magic := compression_of(head):
        return io.BufferedReader(RawStream(Decompressed(raw, magic, name).some), BLOCK_BYTES)
    if len(head) < 6 and name.lower().endswith((*COMPRESSED, ".tgz", ".tbz2", ".txz")):
        raise DataError(f"{name} is damaged or cut short: it has {len(head)} bytes, expected more")
    return raw


def decoded(stream: Any, name: str, settings: ReaderSettings) -> Any:
    """Return a stream as UTF-8; bytes that are not in the encoding are left to the check of each row.

    Raises DataError if the first bytes show a different encoding.
    """
    if settings.encoding_name != "utf-8":
        return Transcoder(stream, name, settings)
    head = stream.peek(_HEAD_BYTES)[:_HEAD_BYTES]
    encoding = next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)
    if encoding is None and len(head) >= 4:
        even, odd = head[0:64:2], head[1:64:2]
        if odd.count(0) == len(odd) and not even.count(0):
            encoding = "utf-16-le"
        elif even.count(0) == len(even) and not odd.count(0):
            encoding = "utf-16-be"
    if encoding is not None:
        shown = encoding.upper()[:6]
        raise DataError(f"{name} is {shown}, expected UTF-8; pass --encoding {encoding}")
    return stream
