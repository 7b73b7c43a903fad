"""Count in how many reviews of each label an n-gram stands, in bounded memory."""

import numpy as np

# A row (one n-gram and one label) in the table: key 8 bytes, count 4, error 4. Taking in new rows
# copies one of the three arrays at a time, so that some 8 bytes more are in use meanwhile.
ROW_BYTES = 24

_KEEP = 0.75  # of the rows, when some are dropped


class DocumentCounts:
    """Document frequencies by n-gram and label; exact until the memory is full, then by lossy counting.

    A row's key is ``n-gram << label_bits | label``, so that an n-gram's labels are neighbours in the
    sorted table, and labels that an n-gram never has cost nothing. Lossy counting is that of
    `text.lossy_counting.WordCounts` (Manku & Motwani, VLDB 2002, section 4.2): when the table is full,
    the n-grams whose frequency over all labels is at or below a boundary T are dropped, with the
    smallest T that leaves it three quarters full. No frequency is too high, none is too low by more
    than T (`error_bound`), and each n-gram that stands in more than T reviews is there. IMDb's training
    split has 2.2 million rows of two words: 53 MB.
    """

    def __init__(self, label_bits: int, memory: int):
        self._label_bits, self._capacity = label_bits, max(1, memory // ROW_BYTES)
        self._keys: np.ndarray = np.empty(0, np.int64)
        self._counts: np.ndarray = np.empty(0, np.int32)
        self._errors: np.ndarray | None = None  # once some were dropped: what each row may lack
        self.error_bound = 0

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, keys: np.ndarray, counts: np.ndarray) -> None:
        """Add int64[n] distinct ascending keys, and int32[n], in how many more reviews each stands."""
        place = np.searchsorted(self._keys, keys)
        there = np.zeros(len(keys), bool)
        inside = place < len(self._keys)
        there[inside] = self._keys[place[inside]] == keys[inside]
        self._counts[place[there]] += counts[there]
        place, keys, counts = place[~there], keys[~there], counts[~there]
        if self._errors is not None:
            errors = self._errors_of(keys)
            self._errors = np.insert(self._errors, place, errors)
        self._keys = np.insert(self._keys, place, keys)
        self._counts = np.insert(self._counts, place, counts)
        if len(self._keys) > self._capacity:
            self._drop()

    def _errors_of(self, new: np.ndarray) -> np.ndarray:
        """Return what new rows may lack: nothing where the n-gram is there already with another label."""
        ngrams = new >> self._label_bits
        place = np.searchsorted(self._keys, ngrams << self._label_bits)
        there = np.zeros(len(new), bool)
        inside = place < len(self._keys)
        there[inside] = self._keys[place[inside]] >> self._label_bits == ngrams[inside]
        return np.where(there, 0, self.error_bound).astype(np.int32)

    def _starts(self) -> np.ndarray:
        """Return int64, the first row of each n-gram."""
        return np.flatnonzero(first_of_each(self._keys >> self._label_bits))

    def _drop(self) -> None:
        """Raise the boundary until the n-grams above it take 3/4 of the rows; drop the others."""
        starts = self._starts()
        rows = np.diff(starts, append=len(self._keys))
        upper = np.add.reduceat(self._counts, starts)
        if self._errors is not None:
            upper += np.maximum.reduceat(self._errors, starts)
        # no boundary leaves more rows than fit: above the largest there is nothing
        by_frequency = np.bincount(np.minimum(upper, 1 << 20), rows)
        above = by_frequency.sum() - np.cumsum(by_frequency)
        self.error_bound = max(self.error_bound, int(np.argmax(above <= _KEEP * self._capacity)))
        kept = np.repeat(upper > self.error_bound, rows)
        errors = np.zeros(len(kept), np.int32) if self._errors is None else self._errors
        self._keys, self._counts, self._errors = self._keys[kept], self._counts[kept], errors[kept]

    def finish(self, frequency: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the n-grams that stand in at least so many reviews, and empty the table.

        int64[n] ascending keys without the label, int64[n] how many rows each has, and of each row
        int32[rows] the label and int32[rows] the count.
        """
        keys, counts = self._keys, self._counts
        self._keys, self._counts, self._errors = keys[:0], counts[:0], None
        if not len(keys):
            return keys, keys, counts, counts
        # rows first: what is left is half of it, and everything after costs half as much
        kept = self._rows_at_least(keys, counts, frequency)
        keys, counts = keys[kept], counts[kept]
        labels = (keys & ((1 << self._label_bits) - 1)).astype(np.int32)
        keys >>= self._label_bits
        starts = np.flatnonzero(first_of_each(keys))
        return keys[starts], np.diff(starts, append=len(keys)), labels, counts

    def _rows_at_least(self, keys: np.ndarray, counts: np.ndarray, frequency: int) -> np.ndarray:
        """Return bool[rows]: whether the row's n-gram stands in at least so many reviews."""
        first = first_of_each(keys >> self._label_bits)
        kept = np.add.reduceat(counts, np.flatnonzero(first)) >= frequency
        nth = np.cumsum(first, dtype=np.int32)
        nth -= 1
        return kept[nth]


def first_of_each(values: np.ndarray) -> np.ndarray:
    """Return bool[n] of sorted values: true where another begins."""
    return np.concatenate((np.ones(min(1, len(values)), bool), values[1:] != values[:-1]))
