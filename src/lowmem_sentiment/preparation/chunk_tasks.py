"""The work of worker processes on a chunk: texts to numbers, and numbers to the bytes of shards.

In between, a chunk waits on disk until the last one completes the vocabulary. It takes less than half of
its text's size, and saves reading and tokenising the text again, two thirds of the work.
"""

import hashlib
import itertools
import os
import pickle
import sys
from array import array
from collections import defaultdict
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ..dataset.manifest import SPLITS, VALIDATION
from ..dataset.writer import EncodedReviews
from ..sources.chunks import UNDECIDED, Chunk, NotReview, Review
from ..text.reviews import Reviews
from ..text.rows import BadRow
from ..text.tokenizers import tokenise
from ..text.vocabulary import KERAS, OUT_OF_VOCABULARY_ID, START_ID, Vocabulary

SPLITS_READ = (*SPLITS, VALIDATION, UNDECIDED)

UNDECIDED_SPLIT = SPLITS_READ.index(UNDECIDED)


class NumberedChunk(NamedTuple):
    """A chunk's reviews as numbers of words and labels that are valid only within the chunk."""

    words: bytes
    """By number, UTF-8, separated by spaces."""
    labels: list[str]
    reviews: Reviews
    """The ids are uint16 or uint32 numbers of words, lengths int64, labels uint32."""
    splits: np.ndarray
    """uint8[reviews]: places in `SPLITS_READ`."""

    def of_split(self, split: int) -> Reviews:
        """Return the reviews of one split."""
        return self.reviews.select(self.splits == split)

    def decided(self, in_test: np.ndarray) -> "NumberedChunk":
        """Return the chunk after bool[undecided] `in_test` has decided the splits of these reviews."""
        splits = self.splits.copy()
        splits[splits == UNDECIDED_SPLIT] = in_test
        return self._replace(splits=splits)

    def undecided_only(self, in_test: np.ndarray) -> "NumberedChunk":
        """Return the reviews that were undecided, in the splits that bool[undecided] says."""
        undecided = self.splits == UNDECIDED_SPLIT
        return self._replace(reviews=self.reviews.select(undecided), splits=in_test.astype(np.uint8))


class TokenisedChunk(NamedTuple):
    """A chunk, as a worker returns it to the parent."""

    numbered: NumberedChunk
    places: list[str]
    """Where each label is first seen: "reviews.csv:17"."""
    digest: bytes
    """The hash and the label of each text."""
    given: tuple[np.ndarray, np.ndarray]
    """Hashes, uint64[n], and splits of the texts that have a split in the source."""
    undecided: np.ndarray
    """uint64[undecided]: hashes of the words, the same for texts with the same words."""
    others: list[NotReview]
    """The bad rows; none is kept once it is counted and written."""
    dropped: int
    """Reviews that the user's label map drops."""
    labels_read: set[str]
    """The labels as they stand in the source, before the user's label map."""


def _numbering() -> defaultdict[Any, int]:
    return defaultdict(itertools.count().__next__)


def _joined(hashes: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(hashes), "<u8")


def tokenise_chunk(
    chunk: Chunk, tokenizer: str = KERAS, skip_bad_rows: int = sys.maxsize
) -> TokenisedChunk:
    """Return a chunk's reviews as numbers, with the data that all chunks contribute.

    Stops at the bad row that is one too many: a bad row takes 350 bytes, and a block may have a million.
    """
    words, labels = _numbering(), _numbering()
    # 4 bytes per token and 9 per review
    numbers, lengths, label_numbers, splits = array("I"), array("i"), array("I"), bytearray()
    places: list[str] = []
    digest: list[bytes] = []
    given: list[bytes] = []
    given_splits, undecided = bytearray(), []
    others, bad_lines, dropped, labels_read = [], 0, 0, set()
    for row in chunk.reviews():
        if not isinstance(row, Review):
            others.append(row)
            bad_lines += row.lines if isinstance(row, BadRow) else 0
            if bad_lines > skip_bad_rows:
                break
            continue
        labels_read.add(row.label_read)
        if row.label is None:
            dropped += 1
            continue
        tokens, split = tokenise(row.text, tokenizer), SPLITS_READ.index(row.split)
        numbers.extend(map(words.__getitem__, tokens))
        lengths.append(len(tokens))
        label_numbers.append(labels[row.label])
        splits.append(split)
        if len(labels) > len(places):
            places.append(row.place)
        if row.split_given:
            given.append(row.hash)
            given_splits.append(split)
        if split == UNDECIDED_SPLIT:
            undecided.append(hashlib.blake2b(b" ".join(tokens), digest_size=8).digest())
        digest += row.hash, row.label.encode(), b"\n"
    number_type = np.uint16 if len(words) <= 1 << 16 else np.uint32
    reviews = Reviews(
        np.frombuffer(numbers, np.uint32).astype(number_type),
        np.frombuffer(lengths, np.int32).astype(np.int64),
        np.frombuffer(label_numbers, np.uint32),
    )
    numbered = NumberedChunk(b" ".join(words), list(labels), reviews, np.frombuffer(splits, np.uint8))
    return TokenisedChunk(
        numbered,
        places,
        b"".join(digest),
        (_joined(given), np.frombuffer(given_splits, np.uint8)),
        _joined(undecided),
        others,
        dropped,
        labels_read,
    )


class Spill:
    """Numbered chunks in a file without a name; 8 bytes of memory per chunk (2 MB of text)."""

    def __init__(self, file: BinaryIO):
        self._file, self._ends = file, array("q", [0])

    def append(self, chunk: NumberedChunk) -> None:
        """Write a chunk; `flush` before it is read."""
        pickle.dump(chunk, self._file, protocol=5)
        self._ends.append(self._file.tell())

    def flush(self) -> None:
        """Write out what is buffered, for `read` in other processes."""
        self._file.flush()

    def read(self, nth: int) -> NumberedChunk:
        """Read the `nth` chunk; forks may do so at the same time."""
        start, end = self._ends[nth : nth + 2]
        chunk: NumberedChunk = pickle.loads(os.pread(self._file.fileno(), end - start, start))
        return chunk


class ChunkEncoder:
    """Turn chunks of the spill file into bytes of shards."""

    def __init__(self, spill: Spill, vocabulary: Vocabulary, labels: list[str]):
        """Make the tables from word to id and from label to its index in `labels`."""
        self._spill = spill
        self._ids = vocabulary.ids  # built here so that forks share it
        self._labels = {label: nth for nth, label in enumerate(labels)}

    def __call__(self, place: tuple[int, np.ndarray]) -> list[EncodedReviews]:
        """Return the training, test and validation reviews of a chunk of the spill.

        `place` is its number, and bool[undecided], which undecided reviews are in the test split.
        """
        nth, in_test = place
        chunk = self._spill.read(nth).decided(in_test)
        words, unknown = chunk.words.split(), itertools.repeat(OUT_OF_VOCABULARY_ID)
        ids = np.fromiter(map(self._ids.get, words, unknown), np.int32, len(words))
        labels = np.array([self._labels[name] for name in chunk.labels], np.int64)
        encoded = []
        for split in range(UNDECIDED_SPLIT):
            numbers, lengths, label_numbers = chunk.of_split(split)
            started = np.insert(ids[numbers], np.cumsum(lengths) - lengths, START_ID)
            encoded.append(EncodedReviews.of(Reviews(started, lengths + 1, labels[label_numbers])))
        return encoded
