"""Streams that may be gzip, bzip2, xz or zstd: detected from the first bytes, checked to the last.

The standard library's file objects ignore anything after a bzip2 or xz stream, so a second stream with a
damaged head would be lost silently. Here everything up to the end of the file must be whole streams or
zero padding, and every checksum is compared.
"""

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

from ..system.errors import DataError, Unavailable

_INPUT_BYTES = 1 << 18  # compressed, at a time; the size of the output is bounded separately

# xz -9 needs 65 MiB; a stream may ask for 4 GiB.
_XZ_MEMORY = 128 << 20

_MAGIC_BYTES = 6

_ZSTD_INPUT_BYTES = 64  # at a time: 4 bytes may expand to 128 KiB


class _Zstandard:
    """The decompressor of the package `zstandard`, with the methods of the standard library's."""

    needs_input = False

    def __init__(self) -> None:
        import zstandard

        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_XZ_MEMORY).decompressobj()
        self._error = zstandard.ZstdError
        self._ready = b""
        self.eof = False
        self.unused_data = b""

    def decompress(self, data: bytes, size: int) -> bytes:
        at = 0
        parts, ready = [self._ready], len(self._ready)
        while ready < size and at < len(data) and not self._decompressor.eof:
            try:
                part = self._decompressor.decompress(data[at : at + _ZSTD_INPUT_BYTES])
            except self._error as error:
                raise ValueError(str(error)) from error
            parts.append(part)
            ready, at = ready + len(part), at + _ZSTD_INPUT_BYTES
        joined = b"".join(parts)
        self._ready, rest = joined[size:], data[at:]
        if self._decompressor.eof and not self._ready:
            self.eof, self.unused_data = True, self._decompressor.unused_data + rest
        self.unconsumed_tail = rest
        self.needs_input = not self._ready
        return joined[:size]


_ERRORS = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)

_KINDS: dict[bytes, tuple[str, Callable[[], Any]]] = {
    b"\x28\xb5\x2f\xfd": ("zstd", _Zstandard),
    b"\x1f\x8b": ("gzip", partial(zlib.decompressobj, wbits=16 + zlib.MAX_WBITS)),
    b"BZh": ("bzip2", bz2.BZ2Decompressor),
    b"\xfd7zXZ\0": ("xz", partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, _XZ_MEMORY)),
}


def compression_of(head: bytes) -> bytes | None:
    """Return the magic number that `head`, a file's first bytes, begins with; None if uncompressed."""
    return next((magic for magic in _KINDS if head.startswith(magic)), None)


class RawStream(io.RawIOBase):
    """A raw binary stream of the bytes, up to a size, that each call of a function returns."""

    def __init__(self, some: Callable[[int], bytes]):
        super().__init__()
        self._some = some

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._some(len(buffer)) if len(buffer) else b""
        buffer[: len(data)] = data
        return len(data)


class Decompressed:
    """The content of a compressed stream; DataError if it is damaged, cut, or followed by other data."""

    def __init__(self, stream: Any, magic: bytes, name: str):
        """Decompress a binary stream, which has `read1`, of the kind that `magic` begins."""
        self._kind, self._new = _KINDS[magic]
        self._stream, self._magic, self._name = stream, magic, name
        try:
            self._decompressor = self._new()
        except ImportError:
            raise Unavailable(
                f"{name} is compressed by zstd, which needs zstandard: pip install "
                "'lowmem-sentiment[zstd]'"
            ) from None
        self._input = b""  # compressed and not yet used
        self._ended = False

    def some(self, size: int) -> bytes:
        """Return up to `size` bytes; none at the end of the file."""
        try:
            while not self._ended:
                if self._decompressor.eof:
                    self._next_stream()
                    continue
                if not self._input and getattr(self._decompressor, "needs_input", True):
                    self._input = self._stream.read1(_INPUT_BYTES)
                    if not self._input:
                        raise self._damaged("it is cut short")
                if data := self._expand(size):
                    return data
        except _ERRORS as error:
            raise self._damaged(str(error)) from error
        return b""

    def _expand(self, size: int) -> bytes:
        data: bytes = self._decompressor.decompress(self._input, size)
        # zlib hands back unused input; the others keep it
        self._input = getattr(self._decompressor, "unconsumed_tail", b"")
        if self._decompressor.eof:
            self._input = self._decompressor.unused_data
        return data

    def _next_stream(self) -> None:
        """Begin the stream that follows the one that has ended, or end with the file."""
        rest = self._input.lstrip(b"\0")
        while len(rest) < _MAGIC_BYTES and (more := self._stream.read1(_INPUT_BYTES)):
            rest = (rest + more).lstrip(b"\0") if not rest else rest + more
        self._input = rest
        if not rest:
            self._ended = True
        elif rest.startswith(self._magic):
            self._decompressor = self._new()
        else:
            raise self._damaged("something else follows the compressed data")

    def _damaged(self, reason: str) -> DataError:
        return DataError(f"{self._name} is damaged or cut short: {self._kind}: {reason}")
