"""Split a text into words, by the same rule for prepare, explore, predict and export.

"keras" is the rule behind Keras' ``imdb.npz`` (``text_to_word_sequence`` as Python 2 ran it on bytes):
make ASCII letters lower-case, replace each of ``FILTERS`` by a space, split at ASCII white space. Texts
are UTF-8 bytes: ``bytes.translate`` and ``bytes.split`` do it in two passes of C, and a word costs a
third of the memory of a ``str``. The others are for text in any language (`unicode_words.py`).
"""

import itertools
from collections.abc import Iterator

import numpy as np

from . import unicode_words
from .tokenizer_names import CHARACTERS, KERAS

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'

_UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_SPACES = FILTERS.encode() + b"\t\n\v\f\r"

_TABLE = bytes.maketrans(_UPPER + _SPACES, _UPPER.lower() + b" " * len(_SPACES))


def tokenise(text: bytes, tokenizer: str = KERAS) -> list[bytes]:
    """Return the words of a UTF-8 text, in order, by one of `TOKENIZERS`.

    >>> tokenise(b"Don't miss it!<br />A 10/10.")
    [b"don't", b'miss', b'it', b'br', b'a', b'10', b'10']
    """
    return _cleaned(b" %b " % _mapped(text, tokenizer), tokenizer).split()


def _mapped(text: bytes, tokenizer: str) -> bytes:
    """Return a text in lower case and with spaces between words, but for what `_cleaned` changes."""
    return text.translate(_TABLE) if tokenizer == KERAS else unicode_words.mapped(text, tokenizer)


def _cleaned(data: bytes, tokenizer: str) -> bytes:
    return data if tokenizer in (KERAS, CHARACTERS) else unicode_words.cleaned(data)


PIECE_BYTES = 1 << 20
"""Of a longer text a piece at a time is tokenised: it takes up to 16 times its bytes."""

_BLOCK_BYTES = 1 << 17  # numbered at a time: 25,000 words, 2 MB


class WordNumbers:
    """Turn texts into numbers of words: each distinct word of a block of texts is looked up once.

    A list of the words would take eight times the bytes of the texts, and twice the time.
    """

    def __init__(self, numbers: dict[bytes, int], tokenizer: str, unknown: int | None = None):
        """Look words up in `numbers`; one that is not there has the number `unknown`, or KeyError."""
        self._known, self._tokenizer, self._unknown = numbers, tokenizer, unknown
        self._texts, self._size = 0, 0
        self._waiting: list[tuple[bytes, int]] = []  # a mapped piece, and its text
        self._numbers: list[np.ndarray] = []
        self._lengths: list[tuple[int, np.ndarray]] = []  # of each block: its first text, and theirs

    def add(self, text: bytes) -> None:
        """Add a UTF-8 text."""
        for piece in _pieces(text, self._tokenizer):
            for part in _parts(_mapped(piece, self._tokenizer)):
                self._waiting.append((part, self._texts))
                self._size += len(part)
                if self._size >= _BLOCK_BYTES:
                    self._number()
        self._texts += 1

    def take(self) -> tuple[np.ndarray, np.ndarray]:
        """Return all words' numbers, int32[words], and each text's length, int64[texts]; start anew."""
        self._number()
        lengths = np.zeros(self._texts, np.int64)
        for first, counts in self._lengths:
            lengths[first : first + len(counts)] += counts
        numbers = np.concatenate(self._numbers)
        self._texts, self._numbers, self._lengths = 0, [], []
        return numbers, lengths

    def _number(self) -> None:
        parts, texts = [part for part, _ in self._waiting], [text for _, text in self._waiting]
        data = _cleaned(b" %b " % b" ".join(parts), self._tokenizer)
        words, places, starts = distinct_words(data)
        if self._unknown is None:
            found = map(self._known.__getitem__, words)
        else:
            found = map(self._known.get, words, itertools.repeat(self._unknown))
        self._numbers.append(np.fromiter(found, np.int32, len(words))[places])
        ends = np.cumsum([1 + len(part) for part in parts])
        counts = np.diff(np.searchsorted(starts, ends), prepend=0)
        if texts:
            by_text = np.bincount(np.array(texts) - texts[0], counts)
            self._lengths.append((texts[0], by_text.astype(np.int64)))
        self._waiting, self._size = [], 0


def _parts(mapped: bytes) -> Iterator[bytes]:
    """Yield a mapped text in parts of about a block, which end at a space."""
    start = 0
    while len(mapped) - start > _BLOCK_BYTES and (end := mapped.find(b" ", start + _BLOCK_BYTES)) >= 0:
        yield mapped[start:end]
        start = end
    yield mapped[start:]


_EIGHT = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)
"""By size, the bits of the first bytes of eight."""

_TABLE_BITS = 15

_MULTIPLIERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
"""Of a hash table's slots: three attempts to give two words different ones."""


def distinct_words(data: bytes) -> tuple[list[bytes], np.ndarray, np.ndarray]:
    """Find the words in `data`, which are separated by spaces and have one at either end.

    Return the distinct ones in the order of their appearance, each word's place among them, int64[n], and
    where each begins, int64[n]. They are compared eight bytes at a time. Words that share a slot of the
    hash table with others at each attempt, as an opponent's may, are looked up one by one.
    """
    is_space = np.frombuffer(data, np.uint8) == ord(" ")
    edges = np.flatnonzero(is_space[1:] != is_space[:-1]) + 1
    starts, sizes = edges[::2], edges[1::2] - edges[::2]
    eights = np.ndarray(len(data), "<u8", data + bytes(8), strides=(1,))  # from each byte on

    def eight(words: np.ndarray, nth: int) -> np.ndarray:
        masks = _EIGHT[np.minimum(sizes[words] - 8 * nth, 8)]
        return np.asarray(eights[starts[words] + 8 * nth] & masks)

    left = np.arange(len(starts), dtype=np.int32)
    pieces = -(-int(sizes.max(initial=0)) // 8)
    hashes = eight(left, 0)
    for nth in range(1, pieces):
        longer = np.flatnonzero(sizes > 8 * nth)
        hashes[longer] = hashes[longer] * np.uint64(_MULTIPLIERS[0]) ^ eight(longer, nth)
    first = np.empty_like(left)  # each word's first appearance
    for multiplier in _MULTIPLIERS:
        slots = hashes[left] * np.uint64(multiplier) >> np.uint64(64 - _TABLE_BITS)
        table = np.full(1 << _TABLE_BITS, len(starts), np.int32)
        np.minimum.at(table, slots, left)
        first[left] = found = table[slots]
        same = (hashes[left] == hashes[found]) & (sizes[left] == sizes[found])
        for nth in range(pieces if pieces > 1 else 0):  # the hash of up to eight bytes is these bytes
            longer = np.flatnonzero(same & (sizes[left] > 8 * max(1, nth)))
            same[longer] = eight(left[longer], nth) == eight(found[longer], nth)
        left = left[~same]
    known: dict[bytes, int] = {}
    for nth in left.tolist():
        first[nth] = known.setdefault(data[starts[nth] : starts[nth] + sizes[nth]], nth)
    is_first = first == np.arange(len(first))
    bounds = zip(starts[is_first].tolist(), (starts + sizes)[is_first].tolist(), strict=True)
    return [data[start:end] for start, end in bounds], (np.cumsum(is_first) - 1)[first], starts


def _pieces(text: bytes, tokenizer: str) -> Iterator[bytes]:
    """Yield a text in pieces: long ones end at ASCII white space, or else between two characters.

    That also ends a word, but for "keras", whose pieces need no memory and have any length.
    """
    start = 0
    while start < len(text):
        end = len(text) if tokenizer == KERAS else _piece_end(text, start)
        yield text[start:end]
        start = end


def _piece_end(text: bytes, start: int) -> int:
    """Return the end of a piece: after the last white space, or between two characters."""
    end = start + PIECE_BYTES
    if end >= len(text):
        return len(text)
    if space := max(text.rfind(each, start, end) for each in (b" ", b"\n", b"\t")) + 1:
        return space
    while end > start + PIECE_BYTES - 4 and text[end] & 0xC0 == 0x80:
        end -= 1
    return end
