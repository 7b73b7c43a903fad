"""The time or the runs that a search has left, and estimates of how long a training takes.

A candidate's time is known once it has been trained. Before that it is estimated from the work in a step,
at the speed of the runs so far on this machine.
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping

from ..dataset.reader import Dataset
from ..dataset.splits import num_reviews
from ..runs.configuration import TrainingSettings
from ..runs.memory_plan import count_parameters, distinct_words
from ..system.errors import SettingsError
from .space import Trial
from .state import TuneState

# Parts of an epoch in nanoseconds, as measured on 2 cores: for each review, for each step, and for each
# weight that moves, which belongs to one of the batch's own words and is scattered in memory.
_REVIEW, _STEP, _WEIGHT = 40_000, 400_000, {"adam": 8, "lazy-adam": 6}

_START = 4.0  # seconds of a training process besides its epochs, mostly to import TensorFlow
_RECENT = 3  # runs that show the machine's speed: for a single one `work` may be off by half
_FINAL_MARGIN = 1.2  # another process may slow the winner's training down, which nothing stops


def work(dataset: Dataset, settings: TrainingSettings) -> float:
    """Estimate an epoch's work, which a machine's speed converts to seconds."""
    reviews = num_reviews(dataset, "train", settings.validation_split)
    words = min(settings.num_words_for(dataset), distinct_words(dataset, settings.batch_size))
    moved = _WEIGHT[settings.optimizer] * count_parameters(settings, words, len(dataset.labels))
    steps = math.ceil(reviews / settings.batch_size)
    return (reviews * _REVIEW + steps * (_STEP + moved)) / 1e9


class Budget:
    """The time or the runs of a search, and the time that trainings take."""

    def __init__(
        self,
        dataset: Dataset,
        state: TuneState,
        trials: Mapping[int, Trial],
        width: int,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Begin to count; `width` processes run at a time."""
        self._dataset, self._state, self._trials = dataset, state, trials
        self._width, self._clock, self._began = width, clock, clock() - state.seconds
        self.total = None if state.settings.minutes is None else 60 * state.settings.minutes
        """Seconds for everything; None if the search ends after a number of runs."""

    @property
    def spent(self) -> float:
        """Seconds since the search began, without interruptions."""
        return self._clock() - self._began

    def refuse_too_short(self, epochs: int) -> None:
        """Raise SettingsError if the first candidate's `epochs`, and as many of a winner, do not fit.

        Nothing is measured yet: the estimate is for 2 idle cores.
        """
        if self.total is None or self._state.results:
            return
        least = 2 * (_START + epochs * self._work(1))
        if least > self.total:
            raise SettingsError(
                f"minutes is {self.total / 60:g}, expected {math.ceil(least / 6) / 10:g} or more: one "
                f"run and the winner take about {math.ceil(least)} s"
            )

    def runs_left(self) -> float:
        """Return how many trainings are left: exact for runs, an estimate for time."""
        if self._state.settings.runs is not None:
            return self._state.settings.runs - len(self._state.results)
        measured = self._state.measured()
        if not measured:
            return 0 if self._state.results else math.inf
        each = statistics.fmean(self._run_seconds(run.candidate, run.epochs) for run in measured)
        return self._width * self._seconds_left() / each

    def admits(self, candidate: int, epochs: int) -> bool:
        """Return whether a candidate can be trained up to some epochs, and the winner after it."""
        left = self._seconds_left(lambda: self.final_seconds(candidate, epochs))
        return left == math.inf or self._run_seconds(candidate, epochs) <= left

    def is_over(self) -> bool:
        """Return whether only the winner's time is left."""
        return self._seconds_left() <= 0

    def _seconds_left(self, winner: Callable[[], float] = lambda: 0.0) -> float:
        """Return the time left after the best so far, or `winner`, is trained as the winner."""
        measured, sign = self._state.measured(), self._state.settings.sign
        if self.total is None or not measured:
            return math.inf
        best = max(measured, key=lambda result: sign * result.value)
        reserve = max(winner(), self.final_seconds(best.candidate, best.epochs))
        return self.total - self.spent - reserve

    def _run_seconds(self, candidate: int, epochs: int) -> float:
        return self.seconds(candidate, epochs - self._state.epochs_before(candidate, epochs))

    def seconds(self, candidate: int, epochs: int) -> float:
        """Estimate how long a process takes to train a candidate up to some epochs."""
        return self._start_seconds() + epochs * self._epoch_seconds(candidate)

    def final_seconds(self, candidate: int, epochs: int) -> float:
        """Estimate the longest time to train and evaluate a candidate as the winner.

        Its epochs have all training reviews, and each is followed by a pass over the test split, which
        takes no longer per review than training. The evaluation takes up to two such passes.
        """
        trained = num_reviews(self._dataset, "train", self._state.settings.validation_split)
        every, test = (num_reviews(self._dataset, split) for split in ("train", "test"))
        passes = (epochs * (every + test) + 2 * test) / trained
        return _FINAL_MARGIN * (self._start_seconds() + passes * self._epoch_seconds(candidate))

    def _start_seconds(self) -> float:
        return max(result.start_seconds for result in self._state.measured()[-_RECENT:])

    def _epoch_seconds(self, candidate: int) -> float:
        """Estimate how long an epoch of a candidate takes at the machine's present speed.

        If another process has slowed the machine down since the candidate was trained, later runs
        show by how much.
        """
        measured = self._state.measured()
        paces = [run.epoch_seconds / self._work(run.candidate) for run in measured]
        now = statistics.median(paces[-_RECENT:])
        trained = [nth for nth, run in enumerate(measured) if run.candidate == candidate]
        if not trained:
            return now * self._work(candidate)
        first = max(0, min(trained[-1] - _RECENT // 2, len(paces) - _RECENT))
        then = statistics.median(paces[first : first + _RECENT])
        return measured[trained[-1]].epoch_seconds * max(1.0, now / then)

    def _work(self, candidate: int) -> float:
        return work(self._dataset, self._trials[candidate].settings)
