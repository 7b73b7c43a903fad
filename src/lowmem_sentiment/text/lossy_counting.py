"""Count words in bounded memory."""

import itertools

import numpy as np

from .vocabulary import Vocabulary

# A word costs its bytes and, at worst, this: two dictionary slots while the dictionary grows
# (96), the head of a `bytes` object (33), and a count above 256 (28).
WORD_BYTES = 160

_KEEP = 0.75  # of the memory, when words are dropped


class WordCounts:
    """Count words: exactly until `memory` bytes are full, then by lossy counting.

    This is lossy counting (Manku & Motwani, VLDB 2002, section 4.2) with a bound T that rises only when
    memory is full. Each word has a count, and the error that the count may have: the value of T when
    the word entered. Words whose count + error is T or less are dropped. So at any time:

    - no count is too high, and none is too low by more than T (`error_bound`);
    - every word that occurred more than T times is there.

    Where all words have one size, and memory has room for m of them with their errors, T is at most
    4/3 * (words counted) / m: raising T by one lowers count + error - T of at least 3/4 m words by 1,
    and each word counted adds 1.
    """

    def __init__(self, memory: int):
        self._memory, self._used = memory, 0
        self.counts: dict[bytes, int] = {}
        self._errors: dict[bytes, int] = {}  # of words that entered after some were dropped
        self.error_bound = 0
        self.total = 0

    def add(self, words: list[bytes], counts: list[int]) -> None:
        """Add words, and how often each occurred (0: not at all)."""
        ours = self.counts
        get = ours.get
        for word, count in zip(words, counts, strict=True):
            known = get(word)
            if known is not None:
                ours[word] = known + count
            elif count:
                ours[word] = count
                self._enter(word)
                if self._used > self._memory:
                    self._drop()
                    ours = self.counts
                    get = ours.get
        self.total += sum(counts)

    def _enter(self, word: bytes) -> None:
        self._used += WORD_BYTES + len(word)
        if self.error_bound:
            self._errors[word] = self.error_bound
            self._used += WORD_BYTES

    def _drop(self) -> None:
        """Raise the bound until the words above it take 3/4 of the memory; drop the others."""
        count, errors = len(self.counts), self._errors
        error = np.fromiter(map(errors.get, self.counts, itertools.repeat(0)), np.int64, count)
        upper = error + np.fromiter(self.counts.values(), np.int64, count)
        costs = np.fromiter(map(len, self.counts), np.int64, count) + WORD_BYTES * (1 + (error > 0))
        order = np.argsort(-upper, kind="stable")
        fitting = np.searchsorted(np.cumsum(costs[order]), _KEEP * self._memory, side="right")
        self.error_bound = int(upper[order[min(int(fitting), count - 1)]])
        kept = upper > self.error_bound
        # Delete first, then copy, which closes the holes: two full dictionaries would need more than
        # `memory`.
        for word in list(itertools.compress(self.counts, (~kept).tolist())):
            del self.counts[word]
            errors.pop(word, None)
        self.counts, self._errors = dict(self.counts), dict(errors)
        self._used = int(costs[kept].sum())

    def vocabulary(self, min_count: int = 1, max_words: int | None = None) -> Vocabulary:
        """Return the vocabulary of words by falling count; words of equal count by their bytes."""
        counts = self.counts
        words = sorted(word for word, count in counts.items() if count >= min_count)
        words.sort(key=counts.__getitem__, reverse=True)  # stable: no tuple for each word
        return Vocabulary(words[:max_words])
