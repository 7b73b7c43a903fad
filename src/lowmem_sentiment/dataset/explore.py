"""Explore the data, in one streaming pass with only NumPy: the tutorial's second step.

Memory depends on the vocabulary (8 bytes per word, and 8 per known word and label), not on the number of
reviews: 1 MiB of records, 65,536 lengths and half a million fingerprints are held at most.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..system.errors import DataError, SettingsError, plural
from ..system.progress import Progress, no_progress
from ..text.vocabulary import DEFAULT_NUM_WORDS, MIN_NUM_WORDS, OUT_OF_VOCABULARY_ID
from .counts import LeaningWord, LengthCounts, WordCount, WordCounter
from .duplicates import DuplicateCounter, Duplicates
from .manifest import FEATURES, MANIFEST, SCALES, VOCABULARY, FeaturesFile, Lengths
from .reader import Dataset


@dataclass(frozen=True)
class LengthStatistics(Lengths):
    """Ids per review, over both splits; the start id counts, as in the tutorial."""

    quantiles: dict[str, int]
    """The quantiles, by share of the reviews ("0.5")."""
    histogram: list[list[int]]
    """First length, last length and number of reviews of each bin."""


@dataclass(frozen=True)
class Exploration:
    """The statistics of a dataset whose every byte was checked."""

    dataset: str
    """The directory."""
    data: str
    """Where the reviews came from."""
    reviews: dict[str, int]
    """By split."""
    labels: dict[str, dict[str, int]]
    """Reviews of each label by split."""
    words: int
    num_words: int
    """The ids that count as known in `distinct_ids`, `leaning` and `leaning_features`."""
    distinct_ids: int
    length: LengthStatistics
    out_of_vocabulary: dict[str, float]
    """The share of words that are unknown at some vocabulary sizes, and with the whole ("all")."""
    most_frequent: list[WordCount]
    leaning: dict[str, list[LeaningWord]]
    """The words that lean most to each label."""
    features: FeaturesFile | None
    """None: the dataset has no n-grams."""
    leaning_features: dict[str, list[LeaningWord]] | None
    """The n-grams that lean most to each label; `count` is a number of reviews."""
    empty: int
    """Reviews without a word."""
    duplicates: Duplicates
    checked_bytes: int
    """The size of all files in bytes."""
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return the object that `explore --json` prints; without n-grams it has no keys for them."""
        content = asdict(self)
        if self.features is None:
            del content["features"], content["leaning_features"]
        return content


def explore(
    dataset: Dataset | str | Path,
    *,
    num_words: int | None = None,
    top: int = 20,
    progress: Progress = no_progress,
) -> Exploration:
    """Return the statistics of a dataset, and check every byte of it.

    `num_words` (default: 10,000, or all if there are fewer) is how many ids count as known; `top` is how
    many words are listed. Every file's digest, record's CRC and count in the manifest is checked. Raises
    SettingsError, InputMissing, and DataError for the first damage.
    """
    dataset = Dataset.of(dataset)
    num_words = check_num_words(num_words, dataset)
    if top < 0:
        raise SettingsError(f"top is {top}, expected 0 or more")
    vocabulary = dataset.vocabulary()
    words, features, lengths, duplicates = _count(dataset, num_words, progress)
    return Exploration(
        dataset=str(dataset.directory),
        data=dataset.source["description"],
        reviews={split: dataset.num_reviews(split) for split in dataset.splits},
        labels={
            label: {split: dataset.label_counts(split)[nth] for split in dataset.splits}
            for nth, label in enumerate(dataset.labels)
        },
        words=dataset.num_words,
        num_words=num_words,
        distinct_ids=words.distinct_ids(),
        length=LengthStatistics(**vars(dataset.length), **lengths.distribution()),
        out_of_vocabulary=words.out_of_vocabulary(),
        most_frequent=words.most_frequent(vocabulary, top),
        leaning=words.leaning(vocabulary, dataset.labels, top),
        features=dataset.features,
        leaning_features=_leaning_features(dataset, features, top) if features else None,
        empty=lengths.empty,
        duplicates=duplicates,
        checked_bytes=_size(dataset),
        warnings=dataset.warnings() + _warnings(duplicates, lengths.empty),
    )


def _leaning_features(dataset: Dataset, features: WordCounter, top: int) -> dict[str, list[LeaningWord]]:
    dataset.input_scales(dataset.num_inputs)  # its digest is checked
    reviews = [sum(counts) for counts in zip(*map(dataset.label_counts, dataset.splits), strict=True)]
    return features.leaning(dataset.input_vocabulary(), dataset.labels, top, reviews)


def check_num_words(num_words: int | None, dataset: Dataset) -> int:
    """Return `num_words`, by default 10,000 or all if there are fewer; SettingsError below 4."""
    if num_words is None:
        return min(DEFAULT_NUM_WORDS, dataset.num_ids)
    if num_words < MIN_NUM_WORDS:
        raise SettingsError(f"num_words is {num_words}, expected {MIN_NUM_WORDS} or more")
    return min(num_words, dataset.num_ids)


def _count(
    dataset: Dataset, num_words: int, progress: Progress
) -> tuple[WordCounter, WordCounter | None, LengthCounts, Duplicates]:
    """Count words, features, lengths and copies; DataError if the manifest has different numbers."""
    words = WordCounter(dataset.num_ids, num_words, len(dataset.labels))
    features = None
    if dataset.features:
        known = min(num_words, dataset.num_inputs)
        features = WordCounter(dataset.num_inputs, known, len(dataset.labels))
    lengths, duplicates = LengthCounts(), DuplicateCounter()
    total, done = sum(map(dataset.num_reviews, dataset.splits)), 0
    for split in dataset.splits:
        labels, tokens = np.zeros(len(dataset.labels), np.int64), 0
        for reviews, inputs in dataset.read_with_inputs(split):
            labels += np.bincount(reviews.labels, minlength=len(labels))
            tokens += len(reviews.token_ids)
            words.add(reviews)
            if features:
                features.add(inputs)
            lengths.add(reviews.lengths)
            duplicates.add(reviews, int(split != "train"))
            done += len(reviews.lengths)
            progress("explore", done, total)
        if labels.tolist() != dataset.label_counts(split) or tokens != dataset.num_tokens(split):
            raise DataError(
                f"{dataset.directory}: the {split} split has {labels.tolist()} reviews by label and "
                f"{tokens:,} token ids, the manifest says {dataset.label_counts(split)} and "
                f"{dataset.num_tokens(split):,}"
            )
    return words, features, lengths, duplicates.summary()


def _size(dataset: Dataset) -> int:
    names = [MANIFEST, VOCABULARY]
    if dataset.features:
        names += [FEATURES, SCALES] if dataset.features.scales_sha256 else [FEATURES]
    shards = sum(shard.bytes for split in dataset.splits for shard in dataset.shards(split))
    return shards + sum((dataset.directory / name).stat().st_size for name in names)


def _warnings(duplicates: Duplicates, empty: int) -> list[str]:
    warnings = []
    about = "" if duplicates.exact else "about "
    if both := duplicates.in_both_splits:
        stands = "stands" if both == 1 else "stand"
        warnings.append(
            f"{about}{plural(both, 'text')} {stands} in both splits, word for word: "
            "the model is tested on what it was trained on"
        )
    if several := duplicates.with_several_labels:
        has = "has" if several == 1 else "have"
        warnings.append(f"{about}{plural(several, 'text')} {has} more than one label")
    if empty:
        warnings.append(f"{plural(empty, 'review')} {'has' if empty == 1 else 'have'} no words")
    return warnings


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
        """Return the object that `explore --show N --json` prints."""
        return asdict(self)


def show(
    dataset: Dataset | str | Path, number: int, *, split: str = "test", num_words: int | None = None
) -> ShownReview:
    """Return the review `number` (from 0) of a split: label, ids at `num_words`, and decoded text.

    Only the shard that holds it is read, as a whole, to check its digest. Raises SettingsError for a
    review that does not exist, and DataError.
    """
    dataset = Dataset.of(dataset)
    if split not in dataset.splits:
        raise SettingsError(f"split is {split!r}, expected one of {', '.join(dataset.splits)}")
    num_words = check_num_words(num_words, dataset)
    count = dataset.num_reviews(split)
    if not 0 <= number < count:
        raise SettingsError(f"review {number} is not there; the {split} split has 0 to {count - 1:,}")
    [(ids, label)] = dataset.pick(split, [number]).values()
    ids = np.where(ids < num_words, ids, OUT_OF_VOCABULARY_ID).tolist()
    text = dataset.vocabulary().decode(ids)
    return ShownReview(number, split, label, dataset.labels[label], ids, text)
