"""Cross-validation: estimate a model's accuracy from few texts, and whether more would help.

For each fold a dataset is prepared anew from the training reviews outside it, because n-grams that were
ranked and scaled with a fold's labels flatter the model there. The words are the dataset's. Runs and
datasets of folds are removed when they are measured; ``folds.json`` has the results so far.
"""

import contextlib
import csv
import heapq
import io
import math
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from ..dataset.manifest import GIVEN
from ..dataset.reader import Dataset
from ..decisions.significance import paired_interval
from ..evaluation.intervals import wilson
from ..evaluation.predictions import write_predictions
from ..evaluation.scoring import all_metrics, dataset_batches, score
from ..model.numpy_model import NumpyModel
from ..preparation.prepare import prepare
from ..runs.recipes import settings_by_recipe
from ..runs.run_directory import RunDirectory
from ..system.errors import CheckFailed, Resumable, plural
from ..system.files import replace_file
from ..system.progress import Progress, no_progress
from .fold_data import Folds, FoldSource, preparation_settings
from .processes import Trainer, Training, lock_runs
from .settings import TuneSettings, parse_grid
from .state import SavedState

FILE, PREDICTIONS = "folds.json", "predictions.csv"

FORMAT = "lowmem-sentiment folds"

SHARES = (0.1, 0.2, 0.4, 0.7)
"""Parts of the data in a learning curve, besides all of it."""

FOLDS = 5
"""If the settings do not say how many."""

METRICS = ("accuracy", "macro_f1", "loss")

# The 97.5 % quantiles of Student's t distribution for 1 to 19 degrees of freedom.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145,
    2.131, 2.120, 2.110, 2.101, 2.093,
)  # fmt: skip


@dataclass(frozen=True)
class FoldResult:
    """A model, trained on a share of the reviews outside a fold and measured on the fold."""

    share: float
    fold: int
    """From 0."""
    trained: int
    """Reviews."""
    tested: int
    metrics: dict[str, float]
    """`METRICS`, by name."""


@dataclass(frozen=True)
class Estimate:
    """A mean over folds."""

    mean: float
    deviation: float
    """The standard deviation over the folds."""
    interval: list[float]
    """95 %, corrected for the overlap of the folds' training reviews (`estimate`)."""


def estimate(
    values: Sequence[float],
    tested: float,
    trained: float,
    at_least: Sequence[float] = (),
    limits: tuple[float, float] = (0, 1),
) -> Estimate:
    """Return the mean of a value over folds that are `tested` after training on `trained` reviews each.

    The folds share training reviews, so that their values vary less than with independent data: the
    mean's variance is their variance times 1 / folds + `tested` / `trained` (Nadeau and Bengio, 2003).
    The interval covers `at_least`, as the folds may agree by chance, or because all reviews are right. It
    ends at `limits`, which the value cannot leave.
    """
    mean, deviation = fmean(values), stdev(values)
    half = _T[len(values) - 2] * deviation * math.sqrt(1 / len(values) + tested / trained)
    low, high = min([mean - half, *at_least]), max([mean + half, *at_least])
    least, most = limits
    return Estimate(mean, deviation, [max(least, low), min(most, high)])


@dataclass(frozen=True)
class Point:
    """The folds of a share of the data."""

    share: float
    reviews: int
    """Trained on, on average."""
    metrics: dict[str, Estimate]


@dataclass(frozen=True)
class CrossValidation:
    """The result: estimates with all the data last."""

    dataset: str
    data: str
    folds: int
    seed: int
    grid: list[str]
    """Settings other than the recipe's."""
    reviews: int
    ngrams: bool
    """Whether n-grams were chosen anew for each fold."""
    points: list[Point]
    """By share of the data; one without a learning curve."""
    gain: Estimate | None
    """The gain in accuracy by all the data instead of the share before; None without a learning curve."""
    results: list[FoldResult]
    predictions: str
    """The file with each review's number in the training split, and the model's prediction without it."""

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``tune --folds --json`` prints."""
        return asdict(self)


@dataclass
class _State(SavedState):
    """The content of ``folds.json``."""

    kind, what = (FILE, FORMAT), "folds"
    may_change = ("memory_limit", "learning_curve")

    results: list[FoldResult] = field(default_factory=list)


def cross_validate(
    dataset: Dataset | str | Path,
    out: str | Path,
    settings: TuneSettings | None = None,
    *,
    stop: threading.Event | None = None,
    progress: Progress = no_progress,
    report: Callable[[str], None] = lambda line: None,
) -> CrossValidation:
    """Train and measure a model for each of `settings.folds` folds of the training reviews.

    With `settings.learning_curve` also on parts of the reviews outside each fold. `settings.grid` has
    single values for settings other than the recipe's. The same call resumes what was stopped or killed.
    Raises Resumable when `stop` is set, OutputExists for other folds, a dataset or a run in `out`,
    CheckFailed if a run fails.
    """
    dataset = Dataset.of(dataset)
    settings = settings or TuneSettings(folds=FOLDS)
    out, stopped = Path(out), (stop or threading.Event()).is_set
    with lock_runs(out, FILE, stopped, report) as lock:
        trainer = Trainer(lock, settings.memory_limit, stopped, report)
        validation = _Validation(dataset, out, settings, trainer)
        validation.run(progress)
        return validation.result()


class _Validation:
    """A cross-validation in progress."""

    def __init__(self, dataset: Dataset, out: Path, settings: TuneSettings, trainer: Trainer):
        self._dataset, self._out, self._settings, self._trainer = dataset, out, settings, trainer
        self._chosen = {name: values[0] for name, values in map(parse_grid, settings.grid)}
        self._count = settings.folds or FOLDS
        self._state = _State.open(out, settings, dataset.fingerprint)
        self._folds = Folds(dataset, self._count, settings.seed)
        self._shares = [1.0, *(SHARES if settings.learning_curve else ())]
        self._folds.check(self._count, min(self._shares))
        self._state.write(out)  # before anything else is in the folder

    def run(self, progress: Progress) -> None:
        """Train and measure what is left, as many runs at a time as memory and cores allow."""
        done = {(each.share, each.fold) for each in self._state.results}
        wanted = [(share, fold) for share in self._shares for fold in range(self._count)]
        left, errors = [each for each in wanted if each not in done], []
        while left:
            number = len(wanted) - len(left)
            trainings = {each: self._training(*each) for each in left[: self._trainer.width]}
            left = left[self._trainer.width :]
            self._trainer.run(
                trainings.values(),
                tick=lambda: progress("cross-validate", number, len(wanted), unit="runs"),  # noqa: B023
            )
            for (share, fold), training in trainings.items():
                if training.error:
                    errors.append(training.error)
                elif training.finished:
                    self._measure(share, fold, training)
            if self._trainer.stopped():
                made = plural(len(self._state.results), "run")
                raise Resumable(f"stopped after {made} of {len(wanted)}; the same command resumes it")
        if errors:
            failed = plural(len(errors), "run")
            raise CheckFailed(f"{failed} failed: {errors[0]}; the same command tries again")

    def _training(self, share: float, fold: int) -> Training:
        """Prepare a fold's dataset, or the same again, and return its training."""
        name = f"fold-{fold + 1}-of-{self._count}" + (f",share={share:g}" if share < 1 else "")
        source = FoldSource(self._dataset, self._folds, fold, share)
        folder = self._out / f"{name}.data"
        data = prepare(source, folder, preparation_settings(self._dataset), overwrite=True)
        settings = settings_by_recipe(data, seed=self._settings.seed, **self._chosen)
        settings = replace(settings, num_words=settings.num_words_for(data))
        training = Training(data, settings, RunDirectory(self._out / name))
        training.refuse_different()
        return training

    def _measure(self, share: float, fold: int, training: Training) -> None:
        """Predict the fold, record the result, and remove the run and its dataset."""
        data, places = training.dataset, np.flatnonzero(self._folds.numbers == fold)
        model = NumpyModel.load(training.directory)
        batches = (each._replace(numbers=places[each.numbers]) for each in dataset_batches(data))
        with write_predictions(self._part(fold) if share == 1 else None, data.labels) as observers:
            (tally,) = score([model], batches, observers=observers)
        metrics = all_metrics(*tally.metrics())
        trained, tested = (data.num_reviews(split) for split in ("train", "test"))
        values = {name: metrics[name] for name in METRICS}
        self._state.results.append(FoldResult(share, fold, trained, tested, values))
        self._state.write(self._out)
        for directory in (training.directory.path, data.directory):
            shutil.rmtree(directory)

    def _part(self, fold: int) -> Path:
        return self._out / f"predictions-{fold + 1}-of-{self._count}.csv"

    def _merge_predictions(self) -> Path:
        """Write the predictions of all folds, in the order of the reviews, and return their file."""
        path, parts = self._out / PREDICTIONS, [self._part(fold) for fold in range(self._count)]
        if all(map(os.path.lexists, parts)):
            with contextlib.ExitStack() as opened:
                file = io.TextIOWrapper(opened.enter_context(replace_file(path)), "utf-8", newline="")
                writer = csv.writer(opened.enter_context(file), lineterminator="\n")
                files = [opened.enter_context(open(each, encoding="utf-8", newline="")) for each in parts]
                readers = list(map(csv.reader, files))
                titles, *_ = [next(each) for each in readers]
                writer.writerow(titles)
                rows: Iterator[list[str]] = heapq.merge(*readers, key=lambda row: int(row[0]))
                writer.writerows(rows)
            for part in parts:
                part.unlink()
        return path

    def result(self) -> CrossValidation:
        """Return the estimates."""
        dataset, points, gain = self._dataset, [], None
        accuracies: list[float] = []
        for share in sorted(self._shares):
            found = sorted((e for e in self._state.results if e.share == share), key=lambda e: e.fold)
            trained, tested = fmean(e.trained for e in found), fmean(e.tested for e in found)
            reviews, before = sum(e.tested for e in found), accuracies
            accuracies, macro_f1, loss = ([each.metrics[name] for each in found] for name in METRICS)
            metrics = {
                name: estimate(values, tested, trained, wilson(fmean(values) * reviews, reviews))
                for name, values in (("accuracy", accuracies), ("macro_f1", macro_f1))
            }
            metrics["loss"] = estimate(loss, tested, trained, limits=(0, math.inf))
            points.append(Point(share, round(trained), metrics))
            if before:
                gained = [after - less for after, less in zip(accuracies, before, strict=True)]
                more = round(fmean(gained) * reviews)  # as if no review were right only with less data
                few = paired_interval(max(0, more), max(0, -more), reviews, 0.05)
                gain = estimate(gained, tested, trained, few, (-1, 1))
        return CrossValidation(
            dataset=str(dataset.directory),
            data=dataset.source["description"],
            folds=self._count,
            seed=self._settings.seed,
            grid=list(self._settings.grid),
            reviews=dataset.num_reviews("train"),
            ngrams=dataset.features is not None and dataset.features.rank != GIVEN,
            points=points,
            gain=gain,
            results=self._state.results,
            predictions=str(self._merge_predictions()),
        )
