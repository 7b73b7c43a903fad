"""Count words, and the reviews in which n-grams occur, in bounded memory.

Counts are exact until the memory is full. From then on this is lossy counting (Manku & Motwani, VLDB
2002, section 4.2) with a bound T that rises only when memory is full. Each entry has a count, and the
count's possible error: the value of T when it entered. Entries whose count + error is T or less are
dropped, with the least T that leaves memory three quarters full. So at any time:

- no count is too high, and none is too low by more than T (`error_bound`);
- everything that occurred more than T times is there.

If all entries have one size, and memory has room for m of them with their errors, T is at most
4/3 * (occurrences counted) / m: raising T by one lowers count + error - T of at least 3/4 m entries by 1,
and each occurrence counted adds 1.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..text.encoders import first_of_each
from ..text.vocabulary import Vocabulary

_KEEP = 0.75  # of the memory, when entries are dropped

# A word costs its bytes and, at worst, this: two dictionary slots while the dictionary grows
# (96), the head of a `bytes` object (33), and a count above 256 (28).
WORD_BYTES = 160

# A row (one n-gram and one label): key 8 bytes, count 4, error 4. Adding rows copies one of the three
# arrays at a time, which takes some 8 bytes more meanwhile.
ROW_BYTES = 24

_WAITING = 1 << 19  # keys that are not in the table yet, 8 bytes each

_DENSE = 1 << 17  # counts of n-grams by label at a time, 8 bytes each and some six copies: 6 MB


def least_bound(upper: np.ndarray, costs: np.ndarray, room: float) -> int:
    """Return the least T with costs[upper > T].sum() <= room; `upper` and `costs` are int[n] above 0."""
    # entries above T cost less than (upper * costs).sum() / T, so no T above `most` is needed
    most = int(np.dot(upper.astype(np.int64, copy=False), costs) / room) + 1
    by_upper = np.bincount(np.minimum(upper, most), costs)
    above = by_upper.sum() - np.cumsum(by_upper)
    return int(np.argmax(above <= room))


class WordCounts:
    """Count words, in `memory` bytes at most."""

    def __init__(self, memory: int):
        self._memory, self._used = memory, 0
        self.counts: dict[bytes, int] = {}
        self._errors: dict[bytes, int] = {}  # of words that entered after some were dropped
        self.error_bound = 0

    def add(self, words: list[bytes], counts: list[int]) -> None:
        """Add words with their counts, which may be 0."""
        ours = self.counts
        get = ours.get
        for word, count in zip(words, counts, strict=True):
            known = get(word)
            if known is not None:
                ours[word] = known + count
            elif count:
                ours[word] = count
                self._used += WORD_BYTES + len(word)
                if self.error_bound:
                    self._errors[word] = self.error_bound
                    self._used += WORD_BYTES
                if self._used > self._memory:
                    self._drop()
                    ours = self.counts
                    get = ours.get

    def _drop(self) -> None:
        """Raise the bound until the words above it take 3/4 of the memory; drop the others."""
        count, errors = len(self.counts), self._errors
        error = np.fromiter(map(errors.get, self.counts, itertools.repeat(0)), np.int64, count)
        upper = error + np.fromiter(self.counts.values(), np.int64, count)
        costs = np.fromiter(map(len, self.counts), np.int64, count) + WORD_BYTES * (1 + (error > 0))
        self.error_bound = least_bound(upper, costs, _KEEP * self._memory)
        kept = upper > self.error_bound
        # Delete first, then copy, which closes the holes: two full dictionaries would need more than
        # `memory`.
        for word in list(itertools.compress(self.counts, (~kept).tolist())):
            del self.counts[word]
            errors.pop(word, None)
        self.counts, self._errors = dict(self.counts), dict(errors)
        self._used = int(costs[kept].sum())

    def vocabulary(self, min_count: int = 1, max_words: int | None = None) -> Vocabulary:
        """Return the words by descending count, words of equal count by their bytes."""
        counts = self.counts
        words = sorted(word for word, count in counts.items() if count >= min_count)
        words.sort(key=counts.__getitem__, reverse=True)  # stable: no tuple for each word
        return Vocabulary(words[:max_words])


class DocumentCounts:
    """Count the reviews of each label in which an n-gram occurs, in `memory` bytes at most.

    A row's key is ``n-gram << label_bits | label``, so that an n-gram's labels are neighbours in the
    sorted table, and labels that it never has cost nothing. N-grams are dropped by their frequency over
    all labels. IMDb's training split has 2.2 million rows of two words: 53 MB.
    """

    def __init__(self, num_labels: int, memory: int):
        self._label_bits, self._capacity = label_bits(num_labels), max(1, memory // ROW_BYTES)
        self.reviews = np.zeros(num_labels, np.int64)
        """How many reviews of each label were counted; callers of `add` add them."""
        self._keys: np.ndarray = np.empty(0, np.int64)
        self._counts: np.ndarray = np.empty(0, np.int32)
        self._errors: np.ndarray | None = None  # each row's possible error, once some were dropped
        self._waiting: list[np.ndarray] = []
        self.error_bound = 0

    def add(self, keys: np.ndarray) -> None:
        """Add int64[n] keys, each once for every review in which it occurs."""
        self._waiting.append(keys)
        waiting = sum(map(len, self._waiting))
        # a merge copies the whole table, so it waits for many keys, but not beyond the memory
        if waiting > _WAITING or waiting + len(self._keys) > self._capacity:
            self._merge()
            if len(self._keys) > self._capacity:
                self._drop()

    def _merge(self) -> None:
        if not self._waiting:
            return
        keys = np.concatenate(self._waiting)
        self._waiting = []
        keys.sort()
        starts = np.flatnonzero(first_of_each(keys))
        keys, counts = keys[starts], np.diff(starts, append=len(keys)).astype(np.int32)
        place, there = self._find(keys, 0)
        self._counts[place[there]] += counts[there]
        place, keys, counts = place[~there], keys[~there], counts[~there]
        new = place + np.arange(len(place))
        old = np.ones(len(self._keys) + len(new), bool)
        old[new] = False
        if self._errors is not None:
            self._errors = _merged(self._errors, old, self._errors_of(keys), new)
        self._keys = _merged(self._keys, old, keys, new)
        self._counts = _merged(self._counts, old, counts, new)

    def _errors_of(self, new: np.ndarray) -> np.ndarray:
        """Return the possible errors of new rows: 0 if the n-gram is present with another label."""
        _, there = self._find(new >> self._label_bits << self._label_bits, self._label_bits)
        return np.where(there, 0, self.error_bound).astype(np.int32)

    def _find(self, keys: np.ndarray, ignored_bits: int) -> tuple[np.ndarray, np.ndarray]:
        """Return each key's place in the table, and whether it is there, some of its last bits aside."""
        place = np.searchsorted(self._keys, keys)
        if not len(self._keys):
            return place, np.zeros(len(keys), bool)
        return place, self._keys.take(place, mode="clip") >> ignored_bits == keys >> ignored_bits

    def _drop(self) -> None:
        """Raise the bound until the n-grams above it take 3/4 of the rows; drop the others."""
        starts = np.flatnonzero(first_of_each(self._keys >> self._label_bits))
        rows = np.diff(starts, append=len(self._keys))
        upper = np.add.reduceat(self._counts, starts)
        if self._errors is not None:
            upper += np.maximum.reduceat(self._errors, starts)
        self.error_bound = least_bound(upper, rows, _KEEP * self._capacity)
        kept = np.repeat(upper > self.error_bound, rows)
        errors = np.zeros(len(kept), np.int32) if self._errors is None else self._errors
        self._keys, self._counts, self._errors = self._keys[kept], self._counts[kept], errors[kept]

    def scores(
        self,
        frequency: int,
        labels: Sequence[int],
        score: Callable[[np.ndarray, np.ndarray, int], np.ndarray],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the n-grams of `by_label`, and float64[n]: the largest absolute score over `labels`.

        `score` receives the reviews of a label and of all in which n-grams occur, and the label.
        """
        ngrams, scores = [np.empty(0, np.int64)], [np.empty(0)]
        for some, dense in self.by_label(frequency):
            whole = dense.sum(axis=0)
            each = [np.abs(score(dense[nth], whole, nth)) for nth in labels]
            ngrams.append(some)
            scores.append(np.max([np.zeros(len(some)), *each], axis=0))
        return np.concatenate(ngrams), np.concatenate(scores)

    def by_label(self, frequency: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the n-grams that occur in at least `frequency` reviews, some at a time; empty the table.

        They are int64[some] ascending keys without the label, and float64[labels, some], the reviews of
        each label in which they occur.
        """
        self._merge()
        size, bits, first = max(1, _DENSE // len(self.reviews)), self._label_bits, 0
        while first < len(self._keys):
            # rows up to and with an n-gram's last one
            end = self._keys[min(first + size, len(self._keys)) - 1] >> bits
            last = int(np.searchsorted(self._keys, (end + 1) << bits))
            keys, counts = self._keys[first:last], self._counts[first:last]
            starts = np.flatnonzero(first_of_each(keys >> bits))
            rows = np.diff(starts, append=len(keys))
            frequent = np.add.reduceat(counts, starts) >= frequency
            ngrams, kept = keys[starts[frequent]] >> bits, np.repeat(frequent, rows)
            dense = np.zeros((len(self.reviews), len(ngrams)))
            nth = np.repeat(np.arange(len(ngrams)), rows[frequent])
            dense[keys[kept] & ((1 << bits) - 1), nth] = counts[kept]
            yield ngrams, dense
            first = last
        self._keys, self._counts, self._errors = self._keys[:0], self._counts[:0], None


def _merged(ours: np.ndarray, old: np.ndarray, theirs: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return an array of both, ours where bool[n] `old` is true, the others at places `new`."""
    both = np.empty(len(old), ours.dtype)
    both[old], both[new] = ours, theirs
    return both


def label_bits(num_labels: int) -> int:
    """Return how many bits a label takes in a key of `DocumentCounts`."""
    return max(1, (num_labels - 1).bit_length())
