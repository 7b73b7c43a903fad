"""Keras callbacks of every training: report progress, check shards, and save the run.

They read the position, which the loop advances first. `SaveRun` comes last, because the others' files
belong to the state.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np

from ..dataset.reader import Dataset
from ..model.tensorflow import keras
from ..runs.configuration import SaveEvery
from ..runs.run_directory import RunDirectory
from ..runs.summary import has_ended, kept_epoch
from ..system.errors import DataError, OutputError, Resumable
from ..system.progress import Progress
from . import checkpoint
from .checkpoint import Position
from .job import Job
from .tensorboard_callback import Curves


class ShardCheck(keras.callbacks.Callback):
    """Read every shard once more, in a thread, and raise DataError before the first epoch counts.

    TensorFlow checks each record's CRC, which does not detect swapped or repeated records. SHA-256 takes
    1 ms per MB beside training: 20 ms for IMDb, and leaves the pages in the cache for training.
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
        self._thread.start()

    def on_epoch_end(self, epoch, logs=None):
        self._thread.join()
        if self._error:
            raise self._error


class ReportProgress(keras.callbacks.Callback):
    """Report the phase of training, the steps that are done, and epochs' metrics to a `Progress`.

    With more than `MOST_LINES` epochs, one that ends within a second of the last line gets no line,
    except the final one.
    """

    MOST_LINES = 20
    INTERVAL = 1.0

    def __init__(self, progress: Progress, position: Position, validation_steps: int):
        super().__init__()
        self._progress, self._position = progress, position
        self._validation_steps = validation_steps
        self._waiting: str | None = None
        self._written_at = -math.inf

    def on_train_begin(self, logs=None):
        self._progress.phase("tracing")  # delays the first step by up to a second

    def on_epoch_begin(self, epoch, logs=None):
        self._what = f"epoch {epoch + 1}/{self.params['epochs']}"
        self._after = (self.params["epochs"] - epoch - 1) * self.params["steps"]

    def on_train_batch_end(self, batch, logs=None):
        note = f"loss {logs['loss']:.4f}" if logs and "loss" in logs else ""
        done, steps = batch + 1, self.params["steps"]
        self._progress(self._what, done, steps, note, remaining=steps - done + self._after)

    def on_test_batch_end(self, batch, logs=None):
        self._progress("validate", batch + 1, self._validation_steps)

    def on_epoch_end(self, epoch, logs=None):
        measured = self._position.epochs[-1]  # which has the F1 that `logs` lacks
        logs = {name: value for name, value in measured.items() if name not in ("epoch", "step")}
        self._waiting = epoch_line(self._what, logs, self._position.seconds[-1])
        few = self.params["epochs"] <= self.MOST_LINES
        if few or time.monotonic() - self._written_at >= self.INTERVAL:
            self._write_line()

    def _write_line(self) -> None:
        if self._waiting:
            self._progress.line(self._waiting)
        self._waiting, self._written_at = None, time.monotonic()

    def on_train_end(self, logs=None):
        self._write_line()
        self._progress.phase("saving the model")


def epoch_line(what: str, logs: Mapping[str, float], seconds: float) -> str:
    """Return the line of an epoch, loss first.

    >>> epoch_line("epoch 1/2", {"accuracy": 0.861, "loss": 0.3271, "val_loss": 0.27}, 2.14)
    'epoch 1/2  loss 0.327  accuracy 0.861  val_loss 0.270  2.1 s'
    """
    names = sorted(logs, key=lambda name: (name.startswith("val_"), not name.endswith("loss")))
    return "  ".join([what, *(f"{name} {logs[name]:.3f}" for name in names), f"{seconds:.1f} s"])


class SaveRun(keras.callbacks.Callback):
    """Save the run at intervals, at each epoch's end, and when `stop` is set; end training early.

    Curves, metrics.jsonl and the best epoch's weights are written before the state, which refers to them.
    A save that fails (a full disk) is reported once, and training continues with the last good state;
    unwritten data is kept and written later. Nothing in metrics.jsonl depends on time: two runs with one
    seed write the same file.
    """

    PATIENCE = 20.0
    """Seconds that a validation pass may take to finish, so that its epoch is saved, after `stop` is set.
    Service managers wait longer (systemd 90 s). Several workers, which decide together, do not wait."""

    def __init__(
        self,
        job: Job,
        run: RunDirectory,
        position: Position,
        curves: Curves,
        every: SaveEvery,
        stop: threading.Event,
        report: Callable[[str], None],
    ):
        super().__init__()
        self._job, self._run, self._position, self._curves = job, run, position, curves
        self._every, self._stop, self._report = every, stop, report
        self._metrics_wait = self._reported = self._failed = False
        self._best: tuple[int, list[np.ndarray]] | None = None
        self._asked_at: float | None = None
        self._saved_at, self._saved_step = time.monotonic(), 0

    def _write_epochs(self) -> None:
        """Write the metrics and the best weights, if they are not written yet."""
        if self._metrics_wait:
            self._run.write_metrics(self._position.epochs)
            self._metrics_wait = False
        if self._best:
            self._run.write_best(*self._best)
            self._best = None

    def _save(self) -> bool:
        """Save everything, and return whether it was done."""
        self._saved_at, self._saved_step = time.monotonic(), self._position.step
        if not self._job.strategy.is_chief:
            return True
        try:
            self._curves.flush()
            self._write_epochs()
            checkpoint.save(self._run, self.model, self._position, self._job.conditions)
        except OutputError as error:
            if not self._reported:
                self._report(f"warning: {error}; training continues with the last good state")
            self._reported = self._failed = True
            return False
        self._failed = False
        return True

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
        self._saved_step = self._position.step

    def on_train_batch_end(self, batch, logs=None):
        """Save when it is due, and raise Resumable if asked to stop."""
        # After an epoch's last step come validation and `on_epoch_end`, which saves.
        if self._position.step < self.params["steps"] and (self._stop.is_set() or self._due()):
            saved = self._save()
            if self._stop.is_set():
                self._end(saved)

    def on_test_batch_end(self, batch, logs=None):
        """Stop if asked to and the pass takes long: the newest state is then from before the pass."""
        if not self._stop.is_set():
            return
        now = time.monotonic()
        self._asked_at = self._asked_at or now
        if self._job.strategy.workers > 1 or now - self._asked_at >= self.PATIENCE:
            self._end(saved=False)

    def on_epoch_end(self, epoch, logs=None):
        """Save, including the best epoch's weights; end after enough worse epochs, or if asked to."""
        epochs, settings = self._position.epochs, self._job.settings
        if self._job.strategy.is_chief:
            self._metrics_wait = True
            if settings.keep_best and kept_epoch(settings, epochs)["epoch"] == epoch + 1:
                self._best = epoch + 1, self.model.get_weights()
        if has_ended(settings, epochs):
            self.model.stop_training = True
        saved = self._save()
        if self._stop.is_set() and epoch + 1 < self.params["epochs"] and not self.model.stop_training:
            self._end(saved)

    def on_train_end(self, logs=None):
        """Write what is left; on OutputError the last good state remains."""
        self._write_epochs()
        if self._failed:
            self._save()
