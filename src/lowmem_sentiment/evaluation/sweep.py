"""Train every combination of some settings, each run in a process of its own.

A process of its own, because what TensorFlow holds grows with each model that one process trains.
"""

import csv
import itertools
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from ..dataset.reader import Dataset
from ..distributed.tf_config import without_cluster
from ..model.numpy_model import NumpyModel
from ..runs.configuration import TrainingSettings
from ..runs.run_directory import RunDirectory
from ..system.errors import DataError, LowmemError, OutputExists, Resumable, SettingsError
from ..system.progress import Progress, no_progress
from .scoring import dataset_batches, score

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
    known = [field.name for field in fields(TrainingSettings) if field.name != "seed"]
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
class _Run:
    """One run of a sweep."""

    chosen: dict[str, Any]
    settings: TrainingSettings
    directory: RunDirectory
    process: subprocess.Popen | None = None
    errors: BinaryIO | None = None
    error: str | None = None


def _plan(dataset: Dataset, out: Path, settings: TrainingSettings, grid: Grid, seeds: int) -> list[_Run]:
    """Return the runs in order; SettingsError for impossible settings, OutputExists for other runs."""
    runs = []
    for values in itertools.product(*grid.values()):
        chosen = dict(zip(grid, values, strict=True))
        for seed in range(settings.seed, settings.seed + seeds):
            theirs = replace(settings, **chosen, seed=seed)
            theirs = replace(theirs, num_words=theirs.num_words_for(dataset))
            parts = [f"{name}={_plain(value).replace(',', '-')}" for name, value in chosen.items()]
            run = _Run(chosen, theirs, RunDirectory(out / ",".join([*parts, f"seed={seed}"])))
            if run.directory.config_file.exists():
                _require_same(run, dataset)
            runs.append(run)
    return runs


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _require_same(run: _Run, dataset: Dataset) -> None:
    config = run.directory.config()
    theirs = {name: tuple(v) if isinstance(v, list) else v for name, v in config["settings"].items()}
    other = [name for name, value in asdict(run.settings).items() if theirs.get(name) != value]
    if config["dataset"]["fingerprint"] != dataset.fingerprint:
        other.append("dataset")
    if other:
        raise OutputExists(
            f"{run.directory.path} holds a run with another {', '.join(other)}; choose another --out"
        )


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
    (bytes) as many as it admits, by the peak of those that have finished. Finished runs are kept,
    interrupted ones resumed, and a failed one stops no other. The best combination is the one with the
    best validation; of it alone the test accuracy is measured. When `stop` is set, every running process
    saves its state, and Resumable is raised.

    Raises SettingsError without a validation split, OutputExists for a run with other settings.
    """
    if not isinstance(dataset, Dataset):
        dataset = Dataset(dataset)
    if not settings.validation_split or seeds < 1:
        raise SettingsError(
            f"validation_split is {settings.validation_split} and seeds is {seeds}, expected more than 0 "
            "of both: settings chosen by the test split make the test accuracy look better than it is"
        )
    runs = _plan(dataset, Path(out), settings, grid, seeds)
    stop = stop or threading.Event()
    try:
        _run_all(dataset, runs, memory_limit, stop, progress, report)
    except BaseException:
        _end_all(runs)
        raise
    if stop.is_set():
        done = sum(run.directory.finished for run in runs)
        raise Resumable(
            f"stopped with {done} of {len(runs)} runs finished; the same command resumes the rest"
        )
    return _table(dataset, runs, settings.best_by, seeds)


def _run_all(
    dataset: Dataset,
    runs: list[_Run],
    memory_limit: int | None,
    stop: threading.Event,
    progress: Progress,
    report: Callable[[str], None],
) -> None:
    """Start the runs that are not finished, as many at a time as fit, and wait for them."""
    waiting = [run for run in runs if not run.directory.finished]
    running: list[_Run] = []
    while (waiting and not stop.is_set()) or running:
        while waiting and not stop.is_set() and len(running) < _width(runs, memory_limit):
            running.append(waiting.pop(0))
            _start(dataset, running[-1])
        if stop.is_set():
            _stop_all(running)
        for run in [run for run in running if _has_ended(run)]:
            running.remove(run)
            _end(run)
            if run.error and not stop.is_set():
                report(f"warning: {run.directory.path} failed: {run.error}")
        progress("sweep", len(runs) - len(waiting) - len(running), len(runs))
        time.sleep(0.05)


def _width(runs: list[_Run], memory_limit: int | None) -> int:
    """Return how many runs fit the memory at a time: one, until the first has shown what it takes."""
    peaks = [run.directory.summary()["peak_resident_bytes"] for run in runs if run.directory.finished]
    return max(1, memory_limit // max(peaks)) if memory_limit and peaks else 1


def _start(dataset: Dataset, run: _Run) -> None:
    path = str(run.directory.path)
    resumed = run.directory.config_file.exists()
    where = ["--resume", path] if resumed else ["--run", path]
    command = [sys.executable, "-m", "lowmem_sentiment", "train", str(dataset.directory), *where]
    run.errors = tempfile.TemporaryFile()  # noqa: SIM115
    # A session of its own: Ctrl-C reaches it once, from us. Twice would end it at once.
    run.process = subprocess.Popen(
        [*command, *run.settings.options()],
        stdout=subprocess.DEVNULL,
        stderr=run.errors,
        start_new_session=True,
        env=without_cluster(),
    )


def _stop_all(running: Iterable[_Run]) -> None:
    """Ask each process to save its state and end, once."""
    for run in running:
        if run.process and not _has_ended(run) and run.error is None:
            run.process.terminate()
            run.error = "stopped"


def _has_ended(run: _Run) -> bool:
    return run.process is not None and run.process.poll() is not None


def _end(run: _Run) -> None:
    """Keep why a process failed, if it did."""
    if run.errors is None or run.process is None:
        return
    run.errors.seek(0)
    lines = run.errors.read().decode(errors="replace").strip().splitlines()
    run.errors.close()
    code = run.process.returncode
    if code:
        run.error = lines[-1].removeprefix("lowmem-sentiment: ") if lines else f"it ended with {code}"


def _end_all(runs: Iterable[_Run]) -> None:
    for run in runs:
        if run.process and run.process.poll() is None:
            run.process.terminate()
            run.process.wait()


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
    return [tally.metrics()["accuracy"] for tally in tallies]


def write_csv(combinations: list[dict[str, Any]], file: TextIO) -> None:
    """Write a row a combination."""
    names = list(dict.fromkeys(name for row in combinations for name in row))
    writer = csv.DictWriter(file, names)
    writer.writeheader()
    for row in combinations:
        writer.writerow({name: _plain(value) for name, value in row.items()})
