"""Whether a difference between two models on the same reviews is more than chance.

McNemar's test (McNemar, 1947) in its exact form: only reviews that one model got right and the other
wrong say anything; were both equally good, each of those would be a coin's toss.
"""

import math
from typing import Any

import numpy as np

from .scoring import Batch, Scores

POWER = 0.8
"""The share of cases in which a difference of the size reported would have been found."""


class Pairs:
    """Count over a pass which of two scored models is right alone."""

    def __init__(self, first: int, second: int):
        """Compare the models at these places among those scored."""
        self._first, self._second = first, second
        self.only_first = self.only_second = self.reviews = 0

    def __call__(self, batch: Batch, scores: list[Scores]) -> None:
        """Count a batch."""
        first, second = scores[self._first].right, scores[self._second].right
        self.only_first += int(np.count_nonzero(first & ~second))
        self.only_second += int(np.count_nonzero(second & ~first))
        self.reviews += len(first)


def mcnemar(only_first: int, only_second: int) -> dict[str, Any]:
    """Return the exact two-sided test of two models, from how many reviews each alone got right.

    The p-value is the chance of a split at least as uneven as this one, were both equally good.

    >>> mcnemar(5, 0)
    {'only_first_right': 5, 'only_second_right': 0, 'p_value': 0.0625}
    """
    tail = binomial_tail(max(only_first, only_second), only_first + only_second)
    return {
        "only_first_right": only_first,
        "only_second_right": only_second,
        "p_value": min(1.0, round(2 * tail, 12)),
    }


def worse_than(only_baseline: int, only_run: int, reviews: int, alpha: float) -> dict[str, Any]:
    """Return the exact one-sided test of whether a run is worse than its baseline.

    A run that is no worse is called "significantly_worse" in at most `alpha` of all tests.
    "detectable_difference" is the smallest loss of accuracy that such a test finds in 80 % of cases;
    None where they differ on too few reviews for any verdict.
    """
    p_value = binomial_tail(only_baseline, only_baseline + only_run)
    return {
        "only_baseline_right": only_baseline,
        "only_run_right": only_run,
        "difference": (only_run - only_baseline) / max(1, reviews),
        "p_value": p_value,
        "alpha": alpha,
        "significantly_worse": p_value <= alpha,
        "detectable_difference": detectable_difference(only_baseline + only_run, reviews, alpha),
    }


def binomial_tail(at_least: int, tosses: int, chance: float = 0.5) -> float:
    """Return the chance of `at_least` successes or more in `tosses`, each with `chance`.

    Sums the smaller tail from its largest term on, until a term changes nothing: some ten times the
    square root of `tosses` of them.

    >>> binomial_tail(4, 5)
    0.1875
    """
    if at_least <= 0 or tosses == 0:
        return 1.0 if at_least <= 0 else 0.0
    if at_least > tosses or chance <= 0:
        return 0.0
    if chance >= 1:
        return 1.0
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
    """Return the smallest difference in accuracy found with `POWER`; None where none is found."""
    enough = _least(0, differing + 1, lambda right: binomial_tail(right, differing) <= alpha)
    if enough > differing:
        return None
    low, high = 0.5, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        found = binomial_tail(enough, differing, middle) >= POWER
        low, high = (low, middle) if found else (middle, high)
    return (2 * high - 1) * differing / reviews


def _least(low: int, high: int, holds: Any) -> int:
    """Return the least whole number from `low` to `high` for which `holds`, as it does from there on."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def in_words(test: dict[str, Any]) -> str:
    """Return what `mcnemar` found as a sentence, for a reader who does not know p-values."""
    p, differ = test["p_value"], test["only_first_right"] + test["only_second_right"]
    if not differ:
        return "both are right on exactly the same reviews"
    verdict = "worse" if test["only_first_right"] > test["only_second_right"] else "better"
    chance = f"{p:.0%}" if p >= 0.1 else f"{p:.1%}" if p >= 0.001 else "less than 0.1%"
    if p >= 0.05:
        verdict = "a difference that may well be chance: call them equally good"
    else:
        verdict = f"{verdict} in accuracy, by more than chance"
    return (
        f"{verdict}. They differ on {differ:,} reviews; if both were equally good, luck alone would "
        f"split those at least this unevenly in {chance} of such comparisons (p = {p:.2g})"
    )


def verdict_in_words(test: dict[str, Any]) -> str:
    """Return what `worse_than` found as a sentence."""
    verdict = "significantly worse" if test["significantly_worse"] else "not significantly worse"
    found = (
        f"{verdict}: {test['difference']:+.2%} accuracy, {test['only_run_right']:,} reviews right that "
        f"the baseline has wrong and {test['only_baseline_right']:,} the other way round "
        f"(one-sided p = {test['p_value']:.2g}, alpha {test['alpha']:g})"
    )
    least = test["detectable_difference"]
    if least is None:
        return f"{found}; they differ on too few reviews for any verdict"
    return f"{found}; a loss of {least:.2%} or more would have been found in {POWER:.0%} of cases"
