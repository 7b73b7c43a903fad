"""Divide the training reviews of a dataset into folds, and prepare the others of a fold as a dataset."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..dataset.duplicates import text_hashes
from ..dataset.manifest import GIVEN
from ..dataset.reader import Dataset
from ..preparation.settings import PreparationSettings
from ..system.errors import SettingsError
from ..text.reviews import Reviews
from ..text.vocabulary import Vocabulary


class Folds:
    """The fold of each training review: 16 bytes per review, and some 50 more while they are divided."""

    def __init__(self, dataset: Dataset, count: int, seed: int):
        """Divide the texts of each label equally into `count` folds; equal texts share one."""
        blocks = [
            (text_hashes(each.token_ids, each.lengths), each.labels) for each in dataset.read("train")
        ]
        hashes, labels = (np.concatenate(each) for each in zip(*blocks, strict=True))
        _, first, text = np.unique(hashes, return_index=True, return_inverse=True)
        generator, by_text = np.random.default_rng(seed), labels[first]
        places, _ = _shuffled(by_text, generator)
        self.numbers: np.ndarray = ((places + by_text) % count)[text]
        """int64[reviews]: each one's fold, from 0."""
        places, counts = _shuffled(by_text, generator)
        self.joins: np.ndarray = ((places + 1) / counts)[text]
        """float64[reviews]: the part of the data, up to 1, from which on a review is in it."""

    def check(self, count: int, least: float) -> None:
        """Raise SettingsError if a fold, or the share `least` of the reviews outside one, is empty."""
        if not (tested := np.bincount(self.numbers, minlength=count)).all():
            filled = int(np.count_nonzero(tested))
            raise SettingsError(
                f"folds is {count}, but the training texts fill only {filled} of them; expected 2 to "
                f"{max(2, filled)}, or more texts"
            )
        trained = np.bincount(self.numbers[self.joins <= least], minlength=count)
        if (trained == trained.sum()).any():
            raise SettingsError(
                f"{least:.0%} of the {len(self.numbers):,} training reviews leave nothing to train on "
                "outside a fold; expected more reviews, or folds without learning_curve"
            )


def _shuffled(labels: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return int64[texts], the random place of each text among its label's, and how many these are."""
    order = generator.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    counts = np.bincount(labels)
    places = np.empty(len(labels), np.int64)
    places[order] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return places, counts[labels]


class FoldSource:
    """A fold as test split, and a share of the other training reviews to train on: a source of ids."""

    def __init__(self, dataset: Dataset, folds: Folds, fold: int, share: float = 1.0):
        self.name, self.labels = dataset.name, dataset.labels
        self._dataset, self._folds, self._fold, self._share = dataset, folds, fold, share

    def describe(self) -> dict[str, Any]:
        return {
            "description": f"fold {self._fold + 1} of {self._dataset.source['description']}",
            "kind": "fold",
            "fingerprint": self._dataset.fingerprint,
            "share": self._share,
        }

    def vocabulary(self) -> Vocabulary:
        return self._dataset.vocabulary()

    def blocks(self) -> Iterator[tuple[str, Reviews]]:
        first = 0
        for block in self._dataset.read("train"):
            here = slice(first, first + len(block.labels))
            first = here.stop
            tested = self._folds.numbers[here] == self._fold
            trained = ~tested & (self._folds.joins[here] <= self._share)
            for split, chosen in (("train", trained), ("test", tested)):
                ids = block.token_ids[np.repeat(chosen, block.lengths)]
                yield split, Reviews(ids, block.lengths[chosen], block.labels[chosen])


def preparation_settings(dataset: Dataset) -> PreparationSettings:
    """Return settings that prepare a fold as its dataset was, with n-grams chosen and scaled anew."""
    features = dataset.features
    if not features:
        return PreparationSettings(recipe=dataset.recipe)
    if features.rank == GIVEN:
        return PreparationSettings(recipe=dataset.recipe, vocabulary=dataset.directory)
    recorded = dataset.source.get("vocabulary")
    least = recorded.get("min_count", 1) if isinstance(recorded, dict) else 1
    return PreparationSettings(
        recipe=dataset.recipe,
        ngrams=features.ngrams,
        rank=features.rank,
        max_features=features.features if features.features < features.candidates else None,
        min_count=least,
    )
