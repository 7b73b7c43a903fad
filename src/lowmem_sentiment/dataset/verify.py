"""Check every byte of a dataset directory."""

from typing import Any

import numpy as np

from ..system.errors import DataError
from ..system.progress import Progress, no_progress
from .reader import Dataset


def verify(dataset: Dataset, progress: Progress = no_progress) -> dict[str, Any]:
    """Check every byte of a dataset: the shards' digests and records, the vocabulary, the counts.

    Return what was checked. Raises DataError for the first thing that is wrong.
    """
    dataset.vocabulary()
    dataset.input_vocabulary()
    size = reviews = 0
    for split in dataset.splits:
        labels, tokens = np.zeros(len(dataset.labels), np.int64), 0
        for block in dataset.read(split):
            labels += np.bincount(block.labels, minlength=len(labels))
            tokens += len(block.token_ids)
            progress("verify", reviews + int(labels.sum()), None)
        if labels.tolist() != dataset.label_counts(split) or tokens != dataset.num_tokens(split):
            raise DataError(
                f"{dataset.directory}: the {split} split has {labels.tolist()} reviews by label and "
                f"{tokens:,} token ids, the manifest says {dataset.label_counts(split)} and "
                f"{dataset.num_tokens(split):,}"
            )
        if dataset.features:
            for _ in dataset.read(split, "features"):
                pass
        reviews += int(labels.sum())
        size += sum(shard.bytes for shard in dataset.shards(split))
    return {"dataset": str(dataset.directory), "reviews": reviews, "bytes": size}
