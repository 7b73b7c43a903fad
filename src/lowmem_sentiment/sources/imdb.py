"""The IMDb reviews as token ids: Keras' ``imdb.npz``, and its word index."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..system.errors import SettingsError
from ..text.reviews import Reviews
from .keras_files import KERAS_SEED, KerasSource, Published
from .keras_npz import blocks_of

FILES = Published(
    "imdb",
    "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
    "bfafd718b763782e994055a2d397834f",
)
"""As in keras.datasets.imdb"""

LABELS = ["negative", "positive"]

TEST_SHARE = 5  # one review in five: the first 10,000 of 50,000

IMDB_SPLITS = ("described", "tutorial")


def assign_splits(count: int, split: str) -> np.ndarray:
    """Return uint8[count] by review: 0 not used, 1 train, 2 test.

    The first fifth is the test split. "described" trains on the rest, as the tutorial
    says; "tutorial" only on the last fifth, as its printed code (``data[40000:]``) does.
    """
    if split not in IMDB_SPLITS:
        raise SettingsError(f"split is {split!r}, expected one of {', '.join(IMDB_SPLITS)}")
    test = count // TEST_SHARE
    assigned = np.zeros(count, np.uint8)
    assigned[test if split == "described" else count - test :] = 1
    assigned[:test] = 2
    return assigned


class ImdbSource(KerasSource):
    """Keras' ``imdb.npz`` in Keras' order: shuffled with seed 113, train then test."""

    name, labels, files = "imdb", LABELS, FILES

    def __init__(self, npz: Path, word_index: Path, split: str = "described"):
        super().__init__(npz, word_index)
        self._split = split
        self._sizes = self._npz.count("y_train"), self._npz.count("y_test")
        assign_splits(0, split)

    def describe(self) -> dict[str, Any]:
        count = sum(self._sizes)
        return {
            "description": f"{count:,} IMDb reviews (Keras' imdb.npz)",
            **super().describe(),
            "split": self._split,
            "reviews": count,
        }

    def blocks(self) -> Iterator[tuple[str, Reviews]]:
        assigned = assign_splits(sum(self._sizes), self._split)
        generator = np.random.RandomState(KERAS_SEED)
        first = 0
        for half, size in zip(("train", "test"), self._sizes, strict=True):
            order = np.arange(size)
            generator.shuffle(order)
            yield from self._half_blocks(half, order, assigned[first : first + size])
            first += size

    def _half_blocks(
        self, half: str, order: np.ndarray, assigned: np.ndarray
    ) -> Iterator[tuple[str, Reviews]]:
        """Yield one half's reviews in `order`, without the other half (24 MB) in memory."""
        reviews = self._npz.read(f"x_{half}", f"y_{half}", len(LABELS))
        for number, split in ((2, "test"), (1, "train")):
            for block in blocks_of(reviews, order[assigned == number]):
                yield split, block
