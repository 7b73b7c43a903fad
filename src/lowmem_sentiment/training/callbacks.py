"""Keras callbacks that keep the position, report progress, and save the state.

`Track` comes first in the list, because the others read the position that it keeps; `SaveState` comes
last, because it saves what the others did.
"""

import threading
import time
from collections.abc import Callable, Mapping

import keras

from ..runs.configuration import SaveEvery
from ..runs.run_directory import RunDirectory
from ..system.errors import OutputError, Resumable
from ..system.progress import Progress
from .checkpoint import Position


class Track(keras.callbacks.Callback):
    """Keep the position, and write each whole epoch's metrics to metrics.jsonl.

    Nothing in metrics.jsonl depends on time: two runs with one seed write the same file.
    """

    def __init__(self, run: RunDirectory, position: Position, report: Callable[[str], None]):
        super().__init__()
        self._run, self._position, self._report = run, position, report
        self._begun, self._earlier = 0.0, 0.0

    def on_epoch_begin(self, epoch, logs=None):
        """Begin to measure the epoch's time, or resume it."""
        if not self._position.step:
            self._position.seconds.append(0.0)
            self._position.sums = {}
        self._begun, self._earlier = time.monotonic(), self._position.seconds[-1]

    def on_train_batch_end(self, batch, logs=None):
        """Move the position behind the step `batch`."""
        self._position.step = batch + 1
        self._position.seconds[-1] = self._earlier + time.monotonic() - self._begun

    def on_epoch_end(self, epoch, logs=None):
        """Move the position to the next epoch."""
        step = int(self.model.optimizer.iterations.numpy())
        self._position.epochs.append({"epoch": epoch + 1, "step": step, **(logs or {})})
        self._position.epoch, self._position.step = epoch + 1, 0
        try:
            self._run.write_metrics(self._position.epochs)
        except OutputError as error:  # it is written again at the next epoch's end
            self._report(f"warning: {error}")


class ReportProgress(keras.callbacks.Callback):
    """Report to a `Progress` how far training is, in steps, and a line that stays for each epoch."""

    def __init__(self, progress: Progress):
        super().__init__()
        self._progress, self._what, self._epoch, self._begun = progress, "", 0, 0.0
        self._validated = 0
        self._held_out: int | None = None

    def on_train_begin(self, logs=None):
        """Report what the first steps do before they count."""
        self._progress.phase("tracing the model")

    def on_epoch_begin(self, epoch, logs=None):
        """Name the epoch, and begin to measure its time."""
        self._epoch, self._begun = epoch, time.monotonic()
        self._what = f"epoch {epoch + 1}/{self.params['epochs']}"

    def on_train_batch_end(self, batch, logs=None):
        """Report the steps that are done, and how many are left in all epochs."""
        steps, epochs = self.params["steps"], self.params["epochs"]
        note = f"loss {logs['loss']:.4f}" if logs and "loss" in logs else ""
        left = (epochs - self._epoch) * steps - batch - 1
        self._progress(self._what, batch + 1, steps, note, remaining=left)

    def on_test_begin(self, logs=None):
        """Begin to count."""
        self._validated = 0

    def on_test_batch_end(self, batch, logs=None):
        """Report the validation batches that are done, of as many as the pass before had."""
        self._validated = batch + 1
        self._progress("validate", self._validated, self._held_out)

    def on_test_end(self, logs=None):
        """Remember how many batches there are."""
        self._held_out = self._validated

    def on_epoch_end(self, epoch, logs=None):
        """Report what the epoch measured, in a line that stays."""
        seconds = time.monotonic() - self._begun
        self._progress.line(f"{self._what}  {_measured(logs or {})}{seconds:.1f} s")


def _measured(logs: Mapping[str, float]) -> str:
    """Return "loss 0.327  accuracy 0.861  validation 0.270 0.889  ", as far as it was measured."""
    names = sorted(
        (name for name in logs if not name.startswith("val_")), key=lambda name: name != "loss"
    )
    parts = [f"{name} {logs[name]:.3f}" for name in names]
    if held_out := [f"{logs[f'val_{name}']:.3f}" for name in names if f"val_{name}" in logs]:
        parts.append(f"validation {' '.join(held_out)}")
    return "".join(f"{part}  " for part in parts)


class SaveState(keras.callbacks.Callback):
    """Save the state every so often, at each epoch's end, and when `stop` is set.

    A save that fails (a full disk) is reported once, and training continues with the last good state.
    """

    def __init__(
        self,
        save: Callable[[], None],
        position: Position,
        every: SaveEvery,
        stop: threading.Event,
        report: Callable[[str], None],
    ):
        super().__init__()
        self._save, self._position, self._every = save, position, every
        self._stop, self._report = stop, report
        self._saved_at, self._saved_step, self._reported = time.monotonic(), 0, False

    def save(self) -> bool:
        """Save, and return whether it was done."""
        done = True
        try:
            self._save()
        except OutputError as error:
            done = False
            if not self._reported:
                self._report(f"warning: {error}; training continues with the last good state")
                self._reported = True
        self._saved_at, self._saved_step = time.monotonic(), self._position.step
        return done

    def _due(self) -> bool:
        if self._every.steps:
            return self._position.step - self._saved_step >= self._every.steps
        since = time.monotonic() - self._saved_at
        return self._every.seconds is not None and since >= self._every.seconds

    def _end(self, saved: bool) -> None:
        where = (
            f"epoch {self._position.epoch + 1}, step {self._position.step:,} of {self.params['steps']:,}"
        )
        raise Resumable(f"stopped at {where}" + (", saved" if saved else "; the last saved state stays"))

    def on_epoch_begin(self, epoch, logs=None):
        """Count the steps from here."""
        self._saved_step = self._position.step

    def on_train_batch_end(self, batch, logs=None):
        """Save where it is time, and end where it is asked for; Resumable says where."""
        # What follows an epoch's last step is validation and `on_epoch_end`, which saves.
        if self._position.step < self.params["steps"] and (self._stop.is_set() or self._due()):
            saved = self.save()
            if self._stop.is_set():
                self._end(saved)

    def on_test_batch_end(self, batch, logs=None):
        """End where it is asked for: the state before the validation pass is the newest."""
        if self._stop.is_set():
            self._end(saved=False)

    def on_epoch_end(self, epoch, logs=None):
        """Save, and end where it is asked for."""
        saved = self.save()
        if self._stop.is_set() and epoch + 1 < self.params["epochs"] and not self.model.stop_training:
            self._end(saved)
