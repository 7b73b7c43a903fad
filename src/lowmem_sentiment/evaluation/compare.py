"""Runs side by side: settings that differ, metrics, and whether the difference is more than chance.

NumPy alone, from each run's weights.npz: a bit a review is kept, whether it was right.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset.reader import Dataset
from ..model.metrics import (
    SCORE_BINS,
    area_under_roc,
    from_confusion_matrix,
    score_bins,
    to_confusion_matrix,
)
from ..model.numpy_model import NumpyModel
from ..runs.run_directory import RunDirectory
from ..system.errors import SettingsError
from ..system.progress import Progress, no_progress
from ..text.reviews import Reviews

_REVIEWS = 500  # at a time: 65,000 rows of the first kernel, 13 MB


def compare(
    runs: list[str | Path],
    dataset: Dataset | str | Path | None = None,
    *,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Give settings that differ, metrics on the same test reviews, and each run against the first.

    Without `dataset` the test reviews are those of the dataset that the first run was trained on.
    Raises SettingsError for less than two runs, InputMissing and DataError for a run without
    weights, and DataError for one with other words or labels than the dataset's.
    """
    if len(runs) < 2:
        raise SettingsError(f"{len(runs)} run is given, expected two or more to compare")
    directories = [RunDirectory(run) for run in runs]
    configs = [run.config() for run in directories]
    dataset = directories[0].find_dataset(dataset)
    measured, right = [], []
    for nth, run in enumerate(directories):
        run.require_words_of(dataset)
        measures, bits = measure(run, dataset)
        measured.append({"run": str(run.path), **measures})
        right.append(bits)
        progress("compare", nth + 1, len(directories))
    every = [
        {**config["settings"], "dataset": config["dataset"]["fingerprint"][:12]} for config in configs
    ]
    names = dict.fromkeys(name for settings in every for name in settings)
    values = {name: [settings.get(name) for settings in every] for name in names}
    return {
        "data": dataset.source["description"],
        "dataset": str(dataset.directory),
        "reviews": dataset.num_reviews("test"),
        "settings": {name: each for name, each in values.items() if each != each[:1] * len(runs)},
        "metrics": measured,
        "against_first": [
            {"run": str(run.path), **mcnemar(right[0], bits)}
            for run, bits in zip(directories[1:], right[1:], strict=True)
        ],
    }


def mcnemar(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """Give the exact McNemar test of two classifiers, from packed bits: which reviews each got right.

    Only reviews that one got right and the other wrong count. If both were equally good, each of
    those would be a coin's toss: the p-value is the chance of a split at least as uneven as this
    one, two-sided (McNemar 1947; exact: the binomial distribution).

    >>> mcnemar(np.packbits([1, 1, 1, 1, 1, 1]), np.packbits([0, 0, 0, 0, 0, 1]))
    {'only_first_right': 5, 'only_second_right': 0, 'p_value': 0.0625}
    """
    only_first = int(np.unpackbits(first & ~second).sum())
    only_second = int(np.unpackbits(second & ~first).sum())
    return {
        "only_first_right": only_first,
        "only_second_right": only_second,
        "p_value": _two_sided(min(only_first, only_second), only_first + only_second),
    }


def _two_sided(fewer: int, tosses: int) -> float:
    """Give the chance that of `tosses` of a coin at most `fewer` are heads, or at most so many tails."""
    log = math.lgamma(tosses + 1) - tosses * math.log(2)
    terms = (math.exp(log - math.lgamma(k + 1) - math.lgamma(tosses - k + 1)) for k in range(fewer + 1))
    return min(1.0, round(2 * math.fsum(terms), 12))


def in_words(test: dict[str, Any]) -> str:
    """Say what `mcnemar` found, for a reader who has never met a p-value."""
    p, differ = test["p_value"], test["only_first_right"] + test["only_second_right"]
    if not differ:
        return "both are right on exactly the same reviews"
    better = "the first" if test["only_first_right"] > test["only_second_right"] else "this one"
    chance = f"{p:.0%}" if p >= 0.1 else f"{p:.1%}" if p >= 0.001 else "less than 0.1%"
    verdict = "may well be chance: call them equally good"
    if p < 0.05:
        verdict = f"more than chance: {better} is better"
    return (
        f"{verdict}. They differ on {differ:,} reviews; if both were equally good, luck alone would "
        f"split those at least this unevenly in {chance} of such comparisons (p = {p:.2g})"
    )


def measure(run: RunDirectory, dataset: Dataset) -> tuple[dict[str, float], np.ndarray]:
    """Give a run's metrics on the test split, and uint8[reviews / 8], packed: which it got right.

    Raises InputMissing for a run without weights, DataError for damaged ones.
    """
    network = NumpyModel.load(run)
    labels = dataset.labels
    codes = SCORE_BINS if len(labels) == 2 else len(labels)
    counts, right = np.zeros((len(labels), codes), np.int64), []
    for block in dataset.read("test"):
        ends = np.concatenate(([0], np.cumsum(block.lengths)))
        for first in range(0, len(block.labels), _REVIEWS):
            last = min(first + _REVIEWS, len(block.labels))
            ids = block.token_ids[ends[first] : ends[last]]
            some = Reviews(ids, block.lengths[first:last], block.labels[first:last])
            scores = network.scores(some)
            if len(labels) == 2:
                coded, predicted = score_bins(scores[:, -1]), scores[:, -1] > 0.5
            else:
                coded = predicted = scores.argmax(axis=1)
            np.add.at(counts, (some.labels, coded), 1)
            right.append(predicted == some.labels)
    matrix = to_confusion_matrix(counts) if len(labels) == 2 else counts
    measures = from_confusion_matrix(matrix, labels)
    if len(labels) == 2:
        measures["auc"] = area_under_roc(counts)
    numbers = {name: value for name, value in measures.items() if isinstance(value, float)}
    return numbers, np.packbits(np.concatenate(right))
