"""95 % intervals and standard errors: how far a metric would move on other reviews of the same kind."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..model.metrics import area_under_roc, calibration_error
from .scoring import Tally

CONFIDENCE = 0.95

_Z = 1.959963984540054  # the normal distribution's 97.5 % quantile

REPLICATES = 1_000

_SEED = 113

_DRAWS = 1 << 18  # cells drawn at a time: 2 MB

_MOST_DRAWS = 20_000_000  # in all, 0.5 s: with many labels there are fewer replicates than 1,000

Interval = list[float]
"""The lower and the upper end."""


def wilson(successes: int, trials: int) -> Interval:
    """Return the Wilson score interval of a share (Wilson, 1927); [0, 1] without trials.

    >>> [round(each, 4) for each in wilson(9, 10)]
    [0.5958, 0.9821]
    """
    if not trials:
        return [0.0, 1.0]
    share, spread = successes / trials, _Z * _Z / trials
    middle = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    return [max(0.0, middle - half), min(1.0, middle + half)]


def intervals(tally: Tally) -> tuple[dict[str, Interval], dict[str, dict[str, Interval]]]:
    """Return the intervals of the metrics by name, and of each label's metrics.

    Accuracy, and a label's precision and recall, are shares with Wilson's interval. F1, AUC and means
    over labels are bootstrapped with a fixed seed from the counts, without keeping reviews: each cell of
    the counts is drawn from a Poisson distribution (the Poisson bootstrap: Hanley and MacGibbon, 2006).
    """
    counts, labels = tally.counts, tally.labels
    right = np.diag(counts).tolist()
    predicted, true = counts.sum(axis=0).tolist(), counts.sum(axis=1).tolist()
    f1s, means = _bootstrap_labels(counts)
    by_label = {
        label: {"precision": wilson(found, of), "recall": wilson(found, there), "f1": f1}
        for label, found, of, there, f1 in zip(labels, right, predicted, true, f1s, strict=True)
    }
    result = {"accuracy": wilson(sum(right), tally.reviews)}
    result |= means if tally.bins is None else by_label[labels[1]]
    if tally.bins is not None and tally.bins.any(axis=1).all():
        result["auc"] = _quantiles(_resampled(tally.bins, area_under_roc))
    return result, by_label


def reliability(tally: Tally) -> tuple[dict[str, float], dict[str, Interval]]:
    """Return "loss" and "calibration_error", and their intervals.

    A calibration error is a mean of absolute gaps, and so is too high by chance; a resample's is too high
    by as much again. Reflecting the quantiles at the estimate (the basic bootstrap: Davison and Hinkley,
    "Bootstrap Methods and their Application", 1997) takes both away. The lower end is 0 if as high an
    error would often be found for probabilities that are exactly right.
    """
    metrics, _ = tally.metrics()
    loss, gap = metrics["loss"], metrics["calibration_error"]
    reviews = tally.confidence.sum(axis=0)
    middles = (np.arange(len(reviews)) + 0.5) / len(reviews)
    low, high = _quantiles(_resampled(tally.confidence, _calibration_errors))
    as_promised = reviews * np.stack([1 - middles, middles])
    _, by_chance = _quantiles(_resampled(as_promised, _calibration_errors))
    around = _Z * tally.loss_error
    ends = {"loss": [loss - around, loss + around]}
    lower = 0.0 if gap <= by_chance else max(0.0, 2 * gap - high)
    ends["calibration_error"] = [lower, max(0.0, 2 * gap - low)]
    return {"loss": loss, "calibration_error": gap}, ends


def _calibration_errors(confidence: np.ndarray) -> np.ndarray:
    return np.array([calibration_error(each) for each in confidence])


def standard_error(tally: Tally, metric: str) -> float:
    """Return the standard error of "accuracy", "loss", "auc", "macro_f1" or "f1:LABEL".

    For accuracy and loss it is the standard error of a mean; the others are bootstrapped as in
    `intervals`.
    """
    if metric == "loss":
        return tally.loss_error
    if metric == "accuracy":
        return math.sqrt(tally.accuracy * (1 - tally.accuracy) / max(1, tally.reviews))
    if metric == "auc" and tally.bins is not None:
        return float(_resampled(tally.bins, area_under_roc).std())
    if metric == "macro_f1":
        macro = [means["macro_f1"] for _, means in _resampled_metrics(tally.counts)]
        return float(np.concatenate(macro).std())
    f1 = np.concatenate([metrics["f1"] for metrics, _ in _resampled_metrics(tally.counts)])
    return float(f1[:, tally.labels.index(metric.removeprefix("f1:"))].std())


def _quantiles(values: np.ndarray) -> Any:
    """Return the interval of float[replicates], or a list of them for float[replicates, n]."""
    tail = (1 - CONFIDENCE) / 2
    return np.quantile(values, [tail, 1 - tail], axis=0).T.tolist()


def _blocks(cells: int) -> Iterator[int]:
    """Yield how many replicates to draw at a time, for a number of cells."""
    left, most = max(100, min(REPLICATES, _MOST_DRAWS // cells)), max(1, _DRAWS // cells)
    for done in range(0, left, most):
        yield min(most, left - done)


def _draw(generator: np.random.Generator, counts: np.ndarray, some: int) -> np.ndarray:
    present = np.flatnonzero(counts)
    drawn = np.zeros((some, counts.size), np.int64)
    drawn[:, present] = generator.poisson(counts.ravel()[present], (some, len(present)))
    return drawn.reshape(some, *counts.shape)


def _resampled(counts: np.ndarray, metric: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return float64[replicates], a metric of the counts resampled."""
    generator = np.random.default_rng(_SEED)
    drawn = (_draw(generator, counts, some) for some in _blocks(counts.size))  # 2 MB at a time
    return np.concatenate([metric(each) for each in drawn])


def _resampled_metrics(
    counts: np.ndarray,
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Yield precision, recall and F1 from resampled int[labels, labels], and their means over the labels.

    The metrics are float64[some, labels], the means float64[some]. A label that is missing from a
    resample by chance is left out of its macro means: counted as 0, rare labels would move the interval
    below the metric. A few rows are drawn at a time, so that memory does not grow with the square of the
    labels.
    """
    occurs = {"precision": counts.sum(axis=0) > 0, "recall": counts.sum(axis=1) > 0}
    occurs["f1"] = occurs["precision"] | occurs["recall"]
    generator, labels = np.random.default_rng(_SEED), len(counts)
    rows = max(1, _DRAWS // labels)
    for some in _blocks(counts.size):
        right, predicted, true = np.zeros((3, some, labels), np.int64)
        for first in range(0, labels, rows):
            part = slice(first, first + rows)
            block = _draw(generator, counts[part], some)
            right[:, part] = np.diagonal(block, first, axis1=1, axis2=2)
            predicted += block.sum(axis=1)
            true[:, part] = block.sum(axis=2)
        metrics = {
            "precision": right / np.maximum(1, predicted),
            "recall": right / np.maximum(1, true),
            "f1": 2 * right / np.maximum(1, predicted + true),
        }
        weights = true / np.maximum(1, true.sum(axis=1, keepdims=True))
        drawn = {"precision": predicted > 0, "recall": true > 0, "f1": predicted + true > 0}
        means = {
            f"macro_{name}": value.sum(axis=1)
            / np.maximum(1, drawn[name].sum(axis=1))
            * occurs[name].mean()
            for name, value in metrics.items()
        }
        means |= {f"weighted_{name}": (value * weights).sum(axis=1) for name, value in metrics.items()}
        yield metrics, means


def _bootstrap_labels(counts: np.ndarray) -> tuple[list[Interval], dict[str, Interval]]:
    """Return the intervals of each label's F1, and of the means over the labels."""
    f1, all_means = [], []
    for metrics, means in _resampled_metrics(counts):
        f1.append(metrics["f1"])
        all_means.append(np.stack([*means.values()], axis=1))
    ends = _quantiles(np.concatenate(all_means))
    return _quantiles(np.concatenate(f1)), dict(zip(means, ends, strict=True))
