"""From a model's probabilities to an answer: the label, or no label and the reason."""

import math
from dataclasses import dataclass

import numpy as np

CHOICE_FILES = ("threshold.json", "calibration.json", "abstention.json")
"""The files of a run that hold what evaluations chose (`decisions.recorded`)."""

NOT_SURE, FEW_KNOWN_WORDS = "not sure", "too few known words"
"""Why a text gets no label."""

LEAST_OTHERS = 1e-16
"""The other labels' probability, divided by the most probable one's, at least: log-odds are finite."""


@dataclass(frozen=True)
class Decision:
    """How probabilities become answers; the default always answers with the most probable label."""

    threshold: float | None = None
    """With two labels, the second is predicted if its probability is above this (default: 0.5)."""
    temperature: float = 1.0
    """The model's logits are divided by this: above 1 makes it less sure (`decisions.calibration`)."""
    least_log_odds: float | None = None
    """A text is answered if its `confidence` is at least this; None: every text is answered."""
    least_known: int = 0
    """A text is answered if the model knows at least this many of its distinct words or n-grams,"""
    least_per_word: float = 0.0
    """and at least this many for each of its words."""

    @property
    def abstains(self) -> bool:
        """Whether a text may get no label."""
        return self.least_log_odds is not None

    def labels(self, probabilities: np.ndarray) -> np.ndarray:
        """Return int64[n], the label of each row of probabilities [n, labels]."""
        if probabilities.shape[1] == 2:
            above = 0.5 if self.threshold is None else self.threshold
            return np.asarray(probabilities[:, 1] > above, np.int64)
        return np.asarray(probabilities.argmax(axis=1))

    def knows_enough(self, known: np.ndarray, words: np.ndarray) -> np.ndarray:
        """Return bool[n], which texts may be answered by their words.

        `known` is int[n], how many of a text's distinct words or n-grams the model knows (`num_known`);
        `words` is int[n], how many words it has.
        """
        share = known / np.maximum(1, words)
        return np.asarray((known >= self.least_known) & (share >= self.least_per_word))

    def reasons(
        self, probabilities: np.ndarray, known: np.ndarray, words: np.ndarray
    ) -> list[str | None]:
        """Return for each row why it gets no label; None for a text that is answered."""
        if self.least_log_odds is None:
            return [None] * len(known)
        sure = confidence(probabilities, self.temperature) >= self.least_log_odds
        enough = self.knows_enough(known, words)
        return [
            FEW_KNOWN_WORDS if not knows else None if is_sure else NOT_SURE
            for knows, is_sure in zip(enough.tolist(), sure.tolist(), strict=True)
        ]


def confidence(probabilities: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return float64[n], the log-odds of the most probable label, as they were before `temperature`.

    They are computed from the ratios of the probabilities [n, labels], and so tell 0.9999999 from 1.
    """
    ratios = probabilities.astype(np.float64) / probabilities.max(axis=1, keepdims=True)
    others = (ratios**temperature).sum(axis=1) - 1
    return np.asarray(-np.log(np.maximum(others, LEAST_OTHERS)))


def rescaled(probability: float, temperature: float) -> float:
    """Return the probability of the second of two labels after its log-odds are divided.

    >>> round(rescaled(0.9, 2.0), 2)
    0.75
    """
    if temperature == 1 or not 0 < probability < 1:
        return probability
    return 1 / (1 + math.exp(-math.log(probability / (1 - probability)) / temperature))
