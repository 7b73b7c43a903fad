"""Search the settings of the best model within a budget, and train it on all training reviews."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..dataset.reader import Dataset
from ..dataset.splits import validation_warnings
from ..evaluation.evaluate import evaluate
from ..evaluation.intervals import standard_error
from ..evaluation.scoring import Tally, dataset_batches, score
from ..model.numpy_model import NumpyModel
from ..runs.configuration import TrainingSettings
from ..runs.run_directory import RunDirectory
from ..system.errors import CheckFailed, LowmemError, Resumable, plural
from ..system.memory import find_limit
from ..system.progress import Progress, duration, no_progress
from ..system.schema import read_json
from .budget import Budget
from .halving import bracket_size, halve
from .processes import Trainer, Training, lock_runs, unit_of_runs
from .report import Standing, choose, rank, report_of, train_command
from .settings import TuneSettings
from .space import SearchSpace, rungs
from .state import Result, TuneState, open_state

WINNER = "winner"
"""The run directory of the winner; the candidates' are 001, 002, ..."""


def tune(
    dataset: Dataset | str | Path,
    out: str | Path,
    settings: TuneSettings | None = None,
    *,
    stop: threading.Event | None = None,
    progress: Progress = no_progress,
    report: Callable[[str], None] = lambda line: None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Search by successive halving over random settings, train the best, and return what was found.

    Each candidate is a run in `out`, trained in a process of its own and measured on the validation
    split; the tutorial's settings are the first. The winner is trained once more on all training
    reviews, with the epochs that were best, and then evaluated on the test split, once. A candidate
    that is out keeps its weights, curves and metrics, a tenth of what a run takes. A search that was
    killed is resumed by the same call: with the same `runs` it ends with the same table. A run that fails
    stops no other.
    When `stop` is set, every running process saves its state, and Resumable is raised.

    Raises SettingsError for a metric that there is not, or limits that no settings fit, OutputExists for
    a search with other settings in `out`, and CheckFailed when no run, or not the winner, can be trained.
    """
    dataset = dataset if isinstance(dataset, Dataset) else Dataset(dataset)
    settings, out = settings or TuneSettings(), Path(out)
    settings.check_metric(dataset.labels)
    stopped = (stop or threading.Event()).is_set
    with lock_runs(out, stopped, report) as lock:
        if lock is None:
            raise Resumable("stopped before a run was started; the same command resumes the search")
        limit = settings.memory_limit or find_limit().bytes
        state = open_state(out, settings, dataset.fingerprint, limit)
        for warning in validation_warnings(dataset, settings.validation_split):
            report(f"warning: {warning}")
        search = _Search(dataset, out, state, progress, report, stopped, clock)
        search.run(lock)
        if stopped():
            raise _stopped(state)
        return search.finish(lock)


def _stopped(state: TuneState) -> Resumable:
    return Resumable(
        f"stopped after {plural(len(state.results), 'run')} of the search; the same command resumes it"
    )


@dataclass
class _Candidate(Training):
    """A run of the search."""

    candidate: int = 0
    """Its number, from 1."""


class _Search:
    """A search on its way: what there is to try, what was measured, what is left."""

    def __init__(
        self,
        dataset: Dataset,
        out: Path,
        state: TuneState,
        progress: Progress,
        report: Callable[[str], None],
        stopped: Callable[[], bool],
        clock: Callable[[], float],
    ):
        self._dataset, self._out, self._state = dataset, out, state
        self._progress, self._report, self._stopped = progress, report, stopped
        self._settings = settings = state.settings
        base = TrainingSettings(seed=settings.seed, validation_split=settings.validation_split)
        self._space = SearchSpace(dataset, base, state.memory_bytes, settings.model_size)
        for name, reason in self._space.refused.items():
            report(f"the {name} settings are not tried: {reason}")
        self._rungs = rungs(dataset, settings.validation_split)
        self._trainer = Trainer(dataset, -1, settings.memory_limit, self._is_over, report)
        self._budget = Budget(dataset, state, self._space.settings, self._trainer.width, clock)

    def _is_over(self) -> bool:
        return self._stopped() or self._budget.is_over()

    # --- the search ---

    def run(self, lock: int) -> None:
        """Go through the brackets, those of an earlier process again, until the budget is spent."""
        self._trainer = replace(self._trainer, lock=lock)
        first, brackets = 1, self._state.brackets
        nth = 0
        while not self._is_over():
            if nth == len(brackets):
                size = bracket_size(self._budget.runs_left(), len(self._rungs))
                if not size:
                    break
                brackets.append(size)
            before = len(self._state.results)
            candidates = range(first, first + brackets[nth])
            first, nth = first + brackets[nth], nth + 1
            # The tutorial's settings have its 2 epochs, whatever they are worth after one.
            default = [1] if self._space.known[:1] == ["default"] else []
            halve(candidates, self._rungs, self._measure, default, self._rungs[1])
            if any(self._state.find(each, self._rungs[-1]) for each in candidates):
                for candidate in candidates:  # none of them is trained on
                    self._directory(candidate).remove_states()
            if len(self._state.results) == before and nth == len(brackets):
                break  # nothing more fits the time that is left

    def _measure(self, candidates: Sequence[int], epochs: int) -> dict[int, float]:
        """Train candidates up to some epochs, and return the worth of those that could be measured."""
        left = [each for each in candidates if not self._state.find(each, epochs)]
        if self._settings.runs is not None:
            left = left[: max(0, self._settings.runs - len(self._state.results))]
        trainings = [self._training(candidate, epochs) for candidate in left]
        for training in trainings:
            training.require_same(self._dataset, leave_out=("epochs",))
        self._trainer.run(
            trainings,
            admit=lambda training: self._budget.admits(training.candidate, epochs),
            ended=self._ended,
            tick=lambda ended: self._show(plural(epochs, "epoch")),
        )
        found = [self._state.find(candidate, epochs) for candidate in candidates]
        sign = self._settings.sign
        return {each.candidate: sign * each.value for each in found if each and each.error is None}

    def _training(self, candidate: int, epochs: int) -> "_Candidate":
        settings = replace(self._space.settings(candidate), epochs=epochs)
        return _Candidate(settings, self._directory(candidate), candidate=candidate)

    def _directory(self, candidate: int) -> RunDirectory:
        return RunDirectory(self._out / f"{candidate:03d}")

    def _ended(self, training: "_Candidate") -> None:
        """Measure a run that has ended, and write the state; one that was stopped is not finished."""
        if training.error is None or not self._is_over():
            self._state.results.append(self._result(training))
        self._state.seconds = self._budget.spent
        self._state.write(self._out)

    def _result(self, training: "_Candidate") -> Result:
        candidate, epochs = training.candidate, training.settings.epochs
        if training.error:
            return Result(candidate, epochs, training.error)
        try:
            model = NumpyModel.load(training.directory)
            batches = dataset_batches(self._dataset, "validation", self._settings.validation_split)
            (tally,) = score([model], batches)
            values = metric_values(tally)
            value = values[self._settings.metric]
            summary = training.directory.summary()
        except LowmemError as error:
            return Result(candidate, epochs, str(error))
        if value != value:
            return Result(candidate, epochs, f"its {self._settings.metric} is not a number")
        seconds = summary["seconds"]["epochs"][self._state.epochs_before(candidate, epochs) :]
        return Result(
            candidate,
            epochs,
            value=value,
            standard_error=standard_error(tally, self._settings.metric),
            metrics={name: values[name] for name in ("accuracy", "loss", "macro_f1")},
            epoch_seconds=sum(seconds) / len(seconds),
            start_seconds=max(0.0, training.seconds - sum(seconds)),
            peak_resident_bytes=summary["peak_resident_bytes"],
        )

    def _show(self, what: str) -> None:
        """Report how far the search is: by time, or by runs."""
        total, runs, sign = self._budget.total, len(self._state.results), self._settings.sign
        values = [sign * result.value for result in self._state.measured()]
        best = f", best {self._settings.metric} {sign * max(values):.4f}" if values else ""
        if total is None:
            limit = self._settings.runs
            self._progress("tune", runs, limit, f"{what}{best}", unit=unit_of_runs(limit or runs))
            return
        left = duration(max(0.0, total - self._budget.spent))
        self._progress("tune", runs, None, f"{left} left, {what}{best}", unit=unit_of_runs(runs))

    # --- the winner ---

    def finish(self, lock: int) -> dict[str, Any]:
        """Train the winner on all training reviews, evaluate it on the test split, and report."""
        if not self._state.measured():
            errors = [result.error for result in self._state.results]
            why = (
                f"every run failed, the first of {len(errors)}: {errors[0]}"
                if errors
                else "no run was made"
            )
            raise CheckFailed(f"{why}; the same command tries again")
        table = rank(self._state, self._space, self._dataset)
        chosen, cheapest = choose(table, self._settings)
        training = self._train_winner(chosen, lock)
        evaluation = self._evaluate(training.directory)
        self._state.seconds = self._budget.spent
        self._state.write(self._out)
        return report_of(self._dataset, self._state, self._space, table, chosen, cheapest) | {
            "seconds": self._budget.spent,
            "test": evaluation,
            "run": str(training.directory.path),
            "command": train_command(self._dataset, training.settings),
        }

    def _train_winner(self, chosen: Standing, lock: int) -> Training:
        settings = replace(chosen.settings, epochs=chosen.result.epochs, validation_split=0.0)
        training = Training(settings, RunDirectory(self._out / WINNER))
        # A longer search, or another --prefer, may have another winner.
        overwrite = bool(training.differs(self._dataset))
        trainer = Trainer(self._dataset, lock, None, self._stopped, self._report)
        trainer.run([training], overwrite=overwrite, tick=lambda ended: self._show("train the winner"))
        if self._stopped() and not training.finished:
            raise _stopped(self._state)
        if training.error:
            raise CheckFailed(
                f"the winner could not be trained: {training.error}; the same command tries again"
            )
        return training

    def _evaluate(self, run: RunDirectory) -> dict[str, Any]:
        if run.evaluation_file.exists():  # the same command again: once is enough
            found = read_json(run.evaluation_file)
            del found["checksum"]
            return found
        return evaluate(run.path, self._dataset).to_json()


def metric_values(tally: Tally) -> dict[str, float]:
    """Return the metrics that a search may go by, by name."""
    metrics, by_label = tally.metrics()
    f1 = {f"f1:{label}": each.f1 for label, each in by_label.items()}
    return {**metrics, "macro_f1": sum(f1.values()) / len(f1), **f1}
