"""The settings of tune, with defaults, help and ranges."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..runs.configuration import TrainingSettings
from ..system.errors import SettingsError, printable
from ..system.settings import SIZE, Settings, read_value, setting

_ELSEWHERE = {"seed": "--seed and --seeds", "validation_split": "--validation-split"}

LEAST_WORDS = 5_000

HIDDEN: tuple[tuple[int, ...], ...] = ((), (16,), (32,), (64,), (32, 32), (50, 50, 50))

MOST_DROPOUT = 0.8

LEARNING_RATES = 1e-4, 3e-3

BATCH_SIZES = tuple(1 << power for power in range(4, 9))

UNBALANCED = 1.5
"""Class weights are drawn if a label has this many times another label's reviews."""

REVIEWS_OF_FIRST_RUNG = 10_000
"""An epoch with fewer reviews shows little of a setting: small data begins with more epochs."""

RUNGS = 1, 2, 4
"""The epochs of the rungs; a multiple of them if there are few reviews."""

RANGES = f"""\
searched:
  words, n-grams  {LEAST_WORDS:,} to all of them, by logarithm
  hidden layers   {" | ".join(",".join(map(str, units)) or "none" for units in HIDDEN)}
  dropout         0 to {MOST_DROPOUT} after the first layer, half of it after the others
  learning rate   {LEARNING_RATES[0]:g} to {LEARNING_RATES[1]:g}, by logarithm
  batch size      {", ".join(map(str, BATCH_SIZES))}; at most a tenth of the reviews
  class weights   none | balanced, if one has {UNBALANCED} times another's reviews
  optimizer       adam | lazy-adam
  epochs          {", ".join(map(str, RUNGS))}; more with fewer than {REVIEWS_OF_FIRST_RUNG:,} reviews

The recipe's settings are tried first. With the recipe tutorial, the best third
of nine settings is trained on to twice the epochs, and the best of these to
four times (successive halving). With the recipe ngrams, others are drawn
around it instead: half to twice its epochs and units, a third to three times
its rate and n-grams, dropout 0.2 to 0.8; and the recipe wins unless one is
better by more than half a standard error."""


def parse_grid(text: str) -> tuple[str, list[Any]]:
    """Read "epochs=1,2,3" or, for settings that are lists, "hidden=50,50,50:32,32".

    Raises SettingsError for an unknown setting, or a value that it cannot have.

    >>> parse_grid("hidden=50,50,50:32,32")
    ('hidden', [(50, 50, 50), (32, 32)])
    """
    name, _, values = text.partition("=")
    name = name.strip().replace("-", "_")
    if name in _ELSEWHERE:
        raise SettingsError(f"grid is {text!r}, but {name} is set by {_ELSEWHERE[name]}")
    known = [each.name for each in fields(TrainingSettings) if each.name not in _ELSEWHERE]
    if name not in known or not values:
        raise SettingsError(
            f"grid is {text!r}, expected NAME=VALUE,VALUE,... with a NAME of {', '.join(known)}"
        )
    separator = ":" if isinstance(getattr(TrainingSettings, name), tuple) else ","
    try:
        return name, [read_value(TrainingSettings, name, value) for value in values.split(separator)]
    except SettingsError as error:
        raise SettingsError(f"grid is {text!r}: {error}") from None


@dataclass(frozen=True)
class TuneSettings(Settings):
    """The aim of a search, and its limits."""

    minutes: float | None = setting(
        None,
        "time for everything, including the winner's training and evaluation (default: 10)",
        metavar="N",
        above=0,
        below=float("inf"),
    )
    runs: int | None = setting(
        None,
        "end the search after N trainings instead of minutes; the same N gives the same table",
        at_least=1,
    )
    metric: str = setting(
        "accuracy",
        "the validation metric to optimise: accuracy, macro_f1, auc (two labels), f1:LABEL or loss",
        metavar="METRIC",
    )
    prefer: str = setting(
        "best",
        "cheap: take the smallest model that is within one standard error of the best",
        choices=("best", "cheap"),
    )
    memory_limit: int | None = setting(
        None,
        "try only settings that take at most SIZE, such as 700M, by train --plan, and train as many "
        "runs at a time as fit into it, one per core (default: one at a time, in the free memory)",
        metavar="SIZE",
        read=SIZE,
    )
    model_size: int | None = setting(
        None,
        "try only models whose weights take at most SIZE, such as 10M, at 4 bytes each",
        metavar="SIZE",
        read=SIZE,
    )
    validation_split: float = setting(
        0.1, "choose on this share of the training reviews", metavar="SHARE", above=0, below=1
    )
    seed: int = setting(
        0, "seed of the random settings, and of every training", at_least=0, at_most=(1 << 31) - 1
    )

    folds: int | None = setting(
        None,
        "instead of searching, cross-validate the recipe's settings, or single values of --grid, in N "
        "folds of the training reviews, to show what to expect of few texts",
        at_least=2,
        at_most=20,
    )
    learning_curve: bool = setting(
        False, "with --folds, also train on a tenth to all of the data, to show whether more would help"
    )
    seeds: int = setting(1, "runs of each combination of --grid, with consecutive seeds", at_least=1)
    grid: tuple[str, ...] = ()
    """Settings to combine, such as "epochs=1,2" (`parse_grid`); empty: a random search."""

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [name for name in ("minutes", "runs", "model_size") if getattr(self, name)]
        if given and (self.grid or self.folds):
            whole = "folds are" if self.folds else "a grid is"
            raise SettingsError(f"{whole} trained whole; expected no {' or '.join(given)} as well")
        for name, values in map(parse_grid, self.grid):
            if self.folds:
                self._check_value(name, values)
        if self.learning_curve and not self.folds:
            raise SettingsError("learning_curve was given without folds; expected both: --folds 5")
        if self.seeds > 1 and not self.grid:
            raise SettingsError(f"seeds is {self.seeds}, expected 1 without a grid")
        if self.minutes and self.runs:
            raise SettingsError(
                f"minutes is {self.minutes:g} and runs is {self.runs}, expected one of them"
            )
        if self.runs is None and not self.grid and not self.folds:
            object.__setattr__(self, "minutes", self.minutes or 10.0)

    def _check_value(self, name: str, values: list[Any]) -> None:
        if len(values) > 1 or self.seeds > 1:
            raise SettingsError(f"folds is {self.folds}, expected one value of {name} and one seed")
        if name in ("early_stopping", "keep_best", "best_by"):
            raise SettingsError(f"{name} would choose by the fold that is tested; expected no {name}")

    @property
    def grid_names(self) -> list[str]:
        """The names of the grid's settings."""
        return [parse_grid(text)[0] for text in self.grid]

    def check_metric(self, labels: Sequence[str]) -> None:
        """Raise SettingsError for a metric that these labels do not have."""
        area = ["auc"] if len(labels) == 2 else []
        known = ["accuracy", "macro_f1", *area, "loss", *(f"f1:{label}" for label in labels)]
        if self.metric not in known:
            shown = ", ".join(map(printable, known[:60]))
            raise SettingsError(f"metric is {self.metric!r}, expected one of {shown}")

    @property
    def sign(self) -> int:
        """1 if more of the metric is better, and -1 for the loss."""
        return -1 if self.metric == "loss" else 1
