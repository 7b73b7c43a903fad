"""Lengths of reviews: how many reviews have each."""

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

_BINS = 20  # of the histogram, at most


class LengthCounts:
    """Count reviews by length, exactly: 100 bytes for each different length.

    A billion words have at most 44,721 different lengths.
    """

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, lengths: np.ndarray) -> None:
        """Add the lengths (int64) of a block of reviews."""
        self._counts.update(lengths.tolist())

    @property
    def empty(self) -> int:
        """Reviews without a word: the start id, or nothing at all."""
        return self._counts[0] + self._counts[1]

    def moments(self) -> dict[str, Any]:
        """Return mean, standard deviation, least and most."""
        counts = self._counts.items()
        number = self._counts.total()
        total = sum(length * count for length, count in counts)
        # whole numbers, so that nothing cancels before the one division
        spread = number * sum(length**2 * count for length, count in counts) - total**2
        return {
            "mean": total / number if number else 0.0,
            "standard_deviation": math.sqrt(spread) / number if number else 0.0,
            "min": min(self._counts, default=None),
            "max": max(self._counts, default=0),
        }

    def distribution(self) -> dict[str, Any]:
        """Return quantiles, and the histogram: [first length, last length, reviews] of each bin.

        A quantile is the least length that its share of the reviews do not exceed. The bins have one
        width up to the 99 % quantile, and the last has the rest.
        """
        lengths = sorted(self._counts) or [0]
        up_to = np.cumsum([self._counts[length] for length in lengths])
        places = np.searchsorted(up_to, up_to[-1] * np.array(QUANTILES))
        quantiles = [lengths[place] for place in places]
        edges = [*range(0, quantiles[-1] + 1, _round_up(quantiles[-1] / _BINS)), lengths[-1] + 1]
        below = np.append(0, up_to)[np.searchsorted(lengths, edges)].tolist()
        ends = zip(itertools.pairwise(edges), itertools.pairwise(below), strict=True)
        return {
            "quantiles": dict(zip(map(str, QUANTILES), quantiles, strict=True)),
            "histogram": [[first, end - 1, after - before] for (first, end), (before, after) in ends],
        }


def _round_up(value: float) -> int:
    """Return the next of 1, 2, 5, 10, 20, 50, ..."""
    steps = (int(step * 10**power) for power in itertools.count() for step in (1, 2, 5))
    return next(step for step in steps if step >= value)
