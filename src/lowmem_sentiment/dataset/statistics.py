"""What the data looks like, in one streaming pass with NumPy alone: the tutorial's second step.

Memory follows the vocabulary (8 bytes a word, and 8 a label for each known one) and three
bounds, never the number of reviews: 1 MiB of records at a time, 65,536 lengths, and half a
million fingerprints.
"""

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from ..system.errors import DataError, SettingsError
from ..system.progress import Progress, no_progress
from ..text.reviews import Reviews
from ..text.vocabulary import (
    DEFAULT_NUM_WORDS,
    FIRST_WORD_ID,
    MIN_NUM_WORDS,
    OUT_OF_VOCABULARY_ID,
    START_ID,
    Vocabulary,
)
from .duplicates import Copies
from .reader import Dataset
from .records import read

SPLITS = ("train", "test")

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

COVERAGES = (1_000, 5_000, 10_000)

_LONGEST = 1 << 16
"""Lengths from here on are counted as one (512 KB of counts)."""

_BINS = 20  # of the histogram, at most

_PRIOR_WORDS = 1_000
"""How many words of the whole data each label is given beforehand, so that a word seen twice
cannot lean further than one seen a thousand times."""


def explore(
    dataset: Dataset | str | Path,
    *,
    num_words: int | None = None,
    top: int = 20,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Give the statistics of a dataset, as a dictionary that JSON can hold.

    `num_words` (default: 10,000, or all where there are fewer) is the vocabulary that "distinct
    ids" and the words that lean to a label are of; `top` is how many words are listed. Lengths
    count the start id, as the tutorial does. Raises SettingsError, InputMissing, DataError.
    """
    if not isinstance(dataset, Dataset):
        dataset = Dataset(dataset)
    num_words = _check_num_words(num_words, dataset)
    if top < 0:
        raise SettingsError(f"top is {top}, expected 0 or more")
    words = _Words(dataset.num_ids, num_words, len(dataset.labels))
    lengths, copies = _Lengths(), Copies()
    counts = {split: np.zeros(len(dataset.labels), np.int64) for split in SPLITS}
    total, done = sum(map(dataset.num_reviews, SPLITS)), 0
    for nth, split in enumerate(SPLITS):
        for reviews in dataset.read(split):
            counts[split] += np.bincount(reviews.labels, minlength=len(dataset.labels))
            words.add(reviews)
            lengths.add(reviews.lengths)
            copies.add(reviews, nth)
            done += len(reviews.lengths)
            progress("explore", done, total)
    vocabulary = dataset.vocabulary()
    result = {
        "dataset": str(dataset.directory),
        "data": dataset.source["description"],
        "reviews": {split: int(counts[split].sum()) for split in SPLITS},
        "labels": {
            label: {split: int(counts[split][nth]) for split in SPLITS}
            for nth, label in enumerate(dataset.labels)
        },
        "words": dataset.manifest["vocabulary"]["words"],
        "num_words": num_words,
        "distinct_ids": words.distinct_ids(),
        "length": {**dataset.manifest["length"], **lengths.summary()},
        "out_of_vocabulary": words.out_of_vocabulary(),
        "most_frequent": words.most_frequent(vocabulary, top),
        "leaning": words.leaning(vocabulary, dataset.labels, top),
        "empty": lengths.empty,
        "duplicates": copies.summary(),
    }
    return {**result, "warnings": _warnings(result, dataset.imbalance())}


def _check_num_words(num_words: int | None, dataset: Dataset) -> int:
    if num_words is None:
        return min(DEFAULT_NUM_WORDS, dataset.num_ids)
    if num_words < MIN_NUM_WORDS:
        raise SettingsError(f"num_words is {num_words}, expected {MIN_NUM_WORDS} or more")
    return min(num_words, dataset.num_ids)


class _Words:
    """Count every word, and the known ones by label."""

    def __init__(self, num_ids: int, num_words: int, num_labels: int):
        self._num_words = num_words
        self._counts = np.zeros(num_ids, np.int64)
        self._by_label = np.zeros((num_labels, num_words), np.int64)

    def add(self, reviews: Reviews) -> None:
        self._counts += np.bincount(reviews.token_ids, minlength=len(self._counts))
        known = reviews.token_ids < self._num_words
        for label in np.unique(reviews.labels):
            of_label = np.repeat(reviews.labels == label, reviews.lengths)
            ids = reviews.token_ids[of_label & known]
            self._by_label[label] += np.bincount(ids, minlength=self._num_words)

    def distinct_ids(self) -> int:
        """Count the ids that occur at `num_words`: words, the start, and the unknown."""
        distinct = np.count_nonzero(self._counts[: self._num_words])
        unknown_only_beyond = not self._counts[OUT_OF_VOCABULARY_ID]
        return int(distinct + (unknown_only_beyond and self._counts[self._num_words :].any()))

    def out_of_vocabulary(self) -> dict[str, float]:
        """Give the share of words that are unknown at some vocabulary sizes; the start is no word."""
        total = int(self._counts.sum() - self._counts[START_ID]) or 1
        never = int(self._counts[OUT_OF_VOCABULARY_ID])
        sizes = [size for size in COVERAGES if size < len(self._counts)]
        shares = {str(size): (never + int(self._counts[size:].sum())) / total for size in sizes}
        return {**shares, "all": never / total}

    def most_frequent(self, vocabulary: Vocabulary, top: int) -> list[dict[str, Any]]:
        """Give the words that occur most, with how often."""
        counts = self._counts[FIRST_WORD_ID:]
        order = np.argsort(-counts, kind="stable")[:top]
        return [
            {"word": vocabulary.decode([int(nth) + FIRST_WORD_ID]), "count": int(counts[nth])}
            for nth in order
            if counts[nth]
        ]

    def leaning(
        self, vocabulary: Vocabulary, labels: list[str], top: int
    ) -> dict[str, list[dict[str, Any]]]:
        """Give the words that lean most to each label, against all the others.

        Log-odds ratio with an informative Dirichlet prior, ordered by its z-score (Monroe,
        Colaresi and Quinn 2008, "Fightin' Words", equations 16, 20 and 22): plain log-odds
        would list the rarest words.
        """
        counts = self._by_label[:, FIRST_WORD_ID:]
        whole = counts.sum(axis=0)
        prior = whole * (_PRIOR_WORDS / max(1, int(whole.sum())))
        result = {}
        for nth, label in enumerate(labels):
            here, there = counts[nth] + prior, whole - counts[nth] + prior
            with np.errstate(divide="ignore", invalid="ignore"):  # words that never occur
                odds = np.log(here / (here.sum() - here)) - np.log(there / (there.sum() - there))
                score = odds / np.sqrt(1 / here + 1 / there)
            score[~np.isfinite(score)] = 0
            order = np.argsort(-score, kind="stable")[:top]
            result[label] = [
                {
                    "word": vocabulary.decode([int(word) + FIRST_WORD_ID]),
                    "log_odds": float(odds[word]),
                    "z": float(score[word]),
                    "count": int(whole[word]),
                }
                for word in order
                if score[word] > 0
            ]
        return result


class _Lengths:
    """Count reviews by length."""

    def __init__(self) -> None:
        self._counts = np.zeros(_LONGEST, np.int64)
        self._longest = 0
        self.empty = 0
        """Reviews without a word: the start id, or nothing at all."""

    def add(self, lengths: np.ndarray) -> None:
        self._counts += np.bincount(np.minimum(lengths, _LONGEST - 1), minlength=_LONGEST)
        self._longest = max(self._longest, int(lengths.max(initial=0)))
        self.empty += int(np.count_nonzero(lengths <= 1))

    def _quantile(self, share: float) -> int:
        """Give the least length that `share` of the reviews do not exceed."""
        below = np.cumsum(self._counts)
        length = int(np.searchsorted(below, share * below[-1]))
        return self._longest if length == _LONGEST - 1 else length

    def summary(self) -> dict[str, Any]:
        return {
            "quantiles": {str(share): self._quantile(share) for share in QUANTILES},
            "histogram": self._histogram(),
        }

    def _histogram(self) -> list[list[int]]:
        """Give [first length, last length, reviews] of bins up to the 99 % quantile, and of the rest."""
        most = min(self._quantile(0.99), _LONGEST - 1)
        width = _round_up(most / _BINS)
        edges = [*range(0, most + 1, width)]
        below = np.concatenate(([0], np.cumsum(self._counts)))
        bins = [[a, b - 1, int(below[b] - below[a])] for a, b in itertools.pairwise(edges)]
        last = [edges[-1], self._longest, int(below[-1] - below[edges[-1]])]
        return [*bins, last]


def _round_up(value: float) -> int:
    """Give the next of 1, 2, 5, 10, 20, 50, ..."""
    return next(
        step * 10**power for power in itertools.count() for step in (1, 2, 5) if step * 10**power >= value
    )


def _warnings(result: dict[str, Any], imbalance: str | None) -> list[str]:
    """Say what hints at mistakes in the data."""
    warnings = [imbalance] if imbalance else []
    for label, counts in result["labels"].items():
        warnings += [
            f"no {split} review has the label {label}" for split, count in counts.items() if not count
        ]
    copies = result["duplicates"]
    about = "" if copies["exact"] else "about "
    if copies["in_both_splits"]:
        warnings.append(
            f"{about}{copies['in_both_splits']:,} texts stand in both splits: "
            "the network is tested on what it was trained on"
        )
    if copies["with_several_labels"]:
        warnings.append(f"{about}{copies['with_several_labels']:,} texts have more than one label")
    if result["empty"]:
        warnings.append(f"{result['empty']:,} reviews have no words")
    return warnings


def show(
    dataset: Dataset | str | Path, number: int, *, split: str = "test", num_words: int | None = None
) -> dict[str, Any]:
    """Give the review `number` (from 0) of a split: label, ids at `num_words`, and decoded text.

    Shards before it are not read. Raises SettingsError for a review that is not there.
    """
    if not isinstance(dataset, Dataset):
        dataset = Dataset(dataset)
    if split not in SPLITS:
        raise SettingsError(f"split is {split!r}, expected one of {', '.join(SPLITS)}")
    num_words = _check_num_words(num_words, dataset)
    if not 0 <= number < dataset.num_reviews(split):
        raise SettingsError(
            f"review {number} is not there; the {split} split has 0 to {dataset.num_reviews(split) - 1:,}"
        )
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
    """Give ids and label of a review that is there."""
    for shard, path in zip(dataset.shards(split), dataset.paths(split), strict=True):
        if number >= shard.records:
            number -= shard.records
            continue
        with open(path, "rb") as file:
            for reviews in read(file, str(path)):
                if number < len(reviews.lengths):
                    return reviews.split()[number], int(reviews.labels[number])
                number -= len(reviews.lengths)
    raise DataError(f"{dataset.directory} has fewer {split} reviews than its manifest says")
