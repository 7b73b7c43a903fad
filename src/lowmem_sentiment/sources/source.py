"""The protocols of sources of labelled reviews: token ids, or texts."""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from ..text.reviews import Reviews
from ..text.vocabulary import Vocabulary
from .chunks import Chunk


@runtime_checkable
class TokenSource(Protocol):
    """Reviews that are token ids already."""

    name: str
    labels: list[str]

    def describe(self) -> dict[str, Any]:
        """Return the manifest's record of the data's origin: at least "description"."""
        ...

    def vocabulary(self) -> Vocabulary:
        """Return the vocabulary that the ids belong to."""
        ...

    def blocks(self) -> Iterator[tuple[str, Reviews]]:
        """Yield blocks of reviews with the split ("train", "test") they belong to."""
        ...


class TextSource(Protocol):
    """Reviews that are texts."""

    name: str
    labels: list[str] | None
    """The labels in order; None: the labels found, sorted."""
    tokenizer: str
    """The default tokenizer of its texts."""

    @property
    def stratified(self) -> tuple[float, int] | None:
        """The share of each label to test on, and a seed; None: each review comes with its split."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return the manifest's record of the data's origin: at least "description"."""
        ...

    def chunks(self) -> Iterator[Chunk]:
        """Yield the reviews, about `text.rows.BLOCK_BYTES` of text at a time."""
        ...

    def share(self) -> float | None:
        """Return how much of the source `chunks` has yielded, 0 to 1 (None: not known)."""
        ...
