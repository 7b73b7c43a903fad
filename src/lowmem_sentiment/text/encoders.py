"""Texts -> the distinct ids of words or n-grams that a model reads."""

import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from .ngrams import Features, FeatureTable, distinct_pairs
from .reviews import count_in_each
from .tokenizer import tokenise_in_pieces
from .vocabulary import KERAS, OUT_OF_VOCABULARY_ID, START_ID, Vocabulary

_BLOCK_WORDS = 1 << 15  # that are looked up together: 2 MB

Counts = list[tuple[int, int]]
"""The words of each text, and how many of them a model knows."""


class TextEncoder:
    """Turn texts into the ids that a model reads: the columns that are 1 in a text's multi-hot row.

    For a vocabulary of words they are the words, the start of the text, and one id for all unknown words;
    this costs 150 bytes per word, 1.5 MB at 10,000. Of n-grams only those in the vocabulary have ids;
    this costs 6 MB at 100,000 n-grams of IMDb (`ngrams.FeatureTable`).
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
