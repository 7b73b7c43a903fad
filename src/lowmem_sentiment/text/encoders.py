"""Texts -> the distinct ids of words or n-grams that a model reads, for prepare and predict alike.

A feature is one word or several neighbouring words of a text (an n-gram), separated by spaces. A text has
each of its features once, in order of rank, with the ids of `Vocabulary`: 4 for the first. N-grams do not
cross the boundaries of texts.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from .reviews import count_in_each
from .tokenizers import tokenise_in_pieces
from .vocabulary import FIRST_WORD_ID, KERAS, OUT_OF_VOCABULARY_ID, START_ID, Vocabulary


class Features(NamedTuple):
    """The features of a block of texts: 4 bytes per feature, 8 per text."""

    ids: np.ndarray
    """int32[sum of counts]: each text's distinct ids, ascending, one text after the other."""
    counts: np.ndarray
    """int64[texts]: how many features each text has."""

    def split(self) -> list[np.ndarray]:
        """Return each text's ids, as views."""
        return np.split(self.ids, np.cumsum(self.counts)[:-1]) if len(self.counts) else []


class Keys:
    """Find int64 keys among `keys`, which are distinct and ascending, by a hash table.

    It takes 8 to 16 bytes per key beside `keys` themselves, and two memory accesses instead of a binary
    search's twenty.
    """

    def __init__(self, keys: np.ndarray):
        # two to four slots per key: most wanted keys that are not here have an empty slot
        self._keys, self._shift = keys, np.uint64(63 - (len(keys) + 1).bit_length())
        slots = self._slots(keys)
        order = np.argsort(slots, kind="stable").astype(np.int32)
        # each in its slot, or in the next one that is free
        nth = np.arange(len(keys))
        at = np.maximum.accumulate(slots[order] - nth) + nth
        self._table = np.full(max(1 << int(64 - self._shift), at.max(initial=0) + 1) + 1, -1, np.int32)
        self._table[at] = order

    def _slots(self, keys: np.ndarray) -> np.ndarray:
        """Return int64[n]: a multiplicative hash (Knuth, "The Art of Computer Programming", 6.4)."""
        mixed = keys.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed >>= self._shift
        return mixed.view(np.int64)

    def find(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the places in `wanted` of keys that are here, int64[found], and their places here."""
        at = self._slots(wanted)
        places = self._table[at]
        left = np.flatnonzero(places >= 0)
        while len(left):
            left = left[self._keys[places[left]] != wanted[left]]
            at[left] += 1
            places[left] = self._table[at[left]]
            left = left[places[left] >= 0]
        found = np.flatnonzero(places >= 0)
        return found, places[found].astype(np.int64)


class Level(NamedTuple):
    """The n-grams of one length that are features or beginnings of longer features."""

    keys: Keys
    """Of each node: number of the node without the last word << 32 | number of that word."""
    ids: np.ndarray
    """int32[nodes]: the feature's id; -1 for a node that is only the beginning of others."""


class FeatureTable:
    """Find features in texts, with a trie in arrays: each n-gram extends a shorter one by a word.

    Costs about 130 bytes for each distinct word (a dictionary of `bytes`), and up to 28 bytes for each
    n-gram: 100,000 features of 1 to 3 words of IMDb are 22,000 words and 3 MB of arrays.
    """

    UNKNOWN = -1
    """The number of a word that no feature holds."""

    def __init__(self, features: Sequence[bytes]):
        words = b" ".join(features).split(b" ") if features else []
        self.numbers = {word: number for number, word in enumerate(dict.fromkeys(words))}
        flat = np.fromiter(map(self.numbers.__getitem__, words), np.int64, len(words))
        sizes = np.fromiter((feature.count(b" ") for feature in features), np.int64, len(features)) + 1
        self.max_words = int(sizes.max(initial=1))
        self._word_ids, self._levels = _build(flat, sizes, len(self.numbers), self.max_words)

    def find(self, numbers: np.ndarray, lengths: np.ndarray) -> Features:
        """Return the features of texts.

        `numbers` int32[sum of lengths] are their words' numbers, one text after the other. Needs some 60
        bytes per word while it runs.
        """
        text = np.repeat(np.arange(len(lengths)), lengths)
        at = np.flatnonzero(numbers >= 0)
        nodes = numbers[at].astype(np.int64)
        found = [_found(text, at, self._word_ids[nodes])]
        continues = continuing(numbers, text)
        for size, level in enumerate(self._levels, 2):
            at, nodes = extend(at, nodes, numbers, continues, size, level.keys)
            found.append(_found(text, at, level.ids[nodes]))
        return distinct_pairs(np.concatenate(found), len(lengths))


def distinct_pairs(pairs: np.ndarray, num_texts: int) -> Features:
    """Return the distinct ids of texts; each of int64 `pairs` is text number << 32 | id."""
    pairs = np.sort(pairs)
    pairs = pairs[first_of_each(pairs)]
    counts = np.bincount(pairs >> 32, minlength=num_texts)
    return Features((pairs & 0xFFFFFFFF).astype(np.int32), counts)


def first_of_each(values: np.ndarray) -> np.ndarray:
    """Return bool[n] of sorted values: true where another begins."""
    return np.concatenate((np.ones(min(1, len(values)), bool), values[1:] != values[:-1]))


def _found(text: np.ndarray, at: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return int64, text number << 32 | id, for the nodes at places `at` that are features."""
    features = np.flatnonzero(ids >= 0)
    return np.asarray(text[at[features]] << 32 | ids[features])


def continuing(numbers: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Return bool[n + 1], where a known word stands behind another word of the same text."""
    continues = np.zeros(len(numbers) + 1, bool)
    np.equal(text[1:], text[:-1], out=continues[1:-1])
    continues[:-1] &= numbers >= 0
    return continues


def extend(
    at: np.ndarray, nodes: np.ndarray, numbers: np.ndarray, continues: np.ndarray, size: int, keys: Keys
) -> tuple[np.ndarray, np.ndarray]:
    """Return where the n-grams of `size` words in `keys` begin, and which they are.

    `at` and `nodes` are the same for the n-grams with one word less; `continues` is from `continuing`.
    """
    last = at + size - 1
    fits = np.flatnonzero(continues[last])
    known, places = keys.find(nodes[fits] << 32 | numbers[last[fits]])
    return at[fits[known]], places


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
        levels.append(Level(Keys(level_keys), level_ids))
    return word_ids, levels


# --- texts ---

_BLOCK_WORDS = 1 << 15  # that are looked up together: 2 MB

Counts = list[tuple[int, int]]
"""The words of each text, and how many of them a model knows."""


class TextEncoder:
    """Turn texts into the ids that a model reads: the columns that are 1 in a text's multi-hot row.

    For a vocabulary of words they are the words, the start of the text, and one id for all unknown words;
    this costs 150 bytes per word, 1.5 MB at 10,000. Of n-grams only those in the vocabulary have ids;
    this costs 6 MB at 100,000 n-grams of IMDb (`FeatureTable`).
    """

    def __init__(self, vocabulary: Vocabulary, ngrams: int | None, tokenizer: str = KERAS):
        """Encode words if `ngrams` is None; `tokenizer` is the one that the vocabulary was made with."""
        self._find: Callable[[np.ndarray, np.ndarray], Features] = _word_ids
        self.max_words = 1
        """The most words in an n-gram."""
        if ngrams is None:
            ids, unknown = vocabulary.ids, OUT_OF_VOCABULARY_ID
        else:
            table = FeatureTable(vocabulary.words)
            ids, unknown = table.numbers, table.UNKNOWN
            self._find, self.max_words = table.find, table.max_words
        self._ids, self._unknown, self._tokenizer = ids, unknown, tokenizer

    def knows(self, words: Iterable[bytes]) -> np.ndarray:
        """Return bool[words], which words the model knows, by themselves or in n-grams."""
        return np.fromiter((word in self._ids for word in words), bool)

    def encode(self, texts: Sequence[bytes], counts: Counts | None = None) -> list[np.ndarray]:
        """Return int32[n] for each UTF-8 text, ascending; add each text's words to `counts`."""
        encoded: list[np.ndarray] = []
        numbers: list[np.ndarray] = []
        size = 0
        for text in texts:
            numbers.append(self._numbers(text))
            size += len(numbers[-1])
            if size >= _BLOCK_WORDS:
                encoded += self._encode(numbers, counts)
                numbers, size = [], 0
        return encoded + self._encode(numbers, counts) if numbers else encoded

    def _numbers(self, text: bytes) -> np.ndarray:
        """Return int32[words], the numbers of a text's words."""
        get, unknown = self._ids.get, itertools.repeat(self._unknown)
        pieces = [
            np.fromiter(map(get, words, unknown), np.int32, len(words))
            for words in tokenise_in_pieces(text, self._tokenizer)
        ]
        return pieces[0] if len(pieces) == 1 else np.concatenate([np.empty(0, np.int32), *pieces])

    def _encode(self, texts: list[np.ndarray], counts: Counts | None) -> list[np.ndarray]:
        numbers = np.concatenate(texts)
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        if counts is not None:
            known = count_in_each(numbers != self._unknown, lengths)
            counts += zip(lengths.tolist(), known.tolist(), strict=True)
        if len(numbers) <= 2 * _BLOCK_WORDS:
            return self._find(numbers, lengths).split()
        return list(map(self._encode_in_pieces, texts))

    def _encode_in_pieces(self, numbers: np.ndarray) -> np.ndarray:
        """Encode a long text piece by piece; n-grams that begin in one end in the next."""
        starts = range(0, max(1, len(numbers)), _BLOCK_WORDS)
        pieces = (numbers[start : start + _BLOCK_WORDS + self.max_words - 1] for start in starts)
        return np.unique(np.concatenate([self._find(each, np.array([len(each)])).ids for each in pieces]))


def _word_ids(ids: np.ndarray, lengths: np.ndarray) -> Features:
    texts = np.arange(len(lengths))
    pairs = np.concatenate([texts << 32 | START_ID, np.repeat(texts, lengths) << 32 | ids])
    return distinct_pairs(pairs, len(lengths))
