"""Bytes to checked UTF-8, by one rule for every format.

A stream that is not UTF-8 is transcoded before it is parsed (`Transcoder`). A byte that cannot be decoded
becomes half a surrogate, which every check refuses: one bad byte makes one bad row in any encoding.
"""

import codecs
import re
from collections.abc import Callable
from typing import Any

from ..system.errors import DataError
from .reader_settings import ReaderSettings

_HALVES = re.compile("[\ud800-\udfff]")

_REPLACEMENT = {"replace": "\ufffd", "ignore": ""}

DECODE_ERRORS = {"strict": "surrogateescape", "replace": "replace", "ignore": "ignore"}
"""How to decode a block whose fields are checked later (`checked`)."""


def _mark(error: Any) -> tuple[str, int]:
    return "\udcff", error.end


codecs.register_error("lowmem_sentiment.mark", _mark)


class NotText(ValueError):
    """Bytes that are not text; the message completes "this row ..."."""


def checked(text: str, settings: ReaderSettings) -> bytes:
    """Return a text as UTF-8 without NUL and half surrogates; NotText for one if `errors` is strict.

    Bytes that are not UTF-8 are in `text` as "surrogateescape" decodes them.
    """
    try:
        if "\0" not in text:
            return text.encode()
    except UnicodeEncodeError:
        pass
    if settings.errors == "strict":
        raise NotText(_reason(text, settings))
    other = _REPLACEMENT[settings.errors]
    return _HALVES.sub(other, text).replace("\0", other).encode()


def checked_bytes(data: bytes, settings: ReaderSettings) -> bytes:
    """Return `data`, text in UTF-8, checked as `checked` does."""
    if b"\0" not in data:
        try:
            data.decode()
            return data
        except UnicodeDecodeError:
            pass
    return checked(data.decode("utf-8", DECODE_ERRORS[settings.errors]), settings)


def decoded_file(data: bytes, settings: ReaderSettings) -> bytes:
    """Return the whole content of a file as checked UTF-8, without a byte-order mark."""
    if settings.encoding_name != "utf-8":
        handler = "lowmem_sentiment.mark" if settings.errors == "strict" else settings.errors
        data = data.decode(settings.encoding, handler).encode("utf-8", "surrogatepass")
    return checked_bytes(data.removeprefix(codecs.BOM_UTF8), settings)


def _reason(text: str, settings: ReaderSettings) -> str:
    first = _HALVES.search(text)
    if first is None:
        return "holds a NUL byte"
    if settings.encoding_name not in ("utf-8", "utf-8-sig"):
        return f"is not {settings.encoding}; pass the right --encoding, or --errors replace"
    if any("\ud800" <= half < "\udc80" or half > "\udcff" for half in _HALVES.findall(text)):
        return "is not UTF-8: it holds half a surrogate pair; pass --errors replace"
    byte = ord(first.group()) - 0xDC00
    return (
        f"is not UTF-8 (byte {byte:#04x} at character {first.start() + 1}); pass its --encoding, such as "
        "cp1252 (Western Europe), cp1251, koi8-r, gb18030 or shift_jis, or --errors replace"
    )


def is_unicode(text: str) -> bool:
    """Return whether `text` is without half surrogates, which Python makes of names not in UTF-8."""
    return text.isascii() or not _HALVES.search(text)


class Transcoder:
    """Read a stream in another encoding as UTF-8."""

    def __init__(self, stream: Any, name: str, settings: ReaderSettings):
        """Decode a binary stream, which has `read1`, by `settings.encoding`."""
        self._name, self._encoding = name, settings.encoding
        handler = "lowmem_sentiment.mark" if settings.errors == "strict" else settings.errors
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(settings.encoding)(handler)

    def read(self, size: int) -> bytes:
        return self._transcoded(self._stream.read, size)

    def read1(self, size: int) -> bytes:
        return self._transcoded(self._stream.read1, size)

    def _transcoded(self, read: Callable[[int], bytes], size: int) -> bytes:
        text, data = "", b"more"
        try:
            while data and not text:
                data = read(size)
                text = self._decoder.decode(data, final=not data)
        except UnicodeError as error:  # UTF-16 without a byte-order mark
            raise DataError(
                f"{self._name} is not {self._encoding}: {error}; pass its --encoding"
            ) from None
        return text.encode("utf-8", "surrogatepass")
