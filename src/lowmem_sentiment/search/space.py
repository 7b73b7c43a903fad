"""The settings that `tune` tries: known ones, then random ones, or a grid.

Random ones are halved successively: many are trained a little, and the best third of them for longer.
Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization" (2016);
a third is kept, as in Hyperband (Li et al., 2018).
"""

import itertools
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..dataset.manifest import NGRAMS
from ..dataset.reader import Dataset
from ..dataset.splits import num_reviews
from ..runs.configuration import TrainingSettings
from ..runs.memory_plan import count_parameters, fit_to
from ..runs.recipes import recipe_settings
from ..system.errors import SettingsError
from ..system.memory import MB, Limit
from ..system.settings import plain
from .settings import (
    BATCH_SIZES,
    HIDDEN,
    LEARNING_RATES,
    LEAST_WORDS,
    MOST_DROPOUT,
    REVIEWS_OF_FIRST_RUNG,
    RUNGS,
    UNBALANCED,
    parse_grid,
)

_MOST_DRAWS = 1_000

_KEPT = 3  # one in this many is kept after each rung, and at least one

_BRACKET = _KEPT**2  # the candidates of a bracket: 9, then 3, then 1


@dataclass(frozen=True)
class Trial:
    """Settings to try, in their own run directory."""

    settings: TrainingSettings
    """With `num_words` filled in."""
    directory: str
    """The run directory's name."""
    candidate: int
    """The number of the candidate, from 1; several seeds of a grid are one candidate."""
    kind: str
    """A recipe's name, "random" or "grid"."""


def rungs(dataset: Dataset, validation_split: float) -> list[int]:
    """Return the epochs after which candidates are measured."""
    reviews = max(1, num_reviews(dataset, "train", validation_split))
    factor = min(16, max(1, round(REVIEWS_OF_FIRST_RUNG / reviews)))
    return [factor * epochs for epochs in RUNGS]


def model_bytes(settings: TrainingSettings, dataset: Dataset) -> int:
    """Return the bytes of the model's weights, in float32."""
    return 4 * count_parameters(settings, settings.num_words_for(dataset), len(dataset.labels))


def grid_trials(
    dataset: Dataset, base: TrainingSettings, grid: Sequence[str], seeds: int
) -> dict[int, Trial]:
    """Return every combination of the values in `grid` with each seed, numbered from 1.

    The other settings and the first seed come from `base`. Directories have names such as
    "epochs=2,hidden=50-50,seed=0". Raises SettingsError for impossible settings.
    """
    values = dict(map(parse_grid, grid))
    trials: dict[int, Trial] = {}
    for candidate, combination in enumerate(itertools.product(*values.values()), 1):
        chosen = dict(zip(values, combination, strict=True))
        dropout = base.dropout[: len(chosen.get("hidden", base.hidden))]
        for seed in range(base.seed, base.seed + seeds):
            try:
                settings = replace(base, **{"dropout": dropout, **chosen}, seed=seed)
            except SettingsError as error:
                hint = "; a colon separates values of hidden and dropout" * ("dropout" in chosen)
                raise SettingsError(f"{error}{hint}") from None
            settings = replace(settings, num_words=settings.num_words_for(dataset))
            named = {**chosen, "seed": seed}.items()
            directory = ",".join(f"{name}={plain(value).replace(',', '-')}" for name, value in named)
            trials[len(trials) + 1] = Trial(settings, directory, candidate, "grid")
    return trials


class SearchSpace(dict[int, Trial]):
    """The candidates by number, each drawn when first asked for, from the seed and its number."""

    def __init__(
        self, dataset: Dataset, base: TrainingSettings, memory_bytes: int, model_size: int | None = None
    ):
        """Draw settings that fit `memory_bytes` by `plan`, with at most `model_size` bytes of weights.

        `base` has the common settings: seed, validation split.
        """
        super().__init__()
        self._dataset, self._base = dataset, base
        self._limit, self._model_size = Limit(memory_bytes, "--memory-limit"), model_size
        self.refused: dict[str, str] = {}
        """Why the recipe's settings are not the first candidate, by its name."""
        try:
            recipe = recipe_settings(dataset.recipe, dataset)
            self._add(1, dataset.recipe, self.fit(replace(base, **recipe)))
        except SettingsError as error:
            self.refused[dataset.recipe] = str(error)

    def _add(self, number: int, kind: str, settings: TrainingSettings) -> Trial:
        self[number] = Trial(settings, f"{number:03d}", number, kind)
        return self[number]

    def __missing__(self, number: int) -> Trial:
        """Draw a candidate; SettingsError if many settings were drawn and none fits the limits."""
        generator = np.random.default_rng([self._base.seed, number])
        reason = ""
        for _ in range(_MOST_DRAWS):
            try:
                settings = self.fit(replace(self._base, **self._draw(generator)))
                return self._add(number, "random", settings)
            except SettingsError as error:
                reason = str(error)
        raise SettingsError(f"none of {_MOST_DRAWS:,} settings drawn fits the limits; the last: {reason}")

    def fit(self, settings: TrainingSettings) -> TrainingSettings:
        """Return settings with a shuffle window that fits the memory; SettingsError if none does."""
        settings = replace(settings, num_words=settings.num_words_for(self._dataset))
        size = model_bytes(settings, self._dataset)
        if self._model_size is not None and size > self._model_size:
            raise SettingsError(
                f"the model takes {size / MB:.2f} MB, and --model-size is {self._model_size / MB:.2f} MB"
            )
        return fit_to(self._limit, self._dataset, settings)

    def _draw_around_recipe(self, generator: np.random.Generator) -> dict[str, Any]:
        recipe = recipe_settings(NGRAMS, self._dataset)

        def around(value: float, factor: float) -> float:
            return _log_uniform(generator, value / factor, value * factor)

        return {
            **recipe,
            "epochs": max(1, round(around(recipe["epochs"], 2))),
            "num_words": min(self._dataset.num_inputs, _two_digits(around(recipe["num_words"], 3))),
            "learning_rate": float(f"{around(recipe['learning_rate'], 3):.2g}"),
            "hidden": (round(around(recipe["hidden"][0], 2)),),
            "dropout": (round(generator.uniform(0.2, 0.8), 2),),
        }

    def _draw(self, generator: np.random.Generator) -> dict[str, Any]:
        if self._dataset.recipe == NGRAMS:
            return self._draw_around_recipe(generator)
        dataset, most = self._dataset, self._dataset.num_inputs
        num_words = min(most, _two_digits(_log_uniform(generator, min(LEAST_WORDS, most), most)))
        hidden = HIDDEN[generator.integers(len(HIDDEN))]
        rate = round(generator.uniform(0, MOST_DROPOUT), 2)
        learning_rate = float(f"{_log_uniform(generator, *LEARNING_RATES):.2g}")
        reviews = num_reviews(dataset, "train", self._base.validation_split)
        largest = max(reviews // 10, BATCH_SIZES[0])
        batch_size = int(generator.choice([size for size in BATCH_SIZES if size <= largest]))
        lazy, balanced = generator.integers(2, size=2)
        counts = [count for count in dataset.label_counts("train") if count]
        unbalanced = max(counts) >= UNBALANCED * min(counts)
        return {
            "num_words": int(num_words),
            "hidden": hidden,
            "dropout": tuple(rate if not nth else round(rate / 2, 3) for nth in range(len(hidden))),
            "learning_rate": learning_rate,
            "batch_size": batch_size,
            "class_weight": "balanced" if balanced and unbalanced else "none",
            "optimizer": "lazy-adam" if lazy else "adam",
        }


def _log_uniform(generator: np.random.Generator, low: float, high: float) -> float:
    return math.exp(generator.uniform(math.log(low), math.log(high)))


def _two_digits(value: float) -> int:
    return int(float(f"{value:.2g}"))


def count_runs(candidates: int, rungs: int) -> int:
    """Return how many trainings a bracket takes, over all its rungs.

    >>> count_runs(9, 3)
    13
    """
    return sum(max(1, candidates // _KEPT**nth) for nth in range(rungs))


def bracket_size(room: float, rungs: int) -> int:
    """Return how many candidates the next bracket has if `room` trainings are left: 0 to 9.

    It is the largest bracket that can be completed, or one candidate if none can.

    >>> [bracket_size(room, 3) for room in (0.9, 1, 4, 12, 13, 100)]
    [0, 1, 2, 8, 9, 9]
    """
    if room < 1:
        return 0
    return next((size for size in range(_BRACKET, 0, -1) if count_runs(size, rungs) <= room), 1)


def halve(
    candidates: Sequence[int],
    rungs: Sequence[int | None],
    measure: Callable[[Sequence[int], int | None], dict[int, float]],
    always: Collection[int] = (),
) -> None:
    """Measure candidates at each rung, and go up with the best third of those measured.

    A rung is a number of epochs; None: the candidate's own. `measure` returns the worth of each candidate
    at a rung, the greater the better, without candidates that failed or were not reached. Candidates in
    `always` go up to the second rung regardless of worth. Ties go to the earlier candidate.
    """
    left = list(candidates)
    for rung in rungs:
        worth = measure(left, rung)
        ranked = sorted(worth, key=lambda candidate: (-worth[candidate], candidate))
        kept = set(ranked[: max(1, len(ranked) // _KEPT)])
        if rung == rungs[0]:
            kept |= worth.keys() & set(always)
        left = sorted(kept)
        if not left:
            return
