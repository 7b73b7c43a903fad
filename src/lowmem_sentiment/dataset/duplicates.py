"""Count texts that occur more than once, in memory that does not grow with their number."""

import hashlib
from dataclasses import dataclass

import numpy as np

from ..text.encoders import first_of_each
from ..text.reviews import Reviews


@dataclass(frozen=True)
class Duplicates:
    """Reviews with the same words in the same order."""

    reviews: int
    """Those that repeat another's words."""
    in_both_splits: int
    """Texts that are in both the training and the test split."""
    with_several_labels: int
    exact: bool
    """False: the numbers are estimated from a sample."""


def text_hashes(token_ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return uint64[reviews], BLAKE2b of each review's ids; `token_ids` is int[sum of `lengths`]."""
    data = memoryview(token_ids.astype("<i4", copy=False).tobytes())
    ends = np.cumsum(lengths) * 4  # bytes
    starts = ends - lengths * 4
    digests = b"".join(
        hashlib.blake2b(data[start:end], digest_size=8).digest()
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    )
    return np.frombuffer(digests, "<u8")


class DuplicateCounter:
    """Count reviews with the same words in the same order, in at most 50 MB.

    Each review is a fingerprint of 8 bytes: 48 bits of BLAKE2b of its ids, and 16 for split and label.
    Equal ones are counted together. When there are more than `limit` different ones, half of the texts
    are dropped by hash, so that all copies of a text stay or go together; from then on a sample is
    counted, and the counts are scaled up (adaptive sampling, Flajolet 1990). Up to half a million
    different reviews the counts are exact, except for a chance below 1 in 2,000 of one false pair.
    """

    LIMIT = 1 << 19  # 16 bytes each, and five times that while they are sorted

    def __init__(self, limit: int = LIMIT):
        self._limit = limit
        self._level = 0  # one text in 2**level is counted
        self._keys, self._counts = np.empty(0, np.uint64), np.empty(0, np.int64)
        self._unsorted: list[np.ndarray] = []  # merged when there are many: sorting is the costly part

    def add(self, reviews: Reviews, split: int) -> None:
        """Add a block of reviews; `split` is 0 (train) or 1 (test)."""
        self.add_hashes(text_hashes(reviews.token_ids, reviews.lengths), reviews.labels, split)

    def add_hashes(self, hashes: np.ndarray, labels: np.ndarray, split: int | np.ndarray) -> None:
        """Add texts by their hashes, uint64[n], with int64[n] labels, and one split or one per text."""
        keys = hashes & ~np.uint64(0xFFFF)
        keys |= (np.minimum(labels, 0x7FFF) * 2 + split).astype(np.uint64)
        self._unsorted.append(keys[self._sampled(keys)])
        if sum(map(len, self._unsorted)) > self._limit // 8:
            self._merge()

    def _sampled(self, keys: np.ndarray) -> np.ndarray:
        return keys >> np.uint64(64 - self._level) == 0 if self._level else np.ones(len(keys), bool)

    def _merge(self) -> None:
        new = np.concatenate([self._keys[:0], *self._unsorted])
        self._keys, self._counts = _sum_by(
            np.concatenate([self._keys, new]),
            np.concatenate([self._counts, np.ones(len(new), np.int64)]),
        )
        self._unsorted = []
        while len(self._keys) > self._limit:
            self._level += 1
            kept = self._sampled(self._keys)
            self._keys, self._counts = self._keys[kept], self._counts[kept]

    def summary(self) -> Duplicates:
        """Count the copies, and the texts that are in both splits or have several labels."""
        self._merge()
        text, kind = self._keys >> np.uint64(16), self._keys & np.uint64(0xFFFF)
        _, copies = _sum_by(text, self._counts)
        labels, splits = _count_kinds(text, kind >> np.uint64(1)), _count_kinds(text, kind & np.uint64(1))
        factor = 1 << self._level
        return Duplicates(
            reviews=int((copies - 1).sum()) * factor,
            in_both_splits=int((splits > 1).sum()) * factor,
            with_several_labels=int((labels > 1).sum()) * factor,
            exact=factor == 1,
        )


def _sum_by(keys: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different keys in order, and the sum of the counts of each."""
    if not len(keys):
        return keys, counts
    order = np.argsort(keys)
    keys = keys[order]
    firsts = np.flatnonzero(first_of_each(keys))
    return keys[firsts], np.add.reduceat(counts[order], firsts)


def _count_kinds(text: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """Return how many different kinds (below 2**16) each different text (below 2**48) has."""
    pairs = np.unique(text << np.uint64(16) | kind)
    return np.asarray(np.unique(pairs >> np.uint64(16), return_counts=True)[1])
