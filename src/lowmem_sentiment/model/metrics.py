"""Metrics of a model from counts of reviews: accuracy, precision, recall, F1, areas, curves.

Validation while training and `evaluate` both take them from here.
"""

from typing import Any, NamedTuple

import numpy as np

# Probabilities are counted in this many bins instead of being kept. It is a power of two, so that binning
# is exact and 0.5 is an edge: above it is the second label, as everywhere.
SCORE_BINS = 2048


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return float64, part / whole, and 0 where `whole` is 0."""
    return np.asarray(np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0))


def from_confusion_matrix(counts: np.ndarray, labels: list[str]) -> dict[str, Any]:
    """Return accuracy, precision, recall and F1 from int[labels, labels], true label by predicted.

    A label without predictions or reviews counts as 0. With two labels the second is positive; with more
    there are means over the labels ("macro") and over the reviews ("weighted").
    """
    right, true, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    precision, recall = ratio(right, predicted), ratio(right, true)
    f1 = ratio(2 * precision * recall, precision + recall)
    measures = {"precision": precision, "recall": recall, "f1": f1}
    result = {"accuracy": float(ratio(right.sum(), true.sum()))}
    for name, values in measures.items():
        if len(labels) == 2:
            result[name] = float(values[1])
        else:
            result[f"macro_{name}"] = float(values.mean())
            result[f"weighted_{name}"] = float(ratio((values * true).sum(), true.sum()))
    by_label = {
        label: {name: float(values[nth]) for name, values in measures.items()}
        | {"reviews": int(true[nth])}
        for nth, label in enumerate(labels)
    }
    return {**result, "by_label": by_label}


def score_bins(scores: np.ndarray) -> np.ndarray:
    """Return int64[n], the bin of each probability: bin k has those above k / 2048 up to (k + 1) / 2048.

    >>> score_bins(np.array([0, 0.5, 0.5000001, 1]))
    array([   0, 1023, 1024, 2047])
    """
    bins: np.ndarray = np.ceil(scores * SCORE_BINS).astype(np.int64) - 1
    return bins.clip(0, SCORE_BINS - 1)


def to_confusion_matrix(bins: np.ndarray) -> np.ndarray:
    """Return int[2, 2], true label by predicted, from int[2, bins], true label by probability."""
    middle = bins.shape[1] // 2
    return np.stack([bins[:, :middle].sum(axis=1), bins[:, middle:].sum(axis=1)], axis=1)


def area_under_roc(bins: np.ndarray) -> np.ndarray:
    """Return float64[...], the share of (positive, negative) pairs in the right order.

    `bins` is int[..., 2, bins]. A pair in one bin counts as half: on IMDb this changes the 6th digit. The
    area is 0 if a label is missing.
    """
    negative, positive = np.moveaxis(bins.astype(np.float64), -2, 0)
    below = np.cumsum(negative, axis=-1) - negative / 2
    return ratio((below * positive).sum(axis=-1), negative.sum(axis=-1) * positive.sum(axis=-1))


def calibration_error(confidence: np.ndarray, groups: int = 16) -> float:
    """Return the expected calibration error from int[2, bins]: wrong and right, by top probability.

    The mean over the reviews of |accuracy - mean confidence| in `groups` ranges of equal width (Guo et
    al., "On Calibration of Modern Neural Networks", 2017). A review's confidence is taken to be the
    middle of its bin: off by 1/4096 at most.
    """
    reviews = confidence.sum(axis=0)
    middles = (np.arange(confidence.shape[1]) + 0.5) / confidence.shape[1]
    gaps = (confidence[1] - reviews * middles).reshape(groups, -1).sum(axis=1)
    return float(ratio(np.abs(gaps).sum(), reviews.sum()))


def precision_recall(bins: np.ndarray, thresholds: int = 128) -> dict[str, np.ndarray]:
    """Return float64[thresholds + 1] each of true and false positives and negatives, precision, recall.

    Precision is 1 if no review is above a threshold: the curve ends at recall 0, precision 1.
    """
    groups = bins.astype(np.float64).reshape(2, thresholds, -1).sum(axis=2)
    above = np.cumsum(groups[:, ::-1], axis=1)[:, ::-1]
    false_positives, true_positives = np.concatenate([above, np.zeros((2, 1))], axis=1)
    negatives, positives = bins.sum(axis=1)
    predicted = true_positives + false_positives
    return {
        "true_positives": true_positives,
        "false_positives": false_positives,
        "true_negatives": negatives - false_positives,
        "false_negatives": positives - true_positives,
        "precision": np.divide(
            true_positives, predicted, out=np.ones_like(predicted), where=predicted > 0
        ),
        "recall": true_positives / max(1, positives),
    }


class Mistake(NamedTuple):
    """A review that a model is wrong about."""

    number: int
    """Its place in the reviews, from 0."""
    predicted: int
    """The wrong label."""
    probability: float
    """The model's probability of that label."""
