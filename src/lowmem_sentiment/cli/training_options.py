"""The recipe of every command that trains."""

import argparse
from typing import Any

from ..runs.configuration import TrainingSettings
from ..runs.recipes import RECIPES, recipe_settings
from .options import given


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Add --recipe."""
    settings = "; ".join(
        f"{name}: {' '.join(TrainingSettings(**recipe).options())}" for name, recipe in RECIPES.items()
    )
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        help="a set of settings that goes well with n-grams (prepare --ngrams 3); options given as well "
        f"override it. {settings}",
    )


def chosen_settings(options: argparse.Namespace, dataset: Any) -> dict[str, Any]:
    """Return the training settings of dataset and recipe, overridden by those given as options."""
    from ..dataset.splits import own_validation_split

    recipe = recipe_settings(options.recipe, dataset) if options.recipe else {}
    own = own_validation_split(dataset)
    return {
        **({"validation_split": own} if own else {}),
        **recipe,
        **given(options, TrainingSettings),
    }
