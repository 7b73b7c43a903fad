"""Check every byte of a dataset directory."""

from typing import Any

from ..system.errors import DataError
from ..system.progress import Progress, no_progress
from .reader import Dataset


def verify(dataset: Dataset, progress: Progress = no_progress) -> dict[str, Any]:
    """Check every byte of a dataset: the shards' SHA-256 and records, the vocabulary, the counts.

    Gives what was checked; raises DataError for the first thing that is wrong.
    """
    vocabulary, total, records = dataset.vocabulary(), 0, 0
    for split in dataset.splits:
        dataset.verify(split)
        counted = 0
        for reviews in dataset.read(split):
            counted += len(reviews.lengths)
            largest = int(reviews.token_ids.max(initial=0))
            if largest >= vocabulary.num_ids or reviews.labels.max(initial=0) >= len(dataset.labels):
                raise DataError(f"{dataset.directory}: a {split} review has an unknown id or label")
            progress("verify", records + counted, None)
        if counted != dataset.num_reviews(split):
            raise DataError(
                f"{dataset.directory}: {counted:,} {split} reviews, the manifest says "
                f"{dataset.num_reviews(split):,}"
            )
        records += counted
        total += sum(shard.bytes for shard in dataset.shards(split))
    return {"dataset": str(dataset.directory), "reviews": records, "bytes": total}
