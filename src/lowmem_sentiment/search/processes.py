"""Train runs, several at a time if memory permits, each in its own process.

TensorFlow's memory would grow with each model that a process trains.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

from ..dataset.manifest import DATASET
from ..dataset.reader import Dataset
from ..distributed.tf_config import without_cluster
from ..runs.configuration import TrainingSettings
from ..runs.memory_plan import plan, too_large
from ..runs.recipes import settings_by_recipe
from ..runs.run_directory import RUN, RunDirectory
from ..system.errors import OutputError, OutputExists, Resumable, plural
from ..system.files import UNFINISHED, lock_directory, writing
from ..system.memory import Limit

_POLL = 0.05  # seconds between two looks at the processes


@dataclass(eq=False)
class Training:
    """A run, and the process that trains it up to the epochs of its settings."""

    dataset: Dataset
    settings: TrainingSettings
    """With `num_words` filled in."""
    directory: RunDirectory
    number: int = 0
    """The caller's."""
    overwrite: bool = False
    """Whether an existing run is replaced instead of resumed."""
    error: str | None = None
    """Why it failed; None if it did not."""
    seconds: float = 0.0
    """From the start of its process to its end."""
    process: subprocess.Popen[bytes] = field(init=False, repr=False)
    _errors: BinaryIO = field(init=False, repr=False)

    @property
    def finished(self) -> bool:
        """Whether all epochs are trained, and all files of the run are written."""
        epochs = self.settings.epochs
        if not self.directory.finished or self.directory.settings().epochs != epochs:
            return False
        # A kill may come after the new number of epochs is written and before the old summary is removed.
        return bool(self.settings.early_stopping) or self.directory.summary().epochs == epochs

    def refuse_different(self) -> None:
        """Raise OutputExists if the directory holds a run of other data, or with other settings.

        Its epochs may differ, as it can be trained further.
        """
        if other := ", ".join(name for name in self.differs() if name != "epochs"):
            path = self.directory.path
            raise OutputExists(f"{path} holds a run with a different {other}; choose another --out")

    def differs(self) -> list[str]:
        """Return the names of settings that differ in the existing run; empty without one."""
        if not self.directory.config_file.exists():
            return []
        config, theirs = self.directory.config(), asdict(self.directory.settings())
        other = [name for name, mine in asdict(self.settings).items() if theirs[name] != mine]
        same_data = config["dataset"]["fingerprint"] == self.dataset.fingerprint
        return other if same_data else [*other, "dataset"]

    def command(self) -> list[str]:
        """Return the command that makes the run, resumes it, or replaces it."""
        path = str(self.directory.path)
        options = self.settings.options(settings_by_recipe(self.dataset))
        train = [sys.executable, "-m", "lowmem_sentiment", "train", str(self.dataset.directory)]
        if self.overwrite or not self.directory.config_file.exists():
            return [*train, "--run", path, *options, *["--overwrite"] * self.overwrite]
        # The run records its own epochs, so the option is needed even if it is train's default.
        return [*train, "--resume", path, *options, "--epochs", str(self.settings.epochs)]

    def start(self, lock: int) -> None:
        """Start the process."""
        self._errors, self.seconds = tempfile.TemporaryFile(), -time.monotonic()  # noqa: SIM115
        # Its own session, so that Ctrl-C reaches it once, from us. A second one would end it at once.
        self.process = subprocess.Popen(
            self.command(),
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            start_new_session=True,
            pass_fds=[lock],
            env=without_cluster(),
        )

    def has_ended(self) -> bool:
        """Return whether the process has ended; record why it failed, if it did."""
        if self.process.poll() is None:
            return False
        self.seconds += time.monotonic()
        with self._errors:
            self._errors.seek(0)
            lines = self._errors.read().decode(errors="replace").strip().splitlines()
        if (code := self.process.returncode) < 0:  # its last line is progress
            self.error = f"signal {-code} ended it"
        elif code:
            last = lines[-1].removeprefix("lowmem-sentiment: ") if lines else ""
            self.error = last or f"it ended with {code}"
        elif not self.finished:
            self.error = f"it ended without its {plural(self.settings.epochs, 'epoch')}"
        return True


def _refuse_other_folders(out: Path, state: str) -> None:
    """Raise OutputExists if the folder of the runs is a dataset or a run, or has files but no `state`."""
    for kind in (DATASET, RUN):
        if kind.recognises(out):
            raise OutputExists(f"{out} holds {kind.with_article}; choose another --out for the search")
    if out.is_dir() and not (out / state).exists():
        for each in sorted(out.iterdir()):  # a run of a grid has "=" in its name
            # A killed search leaves unfinished files, which the next one removes.
            known = UNFINISHED in each.name or each.name.startswith(".") or "=" in each.name
            if not known and not RUN.recognises(each):
                raise OutputExists(f"{each} belongs to no search; choose another --out for the search")


@contextlib.contextmanager
def lock_runs(
    out: Path, state: str, stopped: Callable[[], bool], report: Callable[[str], None]
) -> Iterator[int]:
    """Make the folder of the runs, and yield a lock on it that the processes inherit.

    A search that is killed leaves processes behind, which train their runs to the end. They hold the
    lock that they inherited, so the next search waits for them and then finds their runs finished,
    instead of failing on runs that are in use. Raises OutputExists for a dataset, a run, or a folder with
    files but no `state`, OutputError if it cannot be made, Resumable if stopped before it is locked.
    """
    _refuse_other_folders(out, state)
    if out.exists() and not out.is_dir():
        raise OutputError(f"cannot write {out}: it is a file; expected the name of a folder")
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    lock, reported = None, False
    while lock is None:
        if stopped():
            raise Resumable("stopped before a run was started; the same command resumes it")
        try:
            lock = lock_directory(out.resolve(), out)
        except OutputExists:
            if not reported:
                report(f"waiting until another process that trains into {out} has ended")
            reported = True
            time.sleep(_POLL)
    try:
        yield lock
    finally:
        os.close(lock)


@dataclass(frozen=True)
class Trainer:
    """Train runs in processes, within a memory limit."""

    lock: int
    """From `lock_runs`."""
    memory_limit: int | None
    """Bytes for all processes together; None: one process at a time."""
    stopped: Callable[[], bool]
    """When set, running processes save their state, and no other is started."""
    report: Callable[[str], None]
    """Called with a warning for each run that failed."""

    @property
    def width(self) -> int:
        """The most processes at a time: one per core if there is a memory limit, otherwise one."""
        return len(os.sched_getaffinity(0)) if self.memory_limit else 1

    def run(
        self,
        trainings: Iterable[Training],
        *,
        admit: Callable[[Training], bool] = lambda training: True,
        ended: Callable[[Training], None] = lambda training: None,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        """Train the runs that are not finished, as many at a time as fit, and wait for them.

        Runs that `admit` refuses are not started. `ended` is called with each run that ended by itself,
        `tick` repeatedly. A failed run does not stop the others. An exception ends every process.
        """
        waiting, stopping = list(trainings), False
        running: list[Training] = []
        try:
            while running or (waiting and not stopping):
                done = [training for training in running if training.has_ended()]
                running = [training for training in running if training not in done]
                if not stopping and self.stopped():
                    stopping = True
                    for training in running:  # once: a second signal would end it at once
                        training.process.terminate()
                if not stopping:
                    done += self._start(waiting, running, admit)
                for training in done:  # while the next process trains
                    if training.error and not stopping:
                        self.report(f"warning: {training.directory.path} failed: {training.error}")
                    if not (training.error and stopping):
                        ended(training)
                tick()
                time.sleep(_POLL)
        except BaseException:
            for training in running if not stopping else ():
                training.process.terminate()
            for training in running:
                training.process.wait()
            raise

    def _start(
        self, waiting: list[Training], running: list[Training], admit: Callable[[Training], bool]
    ) -> list[Training]:
        """Move the trainings that fit from `waiting` to `running`; return those that ended unstarted."""
        done: list[Training] = []
        while waiting and self._fits(waiting[0], running):
            training = waiting.pop(0)
            finished, training.error = training.finished and not training.overwrite, None
            if self.memory_limit and not finished:
                limit = Limit(self.memory_limit, "--memory-limit")
                training.error = too_large(plan(training.dataset, training.settings), limit)
            if finished or training.error:
                done.append(training)
            elif admit(training):
                training.start(self.lock)
                running.append(training)
        return done

    def _fits(self, training: Training, running: Sequence[Training]) -> bool:
        """Return whether another process fits, by cores and planned memory."""
        if not running or not self.memory_limit:
            return not running
        if len(running) >= self.width:  # asked twenty times a second while they train
            return False
        planned = (plan(each.dataset, each.settings).resident for each in [*running, training])
        return sum(planned) <= self.memory_limit
