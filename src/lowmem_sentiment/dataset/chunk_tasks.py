"""What worker processes do with a chunk: texts to numbers, and, the vocabulary known, to shards' bytes.

Between the two a chunk waits on the disk as numbers of words that count within the chunk alone. It
takes less than half of the text's size, and spares reading and tokenising the text a second time,
which is two thirds of the work.
"""

import itertools
import os
import pickle
from array import array
from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np

from ..system.errors import DataError
from ..text.chunks import BadRow, Chunk
from ..text.reviews import Reviews
from ..text.tokenizer import tokenise
from ..text.vocabulary import OUT_OF_VOCABULARY_ID, START_ID, Vocabulary
from .writer import Encoded, encode

SPLITS = ("train", "test")

MAX_LABELS = 1_000  # more, and the label column is most likely the wrong one


class Tokenised(NamedTuple):
    """A chunk, as a worker hands it back."""

    words: bytes
    """Each once, with a space between two: no word holds one."""
    counts: np.ndarray
    """int64[words]: how often each occurs in training reviews."""
    names: list[str]
    """The labels in the chunk."""
    reviews: np.ndarray
    """int64[2, names]: training and test reviews by label."""
    places: list[str]
    """Where each of `names` is first met."""
    digest: bytes
    """A hash of each text, and its label."""
    spilled: bytes
    """The label names and a `Numbered` of each split, pickled: the parent only passes it to disk."""
    bad_rows: list[BadRow]
    dropped: int


class Numbered(NamedTuple):
    """A chunk's reviews of one split, as numbers of words that count within the chunk alone."""

    numbers: np.ndarray
    """uint16 or, above 65,536 words, uint32 of each token, one review after the other."""
    lengths: np.ndarray
    """int32[reviews]"""
    labels: np.ndarray
    """uint16[reviews]: index into the chunk's label names."""


def _numbering() -> defaultdict[Any, int]:
    """Give a dictionary that gives each new key the next number, from 0."""
    return defaultdict(itertools.count().__next__)


class _Side:
    """Gather the reviews of one split."""

    def __init__(self):
        self.numbers, self.lengths, self.labels = array("I"), array("i"), array("H")

    def numbered(self, num_words: int) -> Numbered:
        return Numbered(
            np.frombuffer(self.numbers, np.uint32).astype(
                np.uint16 if num_words <= 1 << 16 else np.uint32
            ),
            np.frombuffer(self.lengths, np.int32),
            np.frombuffer(self.labels, np.uint16),
        )


def tokenise_chunk(chunk: Chunk) -> Tokenised:
    """Give a chunk's reviews as numbers, and what has to be known of all chunks to go on."""
    words, names, places = _numbering(), _numbering(), []
    sides = {split: _Side() for split in SPLITS}
    number_of = words.__getitem__
    digest, bad_rows, dropped = [], [], 0
    for row in chunk.reviews():
        if isinstance(row, BadRow):
            bad_rows.append(row)
            continue
        split, text, label, place, hashed = row
        if label is None:
            dropped += 1
            continue
        tokens, side = tokenise(text), sides[split]
        side.numbers.extend(map(number_of, tokens))
        side.lengths.append(len(tokens))
        side.labels.append(names[label])
        if len(names) > len(places):
            places.append(place)
            if len(names) > MAX_LABELS:
                raise too_many_labels(place)
        digest += hashed, label.encode(), b"\n"
    numbered = [side.numbered(len(words)) for side in sides.values()]
    return Tokenised(
        b" ".join(words),
        np.bincount(numbered[0].numbers, minlength=len(words)),
        list(names),
        np.stack([np.bincount(side.labels, minlength=len(names)) for side in numbered]),
        places,
        b"".join(digest),
        pickle.dumps((list(names), *numbered), pickle.HIGHEST_PROTOCOL),
        bad_rows,
        dropped,
    )


def too_many_labels(place: str) -> DataError:
    return DataError(
        f"{place}: there are more than {MAX_LABELS:,} labels; is this the label's column? "
        "(--label-column)"
    )


class Encoder:
    """Turn chunks that wait in the spill file into bytes of shards."""

    def __init__(self, spill: int, vocabulary: Vocabulary, labels: list[str]):
        """Read from the file descriptor `spill`; labels become their index in `labels`."""
        self._spill = spill
        self._ids = vocabulary.ids  # made here, so that forks share it
        self._labels = {label: nth for nth, label in enumerate(labels)}

    def __call__(self, place: tuple[int, int, int]) -> tuple[Encoded, Encoded]:
        """Give a chunk's training and test reviews; `place`: start, bytes of words, and of the rest."""
        start, words_size, size = place
        words = os.pread(self._spill, words_size, start).split()
        names, *numbered = pickle.loads(os.pread(self._spill, size, start + words_size))
        unknown = itertools.repeat(OUT_OF_VOCABULARY_ID)
        ids = np.fromiter(map(self._ids.get, words, unknown), np.int32, len(words))
        labels = np.array([self._labels[name] for name in names], np.int64)
        return tuple(encode(_reviews(side, ids, labels)) for side in numbered)


def _reviews(side: Numbered, ids: np.ndarray, labels: np.ndarray) -> Reviews:
    """Give a split's reviews, each after a start; `ids` and `labels` are by number in the chunk."""
    lengths = side.lengths.astype(np.int64)
    starts = np.cumsum(lengths) - lengths
    return Reviews(np.insert(ids[side.numbers], starts, START_ID), lengths + 1, labels[side.labels])
