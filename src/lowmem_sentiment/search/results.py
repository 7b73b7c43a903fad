"""Results of a search: the candidates by rank, the winner, and its test metrics."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from ..dataset.manifest import NGRAMS, RECIPES
from ..dataset.reader import Dataset
from ..evaluation.results import Evaluation
from ..runs.configuration import TrainingSettings
from ..system.files import replace_file
from ..system.memory import MB
from ..system.settings import plain
from .settings import TuneSettings
from .space import Trial, model_bytes
from .state import Result, TuneState

SEARCHED = (
    "num_words", "hidden", "dropout", "learning_rate", "batch_size", "class_weight", "optimizer",
)  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """Settings that were tried, with the epochs at which they were best on the validation split."""

    rank: int
    candidate: int
    """Its number, from 1, in the order in which it was tried."""
    kind: str
    """A recipe's name, "random" or "grid"."""
    value: float
    """The search's metric; with several seeds the mean."""
    deviation: float | None
    """The standard deviation over several seeds."""
    standard_error: float
    """The metric's standard error for the number of validation reviews."""
    epochs: int
    settings: TrainingSettings
    """With several seeds, the first seed's."""
    metrics: dict[str, float]
    """Accuracy, loss and macro F1 on the validation split."""
    epoch_seconds: float
    peak_resident_bytes: int
    model_bytes: int
    runs: int
    """The number of its trainings, over all epochs and seeds."""

    def to_json(self, names: Iterable[str] = ()) -> dict[str, Any]:
        """Return a row of the table; `names` are the settings of a grid."""
        row: dict[str, Any] = {}
        for key, value in vars(self).items():
            if key == "settings":
                row |= {name: getattr(self.settings, name) for name in (*SEARCHED, *names)}
            elif key == "metrics":
                row |= {f"val_{name}": metric for name, metric in self.metrics.items()}
            elif value is not None:
                row[key] = value
        return row


@dataclass(frozen=True)
class TuningResult:
    """The result of a search."""

    dataset: str
    data: str
    settings: TuneSettings
    validated_on: str
    """The reviews that candidates were measured on, in words."""
    ranked_with_validation: bool
    """Whether validation reviews helped to rank the n-grams: then validation is too good."""
    rungs: list[int]
    """The epochs at which a random search measures."""
    trained: int
    candidates: list[Candidate]
    """By rank, the best first."""
    failed: list[Result]
    """Runs that could not be trained or measured."""
    not_tried: dict[str, str]
    """Why known settings were not tried, by name."""
    winner: Candidate
    cheapest: Candidate
    """The smallest model within one standard error of the best."""
    seconds: float
    test: Evaluation
    """Test metrics of the winner, trained again on all training reviews."""
    run: str
    """The winner's run directory."""
    command: str
    """The command that trains the winner again."""
    measured: list[Result] = field(default_factory=list)
    """The runs in the order in which they were measured; not in JSON."""
    test_accuracies: list[float] = field(default_factory=list)
    """With several seeds: of the winner's runs in the grid, trained without the validation reviews."""

    @property
    def default(self) -> Candidate | None:
        """The candidate with the recipe's settings."""
        return next((each for each in self.candidates if each.kind in RECIPES), None)

    @property
    def varied(self) -> list[str]:
        """The settings that differ between candidates, and the grid's."""
        grid = self.settings.grid_names
        names = dict.fromkeys([*SEARCHED, *grid])
        rows = self.candidates
        differ = [name for name in names if len({getattr(row.settings, name) for row in rows}) > 1]
        return [name for name in names if name in grid or name in differ]

    def table(self) -> list[list[str]]:
        """Return a head and one row per candidate: its measurements, and the settings that differ."""
        names = [name for name in self.varied if name != "epochs"]
        head = ["rank", self.settings.metric, "±", "epochs", "runs", "epoch s", "peak MB", "model MB"]
        rows = [[*head, *(name.replace("_", " ") for name in names)]]
        roles = {"winner": self.winner, "cheapest": self.cheapest, "recipe": self.default}
        for each in self.candidates:
            marks = ", ".join(role for role, candidate in roles.items() if candidate is each)
            row = [
                f"{each.rank} {marks}".rstrip(),
                f"{each.value:.4f}",
                f"{each.standard_error if each.deviation is None else each.deviation:.4f}",
                str(each.epochs),
                str(each.runs),
                f"{each.epoch_seconds:.1f}",
                f"{each.peak_resident_bytes / MB:.0f}",
                f"{each.model_bytes / MB:.1f}",
                *(plain(getattr(each.settings, name)) or "none" for name in names),
            ]
            rows.append(row)
        return rows

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``tune --json`` prints."""
        settings, content = self.settings, vars(self).copy()
        del content["settings"], content["measured"]
        if accuracies := content.pop("test_accuracies"):
            content["test_accuracy_mean"] = fmean(accuracies)
            content["test_accuracy_sd"] = stdev(accuracies)
        names = ("metric", "prefer", "seed", "validation_split", "minutes", "runs")
        content |= {name: getattr(settings, name) for name in names}
        if settings.grid:
            content |= {"grid": list(settings.grid), "seeds": settings.seeds}
        return {
            **content,
            "candidates": [each.to_json(settings.grid_names) for each in self.candidates],
            "failed": [
                {"candidate": each.candidate, "epochs": each.epochs, "error": each.error}
                for each in self.failed
            ],
            "winner": self.winner.rank,
            "cheapest": self.cheapest.rank,
            "default": self.default.rank if self.default else None,
            "test": self.test.to_json(),
        }

    def write_csv(self, path: Path) -> None:
        """Write the candidates as a table, atomically; OutputError when the system refuses."""
        rows = [each.to_json(self.settings.grid_names) for each in self.candidates]
        with replace_file(path) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
            writer = csv.DictWriter(text, list(rows[0]))
            writer.writeheader()
            writer.writerows({name: plain(value) for name, value in row.items()} for row in rows)


def rank(state: TuneState, trials: Mapping[int, Trial], dataset: Dataset) -> list[Candidate]:
    """Return the measured candidates, the best first; ties in order."""
    sign = state.settings.sign
    by_run: dict[int, list[Result]] = {}
    for result in state.measured():
        by_run.setdefault(result.candidate, []).append(result)
    groups: dict[int, list[Result]] = {}  # by candidate, the best of each run
    for run in sorted(by_run):
        best = max(by_run[run], key=lambda each: sign * each.value)
        groups.setdefault(trials[run].candidate, []).append(best)
    means = {number: fmean(each.value for each in results) for number, results in groups.items()}
    ranked = sorted(groups, key=lambda number: (-sign * means[number], number))
    table = []
    for place, number in enumerate(ranked, 1):
        results = groups[number]
        first, values = results[0], [each.value for each in results]
        trial = trials[first.candidate]
        table.append(
            Candidate(
                rank=place,
                candidate=number,
                kind=trial.kind,
                value=means[number],
                deviation=stdev(values) if len(values) > 1 else None,
                standard_error=fmean(each.standard_error for each in results),
                epochs=first.kept_epoch or first.epochs,
                settings=trial.settings,
                metrics={name: fmean(each.metrics[name] for each in results) for name in first.metrics},
                epoch_seconds=fmean(each.epoch_seconds for each in results),
                peak_resident_bytes=max(each.peak_resident_bytes for each in results),
                model_bytes=model_bytes(trial.settings, dataset),
                runs=sum(trials[each.candidate].candidate == number for each in state.results),
            )
        )
    return table


def choose(table: list[Candidate], settings: TuneSettings) -> tuple[Candidate, Candidate]:
    """Return the winner, and the smallest model within one standard error of the best.

    They are often the same; `prefer` "cheap" makes the smallest the winner. (The rule of one standard
    error: Breiman et al., "Classification and Regression Trees", 1984.)
    """
    best = table[0]
    for each in table:
        if each.kind == NGRAMS and settings.sign * (best.value - each.value) < each.standard_error / 2:
            best = each  # the best of many is partly luck: without a clear lead the recipe is better
    near = [each for each in table if settings.sign * (best.value - each.value) <= best.standard_error]
    cheapest = min(near, key=lambda each: each.model_bytes)
    return (cheapest if settings.prefer == "cheap" else best), cheapest
