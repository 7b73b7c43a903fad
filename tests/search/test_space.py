from dataclasses import replace

import pytest

from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.runs.memory_plan import plan
from lowmem_sentiment.search.settings import BATCH_SIZES, HIDDEN
from lowmem_sentiment.search.space import SearchSpace, model_bytes, rungs
from lowmem_sentiment.system.errors import SettingsError

BASE = TrainingSettings(validation_split=0.1)
PLENTY = 8 << 30


def test_the_recipe_of_the_dataset_is_the_first(dataset):
    space = SearchSpace(dataset, BASE, PLENTY)
    assert [space[number].kind for number in (1, 2)] == ["tutorial", "random"]
    assert space[1].settings == replace(BASE, num_words=dataset.num_inputs)


def test_what_is_drawn_lies_in_the_ranges_and_depends_on_seed_and_number_alone(dataset):
    space = SearchSpace(dataset, BASE, PLENTY)
    drawn = [space[number].settings for number in range(2, 60)]
    for settings in drawn:
        assert settings.num_words == dataset.num_inputs  # there are fewer than 5,000
        assert settings.hidden in HIDDEN and len(settings.dropout) == len(settings.hidden)
        assert all(0 <= rate <= 0.8 for rate in settings.dropout)
        assert 1e-4 <= settings.learning_rate <= 3e-3
        assert settings.batch_size == BATCH_SIZES[0]  # a tenth of 144 reviews, but no less
        assert settings.class_weight == "none"  # as many of each label
    assert {settings.hidden for settings in drawn} == set(HIDDEN)
    again = SearchSpace(dataset, BASE, PLENTY)
    assert [again[number].settings for number in range(2, 60)] == drawn
    other = SearchSpace(dataset, replace(BASE, seed=1), PLENTY)
    assert [other[number].settings for number in range(2, 60)] != drawn


def test_nothing_is_tried_that_does_not_fit(dataset):
    whole = plan(dataset, BASE).needed
    space = SearchSpace(dataset, BASE, whole, model_size=2_000)
    assert len(space) == 0 and "--model-size" in space.refused["tutorial"]
    for number in range(2, 30):
        assert model_bytes(space[number].settings, dataset) <= 2_000
        assert plan(dataset, space[number].settings).needed <= whole


def test_limits_that_nothing_fits_are_refused_with_what_is_needed(dataset):
    with pytest.raises(SettingsError, match="none of 1,000 settings drawn fits .* training needs"):
        SearchSpace(dataset, BASE, 100 << 20)[1]
    with pytest.raises(SettingsError, match="--model-size is 0.00 MB"):
        SearchSpace(dataset, BASE, PLENTY, model_size=10)[1]


def test_few_reviews_are_trained_on_for_more_epochs(dataset):
    assert rungs(dataset, 0.1) == [16, 32, 64]
