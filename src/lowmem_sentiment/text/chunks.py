"""Where labelled reviews come from.

A source is one of two kinds. A `TokenSource` brings token ids and the vocabulary they belong to.
A `TextSource` brings texts, read once, as chunks: a chunk is what a worker process needs to give
some reviews, and does the costly part (parse, decode, check) there.
"""

import functools
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from .format_settings import FilesSettings

# Text in a chunk. It does not depend on the number of workers, so neither does the dataset. A
# worker needs some 15 times this; smaller chunks repeat more of the common words.
CHUNK_BYTES = 2 << 20

# One text: the longest IMDb review has 13,704 bytes. A quote that is never closed stops here.
MAX_TEXT_BYTES = 16 << 20


class Review(NamedTuple):
    """A labelled text."""

    split: str
    """"train" or "test"."""
    text: bytes
    """UTF-8."""
    label: str | None
    """None: the user wants reviews with this label left out."""
    place: str
    """Where it stands: "reviews.csv:17"."""
    hash: bytes
    """8 bytes that depend on the text alone, on any machine (BLAKE2b)."""


class BadRow(NamedTuple):
    """Something that should have been a review."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class Chunk(Protocol):
    """Some reviews of a source; can be sent to another process."""

    def reviews(self) -> Iterator[Review | BadRow]:
        """Yield them in order."""
        ...


@dataclass(frozen=True)
class Rules:
    """What makes a review out of a row's text and label."""

    test_fraction: float = 0.0
    label_map: dict[str, str] = field(default_factory=dict)
    """New names of labels; "" leaves a label's reviews out. What is not here keeps its name."""
    replace: bool = False
    """Turn bytes that are not UTF-8 into U+FFFD, instead of refusing the row."""

    @classmethod
    def of(cls, settings: FilesSettings) -> "Rules":
        """Give the rules that a user's settings make."""
        return cls(settings.test_fraction, settings.label_map, settings.errors == "replace")

    def review(self, text: str | bytes, label: str | bytes, split: str | None, place: str):
        """Give the Review, or the BadRow that says why it is none.

        A `str` holds undecodable bytes as surrogates (``errors="surrogateescape"``). Without a
        `split` it is the text's hash that decides: the same text always falls on the same side.
        """
        try:
            text, label = _to_utf8(text, self.replace), _clean_label(label, self.replace)
        except UnicodeError as error:
            return BadRow(place, f"is not UTF-8 ({error.reason}); convert it, or pass --errors replace")
        if b"\0" in text or "\0" in label:
            return BadRow(place, "holds a NUL byte")
        if not text or text.isspace():
            return BadRow(place, "has no text")
        if not label:
            return BadRow(place, "has no label")
        if len(text) > MAX_TEXT_BYTES:
            return BadRow(place, f"has {len(text):,} bytes of text, expected {MAX_TEXT_BYTES:,} at most")
        hashed = hashlib.blake2b(text, digest_size=8).digest()
        if split is None:
            in_test = int.from_bytes(hashed, "big") < self.test_fraction * (1 << 64)
            split = "test" if in_test else "train"
        return Review(split, text, self.label_map.get(label, label) or None, place, hashed)


def _to_utf8(text: str | bytes, replace: bool) -> bytes:
    """Give checked UTF-8; UnicodeError where it is none and may not be replaced."""
    try:
        if isinstance(text, str):
            return text.encode()
        text.decode()
        return text
    except UnicodeError:
        if not replace:
            raise
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogatepass" if _from_json(text) else "surrogateescape")
    return text.decode("utf-8", "replace").encode()


@functools.lru_cache(maxsize=1 << 12)
def _clean_label(label: str | bytes, replace: bool) -> str:
    return _to_utf8(label, replace).decode().strip()


def _from_json(text: str) -> bool:
    """Tell whether surrogates in `text` come from "\\ud800" in JSON: not only stand for bytes."""
    return any("\ud800" <= character < "\udc80" or "\udcff" < character <= "\udfff" for character in text)


@dataclass(frozen=True)
class Rows:
    """A chunk of rows that are already parsed."""

    rows: list[tuple[str | bytes, str, str | None, str] | BadRow]
    """Text, label, split (None: by hash) and place of each."""
    rules: Rules

    def reviews(self) -> Iterator[Review | BadRow]:
        review = self.rules.review
        for row in self.rows:
            yield row if isinstance(row, BadRow) else review(*row)


def gather(rows: Iterable[tuple | BadRow], rules: Rules) -> Iterator[Rows]:
    """Yield parsed rows in chunks of about `CHUNK_BYTES`."""
    gathered, size = [], 0
    for row in rows:
        gathered.append(row)
        size += 200 + len(row[0])
        if size >= CHUNK_BYTES:
            yield Rows(gathered, rules)
            gathered, size = [], 0
    if gathered:
        yield Rows(gathered, rules)
