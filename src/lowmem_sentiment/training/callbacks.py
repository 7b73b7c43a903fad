"""Keras callbacks of every training: report progress, keep epochs, check shards, and save the state.

They read the position, which the loop advances before it calls them. `SaveState` comes last, because the
others' files belong to the state.
"""

import threading
import time
from collections.abc import Callable, Mapping

import numpy as np

from ..dataset.reader import Dataset
from ..model.tensorflow import keras
from ..runs.configuration import SaveEvery, TrainingSettings
from ..runs.run_directory import RunDirectory
from ..runs.summary import has_ended, kept_epoch
from ..system.errors import DataError, OutputError, Resumable
from ..system.progress import Progress
from .checkpoint import Position


class KeepEpochs(keras.callbacks.Callback):
    """Write metrics.jsonl and the best epoch's weights, and end training early.

    Nothing in metrics.jsonl depends on time: two runs with one seed write the same file. What could not
    be written (a full disk) is kept, and `write` writes it later: no state is saved before.
    """

    def __init__(
        self,
        run: RunDirectory,
        position: Position,
        settings: TrainingSettings,
        report: Callable[[str], None],
    ):
        super().__init__()
        self._run, self._position, self._settings, self._report = run, position, settings, report
        self._metrics_wait = False
        self._best: tuple[int, list[np.ndarray]] | None = None

    def on_epoch_end(self, epoch, logs=None):
        """Write the metrics, and the weights of the best epoch; end if enough were no better."""
        epochs, settings = self._position.epochs, self._settings
        self._metrics_wait = True
        if settings.keep_best and kept_epoch(settings, epochs)["epoch"] == epoch + 1:
            self._best = epoch + 1, self.model.get_weights()
        try:
            self.write()
        except OutputError as error:
            self._report(f"warning: {error}; training continues, and writes it later")
        if has_ended(settings, epochs):
            self.model.stop_training = True

    def write(self) -> None:
        """Write what is not written yet; OutputError if the system refuses."""
        if self._metrics_wait:
            self._run.write_metrics(self._position.epochs)
            self._metrics_wait = False
        if self._best:
            self._run.write_best(*self._best)
            self._best = None

    def on_train_end(self, logs=None):
        """Write what is not written yet; OutputError, and the last state saved is that of before."""
        self.write()


class ShardCheck(keras.callbacks.Callback):
    """Read every shard once more, in a thread, and raise DataError before the first epoch counts.

    TensorFlow checks each record's CRC, which does not see records that were swapped or doubled. SHA-256
    takes 1 ms a MB beside the training: 20 ms for IMDb, and the pages are in the cache for training.
    """

    def __init__(self, dataset: Dataset):
        super().__init__()
        self._dataset = dataset
        self._error: DataError | None = None
        self._thread = threading.Thread(target=self._check, name="shard check", daemon=True)

    def _check(self) -> None:
        try:
            for split in self._dataset.splits:
                self._dataset.verify(split)
        except DataError as error:
            self._error = error

    def on_train_begin(self, logs=None):
        """Begin to read."""
        self._thread.start()

    def on_epoch_end(self, epoch, logs=None):
        """Wait until everything is read; DataError for the first shard that is not the manifest's."""
        self._thread.join()
        if self._error:
            raise self._error


class ReportProgress(keras.callbacks.Callback):
    """Report the phase of training, the steps that are done, and each epoch's metrics to a `Progress`."""

    def __init__(self, progress: Progress, position: Position, validation_steps: int):
        super().__init__()
        self._progress, self._position = progress, position
        self._validation_steps = validation_steps
        self._what, self._after = "", 0

    def on_train_begin(self, logs=None):
        """Report tracing, for which the first step waits up to a second."""
        self._progress.phase("tracing")

    def on_epoch_begin(self, epoch, logs=None):
        """Name the epoch, and count the steps of those after it."""
        epochs = self.params["epochs"]
        self._what = f"epoch {epoch + 1}/{epochs}"
        self._after = (epochs - epoch - 1) * self.params["steps"]

    def on_train_batch_end(self, batch, logs=None):
        """Report the steps that are done, and how many are left in all epochs."""
        note = f"loss {logs['loss']:.4f}" if logs and "loss" in logs else ""
        done, steps = batch + 1, self.params["steps"]
        self._progress(self._what, done, steps, note, remaining=steps - done + self._after)

    def on_test_batch_end(self, batch, logs=None):
        """Report the validation steps that are done."""
        self._progress("validate", batch + 1, self._validation_steps)

    def on_epoch_end(self, epoch, logs=None):
        """Report the epoch's metrics; its seconds do not include validation, as in the summary."""
        measured = self._position.epochs[-1]  # which has the F1 that `logs` has not
        logs = {name: value for name, value in measured.items() if name not in ("epoch", "step")}
        self._progress.line(epoch_line(self._what, logs, self._position.seconds[-1]))

    def on_train_end(self, logs=None):
        """Report that the model is being saved."""
        self._progress.phase("saving the model")


def epoch_line(what: str, logs: Mapping[str, float], seconds: float) -> str:
    """Return the line of an epoch, loss first; the names of validation's metrics begin with "val_".

    >>> epoch_line("epoch 1/2", {"accuracy": 0.861, "loss": 0.3271, "val_loss": 0.27}, 2.14)
    'epoch 1/2  loss 0.327  accuracy 0.861  val_loss 0.270  2.1 s'
    """
    names = sorted(logs, key=lambda name: (name.startswith("val_"), not name.endswith("loss")))
    return "  ".join([what, *(f"{name} {logs[name]:.3f}" for name in names), f"{seconds:.1f} s"])


class SaveState(keras.callbacks.Callback):
    """Save the state every so often, at each epoch's end, and when `stop` is set.

    A save that fails (a full disk) is reported once, and training continues with the last good state.
    """

    PATIENCE = 20.0
    """Seconds that a validation pass may take to its end, after which its epoch is saved, when `stop` is
    set in it. Service managers wait longer than that (systemd 90 s)."""

    def __init__(
        self,
        save: Callable[[], None],
        position: Position,
        every: SaveEvery,
        stop: threading.Event,
        report: Callable[[str], None],
        patience: float,
    ):
        """Save by `save`; where several workers decide together, `patience` is 0."""
        super().__init__()
        self._save, self._position, self._every = save, position, every
        self._stop, self._report, self._patience = stop, report, patience
        self._asked_at: float | None = None
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
        """End where it is asked for and the pass takes long: the newest state is an earlier one."""
        if not self._stop.is_set():
            return
        now = time.monotonic()
        self._asked_at = now if self._asked_at is None else self._asked_at
        if now - self._asked_at >= self._patience:
            self._end(saved=False)

    def on_epoch_end(self, epoch, logs=None):
        """Save, and end where it is asked for."""
        saved = self.save()
        if self._stop.is_set() and epoch + 1 < self.params["epochs"] and not self.model.stop_training:
            self._end(saved)
