"""Search the settings of the best model within a budget, and train it on all training reviews."""

import itertools
import math
import shlex
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..dataset.manifest import NGRAMS, TUTORIAL, VALIDATION
from ..dataset.reader import Dataset
from ..dataset.splits import ranked_with_held_out, validation_warnings
from ..evaluation.evaluate import evaluate
from ..evaluation.intervals import standard_error
from ..evaluation.scoring import all_metrics, dataset_batches, score
from ..model.numpy_model import NumpyModel
from ..runs.configuration import TrainingSettings
from ..runs.recipes import settings_by_recipe
from ..runs.run_directory import RunDirectory
from ..system.errors import CheckFailed, LowmemError, Resumable, plural
from ..system.memory import find_limit
from ..system.progress import Progress, duration, no_progress
from .budget import Budget
from .processes import Trainer, Training, lock_runs
from .results import Candidate, TuningResult, choose, rank
from .settings import TuneSettings
from .space import SearchSpace, Trial, bracket_size, grid_trials, halve, rungs
from .state import FILE as STATE
from .state import Result, TuneState

WINNER = "winner"
"""The run directory of the winner."""


def tune(
    dataset: Dataset | str | Path,
    out: str | Path,
    settings: TuneSettings | None = None,
    *,
    stop: threading.Event | None = None,
    progress: Progress = no_progress,
    report: Callable[[str], None] = lambda line: None,
) -> TuningResult:
    """Search the best settings, train them on all training reviews, and evaluate them once.

    Each candidate is a run in `out`, trained in its own process and measured on the validation split.
    Without a grid, settings are drawn at random, the recipe's first, and halved successively, or trained
    whole if the recipe is `ngrams`; candidates dropped by halving keep their weights, curves and metrics,
    a tenth of a run's bytes. A grid is trained completely, and keeps whole runs.

    The winner is trained again on all training reviews, with its best epochs, and evaluated on the test
    split; so are its runs in a grid with several seeds. The same call resumes a killed search: with the
    same `runs` it ends with the same table. A failed run does not stop the others. When `stop` is set,
    every running process saves its state, and Resumable is raised.

    Raises SettingsError for an unknown metric, or limits that no settings fit, OutputExists for a search
    with different settings, a dataset or a run in `out`, and CheckFailed if no run can be trained, or the
    winner cannot.
    """
    dataset = Dataset.of(dataset)
    settings, out = settings or TuneSettings(), Path(out)
    settings.check_metric(dataset.labels)
    stopped = (stop or threading.Event()).is_set
    with lock_runs(out, STATE, stopped, report) as lock:
        limit = settings.memory_limit or find_limit().bytes
        state = TuneState.open(out, settings, dataset.fingerprint, memory_bytes=limit)
        for warning in validation_warnings(dataset, settings.validation_split):
            report(f"warning: {warning}")
        search = _Search(dataset, out, state, lock, progress, report, stopped)
        search.run()
        return search.finish()


@dataclass
class _Search:
    """A search in progress: the runs to try, the measurements so far, the budget left."""

    dataset: Dataset
    out: Path
    state: TuneState
    lock: int
    progress: Progress
    report: Callable[[str], None]
    stopped: Callable[[], bool]

    def __post_init__(self) -> None:
        self.settings = settings = self.state.settings
        shared: dict[str, Any] = {n: getattr(settings, n) for n in ("seed", "validation_split")}
        self.trials: dict[int, Trial]
        self.refused: dict[str, str] = {}
        if settings.grid:
            base = settings_by_recipe(self.dataset, **shared)
            self.trials = grid_trials(self.dataset, base, settings.grid, settings.seeds)
        else:
            base, memory_bytes = TrainingSettings(**shared), self.state.memory_bytes
            self.trials = space = SearchSpace(self.dataset, base, memory_bytes, settings.model_size)
            self.refused = space.refused
        for name, reason in self.refused.items():
            self.report(f"the {name} settings are not tried: {reason}")
        self.runs = len(self.trials) if settings.grid else settings.runs
        self.rungs = rungs(self.dataset, settings.validation_split)
        self.trainer = Trainer(self.lock, settings.memory_limit, self._is_over, self.report)
        self.budget = Budget(self.dataset, self.state, self.trials, self.trainer.width)

    def _is_over(self) -> bool:
        return self.stopped() or self.budget.is_over()

    # --- the search ---

    def run(self) -> None:
        """Train and measure all runs of a grid, or brackets of candidates until the budget is spent.

        Candidates around the recipe `ngrams` are trained for their own epochs, the others are halved.
        """
        if self.settings.grid:
            combinations = plural(len(self.trials) // self.settings.seeds, "combination")
            runs = f", {plural(len(self.trials), 'run')}" if self.settings.seeds > 1 else ""
            self.report(f"{combinations}{runs}")
            self._measure(list(self.trials))
            return
        rungs = [None] if self.dataset.recipe == NGRAMS else self.rungs
        self.budget.refuse_too_short(rungs[0] or self.trials[1].settings.epochs)
        # The tutorial's settings have its 2 epochs, whatever they are worth after one.
        default = [1] if self.trials[1].kind == TUTORIAL else []
        first = 1
        for nth in itertools.count():
            size = 0 if self._is_over() else self._bracket_size(nth, len(rungs))
            candidates = range(first, first + size)
            halve(candidates, rungs, self._measure, default)
            if len(rungs) > 1 and any(self.state.find(each, self.rungs[-1]) for each in candidates):
                for candidate in candidates:  # none of them is trained further
                    self._directory(candidate).remove_states()
            first += size
            if not any(result.candidate in candidates for result in self.state.results):
                return  # nothing more fits the time that is left

    def _bracket_size(self, nth: int, rungs: int) -> int:
        """Return how many candidates the `nth` bracket, from 0, has: as in an earlier process, or 0."""
        brackets = self.state.brackets
        if nth == len(brackets):
            room = self.budget.runs_left()
            if rungs == 1:  # first the recipe alone, so that its time is known
                size = int(min(room, self.trainer.width if nth else 1))
            else:
                size = bracket_size(room, rungs)
            brackets += [size] if size else []
        return brackets[nth] if nth < len(brackets) else 0

    def _measure(self, candidates: Sequence[int], epochs: int | None = None) -> dict[int, float]:
        """Train candidates up to some epochs (None: their own), and return each measured one's worth.

        Raises OutputExists, before training, if a directory holds a run with different settings.
        """
        runs = [self._training(number, epochs) for number in candidates]
        for run in runs:
            run.refuse_different()
        left = [run for run in runs if not self.state.find(run.number, run.settings.epochs)]
        if self.settings.runs is not None:
            left = left[: max(0, self.settings.runs - len(self.state.results))]
        what = plural(epochs, "epoch") if epochs else "all epochs"
        self.trainer.run(
            left,
            admit=lambda run: self.budget.admits(run.number, run.settings.epochs),
            ended=self._ended,
            tick=lambda: self._show(what),
        )
        self._save()
        found = [self.state.find(run.number, run.settings.epochs) for run in runs]
        sign = self.settings.sign
        return {each.candidate: sign * each.value for each in found if each and each.error is None}

    def _training(self, number: int, epochs: int | None) -> Training:
        settings = self.trials[number].settings
        settings = replace(settings, epochs=epochs or settings.epochs)
        return Training(self.dataset, settings, self._directory(number), number)

    def _directory(self, number: int) -> RunDirectory:
        return RunDirectory(self.out / self.trials[number].directory)

    def _ended(self, run: Training) -> None:
        self.state.results.append(self._result(run))
        self._save()

    def _save(self) -> None:
        self.state.seconds = self.budget.spent
        self.state.write(self.out)

    def _result(self, run: Training) -> Result:
        """Measure a run that has ended."""
        number, epochs, metric = run.number, run.settings.epochs, self.settings.metric
        if run.error:
            return Result(number, epochs, run.error)
        try:
            model = NumpyModel.load(run.directory)
            batches = dataset_batches(self.dataset, "validation", self.settings.validation_split)
            (tally,) = score([model], batches)
            summary = run.directory.summary()
        except LowmemError as error:
            return Result(number, epochs, str(error))
        values = all_metrics(*tally.metrics())
        value = values.get(metric, math.nan)  # AUC is not defined for reviews of one label
        if math.isnan(value):
            return Result(number, epochs, f"its {metric} is not a number")
        seconds = summary.seconds.epochs[self.state.epochs_before(number, epochs) :]
        return Result(
            number,
            epochs,
            kept_epoch=summary.epoch if summary.epoch != epochs else 0,
            value=value,
            standard_error=standard_error(tally, metric),
            metrics={name: values[name] for name in ("accuracy", "loss", "macro_f1")},
            epoch_seconds=sum(seconds) / len(seconds),
            start_seconds=max(0.0, run.seconds - sum(seconds)),
            peak_resident_bytes=summary.peak_resident_bytes,
        )

    def _show(self, what: str) -> None:
        """Report how far the search is: by time, or by runs."""
        runs, sign = len(self.state.results), self.settings.sign
        if values := [sign * result.value for result in self.state.measured()]:
            what += f", best {self.settings.metric} {sign * max(values):.4f}"
        if self.budget.total is not None:
            what = f"{duration(max(0.0, self.budget.total - self.budget.spent))} left, {what}"
        unit = "run" if (self.runs or runs) == 1 else "runs"
        self.progress("tune", runs, self.runs, what, unit=unit)

    # --- the winner ---

    def finish(self) -> TuningResult:
        """Train the winner on all training reviews, evaluate it on the test split, and report."""
        state, dataset, settings = self.state, self.dataset, self.settings
        self._refuse_stopped()
        failed = [result for result in state.results if result.error]
        if not state.measured():
            first = f"every run failed, the first of {len(failed)}: {failed[0].error}" if failed else ""
            raise CheckFailed(f"{first or 'no run was made'}; the same command tries again")
        table = rank(state, self.trials, dataset)
        winner, cheapest = choose(table, settings)
        training = self._train_winner(winner)
        test = evaluate(training.directory.path, dataset)
        runs = [number for number, trial in self.trials.items() if trial.candidate == winner.candidate]
        measured = {result.candidate for result in state.measured()}.intersection(runs)
        paths = [self._directory(number).path for number in sorted(measured) if len(measured) > 1]
        self._save()
        options = training.settings.options(settings_by_recipe(dataset))
        again = ["lowmem-sentiment", "train", str(dataset.directory), "--run", "runs/again", *options]
        held_out = f"{settings.validation_split:.0%} of the training reviews"
        return TuningResult(
            validated_on="the validation split" if VALIDATION in dataset.splits else held_out,
            dataset=str(dataset.directory),
            data=dataset.source["description"],
            settings=settings,
            ranked_with_validation=ranked_with_held_out(dataset, settings.validation_split) is not None,
            rungs=self.rungs,
            trained=len(state.results),
            candidates=table,
            failed=failed,
            not_tried=self.refused,
            winner=winner,
            cheapest=cheapest,
            seconds=state.seconds,
            test=test,
            run=str(training.directory.path),
            command=shlex.join(again),
            measured=state.measured(),
            test_accuracies=[evaluate(path, dataset).accuracy for path in paths],
        )

    def _refuse_stopped(self) -> None:
        if self.stopped():
            runs = plural(len(self.state.results), "run")
            raise Resumable(f"stopped after {runs} of the search; the same command resumes it")

    def _train_winner(self, winner: Candidate) -> Training:
        settings = replace(
            winner.settings, epochs=winner.epochs, validation_split=0.0, early_stopping=0, keep_best=False
        )
        training = Training(self.dataset, settings, RunDirectory(self.out / WINNER))
        # A longer search, or a different --prefer, may have a different winner.
        training.overwrite = bool(training.differs())
        trainer = Trainer(self.lock, None, self.stopped, self.report)
        trainer.run([training], tick=lambda: self._show("train the winner"))
        if training.error or not training.finished:
            self._refuse_stopped()
        if training.error:
            raise CheckFailed(
                f"the winner could not be trained: {training.error}; the same command tries again"
            )
        return training
