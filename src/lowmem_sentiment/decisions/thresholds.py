"""Choose the probability above which the second of two labels is predicted."""

import contextlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..model.decision import CHOICE_FILES
from ..model.metrics import SCORE_BINS, precision_recall
from ..system.errors import CheckFailed, SettingsError
from .records import Record


def parse_rule(text: str) -> tuple[str, float | None]:
    """Read "f1", "precision=0.95" or "recall=0.9": a metric and its minimum.

    Raises SettingsError for anything else.
    """
    metric, _, value = text.partition("=")
    with contextlib.suppress(ValueError):
        if text == "f1":
            return text, None
        if metric in ("precision", "recall") and 0 < float(value) <= 1:
            return metric, float(value)
    raise SettingsError(
        f"choose_threshold is {text!r}, expected f1, precision=P or recall=P, with P above 0 up to 1"
    )


def choose(rule: str, bins: np.ndarray) -> tuple[float, dict[str, float]]:
    """Return a threshold, one of 0, 1/2048, ..., and precision, recall and F1 there.

    `rule` is "f1" for the best F1, or a minimum such as "precision=0.9" for the best recall, or the other
    way round. `bins` are int[2, 2048], true label by probability. Among equally good thresholds it is the
    one nearest to 0.5. Raises CheckFailed when no threshold reaches the rule's minimum.
    """
    metric, at_least = parse_rule(rule)
    curve = precision_recall(bins, SCORE_BINS)
    precision, recall, right = curve["precision"], curve["recall"], curve["true_positives"]
    either = 2 * right + curve["false_positives"] + curve["false_negatives"]
    f1 = 2 * right / np.maximum(1, either)
    values, goal = {"precision": precision, "recall": recall, "f1": f1}, f1
    if at_least is not None:
        asked = np.where(right > 0, values[metric], 0)  # precision is not defined without predictions
        if asked.max() < at_least:
            raise CheckFailed(
                f"no threshold has a {metric} of {at_least:g} on the validation split; "
                f"the highest there is {asked.max():.4f}"
            )
        goal = np.where(asked >= at_least, recall if metric == "precision" else precision, -1)
    best = np.flatnonzero(goal == goal.max())
    place = int(best[np.abs(best - SCORE_BINS // 2).argmin()])
    return place / SCORE_BINS, {name: float(value[place]) for name, value in values.items()}


@dataclass(frozen=True)
class ChosenThreshold(Record):
    """A threshold, and how it was chosen: the content of ``threshold.json``."""

    FILE: ClassVar[str] = CHOICE_FILES[0]
    OPTION: ClassVar[str] = "--choose-threshold f1"

    threshold: float
    rule: str
    label: str
    """The second label: predicted above the threshold."""
    metrics: dict[str, float]
    """Precision, recall and F1 of `label` at the threshold, on the validation split."""

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise SettingsError(f"threshold is {self.threshold}, expected 0 to 1")
