"""Where labelled reviews come from.

A source is one of two kinds. A `TokenSource` brings token ids and the vocabulary they belong to;
a `TextSource` brings texts, and can be read twice (once to count words, once to encode).
"""

from collections.abc import Iterator
from typing import Any, Protocol

from ..tfrecord import Reviews
from ..vocabulary import Vocabulary


class TokenSource(Protocol):
    """Reviews that are token ids already."""

    name: str
    labels: list[str]

    def describe(self) -> dict[str, Any]:
        """Give what the manifest records as the data's origin: at least "description"."""
        ...

    def vocabulary(self) -> Vocabulary:
        """Give the vocabulary the ids belong to."""
        ...

    def blocks(self) -> Iterator[tuple[str, Reviews]]:
        """Yield blocks of reviews with the split ("train", "test") they belong to."""
        ...


class TextSource(Protocol):
    """Reviews that are texts."""

    name: str
    labels: list[str]

    def describe(self) -> dict[str, Any]:
        """Give what the manifest records as the data's origin: at least "description"."""
        ...

    def reviews(self) -> Iterator[tuple[str, bytes, int]]:
        """Yield split, UTF-8 text and label index of each review, in the same order each time."""
        ...
