"""Lengths of reviews: exact moments, and counts by length."""

import itertools
import math
from typing import Any

import numpy as np

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

_LONGEST = 1 << 16
"""Lengths from here on are counted as one (512 KB of counts)."""

_BINS = 20  # of the histogram, at most


class LengthMoments:
    """Count, sum, sum of squares, least and most of reviews' lengths: exact integers."""

    def __init__(self) -> None:
        self.count = self.total = self.squares = self.max = 0
        self.min: int | None = None

    def add(self, lengths: np.ndarray) -> None:
        """Add the lengths (int64) of a block of reviews."""
        if len(lengths):
            self.count += len(lengths)
            self.total += int(lengths.sum())
            self.squares += int((lengths * lengths).sum())
            self.min = min(int(lengths.min()), self.min if self.min is not None else 1 << 62)
            self.max = max(int(lengths.max()), self.max)

    def summary(self) -> dict[str, Any]:
        """Return mean, standard deviation, least and most."""
        mean = self.total / self.count if self.count else 0.0
        # n * squares - total^2 is exact, so nothing cancels before the one division
        spread = self.count * self.squares - self.total**2
        deviation = math.sqrt(spread) / self.count if self.count else 0.0
        return {"mean": mean, "standard_deviation": deviation, "min": self.min, "max": self.max}


class LengthHistogram:
    """Count reviews by length."""

    def __init__(self) -> None:
        self._counts = np.zeros(_LONGEST, np.int64)
        self._longest = 0
        self.empty = 0
        """Reviews without a word: the start id, or nothing at all."""

    def add(self, lengths: np.ndarray) -> None:
        """Add the lengths (int64) of a block of reviews."""
        self._counts += np.bincount(np.minimum(lengths, _LONGEST - 1), minlength=_LONGEST)
        self._longest = max(self._longest, int(lengths.max(initial=0)))
        self.empty += int(np.count_nonzero(lengths <= 1))

    def summary(self) -> dict[str, Any]:
        """Return quantiles, and the histogram: [first length, last length, reviews] of each bin."""
        return {
            "quantiles": {str(share): self._quantile(share) for share in QUANTILES},
            "histogram": self._bins(),
        }

    def _quantile(self, share: float) -> int:
        """Return the least length that `share` of the reviews do not exceed."""
        below = np.cumsum(self._counts)
        length = int(np.searchsorted(below, share * below[-1]))
        return self._longest if length == _LONGEST - 1 else length

    def _bins(self) -> list[list[int]]:
        """Return bins of one width up to the 99 % quantile, and one for the rest."""
        most = min(self._quantile(0.99), _LONGEST - 1)
        width = _round_up(most / _BINS)
        edges = [*range(0, most + 1, width)]
        below = np.concatenate(([0], np.cumsum(self._counts)))
        bins = [[a, b - 1, int(below[b] - below[a])] for a, b in itertools.pairwise(edges)]
        last = [edges[-1], self._longest, int(below[-1] - below[edges[-1]])]
        return [*bins, last]


def _round_up(value: float) -> int:
    """Return the next of 1, 2, 5, 10, 20, 50, ..."""
    steps = (int(step * 10**power) for power in itertools.count() for step in (1, 2, 5))
    return next(step for step in steps if step >= value)
