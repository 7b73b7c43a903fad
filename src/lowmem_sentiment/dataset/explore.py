"""What the data looks like, in one streaming pass with NumPy alone: the tutorial's second step.

Memory follows the vocabulary (8 bytes a word, and 8 a label for each known one) and three
bounds, never the number of reviews: 1 MiB of records at a time, 65,536 lengths, and half a
million fingerprints.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ..system.errors import SettingsError, plural
from ..system.progress import Progress, no_progress
from ..text.vocabulary import DEFAULT_NUM_WORDS, MIN_NUM_WORDS
from .duplicates import DuplicateCounter
from .lengths import LengthHistogram
from .manifest import SPLITS
from .reader import Dataset
from .word_counts import WordCounter


def explore(
    dataset: Dataset | str | Path,
    *,
    num_words: int | None = None,
    top: int = 20,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Return the statistics of a dataset, as a dictionary that JSON can hold.

    `num_words` (default: 10,000, or all where there are fewer) is the vocabulary that "distinct
    ids" and the words that lean to a label are of; `top` is how many words are listed. Lengths
    count the start id, as the tutorial does. Raises SettingsError, InputMissing, DataError.
    """
    if not isinstance(dataset, Dataset):
        dataset = Dataset(dataset)
    num_words = check_num_words(num_words, dataset)
    if top < 0:
        raise SettingsError(f"top is {top}, expected 0 or more")
    words = WordCounter(dataset.num_ids, num_words, len(dataset.labels))
    lengths, duplicates = LengthHistogram(), DuplicateCounter()
    counts = _count(dataset, words, lengths, duplicates, progress)
    vocabulary = dataset.vocabulary()
    result = {
        "dataset": str(dataset.directory),
        "data": dataset.source["description"],
        "reviews": {split: int(counts[split].sum()) for split in SPLITS},
        "labels": {
            label: {split: int(counts[split][nth]) for split in SPLITS}
            for nth, label in enumerate(dataset.labels)
        },
        "words": dataset.num_words,
        "num_words": num_words,
        "distinct_ids": words.distinct_ids(),
        "length": {**vars(dataset.length), **lengths.summary()},
        "out_of_vocabulary": words.out_of_vocabulary(),
        "most_frequent": words.most_frequent(vocabulary, top),
        "leaning": words.leaning(vocabulary, dataset.labels, top),
        **_features(dataset, num_words, top),
        "empty": lengths.empty,
        "duplicates": duplicates.summary(),
    }
    warnings = dataset.warnings() + _warnings(result["duplicates"], result["empty"])
    return {**result, "warnings": warnings}


def check_num_words(num_words: int | None, dataset: Dataset) -> int:
    """Return `num_words`, by default 10,000, or all where there are fewer; SettingsError below 4."""
    if num_words is None:
        return min(DEFAULT_NUM_WORDS, dataset.num_ids)
    if num_words < MIN_NUM_WORDS:
        raise SettingsError(f"num_words is {num_words}, expected {MIN_NUM_WORDS} or more")
    return min(num_words, dataset.num_ids)


def _features(dataset: Dataset, num_words: int, top: int) -> dict[str, Any]:
    """Return what is known of n-grams: those that lean most to each label; nothing without any."""
    if not dataset.features:
        return {}
    num_features = min(num_words, dataset.num_inputs)
    features = WordCounter(dataset.num_inputs, num_features, len(dataset.labels))
    for split in SPLITS:
        for block in dataset.read(split, "features"):
            features.add(block)
    reviews = [sum(counts) for counts in zip(*map(dataset.label_counts, SPLITS), strict=True)]
    leaning = features.leaning(dataset.input_vocabulary(), dataset.labels, top, reviews)
    return {"features": vars(dataset.features), "leaning_features": leaning}


def _count(
    dataset: Dataset,
    words: WordCounter,
    lengths: LengthHistogram,
    duplicates: DuplicateCounter,
    progress: Progress,
) -> dict[str, np.ndarray]:
    """Count every review, and return int64[labels], the reviews of each, by split."""
    counts = {split: np.zeros(len(dataset.labels), np.int64) for split in SPLITS}
    total, done = sum(map(dataset.num_reviews, SPLITS)), 0
    for nth, split in enumerate(SPLITS):
        for reviews in dataset.read(split):
            counts[split] += np.bincount(reviews.labels, minlength=len(dataset.labels))
            words.add(reviews)
            lengths.add(reviews.lengths)
            duplicates.add(reviews, nth)
            done += len(reviews.lengths)
            progress("explore", done, total)
    return counts


def _warnings(duplicates: dict[str, Any], empty: int) -> list[str]:
    """Return a line for each thing in the reviews that hints at a mistake in the data."""
    warnings = []
    about = "" if duplicates["exact"] else "about "
    if both := duplicates["in_both_splits"]:
        stands = "stands" if both == 1 else "stand"
        warnings.append(
            f"{about}{plural(both, 'text')} {stands} in both splits, word for word: "
            "the model is tested on what it was trained on"
        )
    if several := duplicates["with_several_labels"]:
        has = "has" if several == 1 else "have"
        warnings.append(f"{about}{plural(several, 'text')} {has} more than one label")
    if empty:
        warnings.append(f"{plural(empty, 'review')} {'has' if empty == 1 else 'have'} no words")
    return warnings
