"""The work of worker processes on a chunk: texts to numbers, and numbers to the bytes of shards.

Between the two a chunk waits on the disk (`spill.py`).
"""

import hashlib
import itertools
from array import array
from collections import Counter, defaultdict
from typing import Any, NamedTuple

import numpy as np

from ..dataset.manifest import MAX_LABELS, SPLITS, VALIDATION
from ..dataset.writer import EncodedReviews
from ..sources.chunks import UNDECIDED, Chunk
from ..system.errors import DataError
from ..text.reviews import Reviews
from ..text.rows import BadRow, PassedOver
from ..text.tokenizer import tokenise
from ..text.tokenizer_names import KERAS
from ..text.vocabulary import OUT_OF_VOCABULARY_ID, START_ID, Vocabulary
from .spill import NumberedReviews, Spill, number_type, pack
from .stratification import Undecided

SPLITS_READ = (*SPLITS, VALIDATION)


class TokenisedChunk(NamedTuple):
    """A chunk, as a worker returns it to the parent."""

    rows: int
    """How many there were: reviews, bad rows, and those that the label map leaves out."""
    counts: np.ndarray
    """int64[words]: how often each occurs in training reviews."""
    labels: list[str]
    reviews: np.ndarray
    """int64[3, labels]: training, test and validation reviews by label."""
    places: list[str]
    """Where each of `labels` is first seen: "reviews.csv:17"."""
    digest: bytes
    """A hash of each text, and its label."""
    packed: bytes
    """Words and reviews as `spill.pack` makes them: the parent reads only the words."""
    bad_rows: list[BadRow]
    """At most those of one chunk: none is kept once it is counted and written."""
    passed_over: Counter[str]
    """How many files or rows were neither texts nor wrong, by reason."""
    first_passed: dict[str, str]
    """Where each of these reasons is first met."""
    given: list[np.ndarray]
    """uint64[n] of each split: hashes of the texts that the source, and not their hash, puts into it."""
    dropped: int
    """Reviews that the user's label map leaves out."""
    labels_read: set[str]
    """The labels as they stand in the source, before the user's label map."""
    undecided: Undecided
    """Reviews whose split all reviews together decide; `counts` and `reviews` do not count them."""


def _numbering() -> defaultdict[Any, int]:
    """Return a dictionary that gives each new key the next number, from 0."""
    return defaultdict(itertools.count().__next__)


class _SplitBuffer:
    """Collect the reviews of one split: 4 bytes per token and 6 per review."""

    def __init__(self) -> None:
        self.numbers, self.lengths, self.labels = array("I"), array("i"), array("H")

    def numbered(self, num_words: int) -> NumberedReviews:
        return NumberedReviews(
            np.frombuffer(self.numbers, np.uint32).astype(number_type(num_words)),
            np.frombuffer(self.lengths, np.int32),
            np.frombuffer(self.labels, np.uint16),
        )


class WrongLabelColumn(DataError):
    """There are so many labels that they are most likely ids, or texts."""


def too_many_labels(place: str) -> WrongLabelColumn:
    """Return the error for one label too many, first seen at `place`."""
    return WrongLabelColumn(f"{place}: there are more than {MAX_LABELS:,} labels")


def tokenise_chunk(chunk: Chunk, tokenizer: str = KERAS) -> TokenisedChunk:
    """Return a chunk's reviews as numbers, and what has to be known of all chunks to continue.

    Raises DataError for one label too many.
    """
    words, labels = _numbering(), _numbering()
    buffers = {split: _SplitBuffer() for split in (*SPLITS_READ, UNDECIDED)}
    given: dict[str, list[bytes]] = {split: [] for split in SPLITS_READ}
    passed: list[PassedOver] = []
    places: list[str] = []
    digest: list[bytes] = []
    undecided: list[bytes] = []
    bad_rows, dropped, labels_read = [], 0, set()
    for row in chunk.reviews():
        if isinstance(row, BadRow):
            bad_rows.append(row)
            continue
        if isinstance(row, PassedOver):
            passed.append(row)
            continue
        labels_read.add(row.label_read)  # no more than MAX_LABELS and those of the label map
        if row.label is None:
            dropped += 1
            continue
        tokens, buffer = tokenise(row.text, tokenizer), buffers[row.split]
        buffer.numbers.extend(map(words.__getitem__, tokens))
        buffer.lengths.append(len(tokens))
        buffer.labels.append(labels[row.label])
        if row.split == UNDECIDED:
            undecided.append(hashlib.blake2b(b" ".join(tokens), digest_size=8).digest())
        if len(labels) > len(places):
            places.append(row.place)
            if len(labels) > MAX_LABELS:
                raise too_many_labels(row.place)
        if row.split_given:
            given[row.split].append(row.hash)
        digest += row.hash, row.label.encode(), b"\n"
    splits = [buffer.numbered(len(words)) for buffer in buffers.values()]
    return TokenisedChunk(
        sum(len(split.lengths) for split in splits) + len(bad_rows) + dropped,
        np.bincount(splits[0].numbers, minlength=len(words)),
        list(labels),
        np.stack([np.bincount(split.labels, minlength=len(labels)) for split in splits[:3]]),
        places,
        b"".join(digest),
        pack(b" ".join(words), list(labels), splits),
        bad_rows,
        Counter(row.reason for row in passed),
        {row.reason: row.place for row in reversed(passed)},
        [np.frombuffer(b"".join(hashes), "<u8") for hashes in given.values()],
        dropped,
        labels_read,
        Undecided(np.frombuffer(b"".join(undecided), "<u8"), splits[3].labels),
    )


class ChunkEncoder:
    """Turn chunks of the spill file into bytes of shards."""

    def __init__(self, spill: Spill, vocabulary: Vocabulary, labels: list[str]):
        """Make the tables from word to id and from label to its index in `labels`."""
        self._spill = spill
        self._ids = vocabulary.ids  # made here, so that forks share it
        self._labels = {label: nth for nth, label in enumerate(labels)}

    def __call__(self, place: tuple[tuple[int, int], np.ndarray | None]) -> list[EncodedReviews]:
        """Return the training, test and validation reviews of the chunk at one of the spill's places.

        The place comes with bool[reviews], which of the undecided reviews are in the test split; they
        follow the others.
        """
        at, in_test = place
        words, names, splits = self._spill.read(at)
        unknown = itertools.repeat(OUT_OF_VOCABULARY_ID)
        ids = np.fromiter(map(self._ids.get, words, unknown), np.int32, len(words))
        labels = np.array([self._labels[name] for name in names], np.int64)
        train, test, validation = (_reviews(split, ids, labels) for split in splits[:3])
        if in_test is not None:
            train = _joined(train, _reviews(splits[3].select(~in_test), ids, labels))
            test = _joined(test, _reviews(splits[3].select(in_test), ids, labels))
        return [EncodedReviews.of(split) for split in (train, test, validation)]


def _joined(one: Reviews, other: Reviews) -> Reviews:
    return Reviews(*(np.concatenate(pair) for pair in zip(one, other, strict=True)))


def _reviews(split: NumberedReviews, ids: np.ndarray, labels: np.ndarray) -> Reviews:
    """Return a split's reviews, each after a start; `ids` and `labels` are by number in the chunk."""
    lengths = split.lengths.astype(np.int64)
    starts = np.cumsum(lengths) - lengths
    return Reviews(np.insert(ids[split.numbers], starts, START_ID), lengths + 1, labels[split.labels])
