"""What worker processes do with a chunk: texts to numbers, and, the vocabulary known, to shards' bytes.

Between the two a chunk waits on the disk as numbers of words that count within the chunk alone. It
takes a third of the text's size, and spares reading and tokenising the text a second time, which is
two thirds of the work.
"""

import itertools
import os
import pickle
from array import array
from typing import Any, NamedTuple

import numpy as np

from .errors import DataError
from .shards import Encoded, encode
from .sources import BadRow, Chunk
from .tfrecord import Reviews
from .tokens import tokenise
from .vocabulary import OUT_OF_VOCABULARY_ID, START_ID, Vocabulary

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
    """A pickled `Numbered`: the parent passes it to the disk, and does not look."""
    bad_rows: list[BadRow]
    dropped: int


class Numbered(NamedTuple):
    """A chunk's reviews as numbers of words that count within the chunk alone."""

    numbers: np.ndarray
    """uint16 or, above 65,536 words, uint32 of each token, one review after the other."""
    lengths: np.ndarray
    """int32[reviews]"""
    is_test: np.ndarray
    """bool[reviews]"""
    names: list[str]
    labels: np.ndarray
    """uint16[reviews]: index into `names`."""


class _Numbering(dict):
    """Give each new key the next number."""

    def __missing__(self, key: Any) -> int:
        self[key] = number = len(self)
        return number


def tokenise_chunk(chunk: Chunk) -> Tokenised:
    """Give a chunk's reviews as numbers, and what has to be known of all chunks to go on."""
    words, names, places = _Numbering(), _Numbering(), []
    numbers, lengths, labels, is_test = array("I"), array("i"), array("H"), array("b")
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
        tokens = tokenise(text)
        numbers.extend(map(number_of, tokens))
        lengths.append(len(tokens))
        labels.append(names[label])
        if len(names) > len(places):
            places.append(place)
            if len(names) > MAX_LABELS:
                raise too_many_labels(place)
        is_test.append(split == "test")
        digest += hashed, label.encode(), b"\n"
    small = np.uint16 if len(words) <= 1 << 16 else np.uint32
    numbered = Numbered(
        np.frombuffer(numbers, np.uint32).astype(small),
        np.frombuffer(lengths, np.int32),
        np.frombuffer(is_test, np.bool_),
        list(names),
        np.frombuffer(labels, np.uint16),
    )
    training = numbered.numbers[np.repeat(~numbered.is_test, numbered.lengths)]
    reviews = [
        np.bincount(numbered.labels[side], minlength=len(names))
        for side in (~numbered.is_test, numbered.is_test)
    ]
    return Tokenised(
        b" ".join(words),
        np.bincount(training, minlength=len(words)),
        list(names),
        np.stack(reviews),
        places,
        b"".join(digest),
        pickle.dumps(numbered, pickle.HIGHEST_PROTOCOL),
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
        numbered: Numbered = pickle.loads(os.pread(self._spill, size, start + words_size))
        unknown = itertools.repeat(OUT_OF_VOCABULARY_ID)
        ids = np.fromiter(map(self._ids.get, words, unknown), np.int32, len(words))
        labels = np.array([self._labels[name] for name in numbered.names], np.int64)
        token_ids = ids[numbered.numbers]
        return tuple(
            encode(self._select(numbered, token_ids, labels, chosen))
            for chosen in (~numbered.is_test, numbered.is_test)
        )

    @staticmethod
    def _select(
        numbered: Numbered, token_ids: np.ndarray, labels: np.ndarray, chosen: np.ndarray
    ) -> Reviews:
        """Give the chosen reviews, each after a start."""
        lengths = numbered.lengths[chosen].astype(np.int64)
        ids = token_ids[np.repeat(chosen, numbered.lengths)]
        ids = np.insert(ids, np.cumsum(lengths) - lengths, START_ID)
        return Reviews(ids, lengths + 1, labels[numbered.labels[chosen]])
