"""One review of a dataset, as the tutorial prints it."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..system.errors import SettingsError
from ..text.vocabulary import OUT_OF_VOCABULARY_ID
from .explore import check_num_words
from .manifest import SPLITS
from .reader import Dataset


@dataclass(frozen=True)
class ShownReview:
    """A review of a dataset."""

    number: int
    """Its place in the split, from 0."""
    split: str
    label: int
    label_name: str
    ids: list[int]
    text: str
    """Decoded, with # for every unknown word."""

    def to_json(self) -> dict[str, Any]:
        """Return what `explore --show N --json` prints."""
        return asdict(self)


def show(
    dataset: Dataset | str | Path, number: int, *, split: str = "test", num_words: int | None = None
) -> ShownReview:
    """Return the review `number` (from 0) of a split: label, ids at `num_words`, and decoded text.

    Only the shard that holds it is read, and that whole, so that its digest is checked. Raises
    SettingsError for a review that is not there, DataError.
    """
    if not isinstance(dataset, Dataset):
        dataset = Dataset(dataset)
    if split not in SPLITS:
        raise SettingsError(f"split is {split!r}, expected one of {', '.join(SPLITS)}")
    num_words = check_num_words(num_words, dataset)
    count = dataset.num_reviews(split)
    if not 0 <= number < count:
        raise SettingsError(f"review {number} is not there; the {split} split has 0 to {count - 1:,}")
    [(ids, label)] = dataset.pick(split, [number]).values()
    ids = np.where(ids < num_words, ids, OUT_OF_VOCABULARY_ID).tolist()
    text = dataset.vocabulary().decode(ids)
    return ShownReview(number, split, label, dataset.labels[label], ids, text)
