"""A grid: every combination of some values of training settings, each with one seed or several."""

import itertools
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from ..runs.configuration import TrainingSettings
from ..system.errors import SettingsError
from ..system.settings import plain, read_value

if TYPE_CHECKING:  # it takes NumPy, which settings do not need
    from ..dataset.reader import Dataset


def parse_grid(text: str) -> tuple[str, list[Any]]:
    """Read "epochs=1,2,3" or, for settings that are lists, "hidden=50,50,50:32,32".

    >>> parse_grid("hidden=50,50,50:32,32")
    ('hidden', [(50, 50, 50), (32, 32)])

    Raises SettingsError for an unknown setting, or a value that it cannot have.
    """
    name, equals, values = text.partition("=")
    name = name.strip().replace("-", "_")
    elsewhere = {"seed": "--seed and --seeds", "validation_split": "--validation-split"}
    if name in elsewhere:
        raise SettingsError(f"grid is {text!r}, but {name} is set by {elsewhere[name]}")
    known = [each.name for each in fields(TrainingSettings) if each.name not in elsewhere]
    if name not in known or not equals or not values:
        raise SettingsError(
            f"grid is {text!r}, expected NAME=VALUE,VALUE,... with a NAME of {', '.join(known)}"
        )
    separator = ":" if isinstance(getattr(TrainingSettings, name), tuple) else ","
    try:
        return name, [read_value(TrainingSettings, name, value) for value in values.split(separator)]
    except SettingsError as error:
        raise SettingsError(f"grid is {text!r}: {error}") from None


class Grid:
    """The runs of a grid, numbered from 1: combination by combination, each with all its seeds."""

    def __init__(self, dataset: "Dataset", base: TrainingSettings, grid: Sequence[str], seeds: int):
        """Combine the values of `grid`; the other settings, and the first seed, are those of `base`.

        Raises SettingsError for settings that cannot be.
        """
        values = dict(map(parse_grid, grid))
        self.names = list(values)
        """The settings of the grid."""
        self._seeds, self._runs = seeds, []
        for combination in itertools.product(*values.values()):
            chosen = dict(zip(values, combination, strict=True))
            parts = [f"{name}={plain(value).replace(',', '-')}" for name, value in chosen.items()]
            for seed in range(base.seed, base.seed + seeds):
                settings = replace(base, **chosen, seed=seed)
                settings = replace(settings, num_words=settings.num_words_for(dataset))
                self._runs.append((settings, ",".join([*parts, f"seed={seed}"])))

    refused: dict[str, str] = {}  # noqa: RUF012 - read only; a grid is tried whole

    @property
    def runs(self) -> range:
        """The numbers of the runs."""
        return range(1, len(self._runs) + 1)

    @property
    def combinations(self) -> int:
        """How many combinations there are."""
        return len(self._runs) // self._seeds

    def name(self, number: int) -> str:
        """Return the kind of a run."""
        return "grid"

    def candidate(self, number: int) -> int:
        """Return the number, from 1, of the combination that a run belongs to."""
        return (number - 1) // self._seeds + 1

    def settings(self, number: int) -> TrainingSettings:
        """Return a run's settings."""
        return self._runs[number - 1][0]

    def directory(self, number: int) -> str:
        """Return the name of a run's directory, such as "epochs=2,hidden=50-50,seed=0"."""
        return self._runs[number - 1][1]
