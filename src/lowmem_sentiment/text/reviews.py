"""A block of reviews as token ids."""

from typing import NamedTuple

import numpy as np


class Reviews(NamedTuple):
    """A block of reviews: 4 bytes per token, 16 per review."""

    token_ids: np.ndarray
    """int32[sum of lengths]: the reviews' ids, one after the other."""
    lengths: np.ndarray
    """int64[reviews]: how many ids each review has."""
    labels: np.ndarray
    """int64[reviews]"""

    def select(self, chosen: np.ndarray) -> "Reviews":
        """Return the reviews where bool[reviews] `chosen` is true."""
        ids = self.token_ids[np.repeat(chosen, self.lengths)]
        return Reviews(ids, self.lengths[chosen], self.labels[chosen])

    def split(self) -> list[np.ndarray]:
        """Return each review's ids, as views."""
        return np.split(self.token_ids, np.cumsum(self.lengths)[:-1]) if len(self.lengths) else []


def count_in_each(flags: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return int64[reviews], how many of bool[sum of lengths] `flags` are true in each review."""
    counts, ends = np.append(0, np.cumsum(flags)), np.cumsum(lengths)
    return np.asarray(counts[ends] - counts[ends - lengths])
