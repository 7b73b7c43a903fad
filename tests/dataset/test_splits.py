import pytest

from lowmem_sentiment.dataset.splits import num_reviews, number_in_split, validation_share


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
