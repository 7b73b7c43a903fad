"""Train every combination of some settings, and find the best."""

import itertools
import statistics
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..dataset.reader import Dataset
from ..dataset.splits import validation_warnings
from ..evaluation.scoring import dataset_batches, score
from ..model.numpy_model import NumpyModel
from ..runs.configuration import TrainingSettings
from ..runs.run_directory import RunDirectory
from ..system.errors import DataError, LowmemError, Resumable, SettingsError, plural
from ..system.progress import Progress, no_progress
from ..system.settings import plain
from .processes import Trainer, Training, lock_runs, unit_of_runs

Grid = dict[str, list[Any]]

# --- what is swept ---


def parse_grid(text: str) -> tuple[str, list[Any]]:
    """Read "epochs=1,2,3" or, of settings that are lists, "hidden=50,50,50:32,32".

    >>> parse_grid("hidden=50,50,50:32,32")
    ('hidden', [(50, 50, 50), (32, 32)])

    Raises SettingsError for what is no setting, or no value of it.
    """
    name, equals, values = text.partition("=")
    name = name.strip().replace("-", "_")
    known = [each.name for each in fields(TrainingSettings) if each.name != "seed"]
    if name not in known or not equals or not values:
        raise SettingsError(
            f"grid is {text!r}, expected NAME=VALUE,VALUE,... with a NAME of {', '.join(known)} "
            "(for several seeds: --seeds)"
        )
    try:
        return name, _parse_values(getattr(TrainingSettings, name), values)
    except (ValueError, KeyError) as error:
        raise SettingsError(f"grid is {text!r}: {error} is no value of {name}") from None


def _parse_values(default: Any, text: str) -> list[Any]:
    """Read values of a setting, of the type of its default; ValueError or KeyError for another one."""
    if isinstance(default, tuple):
        kind = type(default[0])
        lists = (value.split(",") for value in text.split(":"))
        return [tuple(kind(part) for part in parts if part) for parts in lists]
    if isinstance(default, bool):
        return [{"true": True, "false": False}[value] for value in text.split(",")]
    kind = int if default is None else type(default)
    return [kind(value) for value in text.split(",")]


@dataclass
class _Run(Training):
    """One run of a sweep."""

    chosen: dict[str, Any] = field(default_factory=dict)
    """Its values of the grid."""


def _plan(dataset: Dataset, out: Path, settings: TrainingSettings, grid: Grid, seeds: int) -> list[_Run]:
    """Return the runs in order; SettingsError for impossible settings, OutputExists for other runs."""
    runs = []
    for values in itertools.product(*grid.values()):
        chosen = dict(zip(grid, values, strict=True))
        for seed in range(settings.seed, settings.seed + seeds):
            theirs = replace(settings, **chosen, seed=seed)
            theirs = replace(theirs, num_words=theirs.num_words_for(dataset))
            parts = [f"{name}={plain(value).replace(',', '-')}" for name, value in chosen.items()]
            run = _Run(theirs, RunDirectory(out / ",".join([*parts, f"seed={seed}"])), chosen=chosen)
            run.require_same(dataset)
            runs.append(run)
    return runs


# --- the sweep ---


def sweep(
    dataset: Dataset | str | Path,
    out: str | Path,
    settings: TrainingSettings,
    grid: Grid,
    *,
    seeds: int = 1,
    memory_limit: int | None = None,
    stop: threading.Event | None = None,
    progress: Progress = no_progress,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train a run for each combination of `grid` and each of `seeds` seeds into `out`; return the table.

    `settings` are those of every run, but for the grid's. One run at a time; with `memory_limit`
    (bytes) as many as it admits by `plan`, a core each, and none that does not fit. Finished runs are
    kept, interrupted ones resumed, and a failed one stops no other. The best combination is the one with
    the best validation; of it alone the test accuracy is measured. When `stop` is set, every running
    process saves its state, and Resumable is raised.

    Raises SettingsError without a validation split, OutputExists for a run with other settings.
    """
    if not isinstance(dataset, Dataset):
        dataset = Dataset(dataset)
    if not settings.validation_split or seeds < 1:
        raise SettingsError(
            f"validation_split is {settings.validation_split} and seeds is {seeds}, expected more than 0 "
            "of both: settings chosen by the test split make the test accuracy look better than it is"
        )
    stopped = (stop or threading.Event()).is_set
    runs = _plan(dataset, Path(out), settings, grid, seeds)
    for warning in validation_warnings(dataset, settings.validation_split):
        report(f"warning: {warning}")
    with lock_runs(Path(out), stopped, report) as lock:
        if lock is not None:
            trainer = Trainer(dataset, lock, memory_limit, stopped, report)
            trainer.run(
                runs, tick=lambda ended: progress("sweep", ended, len(runs), unit=unit_of_runs(len(runs)))
            )
    if stopped():
        done = sum(run.finished for run in runs)
        raise Resumable(
            f"stopped with {done} of {plural(len(runs), 'run')} finished; the same command resumes "
            "the rest"
        )
    return _table(dataset, runs, settings.best_by, seeds)


# --- its table ---


def _table(dataset: Dataset, runs: list[_Run], best_by: str, seeds: int) -> dict[str, Any]:
    return {
        "dataset": str(dataset.directory),
        "data": dataset.source["description"],
        "best_by": best_by,
        "seeds": seeds,
        "runs": [
            {
                "run": str(run.directory.path),
                **run.chosen,
                "seed": run.settings.seed,
                **({"error": run.error} if run.error else _measured(run)),
            }
            for run in runs
        ],
        "combinations": _combine(dataset, runs, best_by),
    }


def _measured(run: _Run) -> dict[str, Any]:
    summary = run.directory.summary()
    names = ("val_accuracy", "val_loss", "val_f1", "val_auc", "epoch", "peak_resident_bytes")
    seconds = summary["seconds"]["training"]
    return {**{name: summary[name] for name in names if name in summary}, "seconds": seconds}


def _combine(dataset: Dataset, runs: list[_Run], best_by: str) -> list[dict[str, Any]]:
    """Return mean and standard deviation over the seeds of each combination; the best is marked."""
    rows, rated = [], []
    for _, group in itertools.groupby(runs, key=lambda run: run.chosen):
        every = list(group)
        finished = [run for run in every if not run.error]
        row = {**every[0].chosen, "runs": len(finished), "failed": len(every) - len(finished)}
        rows.append(row)
        if finished:
            measured = [_measured(run) for run in finished]
            for name in ("val_accuracy", "val_loss", "seconds"):
                row |= _mean_and_deviation(name, [each[name] for each in measured])
            rated.append((row, finished))
    if rated:
        sign = -1 if best_by == "loss" else 1
        best, finished = max(rated, key=lambda each: sign * each[0][f"val_{best_by}_mean"])
        accuracies = _test_accuracies(dataset, finished)
        best |= {"best": True, **_mean_and_deviation("test_accuracy", accuracies)}
    return rows


def _mean_and_deviation(name: str, values: Sequence[float]) -> dict[str, float]:
    """Return a metric's mean and standard deviation over seeds; 0 for one seed, which shows none."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {f"{name}_mean": statistics.fmean(values), f"{name}_sd": deviation}


def _test_accuracies(dataset: Dataset, runs: list[_Run]) -> list[float]:
    try:
        models = [NumpyModel.load(run.directory) for run in runs]
        tallies = score(models, dataset_batches(dataset))
    except LowmemError as error:
        raise DataError(f"the best runs cannot be tested: {error}") from error
    return [tally.accuracy for tally in tallies]
