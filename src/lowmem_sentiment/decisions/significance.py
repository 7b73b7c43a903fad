"""Test whether two runs differ by more than chance on the same reviews.

The test of accuracy is McNemar's exact test (1947): it counts only reviews that one run has right and the
other wrong. If both runs were equally good, each of these would be the toss of a coin.
"""

import bisect
import math
from dataclasses import dataclass
from statistics import NormalDist

from ..system.errors import plural
from .settings import BETTER, NOT_WORSE

POWER = 0.8
"""The share of cases in which a difference of the size reported would have been found."""

LEAST_MARGIN, USUALLY_DIFFERING = 0.005, 0.03
"""The margin of many reviews, and the share of them that only one of two equally good runs has right."""


@dataclass(frozen=True)
class MetricDifference:
    """A metric of a run against a baseline's on the same reviews."""

    metric: str
    value: float
    baseline: float
    difference: float
    """The run's minus the baseline's."""
    interval: list[float]
    """The interval of the difference, with the confidence 1 - alpha."""
    alpha: float
    draws: int
    significantly_worse: bool
    """Whether the whole interval is below 0."""
    significantly_better: bool
    """Whether it is above 0."""

    def in_words(self) -> str:
        """Return the verdict as a sentence that says the direction."""
        low, high = self.interval
        return (
            f"{verdict(self)}: {self.difference:+.4f} {self.metric} ({low:+.4f} to {high:+.4f}, "
            f"{1 - self.alpha:.0%} interval of {self.draws:,} paired bootstrap draws)"
        )


@dataclass(frozen=True)
class PairedTest:
    """The exact two-sided test of a run against a baseline."""

    run: str
    """The baseline."""
    accuracy: float
    """The baseline's."""
    only_baseline_right: int
    """Reviews that the baseline has right and the run wrong."""
    only_run_right: int
    difference: float
    """The run's accuracy minus the baseline's."""
    interval: list[float]
    """The interval of the difference, with the confidence 1 - `alpha`."""
    p_value: float
    """The probability of a split at least this uneven, in either direction, if both are equally good."""
    alpha: float
    """A difference is significant if the p-value is at most this."""
    significantly_worse: bool
    significantly_better: bool
    detectable_difference: float | None
    """The smallest difference in accuracy found in 80 % of cases; None: too few reviews differ."""
    metric: MetricDifference | None = None
    """The difference in the metric that decides, if it was named."""

    def refusal(self, promote: str | None, margin: float) -> str | None:
        """Return why a run is not promoted; None if it is.

        By "better" it must be significantly better. By "not-worse" the lower end of the interval must be
        above -`margin` (a test of non-inferiority). By None it must not be significantly worse. All of
        these are about `metric`, or else about accuracy.
        """
        decisive, of = (self.metric, f"{self.metric.metric} ") if self.metric else (self, "")
        low, high = decisive.interval
        found = f"{self.run}: {of}{decisive.difference:+.2%}, {low:+.2%} to {high:+.2%}"
        if promote == BETTER and not decisive.significantly_better:
            return f"not significantly better than {found}"
        if promote == NOT_WORSE and low <= -margin:
            return (
                f"it may be {margin:.2%} or more worse than {found}; on so many reviews an equally good "
                f"run needs a --margin above {(high - low) / 2:.2g}"
            )
        if not decisive.significantly_worse:
            return None
        return f"significantly worse than {found if self.metric else self.run}"

    def in_words(self) -> str:
        """Return the verdict as a sentence that says the direction."""
        if not self.only_baseline_right + self.only_run_right:
            return "both are right on exactly the same reviews"
        low, high = self.interval
        found = (
            f"{verdict(self)}: {self.difference:+.2%} accuracy, {plural(self.only_run_right, 'review')} "
            f"right that the other has wrong and {self.only_baseline_right:,} the other way round "
            f"(two-sided p = {self.p_value:.2g}, alpha {self.alpha:g}; {low:+.2%} to {high:+.2%})"
        )
        if self.significantly_better or self.significantly_worse:
            return found
        if self.detectable_difference is None:
            return f"{found}; they differ on too few reviews for a verdict"
        return (
            f"{found}; a difference of {self.detectable_difference:.2%} or more would have been found "
            f"in {POWER:.0%} of cases"
        )


def verdict(test: MetricDifference | PairedTest) -> str:
    """Return in words which of the two runs is better."""
    if test.significantly_better or test.significantly_worse:
        return f"significantly {'better' if test.significantly_better else 'worse'}"
    return "no significant difference"


def paired_test(
    baseline: str, accuracy: float, only_baseline: int, only_run: int, reviews: int, alpha: float
) -> PairedTest:
    """Return the test of a run against `baseline`, which has this `accuracy`.

    `only_baseline` and `only_run` count the `reviews` that only one of the two has right. An equally
    good run is called significantly worse in at most `alpha` / 2 of all tests.
    """
    difference = (only_run - only_baseline) / max(1, reviews)
    p_value = two_sided_p_value(only_baseline, only_run)
    return PairedTest(
        run=baseline,
        accuracy=accuracy,
        only_baseline_right=only_baseline,
        only_run_right=only_run,
        difference=difference,
        interval=paired_interval(only_run, only_baseline, reviews, alpha),
        p_value=p_value,
        alpha=alpha,
        significantly_worse=difference < 0 and p_value <= alpha,
        significantly_better=difference > 0 and p_value <= alpha,
        detectable_difference=detectable_difference(only_baseline + only_run, reviews, alpha),
    )


def default_margin(reviews: int, alpha: float = 0.05) -> float:
    """Return the loss that "not-worse" tolerates: 0.005, or more if so few reviews cannot rule that out.

    It is the smallest margin by which an equally good run is promoted in 80 % of cases if 3 % of the
    reviews are right by only one of the runs (the usual sample size of a test of non-inferiority, solved
    for the margin). It depends on the number of reviews only, and so is fixed before the result is known.

    >>> [round(default_margin(reviews), 4) for reviews in (500, 2_000, 10_000)]
    [0.0217, 0.0109, 0.005]
    """
    normal = NormalDist()
    quantiles = normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(POWER)
    return max(LEAST_MARGIN, quantiles * math.sqrt(USUALLY_DIFFERING / max(1, reviews)))


def paired_interval(only_run: int, only_baseline: int, reviews: int, alpha: float) -> list[float]:
    """Return the interval of the difference of two accuracies on the same reviews, by 1 - `alpha`.

    Half a review is added to each of the four cells, so that it holds what it promises for few reviews,
    too (Agresti and Min, 2005).

    >>> [round(end, 3) for end in paired_interval(20, 20, 1_000, 0.05)]
    [-0.013, 0.013]
    """
    differing, total = only_run + only_baseline + 1, reviews + 2
    middle = (only_run - only_baseline) / total
    spread = math.sqrt(max(0.0, differing / total - middle**2) / total)
    half = NormalDist().inv_cdf(1 - alpha / 2) * spread
    return [middle - half, middle + half]


def two_sided_p_value(one: int, other: int) -> float:
    """Return how probable a split at least as uneven as `one` to `other` is for a fair coin.

    >>> two_sided_p_value(5, 0)
    0.0625
    """
    return min(1.0, round(2 * binomial_tail(max(one, other), one + other), 12))


def binomial_tail(at_least: int, tosses: int, chance: float = 0.5) -> float:
    """Return the probability of `at_least` successes or more in `tosses`, each with `chance`.

    `chance` is above 0 and below 1. Sums the smaller tail from its largest term until a term changes
    nothing: about ten times the square root of `tosses` terms.

    >>> binomial_tail(4, 5)
    0.1875
    """
    if at_least <= 0 or at_least > tosses:
        return 1.0 if at_least <= 0 else 0.0
    if at_least <= tosses * chance:
        return 1.0 - binomial_tail(tosses - at_least + 1, tosses, 1 - chance)
    log_ways = math.lgamma(tosses + 1) - math.lgamma(at_least + 1) - math.lgamma(tosses - at_least + 1)
    log_term = at_least * math.log(chance) + (tosses - at_least) * math.log1p(-chance)
    term = total = math.exp(log_ways + log_term)
    for successes in range(at_least, tosses):
        term *= (tosses - successes) / (successes + 1) * chance / (1 - chance)
        if total + term == total:
            break
        total += term
    return min(1.0, total)


def detectable_difference(differing: int, reviews: int, alpha: float) -> float | None:
    """Return the smallest difference in accuracy found with `POWER`; None if no difference would be."""
    enough = bisect.bisect_left(
        range(differing + 1), True, key=lambda right: 2 * binomial_tail(right, differing) <= alpha
    )
    if enough > differing:
        return None
    low, high = 0.5, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        found = binomial_tail(enough, differing, middle) >= POWER
        low, high = (low, middle) if found else (middle, high)
    return (2 * high - 1) * differing / reviews
