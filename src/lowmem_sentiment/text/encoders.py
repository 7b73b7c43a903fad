"""Texts -> the distinct ids of words or n-grams that a model reads."""

from collections.abc import Callable, Sequence

import numpy as np

from .ngrams import Features, FeatureTable, distinct_pairs
from .tokenizer import WordNumbers
from .tokenizer_names import KERAS
from .vocabulary import OUT_OF_VOCABULARY_ID, START_ID, Vocabulary

_BLOCK_BYTES = 1 << 18  # texts that are encoded together: 4 MB

_BLOCK_WORDS = 1 << 16  # of a longer text


class TextEncoder:
    """Turn texts into the ids that a model reads: the columns that are 1 in a text's multi-hot row.

    For a vocabulary of words they are the words, the start of the text, and one id for all unknown words;
    this costs 150 bytes per word, 1.5 MB at 10,000. Of n-grams only those in the vocabulary have ids;
    this costs 6 MB at 100,000 n-grams of IMDb (`ngrams.FeatureTable`).
    """

    def __init__(self, vocabulary: Vocabulary, ngrams: int | None, tokenizer: str = KERAS):
        """Encode words if `ngrams` is None; `tokenizer` is the one that the vocabulary was made with."""
        self._find: Callable[[np.ndarray, np.ndarray], Features] = _word_ids
        self._overlap = 0
        if ngrams is None:
            ids, unknown = vocabulary.ids, OUT_OF_VOCABULARY_ID
        else:
            table = FeatureTable(vocabulary.words)
            ids, unknown = table.numbers, table.UNKNOWN
            self._find, self._overlap = table.find, table.max_words - 1
        self._words = WordNumbers(lambda word: ids.get(word, unknown), tokenizer)

    def encode(self, texts: Sequence[bytes]) -> list[np.ndarray]:
        """Return int32[n] for each UTF-8 text, ascending."""
        encoded: list[np.ndarray] = []
        size = 0
        for text in texts:
            self._words.add(text)
            size += len(text)
            if size >= _BLOCK_BYTES:
                encoded += self._encode(*self._words.take())
                size = 0
        return encoded + self._encode(*self._words.take())

    def _encode(self, numbers: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        if len(numbers) <= 2 * _BLOCK_WORDS:
            return self._find(numbers, lengths).split()
        return [self._encode_in_pieces(text) for text in np.split(numbers, np.cumsum(lengths)[:-1])]

    def _encode_in_pieces(self, numbers: np.ndarray) -> np.ndarray:
        """Encode a long text piece by piece; n-grams that begin in one end in the next."""
        starts = range(0, max(1, len(numbers)), _BLOCK_WORDS)
        pieces = (numbers[start : start + _BLOCK_WORDS + self._overlap] for start in starts)
        return np.unique(np.concatenate([self._find(each, np.array([len(each)])).ids for each in pieces]))


def _word_ids(ids: np.ndarray, lengths: np.ndarray) -> Features:
    """Return the distinct ids of each text, and the start."""
    texts = np.arange(len(lengths))
    pairs = np.concatenate([texts << 32 | START_ID, np.repeat(texts, lengths) << 32 | ids])
    return distinct_pairs(pairs, len(lengths))
