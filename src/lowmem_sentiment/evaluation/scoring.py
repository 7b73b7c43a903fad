"""The pass over labelled reviews that evaluate and tune share: models in, counts out.

Several models are scored in one pass, so that they are compared on the same reviews. Memory does not grow
with the number of reviews: only counts, three sums, and the observers' data are kept.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..dataset.reader import Dataset
from ..dataset.splits import is_held_out, split_on_disk
from ..model.metrics import (
    SCORE_BINS,
    area_under_roc,
    calibration_error,
    from_confusion_matrix,
    score_bins,
)
from ..system.progress import Progress
from ..text.encoders import Counts, TextEncoder
from ..text.reviews import count_in_each
from ..text.vocabulary import FIRST_WORD_ID

if TYPE_CHECKING:
    from ..model.keras_scores import KerasModel
    from ..model.numpy_model import NumpyModel

    Model = NumpyModel | KerasModel  # Keras runs what NumPy cannot

BATCH_REVIEWS = 500  # as ids 0.5 MB for IMDb; a batch's probabilities and logits take little more


class Batch(NamedTuple):
    """Some reviews, in order."""

    numbers: np.ndarray
    """int64[reviews]: each review's place in its split, or among the rows of files, from 0."""
    labels: np.ndarray
    """int64[reviews]"""
    encode: Callable[[int, Model], list[np.ndarray]]
    """Return each review's distinct ids for a model, given with its index among the scored models."""
    text: Callable[[int], bytes]
    """Return the text of the review at a place in the batch."""
    counts: Callable[[int, TextEncoder], Counts]
    """Return the words and known words of each review, for a scored model's index; after `encode`."""
    kept: Callable[[int], Sequence[Any]] = lambda nth: ()
    """Return the values of the columns to keep of the review at a place in the batch."""


class Scores(NamedTuple):
    """A model's predictions for a batch."""

    probabilities: np.ndarray
    """float32[reviews, labels]"""
    predicted: np.ndarray
    """int64[reviews]: the label chosen."""
    right: np.ndarray
    """bool[reviews]"""
    ids: list[np.ndarray]
    """Each review's distinct ids."""


Observer = Callable[[Batch, list[Scores]], None]


@dataclass(frozen=True)
class LabelMetrics:
    """How well one label is predicted; each metric is 0 to 1."""

    precision: float
    recall: float
    f1: float
    reviews: int
    """How many reviews have the label."""


def named_by_label(by_label: Mapping[str, LabelMetrics]) -> dict[str, float]:
    """Return each label's metrics by name, such as "recall:spam"."""
    return {
        f"{name}:{label}": getattr(metrics, name)
        for name in ("precision", "recall", "f1")
        for label, metrics in by_label.items()
    }


def all_metrics(metrics: Mapping[str, float], by_label: Mapping[str, LabelMetrics]) -> dict[str, float]:
    """Return metrics by name with each label's, and with macro F1 also for two labels."""
    macro_f1 = sum(each.f1 for each in by_label.values()) / len(by_label)
    return {"macro_f1": macro_f1, **metrics, **named_by_label(by_label)}


def metric_names(labels: Sequence[str]) -> list[str]:
    """Return the names of all metrics of these labels, such as "accuracy" and "recall:spam"."""
    metrics, by_label = Tally(labels).metrics()
    auc = ["auc"] if len(labels) == 2 else []  # not defined without reviews of both labels
    return [*metrics, *auc, *named_by_label(by_label)]


class Tally:
    """Counts of a model's predictions for labelled reviews: 70 KB for two labels and any reviews."""

    def __init__(self, labels: Sequence[str], threshold: float | None = None):
        """Count for `labels`; with two, the second is predicted above `threshold` (default: 0.5)."""
        self.labels, self.threshold = list(labels), 0.5 if threshold is None else threshold
        self.counts = np.zeros((len(labels), len(labels)), np.uint32)
        """Reviews by true label and predicted label: 4 MB with 1,000 labels, the only square."""
        self.bins = np.zeros((2, SCORE_BINS), np.int64) if len(labels) == 2 else None
        """With two labels, reviews by true label and probability of the second."""
        self.confidence = np.zeros((2, SCORE_BINS), np.int64)
        """Reviews by whether the most probable label is right, and its probability."""
        self._loss = self._squared_losses = self._brier = 0.0

    @property
    def reviews(self) -> int:
        """How many reviews were counted."""
        return int(self.counts.sum())

    @property
    def accuracy(self) -> float:
        """The share of reviews whose label is right."""
        return float(np.trace(self.counts)) / max(1, self.reviews)

    @property
    def loss_error(self) -> float:
        """The standard error of the mean loss."""
        reviews = max(1, self.reviews)
        variance = self._squared_losses / reviews - (self._loss / reviews) ** 2
        return math.sqrt(max(0.0, variance) / reviews)

    def add(self, labels: np.ndarray, probabilities: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """Count a batch, and return int64[reviews], the labels predicted."""
        likeliest = probabilities.argmax(axis=1)
        predicted = likeliest
        if self.bins is not None:
            predicted = (probabilities[:, 1] > self.threshold).astype(np.int64)
            likeliest = (probabilities[:, 1] > 0.5).astype(np.int64)
            np.add.at(self.bins, (labels, score_bins(probabilities[:, 1])), 1)
        np.add.at(self.counts, (labels, predicted), 1)
        sure = score_bins(probabilities.max(axis=1))
        np.add.at(self.confidence, ((likeliest == labels).astype(np.int64), sure), 1)
        self._loss += float(losses.sum())
        self._squared_losses += float(np.square(losses, dtype=np.float64).sum())
        wrong_by = probabilities.astype(np.float64)
        wrong_by[np.arange(len(labels)), labels] -= 1
        squares = wrong_by[:, 1:] if self.bins is not None else wrong_by
        self._brier += float((squares**2).sum())
        return predicted

    def metrics(self) -> tuple[dict[str, float], dict[str, LabelMetrics]]:
        """Return the metrics by name, and each label's.

        "loss" is the log loss. "brier" is the mean squared error of the second label's probability, with
        more than two labels the sum over the labels (Brier, 1950).
        """
        reviews = max(1, self.reviews)
        found = from_confusion_matrix(self.counts, self.labels)
        by_label = {label: LabelMetrics(**each) for label, each in found.pop("by_label").items()}
        metrics = {"loss": self._loss / reviews, **found}
        if self.bins is not None and self.bins.any(axis=1).all():  # not defined for one label
            metrics["auc"] = float(area_under_roc(self.bins))
        metrics["brier"] = self._brier / reviews
        metrics["calibration_error"] = calibration_error(self.confidence)
        return metrics, by_label


def score(
    models: Sequence[Model],
    batches: Iterable[Batch],
    thresholds: Sequence[float | None] = (),
    observers: Sequence[Observer] = (),
) -> list[Tally]:
    """Run each model on the same reviews, and return each one's counts.

    `thresholds` are the models' thresholds (default: 0.5). Each of `observers` is called with each batch
    and each model's scores.
    """
    thresholds = thresholds or [None] * len(models)
    tallies = [Tally(model.labels, at) for model, at in zip(models, thresholds, strict=True)]
    for batch in batches:
        scores = []
        for nth, (model, tally) in enumerate(zip(models, tallies, strict=True)):
            ids = batch.encode(nth, model)
            probabilities, losses = model.score(ids, batch.labels)
            predicted = tally.add(batch.labels, probabilities, losses)
            scores.append(Scores(probabilities, predicted, predicted == batch.labels, ids))
        for observe in observers:
            observe(batch, scores)
    return tallies


def with_progress(
    batches: Iterable[Batch], what: str, total: int | None, progress: Progress
) -> Iterator[Batch]:
    """Yield the batches, and report how many of `total` reviews (None: unknown) are scored."""
    done = 0
    for batch in batches:
        yield batch
        done += len(batch.labels)
        progress(what, done, total)


def dataset_batches(
    dataset: Dataset,
    split: str = "test",
    validation_split: float = 0.0,
    left_out: np.ndarray | None = None,
) -> Iterator[Batch]:
    """Yield the reviews of "test", "train" or "validation", in the order of the shards.

    "validation" is the share `validation_split` of the training split that `batches` holds out of
    training; with a share, "train" is the rest. `left_out`, int64[n], are places of reviews to skip.
    """
    vocabulary = functools.cache(dataset.vocabulary)  # read on first use: 13 MB for IMDb's 88,584 words

    @functools.cache
    def known_words(encoder: TextEncoder) -> np.ndarray:
        """Return bool[ids]: whether a model knows each word of the dataset."""
        return np.concatenate([np.zeros(FIRST_WORD_ID, bool), encoder.knows(vocabulary().words)])

    def batch_of(
        numbers: np.ndarray, labels: np.ndarray, tokens: list[np.ndarray], inputs: list[np.ndarray]
    ) -> Batch:
        def encode(nth: int, model: Model) -> list[np.ndarray]:
            return [model.known_ids(ids) for ids in (inputs if model.reads_ngrams else tokens)]

        return Batch(
            numbers,
            labels,
            encode,
            text=lambda nth: vocabulary().decode(tokens[nth][1:]).encode(),
            counts=lambda nth, encoder: _counts(tokens, known_words(encoder)),
        )

    return itertools.starmap(batch_of, _reviews(dataset, split, validation_split, left_out))


def _counts(tokens: list[np.ndarray], known_words: np.ndarray) -> Counts:
    """Return the words and known words of reviews, from their ids with the start."""
    lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
    counts = count_in_each(known_words[np.concatenate(tokens)], lengths)
    return list(zip((lengths - 1).tolist(), counts.tolist(), strict=True))


def _reviews(
    dataset: Dataset, split: str, validation_split: float, left_out: np.ndarray | None
) -> Iterator[tuple[np.ndarray, np.ndarray, list[np.ndarray], list[np.ndarray]]]:
    """Yield places, labels, tokens and inputs of at most `BATCH_REVIEWS` reviews at a time."""
    on_disk, share = split_on_disk(dataset, split, validation_split)
    first = place = 0
    for blocks in dataset.read_with_inputs(on_disk):
        labels = blocks[0].labels
        held_out = is_held_out(np.arange(first, first + len(labels)), share)
        first += len(labels)
        keep = np.flatnonzero(~held_out if split == on_disk else held_out)
        places = place + np.arange(len(keep))
        place += len(keep)
        if left_out is not None:
            scored = ~np.isin(places, left_out)
            keep, places = keep[scored], places[scored]
        reviews = [block.split() for block in blocks]
        for at in range(0, len(keep), BATCH_REVIEWS):
            chosen = keep[at : at + BATCH_REVIEWS]
            tokens, inputs = ([each[nth] for nth in chosen] for each in reviews)
            yield places[at : at + BATCH_REVIEWS], labels[chosen], tokens, inputs
