"""Chunks of reviews as numbers of words, kept on disk between tokenising and writing shards.

A word's number is valid only within its chunk, since the vocabulary is known only after the last chunk.
A chunk takes less than half of its text's size, and spares reading and tokenising the text a second
time, which is two thirds of the work. Its layout, little-endian:

    6 int64                   bytes of words and of labels; training, test, validation and undecided
                              reviews
    words, labels             UTF-8: words with a space between two (no word holds one), labels as JSON
    per split                 int32 lengths, uint16 labels (places in `labels`), and the words' numbers:
                              uint16, or uint32 where the chunk has over 65,536 words
"""

import json
import os
import struct
from array import array
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np

_HEAD = struct.Struct("<6q")


class NumberedReviews(NamedTuple):
    """A chunk's reviews of one split, as numbers of words that are valid only within the chunk."""

    numbers: np.ndarray
    """uint16 or uint32 of each token, one review after the other."""
    lengths: np.ndarray
    """int32[reviews]"""
    labels: np.ndarray
    """uint16[reviews]: index into the chunk's label names."""

    def select(self, chosen: np.ndarray) -> "NumberedReviews":
        """Return the reviews for which bool[reviews] `chosen` is true."""
        numbers = self.numbers[np.repeat(chosen, self.lengths)]
        return NumberedReviews(numbers, self.lengths[chosen], self.labels[chosen])


class SpilledChunk(NamedTuple):
    """A chunk, as it is read back."""

    words: list[bytes]
    """By number."""
    labels: list[str]
    splits: list[NumberedReviews]
    """Training, test, validation and undecided reviews, views of the bytes that were read."""


def pack(words: bytes, labels: list[str], splits: list[NumberedReviews]) -> bytes:
    """Return a chunk as bytes; `words` have a space between two."""
    names = json.dumps(labels).encode()
    counts = [len(split.lengths) for split in splits]
    parts: list[Any] = [_HEAD.pack(len(words), len(names), *counts), words, names]
    for numbers, lengths, label_numbers in splits:
        parts += lengths.astype("<i4"), label_numbers.astype("<u2"), numbers
    return b"".join(parts)


def packed_words(chunk: bytes) -> list[bytes]:
    """Return the words of a packed chunk, by number."""
    size, *_ = _HEAD.unpack_from(chunk)
    return chunk[_HEAD.size : _HEAD.size + size].split()


def unpack(chunk: bytes) -> SpilledChunk:
    """Return what `pack` was given."""
    words_size, names_size, *counts = _HEAD.unpack_from(chunk)
    words, at = packed_words(chunk), _HEAD.size + words_size + names_size
    labels = json.loads(chunk[at - names_size : at])
    splits = []
    for count in counts:
        lengths = np.frombuffer(chunk, "<i4", count, at)
        label_numbers = np.frombuffer(chunk, "<u2", count, at + 4 * count)
        at += 6 * count
        numbers = np.frombuffer(chunk, number_type(len(words)), int(lengths.sum()), at)
        at += numbers.nbytes
        splits.append(NumberedReviews(numbers, lengths, label_numbers))
    return SpilledChunk(words, labels, splits)


def number_type(num_words: int) -> str:
    """Return the type of the numbers in a chunk of so many words."""
    return "<u2" if num_words <= 1 << 16 else "<u4"


class Spill:
    """Packed chunks in a file, one after the other; 8 bytes of memory per chunk (2 MB of text)."""

    def __init__(self, file: BinaryIO):
        self._file, self._sizes = file, array("q")

    def append(self, chunk: bytes) -> None:
        """Write a packed chunk."""
        self._file.write(chunk)
        self._sizes.append(len(chunk))

    def flush(self) -> None:
        """Write out what is buffered, for `read` in other processes."""
        self._file.flush()

    def places(self) -> Iterator[tuple[int, int]]:
        """Yield where each chunk starts, and its size in bytes."""
        start = 0
        for size in self._sizes:
            yield start, size
            start += size

    def read(self, place: tuple[int, int]) -> SpilledChunk:
        """Read the chunk at one of `places`; forks may do so at the same time."""
        start, size = place
        return unpack(os.pread(self._file.fileno(), size, start))
