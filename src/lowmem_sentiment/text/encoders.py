"""Texts -> the distinct ids of words or n-grams that a model reads."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from .ngrams import Features, FeatureTable
from .tokenizer import PIECE_BYTES, tokenise, tokenise_in_pieces
from .tokenizer_names import KERAS
from .vocabulary import OUT_OF_VOCABULARY_ID, START_ID, Vocabulary


class TextEncoder(Protocol):
    """Turn texts into the ids that a model reads."""

    def encode(self, texts: Sequence[bytes]) -> list[np.ndarray]:
        """Return int[n] for each UTF-8 text: the columns that are 1 in its multi-hot row."""
        ...


def text_encoder(vocabulary: Vocabulary, ngrams: int | None, tokenizer: str = KERAS) -> TextEncoder:
    """Return the encoder for a model's vocabulary: of words if `ngrams` is None, else of n-grams.

    `tokenizer` is the one that the vocabulary was made with.
    """
    return (WordEncoder if ngrams is None else NgramEncoder)(vocabulary, tokenizer)


class WordEncoder:
    """Ids of the words, the start of the text, and one id for all words outside the vocabulary.

    Costs 150 bytes per word: 1.5 MB at 10,000.
    """

    def __init__(self, vocabulary: Vocabulary, tokenizer: str = KERAS):
        self._ids, self._tokenizer = vocabulary.ids, tokenizer

    def encode(self, texts: Sequence[bytes]) -> list[np.ndarray]:
        """Return int64[n] for each text, in any order."""
        return [self._encode(text) for text in texts]

    def _encode(self, text: bytes) -> np.ndarray:
        if len(text) <= PIECE_BYTES:
            found = set(map(self._ids.get, tokenise(text, self._tokenizer)))
        else:
            found = set()
            for words in tokenise_in_pieces(text, self._tokenizer):
                found.update(map(self._ids.get, words))
        if None in found:
            found.remove(None)
            found.add(OUT_OF_VOCABULARY_ID)
        found.add(START_ID)
        return np.fromiter(found, np.int64, len(found))


class NgramEncoder:
    """Ids of n-grams of neighbouring words; words outside the features have no id.

    Costs its table (`ngrams.FeatureTable`): 6 MB at 100,000 features of IMDb.
    """

    def __init__(self, vocabulary: Vocabulary, tokenizer: str = KERAS):
        self._table, self._tokenizer = FeatureTable(vocabulary.words), tokenizer

    def encode(self, texts: Sequence[bytes]) -> list[np.ndarray]:
        """Return int32[n] for each text, ascending."""
        encoded: list[np.ndarray] = []
        words: list[np.ndarray] = []
        lengths: list[int] = []
        size = 0
        for text in texts:
            if len(text) > PIECE_BYTES:
                encoded += [*self._find(words, lengths).split(), self._find_in_pieces(text)]
                words, lengths, size = [], [], 0
                continue
            some = tokenise(text, self._tokenizer)
            words.append(self._table.numbers_of(some))
            lengths.append(len(some))
            size += len(some)
            if size >= _BLOCK:
                encoded += self._find(words, lengths).split()
                words, lengths, size = [], [], 0
        return encoded + self._find(words, lengths).split()

    def _find(self, numbers: list[np.ndarray], lengths: list[int]) -> Features:
        flat = np.concatenate(numbers) if numbers else np.empty(0, np.int32)
        return self._table.find(flat, np.array(lengths, np.int64))

    def _find_in_pieces(self, text: bytes) -> np.ndarray:
        """Encode a long text piece by piece, so that its words are never all in memory."""
        found, before = set(), np.empty(0, np.int32)
        for words in tokenise_in_pieces(text, self._tokenizer):
            # n-grams that begin in the piece before end in this one
            numbers = np.concatenate([before, self._table.numbers_of(words)])
            found.update(self._find([numbers], [len(numbers)]).ids.tolist())
            before = numbers[max(0, len(numbers) - self._table.max_words + 1) :]
        return np.array(sorted(found), np.int32)


_BLOCK = 1 << 16  # words that are looked up together: 4 MB
