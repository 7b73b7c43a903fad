import numpy as np
import pytest
from helpers import reviews

from lowmem_sentiment.dataset.duplicates import DuplicateCounter
from lowmem_sentiment.text.reviews import Reviews


def test_order_and_boundaries_of_words_make_a_difference():
    duplicates = DuplicateCounter()
    duplicates.add(reviews(([1, 4, 5], 0), ([1, 5, 4], 0), ([1, 4], 0), ([5], 0), ([], 0)), 0)
    assert duplicates.summary().reviews == 0


def test_duplicates_in_more_reviews_than_the_limit_are_estimated_in_bounded_memory():
    duplicates, generator = DuplicateCounter(limit=4_000), np.random.default_rng(1)
    for _ in range(30):  # 30,000 texts twice, 15,000 of them in both splits
        block = generator.integers(4, 1 << 30, 4_000).astype(np.int32)
        lengths, labels = np.full(1_000, 4), np.zeros(1_000, np.int64)
        first = Reviews(block, lengths, labels)
        duplicates.add(first, 0)
        half = Reviews(block[:2_000], lengths[:500], labels[:500])
        rest = Reviews(block[2_000:], lengths[500:], labels[500:] + 1)
        duplicates.add(half, 1)
        duplicates.add(rest, 0)
        assert len(duplicates._keys) + sum(map(len, duplicates._unsorted)) <= 4_500
    found = duplicates.summary()
    assert not found.exact
    assert found.reviews == pytest.approx(30_000, rel=0.1)
    assert found.in_both_splits == pytest.approx(15_000, rel=0.15)
    assert found.with_several_labels == pytest.approx(15_000, rel=0.15)


def test_one_text_a_million_times_is_held_once():
    duplicates = DuplicateCounter(limit=100)
    block = reviews(*[([1, 4], 0)] * 1_000)
    for _ in range(100):
        duplicates.add(block, 0)
    assert duplicates.summary().reviews == 99_999


def test_reviews_without_any_ids_are_duplicates_of_each_other():
    duplicates = DuplicateCounter()
    duplicates.add(reviews(([], 0), ([], 1)), 0)
    copies = duplicates.summary()
    assert (copies.reviews, copies.in_both_splits, copies.with_several_labels) == (1, 0, 1)
    assert copies.exact
