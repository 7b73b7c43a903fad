"""Keras callbacks: what is kept, watched, reported and saved while `fit` runs.

`Track` comes first in the list, because the others read the position it keeps; `SaveState` comes
last, because it saves what the others did.
"""

import threading
import time
from collections.abc import Callable

import keras

from ..runs.run_directory import RunDirectory
from ..system import memory
from ..system.errors import OutputError, Resumable
from ..system.progress import Progress
from . import checkpoint
from .checkpoint import Position


class Track(keras.callbacks.Callback):
    """Keep the position, and write each whole epoch's metrics to metrics.jsonl.

    Nothing in metrics.jsonl depends on time: two runs with one seed write the same file.
    """

    def __init__(self, run: RunDirectory, position: Position, steps: int, report: Callable[[str], None]):
        super().__init__()
        self._run, self._position, self._steps, self._report = run, position, steps, report
        self._first_step, self._begun, self._earlier = 0, 0.0, 0.0

    def on_epoch_begin(self, epoch, logs=None):
        memory.trim_heap()  # the window of the epoch before
        self._first_step = self._position.step
        if not self._first_step:
            self._position.seconds.append(0.0)
            self._position.sums = {}
        self._begun, self._earlier = time.monotonic(), self._position.seconds[-1]

    def on_train_batch_end(self, batch, logs=None):
        self._position.step = min(self._first_step + batch + 1, self._steps)
        self._position.seconds[-1] = self._earlier + time.monotonic() - self._begun

    def on_epoch_end(self, epoch, logs=None):
        step = int(self.model.optimizer.iterations.numpy())
        logs = {name: float(value) for name, value in (logs or {}).items()}
        self._position.epochs.append({"epoch": epoch + 1, "step": step, **logs})
        self._position.epoch, self._position.step = epoch + 1, 0
        try:
            self._run.write_metrics(self._position.epochs)
        except OutputError as error:  # it is written again at the next epoch's end
            self._report(f"warning: {error}")


class Report(keras.callbacks.Callback):
    """Tell a `Progress` how far an epoch is, in steps."""

    def __init__(self, progress: Progress, epochs: int, position: Position, steps: int):
        super().__init__()
        self._progress, self._epochs = progress, epochs
        self._position, self._steps = position, steps

    def on_train_batch_end(self, batch, logs=None):
        what = f"epoch {self._position.epoch + 1}/{self._epochs}"
        note = f"loss {logs['loss']:.4f}" if logs and "loss" in logs else ""
        self._progress(what, self._position.step, self._steps, note)

    def on_test_batch_end(self, batch, logs=None):
        self._progress("validate", batch + 1, None)


class SaveState(keras.callbacks.Callback):
    """Save the state every so often, at each epoch's end, and when `stop` is set.

    A save that fails (a full disk) is told once, and training goes on with the last good state.
    """

    def __init__(
        self,
        save: Callable[[], None],
        position: Position,
        steps: int,
        *,
        every_steps: int | None,
        every_seconds: float | None,
        stop: threading.Event,
        report: Callable[[str], None],
    ):
        super().__init__()
        self._save, self._position, self._steps = save, position, steps
        self._every_steps, self._every_seconds = every_steps, every_seconds
        self._stop, self._report = stop, report
        self._saved_at, self._saved_step, self._told = time.monotonic(), 0, False

    def save(self) -> bool:
        """Save, and give whether it was done."""
        done = True
        try:
            self._save()
        except OutputError as error:
            done = False
            if not self._told:
                self._report(f"warning: {error}; training goes on with the last good state")
                self._told = True
        self._saved_at, self._saved_step = time.monotonic(), self._position.step
        return done

    def _due(self) -> bool:
        if self._every_steps:
            return self._position.step - self._saved_step >= self._every_steps
        return bool(self._every_seconds) and time.monotonic() - self._saved_at >= self._every_seconds

    def _end(self, saved: bool) -> None:
        where = f"epoch {self._position.epoch + 1}, step {self._position.step:,} of {self._steps:,}"
        raise Resumable(f"stopped at {where}" + (", saved" if saved else "; the last saved state stays"))

    def on_epoch_begin(self, epoch, logs=None):
        self._saved_step = self._position.step

    def on_train_batch_end(self, batch, logs=None):
        # What follows an epoch's last step is validation and `on_epoch_end`, which saves.
        if self._position.step < self._steps and (self._stop.is_set() or self._due()):
            saved = self.save()
            if self._stop.is_set():
                self._end(saved)

    def on_test_batch_end(self, batch, logs=None):
        if self._stop.is_set():
            self._end(saved=False)

    def on_epoch_end(self, epoch, logs=None):
        saved = self.save()
        if self._stop.is_set() and epoch + 1 < self.params["epochs"]:
            self._end(saved)


class Restore(keras.callbacks.Callback):
    """Put a state into the network as the resumed epoch begins: `fit` has just reset the metrics."""

    def __init__(self, saved: checkpoint.State):
        super().__init__()
        self._saved: checkpoint.State | None = saved

    def on_epoch_begin(self, epoch, logs=None):
        if self._saved:
            whole_epoch = self._saved.position.step == 0
            self._saved.restore(self.model)
            self._saved = None  # 6 MB
            if whole_epoch:  # the metrics in it are those of the epoch before
                self.model.reset_metrics()
