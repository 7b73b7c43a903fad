import numpy as np
import pytest

from lowmem_sentiment.dataset.counts import LengthCounts


def test_moments_over_blocks_are_those_of_numpy():
    moments, lengths = LengthCounts(), np.random.default_rng(1).integers(0, 100_000, 5_000)
    for block in np.split(lengths, [0, 10, 4_000]):
        moments.add(block)
    found = moments.moments()
    assert found["mean"] == pytest.approx(lengths.mean(), rel=1e-15)
    assert found["standard_deviation"] == pytest.approx(lengths.std(), rel=1e-12)
    assert (found["min"], found["max"]) == (lengths.min(), lengths.max())


def test_no_lengths_have_no_least_one():
    assert LengthCounts().moments() == {"mean": 0.0, "standard_deviation": 0.0, "min": None, "max": 0}


def test_bins_have_round_widths_and_hold_every_review():
    histogram = LengthCounts()
    histogram.add(np.arange(1_000))
    bins = histogram.distribution()["histogram"]
    assert [first for first, _, _ in bins] == list(range(0, 951, 50))
    assert sum(count for _, _, count in bins) == 1_000
    assert bins[-1][1] == 999
    assert histogram.empty == 2
