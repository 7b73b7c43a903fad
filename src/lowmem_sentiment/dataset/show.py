"""One review of a dataset, as the tutorial prints it."""

from pathlib import Path
from typing import Any

import numpy as np

from ..system.errors import SettingsError
from ..text.vocabulary import OUT_OF_VOCABULARY_ID
from .explore import check_num_words
from .manifest import SPLITS
from .reader import Dataset


def show(
    dataset: Dataset | str | Path, number: int, *, split: str = "test", num_words: int | None = None
) -> dict[str, Any]:
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
    ids, label = _find_review(dataset, split, number)
    ids = np.where(ids < num_words, ids, OUT_OF_VOCABULARY_ID).tolist()
    return {
        "number": number,
        "split": split,
        "label": label,
        "label_name": dataset.labels[label],
        "ids": ids,
        "text": dataset.vocabulary().decode(ids),
    }


def _find_review(dataset: Dataset, split: str, number: int) -> tuple[np.ndarray, int]:
    """Return ids and label of a review that is there, by the manifest."""
    shard, shards = 0, dataset.shards(split)
    while number >= shards[shard].records:
        number -= shards[shard].records
        shard += 1
    found = None
    for reviews in dataset.read_shard(split, shard):
        if 0 <= number < len(reviews.lengths):
            found = reviews.split()[number], int(reviews.labels[number])
        number -= len(reviews.lengths)
    assert found  # read_shard has compared the records with the manifest's
    return found
