"""Words -> n-gram features, for prepare and predict alike.

A feature is one word or several neighbouring words of a text (an n-gram), separated by spaces. A text has
each of its features once, in order of rank, with the ids of `Vocabulary`: 4 for the first. N-grams do not
cross the boundaries of texts.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from .vocabulary import FIRST_WORD_ID

UNKNOWN = -1
"""The number of a word that no feature holds."""


class Features(NamedTuple):
    """The features of a block of texts: 4 bytes per feature, 8 per text."""

    ids: np.ndarray
    """int32[sum of counts]: each text's distinct ids, ascending, one text after the other."""
    counts: np.ndarray
    """int64[texts]: how many features each text has."""

    def split(self) -> list[np.ndarray]:
        """Return each text's ids, as views."""
        return np.split(self.ids, np.cumsum(self.counts)[:-1]) if len(self.counts) else []


class Level(NamedTuple):
    """The n-grams of one length that are features or beginnings of longer features."""

    keys: np.ndarray
    """int64[nodes], ascending: number of the node without the last word << 32 | number of that word."""
    ids: np.ndarray
    """int32[nodes]: the feature's id; -1 for a node that is only the beginning of others."""


class FeatureTable:
    """Find features in texts, with a trie in sorted arrays: each n-gram extends a shorter one by a word.

    Costs about 130 bytes for each distinct word (a dictionary of `bytes`), and 12 bytes for each n-gram:
    100,000 features of 1 to 3 words of IMDb are 22,000 words and 2 MB of arrays.
    """

    def __init__(self, features: Sequence[bytes]):
        """Take features in order of rank."""
        words = b" ".join(features).split(b" ") if features else []
        self._numbers: dict[bytes, int] = {}
        numbering = itertools.count()
        for word in words:
            if word not in self._numbers:
                self._numbers[word] = next(numbering)
        flat = np.fromiter(map(self._numbers.__getitem__, words), np.int64, len(words))
        sizes = np.fromiter((feature.count(b" ") for feature in features), np.int64, len(features)) + 1
        self.max_words = int(sizes.max(initial=1))
        self._word_ids, self._levels = _build(flat, sizes, len(self._numbers), self.max_words)

    def numbers_of(self, words: Iterable[bytes]) -> np.ndarray:
        """Return int32[words], each word's number in this table, or `UNKNOWN`."""
        return np.fromiter(map(self._numbers.get, words, itertools.repeat(UNKNOWN)), np.int32)

    def find(self, numbers: np.ndarray, lengths: np.ndarray) -> Features:
        """Return the features of texts.

        `numbers` int32[sum of lengths] are their words (`numbers_of`), one text after the other. Needs
        some 60 bytes per word while it runs.
        """
        text = np.repeat(np.arange(len(lengths)), lengths)
        at = np.flatnonzero(numbers >= 0)
        nodes, text_at = numbers[at].astype(np.int64), text[at]
        found = [_found(text_at, self._word_ids[nodes])]
        for size, level in enumerate(self._levels, 2):
            at, nodes = extend(at, nodes, numbers, text, size, level.keys)
            found.append(_found(text[at], level.ids[nodes]))
        pairs = np.concatenate(found)
        pairs.sort()
        if len(pairs):
            pairs = pairs[np.concatenate(([True], pairs[1:] != pairs[:-1]))]
        counts = np.bincount(pairs >> 32, minlength=len(lengths))
        return Features((pairs & 0xFFFFFFFF).astype(np.int32), counts)


def _found(text: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return int64, text number << 32 | id, for the nodes that are features."""
    features = ids >= 0
    return np.asarray(text[features] << 32 | ids[features])


def extend(
    at: np.ndarray, nodes: np.ndarray, numbers: np.ndarray, text: np.ndarray, size: int, keys: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return where the n-grams of `size` words in `keys` begin, and which they are.

    `at` and `nodes` are the same for the n-grams with one word less.
    """
    last = at + size - 1
    fits = last < len(numbers)
    at, nodes, last = at[fits], nodes[fits], last[fits]
    fits = (text[last] == text[at]) & (numbers[last] >= 0)
    at, wanted = at[fits], nodes[fits] << 32 | numbers[last[fits]]
    if not len(keys):
        return at[:0], at[:0]
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    known = keys[place] == wanted
    return at[known], place[known]


def _build(
    flat: np.ndarray, sizes: np.ndarray, num_words: int, max_words: int
) -> tuple[np.ndarray, list[Level]]:
    """Return int32[words], the id of each word that is a feature itself or -1, and the longer levels."""
    ids = np.arange(len(sizes), dtype=np.int32) + FIRST_WORD_ID
    starts = np.cumsum(sizes) - sizes
    nodes = flat[starts] if len(sizes) else flat
    word_ids = np.full(num_words, -1, np.int32)
    word_ids[nodes[sizes == 1]] = ids[sizes == 1]
    levels = []
    for size in range(2, max_words + 1):
        longer = sizes >= size
        keys = nodes[longer] << 32 | flat[starts[longer] + size - 1]
        level_keys, place = np.unique(keys, return_inverse=True)
        level_ids = np.full(len(level_keys), -1, np.int32)
        ends = sizes[longer] == size
        level_ids[place[ends]] = ids[longer][ends]
        nodes = np.zeros_like(nodes)
        nodes[longer] = place
        levels.append(Level(level_keys, level_ids))
    return word_ids, levels
