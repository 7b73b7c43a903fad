"""A recipe's settings: a function of the dataset's reviews, labels, lengths and n-grams."""

from types import SimpleNamespace

import pytest

from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.runs.recipes import recipe_settings, settings_by_recipe


def dataset(reviews=8_000, labels=2, words=20.0, inputs=50_000, recipe="ngrams"):
    """Return what a recipe looks at."""
    return SimpleNamespace(
        recipe=recipe,
        labels=[str(nth) for nth in range(labels)],
        length=SimpleNamespace(mean=words),
        num_inputs=inputs,
        num_reviews={"train": reviews}.__getitem__,
    )


@pytest.mark.parametrize(
    ("data", "epochs"),
    [
        ({}, 10),  # 2,500 steps of 32 reviews
        ({"reviews": 800}, 100),
        ({"reviews": 100}, 100),  # no more, however small
        ({"words": 10.0}, 15),
        ({"words": 235.0}, 4),
        ({"words": 235.0, "reviews": 40_000}, 2),
        ({"reviews": 1_000_000}, 2),
    ],
)
def test_the_epochs_follow_the_number_of_reviews_and_their_length(data, epochs):
    assert settings_by_recipe(dataset(**data)).epochs == epochs


@pytest.mark.parametrize(
    ("labels", "units", "rate"), [(2, 24, 0.001), (20, 40, 0.00158), (77, 128, 0.003)]
)
def test_units_and_rate_follow_the_labels(labels, units, rate):
    settings = settings_by_recipe(dataset(labels=labels))
    assert (settings.hidden, settings.learning_rate) == ((units,), rate)
    assert settings.learning_rate_schedule == "linear"


def test_more_steps_than_are_needed_have_a_lower_rate():
    settings = settings_by_recipe(dataset(words=235.0, reviews=40_000))
    assert (settings.epochs, settings.learning_rate) == (2, 0.00057)


def test_all_ngrams_are_read_that_the_data_was_prepared_with_for_the_recipe():
    assert settings_by_recipe(dataset(inputs=400_004)).num_words == 400_004
    others = (dataset(inputs=inputs, recipe="tutorial") for inputs in (400_004, 70))
    assert [settings_by_recipe(each, "ngrams").num_words for each in others] == [100_000, 70]


def test_the_tutorials_settings_are_the_defaults():
    assert recipe_settings("tutorial", dataset()) == {}
    assert settings_by_recipe(dataset(recipe="tutorial")) == TrainingSettings()
    assert settings_by_recipe(dataset(), "tutorial") == TrainingSettings()


def test_a_setting_that_is_chosen_overrides_the_recipe():
    settings = settings_by_recipe(dataset(), epochs=3, hidden=())
    assert (settings.epochs, settings.hidden, settings.dropout) == (3, (), ())
    assert settings.learning_rate_schedule == "linear"
