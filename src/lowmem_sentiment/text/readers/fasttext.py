"""fastText's format: one text per line, with its label as a word ``__label__NAME``."""

import re

from ..encoding import checked_bytes
from ..reader_settings import ReaderSettings

LABEL = b"__label__"

_LABELS = re.compile(rb"(?:^|(?<=[ \t\v\f\0]))__label__(\S+)(?:[ \t\v\f]+|$)")

_WRONG_IN_LABEL = re.compile("__label__|[,;\\s\u200b-\u200f\ufeff]")


def parse_fasttext(
    line: bytes, settings: ReaderSettings, labelled: bool = True
) -> tuple[bytes, str | None, tuple[()]]:
    """Return text and label of a line ``__label__pos text``; ValueError says why it cannot.

    The label may stand at the end, as fastText allows. Not `labelled`: labels are left out, and a line
    may have any number of them.
    """
    labels = _LABELS.findall(line)
    text = _LABELS.sub(b"", line).lstrip() if labels else line
    if not labelled:
        return checked_bytes(text, settings), None, ()
    if not labels:
        raise ValueError(
            "does not have a word __label__NAME; give a file whose lines all have one label as FILE=LABEL"
        )
    if len(labels) > 1:
        raise ValueError(f"has {len(labels)} labels, expected one")
    label = checked_bytes(labels[0], settings).decode()
    if wrong := _WRONG_IN_LABEL.search(label):
        raise ValueError(
            f"has the label {label!a}, with {wrong.group()!a} in it; expected one __label__NAME, and a "
            "space after it"
        )
    return checked_bytes(text, settings), label, ()
