"""Settings that belong together, under a name."""

from typing import Any

from ..dataset.reader import Dataset
from ..system.errors import SettingsError

RECIPES: dict[str, dict[str, Any]] = {
    # One small layer and much dropout over many n-grams. Chosen on validation reviews of IMDb that were
    # no part of the ranking.
    "wide": {
        "num_words": 100_000,
        "hidden": (32,),
        "dropout": (0.7,),
        "learning_rate": 3e-4,
        "optimizer": "lazy-adam",
    },
}


def recipe_settings(name: str, dataset: Dataset) -> dict[str, Any]:
    """Return the training settings of a recipe, the number of words or n-grams at most the dataset's.

    Raises SettingsError for a recipe that is not there.
    """
    if name not in RECIPES:
        raise SettingsError(f"recipe is {name!r}, expected one of {', '.join(RECIPES)}")
    settings = RECIPES[name]
    return {**settings, "num_words": min(settings["num_words"], dataset.num_inputs)}
