"""Files in a zip, each decompressed as a stream and checked against its CRC-32."""

import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ...system.errors import DataError, SettingsError
from ..decompression import RawStream
from ..opening import Input
from .archives import Member

_MAX_DIRECTORY_BYTES = 64 << 20  # each of its entries costs 1 KB when it is read, and 50 bytes at least

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""Also encryption, and methods of compression that zipfile does not have."""

# What marks documents that are zips, by the name of a member
_DOCUMENTS = {
    "xl/workbook.xml": "an Excel workbook",
    "word/document.xml": "a Word document",
    "mimetype": "an OpenDocument file or an e-book",
}


def zip_members(file: Input) -> Iterator[Member]:
    """Yield the files in a zip, in its order; DataError if it is damaged or a document."""
    if file.path is None:
        raise SettingsError(
            f"{file.name} is a zip, which cannot be read from a pipe or in another archive; save it"
        )
    try:
        check_directory(file.path, _MAX_DIRECTORY_BYTES)
        with zipfile.ZipFile(file.path) as archive:
            for name, kind in _DOCUMENTS.items():
                if name in archive.NameToInfo:
                    raise DataError(f"{file.name} is {kind}, which is not read; save it as CSV")
            for info in archive.infolist():
                if info.is_dir():
                    continue
                problem = "is a link, which is not followed" if info.external_attr >> 28 == 0xA else None
                with archive.open(info) as stream:
                    yield Member(info.filename, info.file_size, _checked(stream, file.name), problem)
    except _DAMAGE as error:
        raise DataError(f"{file.name} is damaged, or not a zip that can be read: {error}") from error


def _checked(stream: IO[bytes], name: str) -> RawStream:
    """Return the content of a member; reading it raises DataError if it is damaged."""

    def some(size: int) -> bytes:
        try:
            return stream.read(size)
        except _DAMAGE as error:
            raise DataError(f"{name} is damaged: {error}") from error

    return RawStream(some)


def check_directory(path: str | Path, most: int) -> None:
    """Raise BadZipFile if a zip's directory is larger than `most` bytes, by the record at its end."""
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - (1 << 16) - 22))
        tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at >= 0 and int.from_bytes(tail[at + 12 : at + 16], "little") > most:
        raise zipfile.BadZipFile("its directory is too large")
