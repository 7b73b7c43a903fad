"""Named sets of settings that `train` uses unless its options override them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..dataset.manifest import NGRAMS, RECIPES
from ..system.errors import SettingsError
from .configuration import TrainingSettings

if TYPE_CHECKING:
    from ..dataset.reader import Dataset


def recipe_settings(name: str, dataset: Dataset) -> dict[str, Any]:
    """Return a recipe's training settings for a dataset; SettingsError for an unknown recipe."""
    if name not in RECIPES:
        raise SettingsError(f"recipe is {name!r}, expected one of {', '.join(RECIPES)}")
    return _ngram_settings(dataset) if name == NGRAMS else {}


def settings_by_recipe(dataset: Dataset, recipe: str | None = None, **chosen: Any) -> TrainingSettings:
    """Return the settings of a recipe (default: the dataset's), overridden by the chosen ones."""
    settings = {**recipe_settings(recipe or dataset.recipe, dataset), **chosen}
    if "dropout" in settings and "dropout" not in chosen:
        settings["dropout"] = settings["dropout"][: len(settings["hidden"])]
    return TrainingSettings(**settings)


# Chosen by cross-validation within the training texts of seven sets of 2,400 to 11,000 short texts, of
# parts of them with uneven, few and many labels, and of IMDb (labels, stars; 2,500 to 36,000 reviews).
def _ngram_settings(dataset: Dataset) -> dict[str, Any]:
    """Return one layer, and a learning rate that falls to zero over as many steps as the data needs.

    Long texts need fewer steps: 2,500 reviews of IMDb lose 1.4 points with 2,500 steps instead of 800.
    Many labels need more units and a higher rate: 77 labels gain 3.5 points. Where two epochs are more
    steps than that, a lower rate is better: all of IMDb gains 0.1 points.
    """
    num_labels, words = len(dataset.labels), max(1.0, dataset.length.mean)
    reviews = dataset.num_reviews("train")
    steps = min(4000.0, max(800.0, 2500 * math.sqrt(20 / words)))
    epochs = max(2, min(100, math.ceil(32 * steps / reviews)))
    rate = 0.001 * min(3.0, max(1.0, math.sqrt(num_labels / 8)))
    rate *= math.sqrt(min(1.0, 32 * steps / (epochs * reviews)))
    return {
        "epochs": epochs,
        "num_words": dataset.num_inputs if dataset.recipe == NGRAMS else min(100_000, dataset.num_inputs),
        "learning_rate": round(rate, 5),
        "learning_rate_schedule": "linear",
        "hidden": (min(128, max(24, 2 * num_labels)),),
        "dropout": (0.5,),
    }
