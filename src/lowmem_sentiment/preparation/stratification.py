"""Divide reviews into training and test split with the same share of each label in both."""

from array import array

import numpy as np


class Stratification:
    """Collect hashes and labels: 10 bytes per review (10 MB per million), and some 50 more to decide."""

    def __init__(self) -> None:
        self._hashes, self._labels = array("Q"), array("H")
        self._ends: list[int] = []  # of each chunk

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, hashes: np.ndarray, labels: np.ndarray) -> None:
        """Add the reviews of the next chunk: uint64 hashes of their words, and int[reviews] labels."""
        self._hashes.frombytes(hashes.astype(np.uint64).tobytes())
        self._labels.frombytes(labels.astype(np.uint16).tobytes())
        self._ends.append(len(self._hashes))

    def decide(self, test_share: float, seed: int) -> list[np.ndarray]:
        """Return bool[reviews] of each chunk, the test reviews: `test_share` of each label, rounded.

        It is at least one and not all of a label with two or more. Reviews with the same words are in one
        split; if they have several labels, or exceed a label's share, shares differ by as many reviews.
        """
        hashes = np.frombuffer(self._hashes, np.uint64)
        _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
        sizes = np.bincount(group, minlength=len(first))
        labels = np.frombuffer(self._labels, np.uint16)[first]
        order = np.argsort(_shuffled(hashes[first], seed), kind="stable")
        in_test = np.zeros(len(first), bool)
        for label in np.unique(labels):
            texts = order[labels[order] == label]
            in_test[_choose(texts, sizes[texts], test_share)] = True
        return np.split(in_test[group], self._ends[:-1])


def _choose(texts: np.ndarray, sizes: np.ndarray, test_share: float) -> np.ndarray:
    """Return the texts of a label to test on: the first that fit, and single ones for the rest."""
    count = int(sizes.sum())
    wanted = round(test_share * count)
    if test_share and count > 1:
        wanted = min(max(wanted, 1), count - 1)
    chosen = np.cumsum(sizes) <= wanted
    missing = wanted - int(sizes[chosen].sum())
    chosen[np.flatnonzero(~chosen & (sizes == 1))[:missing]] = True
    return texts[chosen]


def _shuffled(hashes: np.ndarray, seed: int) -> np.ndarray:
    """Return uint64 hashes of hashes and a seed (the finalizer of SplitMix64, Steele et al. 2014)."""
    mixed = hashes + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 & (1 << 64) - 1)
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return mixed ^ mixed >> np.uint64(31)
