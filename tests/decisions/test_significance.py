import math

import numpy as np
import pytest

from lowmem_sentiment.decisions.significance import (
    POWER,
    PairedTest,
    binomial_tail,
    detectable_difference,
    paired_test,
    two_sided_p_value,
)


def result_of(only_baseline: int, only_run: int, reviews: int = 1_000, alpha: float = 0.05) -> PairedTest:
    return paired_test("live", 0.8, only_baseline, only_run, reviews, alpha)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (5, 0), (3, 8), (10, 10), (40, 25), (700, 600)])
def test_the_test_is_the_exact_binomial_one(b, c):
    chance = 2 * sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)
    assert two_sided_p_value(b, c) == pytest.approx(min(1, chance), rel=1e-9)


@pytest.mark.parametrize("tosses", [0, 1, 7, 60])
@pytest.mark.parametrize("chance", [0.1, 0.5, 0.83])
def test_the_binomial_tail_is_the_sum_of_its_terms(tosses, chance):
    terms = [math.comb(tosses, k) * chance**k * (1 - chance) ** (tosses - k) for k in range(tosses + 1)]
    for at_least in range(tosses + 2):
        assert binomial_tail(at_least, tosses, chance) == pytest.approx(sum(terms[at_least:]), abs=1e-12)


def test_the_binomial_tail_of_millions_is_that_of_the_normal_distribution():
    tosses = 4_000_000
    for sigmas in (-2, 0, 1, 3):
        at_least = tosses // 2 + sigmas * 1_000
        expected = math.erfc((sigmas - 0.0005) / math.sqrt(2)) / 2
        assert binomial_tail(at_least, tosses) == pytest.approx(expected, rel=1e-3)


def test_a_difference_of_the_size_reported_is_found_with_the_power_reported():
    generator = np.random.default_rng(9)
    differing, reviews = 300, 5_000
    loss = detectable_difference(differing, reviews, 0.05)
    only_baseline = generator.binomial(differing, 0.5 + loss * reviews / differing / 2, 1_500)
    found = [result_of(int(b), differing - int(b), reviews).significantly_worse for b in only_baseline]
    assert np.mean(found) == pytest.approx(POWER, abs=0.04)


def test_too_few_differences_allow_no_verdict():
    test = result_of(5, 0)
    assert not test.significantly_worse and test.detectable_difference is None
    assert "too few reviews for a verdict" in test.in_words()
    assert result_of(6, 0).significantly_worse
    assert result_of(0, 50).p_value < 1e-9 and not result_of(0, 50).significantly_worse


def test_verdicts_are_sentences_that_say_the_direction():
    assert result_of(0, 0).in_words() == "both are right on exactly the same reviews"
    assert result_of(30, 4, 100).in_words().startswith("significantly worse: -26.00% accuracy, 4 reviews")
    better = result_of(4, 30, 100).in_words()
    assert better.startswith("significantly better: +26.00% accuracy, 30 reviews")
    line = result_of(30, 28).in_words()
    assert line.startswith("no significant difference: -0.20% accuracy")
    assert "two-sided p = 0.9" in line and "would have been found in 80%" in line
