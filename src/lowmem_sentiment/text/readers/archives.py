"""Files in a tar or zip, read as streams: nothing is unpacked on disk.

A tar is POSIX ustar with the extensions of pax and GNU tar (pubs.opengroup.org, "pax"). The standard
library's reader is not used, because it treats a damaged header or a cut between two members as the end
of the archive, and reads names of any length.
"""

import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

from ...system.errors import DataError
from ..decompression import RawStream


class Member(NamedTuple):
    """A file in an archive; its content can be read until the next one is asked for."""

    name: str
    size: int
    stream: Any
    """A raw binary stream."""
    problem: str | None = None
    """Why reading it would make a bad row."""


_LINK = "is a link, which is not followed"


# --- tar ---

_UNIT = 512  # bytes: of a header, and of what the sizes of members are rounded up to

_MAX_EXTENSION_BYTES = 1 << 16  # of a long name or a pax header; Linux has paths of 4,096 bytes at most

_MAX_SIZE = 1 << 50  # of a member; numbers in base 256 reach 2^88

_READ_BYTES = 1 << 18

# Headers whose content belongs to the next member: GNU's long names, pax, Solaris' pax
_LONG_NAME, _LONG_LINK, _GLOBAL = b"L", b"K", b"g"

_EXTENSIONS = (_LONG_NAME, _LONG_LINK, _GLOBAL, b"x", b"X")

_CHECKSUM = slice(148, 156)  # of the header

_SPARSE_FLAG = 482  # of the header of a sparse file: more headers follow; in these it is byte 504

_NO_CONTENT = (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE)

_FOLDERS_AND_LABELS = (tarfile.DIRTYPE, b"D", b"V")  # D: of an incremental archive; V: of the volume

_PROBLEMS = {
    **dict.fromkeys((tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)),
    **dict.fromkeys((tarfile.SYMTYPE, tarfile.LNKTYPE), _LINK),
    tarfile.GNUTYPE_SPARSE: "is a sparse file, which is not read; make the tar without --sparse",
}


class _Header(NamedTuple):
    name: str
    type: bytes
    size: int


def _parsed(block: bytes) -> _Header:
    """Return the name, type and size of a header; ValueError if it is damaged.

    `tarfile.TarInfo.frombuf` reads all its fields, in five times the time.
    """
    stored = block[_CHECKSUM]
    excess = sum(block) - sum(stored) + len(stored) * ord(" ") - _number(stored)
    if excess and excess != 256 * sum(byte > 127 for byte in block):  # old programs sum signed bytes
        raise ValueError("bad checksum")
    name, prefix, kind = _text(block[:100]), _text(block[345:500]), block[156:157]
    if kind == tarfile.AREGTYPE and name.endswith("/"):
        kind = tarfile.DIRTYPE
    if prefix and kind not in tarfile.GNU_TYPES:
        name = f"{prefix}/{name}"
    return _Header(name, kind, _number(block[124:136]))


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    """Return an octal number, or one in base 256, as GNU tar writes large ones."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    return int(field.partition(b"\0")[0].strip() or b"0", 8)


def tar_members(stream: BinaryIO, name: str) -> Iterator[Member]:
    """Yield the files in a tar, in its order.

    Raises DataError if the archive is damaged or ends before its end-of-archive blocks. Reads the stream
    to its end, so that the checksum of a compressed one is compared.
    """
    return _Tar(stream, name).members()


class _Tar:
    def __init__(self, stream: BinaryIO, name: str):
        self._stream, self._name = stream, name
        self._offset, self._block = 0, b""
        self._left = 0
        """Bytes of the current member that are not yet read."""

    def members(self) -> Iterator[Member]:
        globally: dict[str, str] = {}
        extended: dict[str, str] = {}
        while (header := self._header()) is not None:
            if header.type in _EXTENSIONS:
                self._extend(header, globally if header.type == _GLOBAL else extended)
                continue
            size, type_ = int(extended.get("size", header.size)), header.type
            if not 0 <= size <= _MAX_SIZE:
                raise self._damaged(f"a member claims {size:,} bytes")
            self._left = 0 if type_ in _NO_CONTENT else size
            padding = -self._left % _UNIT
            if type_ == tarfile.GNUTYPE_SPARSE:
                self._skip_sparse_headers()
            if "GNU.sparse.major" in extended or "GNU.sparse.map" in extended:
                type_ = tarfile.GNUTYPE_SPARSE
            if type_ not in _FOLDERS_AND_LABELS:
                name = extended.get("GNU.sparse.name") or extended.get("path") or globally.get("path")
                problem = _PROBLEMS.get(type_, "is not a regular file")
                yield Member(name or header.name, size, RawStream(self._content), problem)
            while self._left:
                self._content(_READ_BYTES)
            self._read(padding)
            extended = {}
        self._check_end(bool(extended))

    def _content(self, size: int) -> bytes:
        """Return the next `size` bytes of the member that was yielded last; fewer at its end."""
        data = self._read(min(size, self._left))
        self._left -= len(data)
        return data

    def _header(self) -> _Header | None:
        """Return the next header, or None for the first end-of-archive block."""
        self._block = self._read(_UNIT)
        if not self._block.strip(b"\0"):
            return None
        try:
            return _parsed(self._block)
        except ValueError as error:
            raise self._damaged(
                f"the header at byte {self._offset - _UNIT:,} is wrong ({error})"
            ) from None

    def _extend(self, header: _Header, extended: dict[str, str]) -> None:
        if not 0 <= header.size <= _MAX_EXTENSION_BYTES:
            raise self._damaged(
                f"the extended header of a member has {header.size:,} bytes, expected "
                f"{_MAX_EXTENSION_BYTES:,} at most"
            )
        data = self._read(header.size)
        self._read(-header.size % _UNIT)
        if header.type == _LONG_NAME:
            extended["path"] = data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
        elif header.type != _LONG_LINK:
            extended.update(self._pax_records(data))

    def _pax_records(self, data: bytes) -> Iterator[tuple[str, str]]:
        """Yield the records "LENGTH KEY=VALUE\\n" of a pax header."""
        at = 0
        while at < len(data) and data[at]:
            length, space, _ = data[at : at + 20].partition(b" ")
            if (
                not space
                or not length.isdigit()
                or not at + len(length) + 2 < at + int(length) <= len(data)
            ):
                raise self._damaged("a pax header is wrong")
            record = data[at + len(length) + 1 : at + int(length)]
            key, equals, value = record[:-1].partition(b"=")
            if not equals or record[-1:] != b"\n" or (key == b"size" and not value.isdigit()):
                raise self._damaged("a pax header is wrong")
            yield (
                key.decode("utf-8", "replace"),
                value[:_MAX_EXTENSION_BYTES].decode("utf-8", "surrogateescape"),
            )
            at += int(length)

    def _skip_sparse_headers(self) -> None:
        """Skip the further headers of a sparse file in GNU's old format."""
        more = self._block[_SPARSE_FLAG]
        while more:
            more = self._read(_UNIT)[504]

    def _read(self, size: int) -> bytes:
        """Return exactly `size` bytes, read in parts so that a false size takes no memory."""
        parts, left = [], size
        while left and (data := self._stream.read(min(left, _READ_BYTES))):
            parts.append(data)
            left -= len(data)
        self._offset += size - left
        if left:
            raise self._damaged(f"it ends at byte {self._offset:,}, before its end-of-archive blocks")
        return b"".join(parts)

    def _check_end(self, dangling: bool) -> None:
        """Read to the end of the stream; DataError for anything but zeros after the last member."""
        if dangling:
            raise self._damaged("its last header has no member")
        blocks = 1
        while data := self._stream.read(_READ_BYTES):
            if data.count(0) < len(data):
                raise self._damaged(
                    f"there is more behind the end of the archive at byte {self._offset:,}; of archives "
                    "that were joined, give each as a file"
                )
            blocks += len(data) / _UNIT
        if blocks < 2:
            raise self._damaged("it ends within its end-of-archive blocks")

    def _damaged(self, reason: str) -> DataError:
        return DataError(f"{self._name} is damaged or cut short: {reason}")


# --- zip: each member is checked against its CRC-32 ---

_MAX_DIRECTORY_BYTES = 64 << 20  # each of its entries costs 1 KB when it is read, and 50 bytes at least

_DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, NotImplementedError,
    RuntimeError, ValueError,
)  # fmt: skip
"""Also encryption, and methods of compression that zipfile does not have."""

# What marks documents that are zips, by the name of a member
_DOCUMENTS = {
    "xl/workbook.xml": "an Excel workbook",
    "word/document.xml": "a Word document",
    "mimetype": "an OpenDocument file or an e-book",
}


def zip_members(path: str, archive_name: str) -> Iterator[Member]:
    """Yield the files in a zip, in its order; DataError if it is damaged or a document."""
    try:
        check_directory(path, _MAX_DIRECTORY_BYTES)
        with zipfile.ZipFile(path) as archive:
            for name, kind in _DOCUMENTS.items():
                if name in archive.NameToInfo:
                    raise DataError(f"{archive_name} is {kind}, which is not read; save it as CSV")
            for info in archive.infolist():
                if info.filename.endswith("/"):
                    continue
                problem = _LINK if info.external_attr >> 28 == 0xA else None
                with archive.open(info) as stream:
                    yield Member(info.filename, info.file_size, _checked(stream, archive_name), problem)
    except _DAMAGE as error:
        raise DataError(f"{archive_name} is damaged, or not a zip that can be read: {error}") from error


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
