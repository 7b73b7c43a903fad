"""fastText's format: ``__label__NAME`` and the text, a line each."""

import re

from ..encoding import checked_bytes
from ..reader_settings import ReaderSettings

_LINE = re.compile(rb"\s*__label__(\S+)\s+(.*)", re.DOTALL)


def parse_fasttext(line: bytes, settings: ReaderSettings) -> tuple[bytes, str, tuple[()]]:
    """Return text and label of a line ``__label__pos text``; ValueError says why it cannot."""
    match = _LINE.fullmatch(line)
    if not match:
        raise ValueError(
            "does not start with __label__NAME and a text; a file whose lines all have one label is "
            "given as FILE=LABEL"
        )
    label, text = match.groups()
    if text.startswith(b"__label__"):
        raise ValueError("has several labels, expected one")
    return checked_bytes(text, settings), checked_bytes(label, settings).decode(), ()
