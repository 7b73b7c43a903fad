"""Reuters newswires as token ids: Keras' ``reuters.npz``, and its word index.

The published file has 11,228 newswires and 46 topics. It could not be downloaded where this was written:
its form is known from ``keras.datasets.reuters``, and the tests' files have that form.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..text.reviews import Reviews
from .keras_files import KERAS_SEED, KerasSource, Published
from .keras_npz import blocks_of

FILES = Published(
    "reuters",
    "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916",
    "4d44cc38712099c9e383dc6e5f11a921",
)
"""As in keras.datasets.reuters"""

# As in keras.datasets.reuters.get_label_names
LABELS = [
    "cocoa", "grain", "veg-oil", "earn", "acq", "wheat", "copper", "housing", "money-supply",
    "coffee", "sugar", "trade", "reserves", "ship", "cotton", "carcass", "crude", "nat-gas", "cpi",
    "money-fx", "interest", "gnp", "meal-feed", "alum", "oilseed", "gold", "tin", "strategic-metal",
    "livestock", "retail", "ipi", "iron-steel", "rubber", "heat", "jobs", "lei", "bop", "zinc",
    "orange", "pet-chem", "dlr", "gas", "silver", "wpi", "hog", "lead",
]  # fmt: skip

TEST_SPLIT = 0.2  # as in keras.datasets.reuters.load_data


class ReutersSource(KerasSource):
    """Keras' ``reuters.npz`` in Keras' order, shuffled with seed 113: the first 80 % train."""

    name, labels, files = "reuters", LABELS, FILES

    def __init__(self, npz: Path, word_index: Path):
        super().__init__(npz, word_index)
        self._size = self._npz.count("y")

    def describe(self) -> dict[str, Any]:
        description = f"{self._size:,} Reuters newswires (Keras' reuters.npz)"
        return {"description": description, **super().describe(), "reviews": self._size}

    def blocks(self) -> Iterator[tuple[str, Reviews]]:
        reviews = self._npz.read("x", "y", len(LABELS))
        order = np.arange(len(reviews.lengths))
        np.random.RandomState(KERAS_SEED).shuffle(order)
        train = int(len(order) * (1 - TEST_SPLIT))
        for split, chosen in (("test", order[train:]), ("train", order[:train])):
            for block in blocks_of(reviews, chosen):
                yield split, block
