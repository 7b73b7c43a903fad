import re
from types import SimpleNamespace

import pytest

from lowmem_sentiment.dataset.splits import (
    few_held_out,
    num_reviews,
    number_in_split,
    validation_share,
    validation_warnings,
)


@pytest.mark.parametrize("validation_split", [0.1, 0.25, 1 / 3, 0.999])
def test_every_training_review_is_held_out_or_trained_on(dataset, validation_split):
    held_out = num_reviews(dataset, "validation", validation_split)
    assert num_reviews(dataset, "train", validation_split) + held_out == 160
    places = [number_in_split(number, validation_split) for number in range(held_out)]
    assert places == sorted(set(places)) and places[0] >= 0 and places[-1] < 160


def test_the_test_split_holds_nothing_out(dataset):
    assert num_reviews(dataset, "test", 0.5) == 40


def test_a_share_is_a_fraction_of_small_numbers():
    assert str(validation_share(0.1)) == "1/10"


@pytest.mark.parametrize(
    ("train", "test", "share", "expected"),
    [
        ([900, 900], [60, 60], 0.0, None),
        ([900, 900], [5, 5], 0.1, None),
        ([900, 900], [95, 5], 0.0, None),
        ([900, 900], [50, 49], 0.0, "the test split has 99 reviews: metrics on so few .*--split strat"),
        ([900, 900], [200, 4], 0.0, "the test split has 204 reviews, 4 of 'b': metrics"),
        ([900, 900], [200, 0], 0.0, "200 reviews, 0 of 'b': metrics"),
        ([100, 20], [0, 0], 0.1, "the validation split has 12 reviews, about 2 of 'b': .*--validation-s"),
        ([1960, 40], [0, 0], 0.1, "the validation split has 200 reviews, about 4 of 'b': metrics"),
    ],
)  # fmt: skip
def test_a_split_that_is_too_small_to_measure_by_is_warned_of(train, test, share, expected):
    counts = {"train": train, "test": test}
    dataset = SimpleNamespace(
        labels=["a", "b"],
        splits=["train", "test"],
        label_counts=counts.__getitem__,
        num_reviews=lambda split: sum(counts[split]),
    )
    found = few_held_out(dataset, share)
    if expected is None:
        assert found is None
    else:
        assert re.search(expected, found) and found.count("\n") == 0


def featured(rank, ranked_without):
    features = SimpleNamespace(rank=rank, validation_split=ranked_without)
    return SimpleNamespace(
        labels=["a", "b"],
        splits=["train", "test"],
        label_counts=lambda split: [1000, 1000],
        num_reviews=lambda split: 2000,
        features=features if rank else None,
    )


@pytest.mark.parametrize(
    ("rank", "ranked_without", "validation_split", "warned"),
    [
        ("evidence", 0.0, 0.1, True), ("evidence", 0.2, 0.1, True), ("evidence", 0.1, 0.1, False),
        ("evidence", 0.0, 0.0, False), ("frequency", 0.0, 0.1, False), ("given", 0.0, 0.1, False),
        (None, 0.0, 0.1, False),
    ],
)  # fmt: skip
def test_ngrams_that_validation_reviews_helped_to_choose_are_warned_of(
    rank, ranked_without, validation_split, warned
):
    warnings = validation_warnings(featured(rank, ranked_without), validation_split)
    assert len(warnings) == warned
    assert all("prepare with --validation-split 0.1" in line for line in warnings)


def test_of_many_labels_with_few_reviews_five_are_named():
    counts = {"train": [50] * 9, "test": [20] * 2 + [1] * 7}
    dataset = SimpleNamespace(
        labels=list("abcdefghi"),
        splits=["train", "test"],
        label_counts=counts.__getitem__,
        num_reviews=lambda split: 47,
    )
    found = few_held_out(dataset, 0.0)
    assert found.startswith("the test split has 47 reviews, 1 of 'c', 1 of 'd', 1 of 'e', 1 of 'f', ")
    assert "1 of 'g' and 2 more labels: metrics" in found
