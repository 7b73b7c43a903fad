"""Count words and lengths of reviews, and tell how surely a word or an n-gram indicates a label."""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..text.reviews import Reviews
from ..text.vocabulary import FIRST_WORD_ID, OUT_OF_VOCABULARY_ID, START_ID, Vocabulary

COVERAGES = (1_000, 5_000, 10_000)

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

_BINS = 20  # of the histogram, at most

PRIOR_WORDS = 1_000
"""How many words of the whole data each label starts with, so that a word seen twice cannot lean
further than one seen a thousand times."""

# The same for counts of reviews, as a share of all. With this share, 100,000 n-grams of 1 to 3 words
# reach an accuracy of 0.9236 on unseen validation reviews of IMDb (5 seeds); a thirtieth of it gives
# 0.9206, ten times as much 0.9201.
PRIOR_SHARE_OF_REVIEWS = 0.25


def log_odds_ratio(
    here: np.ndarray, whole: np.ndarray, total_here: float, total: float, prior: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return float64[n] log-odds ratio of one label against the rest, and its z-score.

    `here` int[n] is how often each occurs with the label and `whole` with any, out of `total_here` and
    `total`. The prior is an informative Dirichlet prior with a weight of `prior`, and the z-score is the
    ratio over its estimated deviation (Monroe, Colaresi and Quinn 2008, "Fightin' Words", equations 16,
    20 and 22). The z-score of a word that never occurs is 0.
    """
    given = whole * (prior / max(1.0, total))
    own, other = here + given, whole - here + given
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.log(own / (total_here + prior - own)) - np.log(
            other / (total - total_here + prior - other)
        )
        score = odds / np.sqrt(1 / own + 1 / other)
    score[~np.isfinite(score)] = 0
    return odds, score


def review_evidence(
    here: np.ndarray, whole: np.ndarray, reviews_here: float, reviews: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return `log_odds_ratio` for counts of reviews: `here` of the label's `reviews_here`."""
    return log_odds_ratio(here, whole, reviews_here, reviews, PRIOR_SHARE_OF_REVIEWS * reviews)


def log_count_ratios(here: np.ndarray, whole: np.ndarray, share: float) -> np.ndarray:
    """Return float64[n], how much more often n-grams occur in reviews of one label than of the others.

    `here` int[n] is the number of reviews with the label, `whole` with any, and `share` the label's share
    of all reviews. It is Wang and Manning's log-count ratio (2012, "Baselines and Bigrams", section 2.1)
    with one review added on the rarer side, and the proportional number on the other. So an n-gram
    without evidence has 0 even with uneven labels, and one in a single review has little.
    """
    added = 1 / min(share, 1 - share)
    own, other = here + added * share, whole - here + added * (1 - share)
    ratios: np.ndarray = np.log(own / share) - np.log(other / (1 - share))
    return ratios


@dataclass(frozen=True)
class WordCount:
    """How often a word occurs."""

    word: str
    count: int


@dataclass(frozen=True)
class LeaningWord:
    """A word or an n-gram that occurs more often with a label than with the others."""

    word: str
    log_odds: float
    """The log-odds ratio of the label against the others (`log_odds_ratio`)."""
    z: float
    """The ratio over its estimated deviation."""
    count: int
    """How often it occurs with any label."""


class WordCounter:
    """Count every word, and known words by label: 8 bytes per word, and 8 per known word and label."""

    def __init__(self, num_ids: int, num_words: int, num_labels: int):
        self._num_words = num_words
        self._counts = np.zeros(num_ids, np.int64)
        self._by_label = np.zeros((num_labels, num_words), np.int64)

    def add(self, reviews: Reviews) -> None:
        """Add a block whose ids and labels are within this counter's bounds."""
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
        """Return the share of unknown words at some vocabulary sizes; the start does not count."""
        total = int(self._counts.sum() - self._counts[START_ID]) or 1
        never = int(self._counts[OUT_OF_VOCABULARY_ID])
        sizes = [size for size in COVERAGES if size < len(self._counts)]
        shares = {str(size): (never + int(self._counts[size:].sum())) / total for size in sizes}
        return {**shares, "all": never / total}

    def most_frequent(self, vocabulary: Vocabulary, top: int) -> list[WordCount]:
        """Return the words that occur most, with how often."""
        counts = self._counts[FIRST_WORD_ID:]
        order = np.argsort(-counts, kind="stable")[:top]
        return [
            WordCount(vocabulary.decode([int(nth) + FIRST_WORD_ID]), int(counts[nth]))
            for nth in order
            if counts[nth]
        ]

    def leaning(
        self, vocabulary: Vocabulary, labels: list[str], top: int, reviews: Sequence[int] | None = None
    ) -> dict[str, list[LeaningWord]]:
        """Return the words that lean most towards each label, against all the others.

        Ordered by the z-score of the log-odds ratio: plain log-odds would list the rarest words.
        `reviews` is the number of reviews of each label, if reviews with a word were counted, not words.
        """
        counts = self._by_label[:, FIRST_WORD_ID:]
        words = counts.sum(axis=1)
        whole = counts.sum(axis=0)
        result = {}
        for nth, label in enumerate(labels):
            if reviews is None:
                total = float(words.sum())
                odds, score = log_odds_ratio(counts[nth], whole, words[nth], total, PRIOR_WORDS)
            else:
                odds, score = review_evidence(counts[nth], whole, reviews[nth], sum(reviews))
            result[label] = [
                LeaningWord(
                    vocabulary.decode([int(word) + FIRST_WORD_ID]),
                    float(odds[word]),
                    float(score[word]),
                    int(whole[word]),
                )
                for word in np.argsort(-score, kind="stable")[:top]
                if score[word] > 0
            ]
        return result


class LengthCounts:
    """Count reviews by length, exactly: 100 bytes for each different length.

    A billion words have at most 44,721 different lengths.
    """

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, lengths: np.ndarray) -> None:
        """Add the lengths (int64) of a block of reviews."""
        self._counts.update(lengths.tolist())

    @property
    def empty(self) -> int:
        """Reviews without a word: the start id, or nothing at all."""
        return self._counts[0] + self._counts[1]

    def moments(self) -> dict[str, Any]:
        """Return mean, standard deviation, least and most."""
        counts = self._counts.items()
        number = self._counts.total()
        total = sum(length * count for length, count in counts)
        # whole numbers, so that nothing cancels before the one division
        spread = number * sum(length**2 * count for length, count in counts) - total**2
        return {
            "mean": total / number if number else 0.0,
            "standard_deviation": math.sqrt(spread) / number if number else 0.0,
            "min": min(self._counts, default=None),
            "max": max(self._counts, default=0),
        }

    def distribution(self) -> dict[str, Any]:
        """Return quantiles, and the histogram: [first length, last length, reviews] of each bin.

        A quantile is the least length that its share of the reviews do not exceed. The bins have one
        width up to the 99 % quantile, and the last has the rest.
        """
        lengths = sorted(self._counts) or [0]
        up_to = np.cumsum([self._counts[length] for length in lengths])
        places = np.searchsorted(up_to, up_to[-1] * np.array(QUANTILES))
        quantiles = [lengths[place] for place in places]
        edges = [*range(0, quantiles[-1] + 1, _round_up(quantiles[-1] / _BINS)), lengths[-1] + 1]
        below = np.append(0, up_to)[np.searchsorted(lengths, edges)].tolist()
        ends = zip(itertools.pairwise(edges), itertools.pairwise(below), strict=True)
        return {
            "quantiles": dict(zip(map(str, QUANTILES), quantiles, strict=True)),
            "histogram": [[first, end - 1, after - before] for (first, end), (before, after) in ends],
        }


def _round_up(value: float) -> int:
    """Return the next of 1, 2, 5, 10, 20, 50, ..."""
    steps = (int(step * 10**power) for power in itertools.count() for step in (1, 2, 5))
    return next(step for step in steps if step >= value)
