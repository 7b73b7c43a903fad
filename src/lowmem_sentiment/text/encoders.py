"""Texts -> the distinct ids of words or n-grams that a model reads."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from .ngrams import Features, FeatureTable, distinct_pairs
from .tokenizer import WordNumbers
from .tokenizer_names import KERAS
from .vocabulary import OUT_OF_VOCABULARY_ID, START_ID, Vocabulary

_BLOCK_BYTES = 1 << 17  # texts that are encoded together: 2 MB

_BLOCK_WORDS = 1 << 16  # of a longer text

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
        words = WordNumbers(self._ids, self._tokenizer, self._unknown)  # only of this thread
        size = 0
        for text in texts:
            words.add(text)
            size += len(text)
            if size >= _BLOCK_BYTES:
                encoded += self._encode(*words.take(), counts)
                size = 0
        return encoded + self._encode(*words.take(), counts)

    def _encode(
        self, numbers: np.ndarray, lengths: np.ndarray, counts: Counts | None
    ) -> list[np.ndarray]:
        if counts is not None:
            texts = np.repeat(np.arange(len(lengths)), lengths)
            known = np.bincount(texts[numbers != self._unknown], minlength=len(lengths))
            counts += zip(lengths.tolist(), known.tolist(), strict=True)
        if len(numbers) <= 2 * _BLOCK_WORDS:
            return self._find(numbers, lengths).split()
        return [self._encode_in_pieces(text) for text in np.split(numbers, np.cumsum(lengths)[:-1])]

    def _encode_in_pieces(self, numbers: np.ndarray) -> np.ndarray:
        """Encode a long text piece by piece; n-grams that begin in one end in the next."""
        starts = range(0, max(1, len(numbers)), _BLOCK_WORDS)
        pieces = (numbers[start : start + _BLOCK_WORDS + self.max_words - 1] for start in starts)
        return np.unique(np.concatenate([self._find(each, np.array([len(each)])).ids for each in pieces]))


def _word_ids(ids: np.ndarray, lengths: np.ndarray) -> Features:
    """Return the distinct ids of each text, and the start."""
    texts = np.arange(len(lengths))
    pairs = np.concatenate([texts << 32 | START_ID, np.repeat(texts, lengths) << 32 | ids])
    return distinct_pairs(pairs, len(lengths))
