"""Lengths of reviews: how many reviews have each."""

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

_LONGEST = 1 << 16
"""Lengths below take an array of 512 KB, the rare ones from here on 100 bytes each."""

_BINS = 20  # of the histogram, at most


class LengthCounts:
    """Count reviews by length, exactly."""

    def __init__(self) -> None:
        self._counts = np.zeros(_LONGEST, np.int64)
        self._longer: Counter[int] = Counter()

    def add(self, lengths: np.ndarray) -> None:
        """Add the lengths (int64) of a block of reviews."""
        self._counts += np.bincount(lengths[lengths < _LONGEST], minlength=_LONGEST)
        self._longer.update(lengths[lengths >= _LONGEST].tolist())

    @property
    def empty(self) -> int:
        """Reviews without a word: the start id, or nothing at all."""
        return int(self._counts[:2].sum())

    def _longest(self) -> int:
        return max(self._longer, default=int(np.max(np.flatnonzero(self._counts), initial=0)))

    def moments(self) -> dict[str, Any]:
        """Return mean, standard deviation, least and most."""
        found = np.flatnonzero(self._counts).tolist()
        counts = [*zip(found, self._counts[found].tolist(), strict=True), *self._longer.items()]
        number = sum(count for _, count in counts)
        total = sum(length * count for length, count in counts)
        # whole numbers, so that nothing cancels before the one division
        spread = number * sum(length**2 * count for length, count in counts) - total**2
        return {
            "mean": total / number if number else 0.0,
            "standard_deviation": math.sqrt(spread) / number if number else 0.0,
            "min": min((length for length, _ in counts), default=None),
            "max": self._longest(),
        }

    def distribution(self) -> dict[str, Any]:
        """Return quantiles, and the histogram: [first length, last length, reviews] of each bin."""
        return {
            "quantiles": {str(share): self._quantile(share) for share in QUANTILES},
            "histogram": self._bins(),
        }

    def _below(self) -> np.ndarray:
        """Return int64[_LONGEST + 2]: how many reviews are shorter than each length, and all."""
        return np.concatenate(([0], np.cumsum(self._counts), [self._counts.sum() + self._longer.total()]))

    def _quantile(self, share: float) -> int:
        """Return the least length that `share` of the reviews do not exceed."""
        below = self._below()[1:]
        length = int(np.searchsorted(below, share * below[-1]))
        return self._longest() if length == _LONGEST else length

    def _bins(self) -> list[list[int]]:
        """Return bins of one width up to the 99 % quantile, and one for the rest."""
        most = min(self._quantile(0.99), _LONGEST - 1)
        width = _round_up(most / _BINS)
        edges = [*range(0, most + 1, width)]
        below = self._below()
        bins = [[a, b - 1, int(below[b] - below[a])] for a, b in itertools.pairwise(edges)]
        return [*bins, [edges[-1], self._longest(), int(below[-1] - below[edges[-1]])]]


def _round_up(value: float) -> int:
    """Return the next of 1, 2, 5, 10, 20, 50, ..."""
    steps = (int(step * 10**power) for power in itertools.count() for step in (1, 2, 5))
    return next(step for step in steps if step >= value)
