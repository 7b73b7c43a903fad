"""The protocols of sources, and labelled reviews in chunks of a source, which any process can parse."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

from ..text.encoding import is_unicode
from ..text.reviews import Reviews
from ..text.rows import MAX_TEXT_BYTES, BadRow, Block, JoinedLines, PassedOver, Row
from ..text.vocabulary import Vocabulary
from .labels import normalised

NotReview = BadRow | PassedOver | JoinedLines

UNDECIDED = "undecided"
"""The split of a review until all reviews are read, and divided by label."""


class Review(NamedTuple):
    """A labelled text."""

    split: str
    """"train", "test", "validation", or `UNDECIDED`."""
    text: bytes
    """UTF-8."""
    label: str | None
    """None: the user wants reviews with this label left out."""
    place: str
    """Where it stands: "reviews.csv:17"."""
    hash: bytes
    """8 bytes of BLAKE2b, which depend only on the text."""
    label_read: str
    """As the source has it, before the user's label map."""
    split_given: bool = False
    """Whether the source gives the split, so that equal texts may be in several."""
    kept: tuple[Any, ...] = ()
    """Values of the columns that are to be kept."""


class Chunk(Protocol):
    """Some reviews of a source. It can be sent to another process."""

    def reviews(self) -> Iterator[Review | NotReview]:
        """Yield them in order."""
        ...


@dataclass(frozen=True)
class ReviewRules:
    """How a row becomes a review."""

    test_fraction: float = 0.0
    label_map: dict[str, str] = field(default_factory=dict)
    """New names of labels; "" drops a label's reviews. Other labels keep their names."""
    stratified: bool = False
    """Leave the split undecided if the row does not have one."""
    normalise: bool = False
    """Merge labels that look alike (`labels.normalised`), before the label map."""

    def review(self, row: Row) -> Review | BadRow:
        """Return the Review, or the BadRow that says why the row was rejected.

        Without a split the text's hash decides, so equal texts share a split.
        """
        text, label, place, split, kept = row
        label = label.strip() if label else ""
        if self.normalise:
            label = normalised(label)
        if "\0" in label:
            return BadRow(place, "holds a NUL byte")
        if not is_unicode(label):
            return BadRow(place, "has a label that is not UTF-8; rename its file or folder")
        if not text or text.isspace():
            return BadRow(place, "has no text")
        if not label:
            return BadRow(place, "has no label")
        if len(text) > MAX_TEXT_BYTES:
            return BadRow(place, f"has {len(text):,} bytes of text, expected {MAX_TEXT_BYTES:,} at most")
        given = split is not None
        hashed = hashlib.blake2b(text, digest_size=8).digest()
        if split is None and self.stratified:
            split = UNDECIDED
        elif split is None:
            in_test = int.from_bytes(hashed, "big") < self.test_fraction * (1 << 64)
            split = "test" if in_test else "train"
        renamed = self.label_map.get(label, label) or None
        return Review(split, text, renamed, place, hashed, label, given, kept)


@dataclass(frozen=True)
class LabelledBlock:
    """A chunk: a block of rows, and the rules that make reviews of them."""

    block: Block
    rules: ReviewRules
    split: str | None = None
    """The split of all rows ("train": only of rows without one); None: each row's own, or by its hash."""
    label: str | None = None
    """The label of all rows; None: each row's own."""

    def reviews(self) -> Iterator[Review | NotReview]:
        review, split, label = self.rules.review, self.split, self.label
        for row in self.block.rows():
            if isinstance(row, Row):
                if split is not None or label is not None:
                    own = row.split if split in (None, "train") else None
                    row = row._replace(label=label or row.label, split=own or split)
                yield review(row)
            else:
                yield row


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
