"""Choose when a model gives no label, so that the error among the answered texts stays under a limit.

A text is answered if the model is sure enough, and knows enough of its words. The limits hold for texts
of the same kind as the validation split; no number holds for any others.

Words: a text with fewer distinct known words (or n-grams) than 99.5 % of the validation texts have, in
all or for each of its words, is unlike them, and gets no label. The first limit stops short texts and
those in another language, the second long texts about something else. Labels play no part in them.

Confidence: the limits of a fixed grid are tested from the highest down, each by the exact binomial test
of "the error is above the target", and the first that fails ends it. This is fixed-sequence testing
(Angelopoulos, Bates, Candès, Jordan and Lei, "Learn then Test", 2021): as the order is fixed in advance,
all tests together are wrong in at most 5 % of all cases without a correction for their number. The first
limit is the one that a quarter of the texts reach, as fewer texts would often fail by chance. Geifman and
El-Yaniv ("Selective Classification for Deep Neural Networks", 2017) search by bisection instead and
divide the 5 % among its steps: in simulations with 240 to 4,000 texts that answers 0.2 to
30 points less of the texts.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..model.decision import CHOICE_FILES, confidence
from ..system.errors import CheckFailed, SettingsError
from .records import Record
from .significance import binomial_tail

CERTAINTY = 0.95

_LOWEST, _STEPS, _BINS = -8.0, 64, 2048
"""Confidence is counted from log-odds -8 to 24 in steps of 1/64: up to 1 - 4e-11, far above 2047/2048."""

_FEWEST = 0.005
"""The share of the validation texts that each of the two limits of known words leaves out."""
_MOST_KNOWN, _PARTS = 4096, 256
"""Known words are counted up to 4095, and per word in steps of 1/256 up to 16."""
_FIRST = 0.25
_OTHER_TARGETS = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)


@dataclass(frozen=True)
class Abstention(Record):
    """When a text gets no label, and how that was chosen: the content of ``abstention.json``."""

    FILE: ClassVar[str] = CHOICE_FILES[2]
    OPTION: ClassVar[str] = "--abstain error=0.05"

    error: float
    """The error among answered texts that is not exceeded."""
    certainty: float
    """The probability that it is not."""
    least_log_odds: float
    """The least log-odds of an answered text's most probable label, before any temperature."""
    least_known: int
    """The least number of distinct words or n-grams of an answered text that the model knows,"""
    least_per_word: float
    """and the least number for each of its words."""
    texts: int
    """Validation texts."""
    answered: int
    wrong: int
    """Answered ones with a wrong label."""

    def __post_init__(self) -> None:
        numbers = self.least_log_odds, self.least_known, self.least_per_word
        if not all(map(math.isfinite, numbers)):
            raise SettingsError(f"the limits are {numbers}, expected finite numbers")

    @property
    def least_probability(self) -> float:
        """The least probability of an answered text's label, before any temperature."""
        return 1 / (1 + math.exp(-self.least_log_odds))


def parse_target(text: str) -> float:
    """Read "error=0.05"; SettingsError for anything else."""
    try:
        error = float(text.removeprefix("error="))
    except ValueError:
        error = math.nan
    if not text.startswith("error=") or not 0 < error < 1:
        raise SettingsError(
            f"abstain is {text!r}, expected run, or error=E with E between 0 and 1, such as error=0.05"
        )
    return error


class KnownWords:
    """Count texts by their words or n-grams that the model knows, in all and per word: 64 KB."""

    def __init__(self) -> None:
        self._in_all, self._per_word = np.zeros((2, _MOST_KNOWN), np.int64)

    def add(self, known: np.ndarray, words: np.ndarray) -> None:
        """Add int64[texts], the known ones and the words of each text."""
        shares = known * _PARTS // np.maximum(1, words)
        for texts, values in ((self._in_all, known), (self._per_word, shares)):
            texts += np.bincount(np.minimum(values, _MOST_KNOWN - 1), minlength=_MOST_KNOWN)

    def least(self) -> tuple[int, float]:
        """Return the highest numbers that at most 0.5 % of the texts fall below: in all, and per word.

        The first is 1 or more.
        """
        least, parts = (
            int(np.searchsorted(up_to, _FEWEST * up_to[-1], side="right"))
            for up_to in (np.cumsum(self._in_all), np.cumsum(self._per_word))
        )
        return max(1, least), parts / _PARTS


def count_by_confidence(counts: np.ndarray, probabilities: np.ndarray, right: np.ndarray) -> None:
    """Add [texts, labels] and bool[texts] to int64[2, 2048], wrong and right texts by confidence."""
    places = np.floor((confidence(probabilities) - _LOWEST) * _STEPS).astype(np.int64)
    np.add.at(counts, (right.astype(np.int64), places.clip(0, _BINS - 1)), 1)


def no_counts() -> np.ndarray:
    """Return int64[2, 2048] of zeros for `count_by_confidence`."""
    return np.zeros((2, _BINS), np.int64)


def choose(error: float, counts: np.ndarray) -> tuple[float, int, int]:
    """Return the least confidence in log-odds, and how many texts reach it in all and with a wrong label.

    `counts` is int64[2, 2048] (`count_by_confidence`) of the texts with enough known words. The error of
    texts of their kind that reach it is at most `error` with a probability of 95 %. Raises CheckFailed if
    that cannot be said of any confidence that a quarter of the texts reach.
    """
    texts_and_wrong = np.stack([counts.sum(axis=0), counts[0]])
    answered, wrong = np.cumsum(texts_and_wrong[:, ::-1], axis=1)[:, ::-1]  # from each confidence on
    if (place := _lowest(error, answered, wrong)) is not None:
        return _LOWEST + place / _STEPS, int(answered[place]), int(wrong[place])
    possible = [each for each in _OTHER_TARGETS if each > error]
    possible = [each for each in possible if _lowest(each, answered, wrong) is not None][:1]
    advice = f"; error={possible[0]:g} is possible" if possible else ""
    texts, enough = int(answered[0]), math.ceil(math.log(1 - CERTAINTY) / math.log1p(-error))
    if texts < enough:
        raise CheckFailed(
            f"the validation split has {texts:,} texts, too few for an error of {error:g} with "
            f"{CERTAINTY:.0%} certainty, which takes {enough:,} without a mistake{advice}"
        )
    first = _first(error, answered)
    raise CheckFailed(
        f"an error of {error:g} cannot be kept with {CERTAINTY:.0%} certainty: of the "
        f"{answered[first]:,} validation texts that the model is surest of, {wrong[first]:,} have a "
        f"wrong label{advice}"
    )


def _first(error: float, answered: np.ndarray) -> int:
    """Return the place of the first limit that is tested; -1 if there are too few texts for any."""
    least = max(_FIRST * answered[0], math.log(1 - CERTAINTY) / math.log1p(-error))
    return int(np.count_nonzero(answered >= least)) - 1


def _lowest(error: float, answered: np.ndarray, wrong: np.ndarray) -> int | None:
    """Return the place of the lowest limit that passes its test, as all before it; None: none does."""
    lowest = None
    for place in range(_first(error, answered), -1, -1):
        texts, mistakes = int(answered[place]), int(wrong[place])
        if lowest is None or texts > answered[lowest]:
            if 1 - binomial_tail(mistakes + 1, texts, error) > 1 - CERTAINTY:
                break
            lowest = place
    return lowest
