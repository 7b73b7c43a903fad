"""Results of evaluating runs, with named fields; `to_json` returns the object that ``--json`` prints."""

import heapq
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..decisions.abstention import Abstention
from ..decisions.recorded import Choice
from ..decisions.significance import PairedTest
from ..decisions.thresholds import ChosenThreshold
from ..model.decision import FEW_KNOWN_WORDS, NOT_SURE
from .drift import Drift, Profile
from .intervals import Interval
from .predictions import ExplainedMistake, SurestMistake
from .scoring import LabelMetrics, Tally, named_by_label

MATRIX_LABELS = 100
"""JSON has the confusion matrix up to this many labels; with 1,000 it would be 3 MB of text."""

CONFUSIONS = 1_000
"""With more labels JSON holds the most frequent confusions, at most this many."""


class Confusion(NamedTuple):
    """Reviews of one label that were predicted to have another."""

    label: str
    predicted: str
    reviews: int


@dataclass(frozen=True)
class Answers:
    """How a run that abstains answers the reviews of an evaluation."""

    limits: Abstention
    answered: int
    right: int
    """Answered reviews whose label is right."""
    not_sure: int
    few_known_words: int
    error: float
    """The share of answered reviews whose label is wrong; 0 if none is answered."""
    error_interval: Interval

    def in_words(self, reviews: int) -> dict[str, str]:
        """Return by name how many of the `reviews` are answered, why others are not, and the limits."""
        low, high = self.error_interval
        limits, share = self.limits, self.answered / max(1, reviews)
        return {
            "answered": f"{self.answered:,} ({share:.1%}); {NOT_SURE} {self.not_sure:,}, "
            f"{FEW_KNOWN_WORDS} {self.few_known_words:,}",
            "wrong": f"{self.error:.2%} of the answered ({low:.2%} to {high:.2%})",
            "limits": f"probability {limits.least_probability:.4f}, {limits.least_known:,} known words, "
            f"{limits.least_per_word:.2f} per word: at most {100 * limits.error:g}% wrong with "
            f"{limits.certainty:.0%} certainty",
        }


@dataclass(frozen=True)
class Correction:
    """A temperature, and how reliable the probabilities are without it."""

    temperature: float
    before: dict[str, float]
    """"loss" and "calibration_error"."""
    before_intervals: dict[str, Interval]

    def in_words(self) -> dict[str, str]:
        """Return by name the temperature, and how reliable the probabilities are without it."""
        shown = {"temperature": f"{self.temperature:.3f}, before it:"}
        for name, value in self.before.items():
            low, high = self.before_intervals[name]
            shown[f"  {name}"] = f"{value:.4f}  ({low:.4f} to {high:.4f})"
        return shown


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The metrics of a run on labelled reviews."""

    run: str
    data: str
    """A description of the data for people."""
    dataset: str | None
    """The dataset's directory; None for reviews from files."""
    split: str | None
    """"test", "train" or "validation"; None for reviews from files."""
    fingerprint: str
    """The dataset's fingerprint; for files the SHA-256 of their texts and labels."""
    reviews: int
    labels: list[str]
    metrics: dict[str, float]
    """"loss", "accuracy" and further metrics by name (`Tally.metrics`)."""
    by_label: dict[str, LabelMetrics]
    confusion_matrix: np.ndarray
    """uint32[labels, labels], reviews by true label and predicted label."""
    intervals: dict[str, Interval]
    """95 % intervals of the metrics that have one."""
    label_intervals: dict[str, dict[str, Interval]]
    """95 % intervals by label and metric."""
    versions: dict[str, str]
    time: str
    """When it was made, in UTC (ISO 8601)."""
    threshold: float | None = None
    """With two labels, the second is predicted above this probability."""
    chosen: Sequence[Choice] = ()
    """The choices made on the validation split; `evaluate.save` records them with the run."""
    answers: Answers | None = None
    """With `abstain`; the metrics are of all reviews."""
    correction: Correction | None = None
    """With a temperature; the metrics are of corrected probabilities."""
    files: list[str] | None = None
    label_map: dict[str, str] = field(default_factory=dict)
    """How labels in files were renamed, as the run's data recorded it."""
    unknown_labels: dict[str, int] = field(default_factory=dict)
    """Reviews by label, for labels in files that the run does not know; these are left out."""
    profile: Profile | None = None
    """The profile of the run's own test split, to compare later text with."""
    drift: Drift | None = None
    """Texts in files beside the test split; None if `evaluate` has not recorded that."""
    left_out: int = 0
    """Test reviews that are not scored: the baseline was trained on them."""
    skipped_rows: int = 0
    """Bad rows in files."""
    bad_rows: list[str] = field(default_factory=list)
    """The first of them, with the reason."""
    mistakes: list[SurestMistake] | None = None
    tally: Tally | None = None
    """The counts that curves are made of; not in JSON."""
    uncorrected: Tally | None = None
    """The counts without the temperature; not in JSON."""
    explained: list[ExplainedMistake] = field(default_factory=list)
    """The surest mistakes with their words' effects, if the settings ask for them; not in JSON."""
    failed: list[str] = field(default_factory=list)
    """One line for each check that failed."""
    baseline: PairedTest | None = None
    """The test against the baseline, or against the first of several runs."""

    @property
    def threshold_chosen(self) -> ChosenThreshold | None:
        """The threshold that was chosen."""
        return next((each for each in self.chosen if isinstance(each, ChosenThreshold)), None)

    @property
    def accuracy(self) -> float:
        """The share of reviews whose label is right."""
        return self.metrics["accuracy"]

    @property
    def loss(self) -> float:
        """The mean cross-entropy."""
        return self.metrics["loss"]

    @property
    def label_reviews(self) -> list[int]:
        """The reviews of each label, in the order of `labels`."""
        return [each.reviews for each in self.by_label.values()]

    def label_metrics(self) -> dict[str, float]:
        """Return each label's metrics by name, such as "recall:spam"."""
        return named_by_label(self.by_label)

    def confusions(self, most: int = CONFUSIONS) -> list[Confusion]:
        """Return the most frequent confusions, the most frequent first.

        Reads the counts row by row: memory does not grow with the square of the labels.
        """
        wrong = (
            (-int(row[guess]), true, guess)
            for true, row in enumerate(self.confusion_matrix)
            for guess in np.flatnonzero(row).tolist()
            if guess != true
        )
        names = self.labels
        cells = heapq.nsmallest(most, wrong)
        return [Confusion(names[true], names[guess], -count) for count, true, guess in cells]

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``evaluate --json`` prints."""
        files: dict[str, Any] = {}
        if self.files is not None:
            names = {"label_map": self.label_map} if self.label_map else {}
            files = {"files": self.files, **names, "unknown_labels": self.unknown_labels}
            files["skipped_rows"] = self.skipped_rows
        confusions: dict[str, Any]
        if len(self.labels) > MATRIX_LABELS:
            confusions = {"confusions": [each._asdict() for each in self.confusions()]}
        else:
            confusions = {"confusion_matrix": self.confusion_matrix.tolist()}
        optional: dict[str, Any] = {
            "left_out": self.left_out or None,
            "drift": self.drift and self.drift.to_json(),
            "threshold": self.threshold,
            "threshold_chosen": self.threshold_chosen and asdict(self.threshold_chosen),
            "answers": self.answers and asdict(self.answers),
            "calibration": self.correction and asdict(self.correction),
            "mistakes": None if self.mistakes is None else list(map(asdict, self.mistakes)),
            "baseline": self.baseline and asdict(self.baseline),
        }
        return {
            "run": self.run,
            "data": self.data,
            "dataset": self.dataset,
            "split": self.split,
            **files,
            "fingerprint": self.fingerprint,
            "reviews": self.reviews,
            "labels": self.labels,
            **self.metrics,
            "by_label": {label: asdict(metrics) for label, metrics in self.by_label.items()},
            **confusions,
            "intervals": {**self.intervals, "by_label": self.label_intervals},
            "versions": self.versions,
            "time": self.time,
            "failed": self.failed,
            **{name: value for name, value in optional.items() if value is not None},
        }


@dataclass(frozen=True, eq=False)
class Comparison:
    """One run or several on the same reviews."""

    evaluations: list[Evaluation]
    settings: dict[str, list[Any]]
    """Training settings that differ between the runs: a value for each run, in order."""

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON."""
        evaluations = [evaluation.to_json() for evaluation in self.evaluations]
        return {"settings": self.settings, "evaluations": evaluations}
