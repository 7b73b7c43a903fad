"""95 % intervals and standard errors: how far a metric would move on other reviews of the same kind."""

import math
from typing import Any

import numpy as np

from ..model.metrics import areas_under_roc, f1_scores
from .scoring import Tally

CONFIDENCE = 0.95

_Z = 1.959963984540054  # the normal distribution's 97.5 % quantile

REPLICATES = 1_000

_SEED = 113

_DRAWS = 1 << 18  # cells drawn at a time: 2 MB; fewer replicates than 1,000 where there are many labels

_MOST_DRAWS = 20_000_000  # in all, some 0.5 s

Interval = list[float]


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


def intervals(tally: Tally) -> dict[str, Any]:
    """Return [low, high] of accuracy, precision, recall, F1 and AUC, and of each label's.

    Accuracy, precision and recall of a label are shares: Wilson's interval. F1, AUC and means over
    labels are bootstrapped with a fixed seed from the counts, so no review is kept for it: each cell of
    the counts is drawn from a Poisson distribution (the Poisson bootstrap: Hanley and MacGibbon, 2006).
    """
    counts, labels = tally.counts, tally.labels
    right = np.diag(counts).tolist()
    predicted, true = counts.sum(axis=0).tolist(), counts.sum(axis=1).tolist()
    drawn = _bootstrap_labels(counts)
    by_label = {
        label: {
            "precision": wilson(right[nth], predicted[nth]),
            "recall": wilson(right[nth], true[nth]),
            "f1": drawn["f1"][nth],
        }
        for nth, label in enumerate(labels)
    }
    result = {"accuracy": wilson(sum(right), tally.reviews)}
    if tally.bins is not None:
        result |= {**by_label[labels[1]], "auc": _bootstrap_auc(tally.bins)}
    else:
        result |= drawn["means"]
    return {**result, "by_label": by_label}


def standard_error(tally: Tally, metric: str) -> float:
    """Return the standard error of "accuracy", "loss", "auc", "macro_f1" or "f1:LABEL".

    Of accuracy and loss it is that of a mean; the others are bootstrapped as in `intervals`.
    """
    if metric == "loss":
        return tally.loss_error
    if metric == "accuracy":
        reviews = max(1, tally.reviews)
        share = float(np.trace(tally.counts)) / reviews
        return math.sqrt(share * (1 - share) / reviews)
    if metric == "auc" and tally.bins is not None:
        return float(np.concatenate([areas_under_roc(each) for each in _replicates(tally.bins)]).std())
    f1 = np.concatenate([f1_scores(drawn) for drawn in _replicates(tally.counts)])
    if metric == "macro_f1":
        return float(f1.mean(axis=1).std())
    return float(f1[:, tally.labels.index(metric.removeprefix("f1:"))].std())


def _quantiles(values: np.ndarray) -> list[Any]:
    """Return [low, high] from float[replicates], or a list of them from float[replicates, n]."""
    tail = (1 - CONFIDENCE) / 2
    return np.quantile(values, [tail, 1 - tail], axis=0).T.tolist()


def _replicates(counts: np.ndarray) -> Any:
    """Yield int64[some, *counts.shape], resampled counts, a few MB at a time."""
    generator = np.random.default_rng(_SEED)
    present = np.flatnonzero(counts)
    left = max(100, min(REPLICATES, _MOST_DRAWS // counts.size))
    while left:
        some = min(left, max(1, _DRAWS // counts.size))
        drawn = np.zeros((some, counts.size), np.int64)
        drawn[:, present] = generator.poisson(counts.ravel()[present], (some, len(present)))
        yield drawn.reshape(some, *counts.shape)
        left -= some


def _bootstrap_auc(bins: np.ndarray) -> Interval:
    return _quantiles(np.concatenate([areas_under_roc(drawn) for drawn in _replicates(bins)]))


def _bootstrap_labels(counts: np.ndarray) -> dict[str, Any]:
    """Return the intervals of each label's F1, and of the means over the labels."""
    f1, means = [], []
    for drawn in _replicates(counts):
        right = np.diagonal(drawn, axis1=1, axis2=2)
        predicted, true = drawn.sum(axis=1), drawn.sum(axis=2)
        values = {
            "precision": right / np.maximum(1, predicted),
            "recall": right / np.maximum(1, true),
            "f1": f1_scores(drawn),
        }
        f1.append(values["f1"])
        weights = true / np.maximum(1, true.sum(axis=1, keepdims=True))
        each = [value.mean(axis=1) for value in values.values()]
        each += [(value * weights).sum(axis=1) for value in values.values()]
        means.append(np.stack(each, axis=1))
    names = [f"{mean}_{name}" for mean in ("macro", "weighted") for name in values]
    return {
        "f1": _quantiles(np.concatenate(f1)),
        "means": dict(zip(names, _quantiles(np.concatenate(means)), strict=True)),
    }
