"""Keras callbacks: what is written, watched and reported while `fit` runs."""

import time

import keras
import tensorflow as tf

from . import memory
from .progress import Progress
from .run_directory import RunDirectory


class EpochMetrics(keras.callbacks.Callback):
    """Keep each epoch's metrics, and write them to metrics.jsonl.

    Nothing in them depends on time or machine load: two runs with one seed write the same file.
    """

    def __init__(self, run: RunDirectory):
        super().__init__()
        self._run = run
        self.epochs: list[dict] = []

    def on_epoch_end(self, epoch, logs=None):
        step = int(self.model.optimizer.iterations.numpy())
        logs = {name: float(value) for name, value in (logs or {}).items()}
        self.epochs.append({"epoch": epoch + 1, "step": step, **logs})
        self._run.write_metrics(self.epochs)


class Watch(keras.callbacks.Callback):
    """Measure the process: peak anonymous memory, and the seconds each epoch trained.

    The kernel keeps the peak of resident memory but not of anonymous memory, so that is read
    once an execution of steps: 25 times an epoch, 40 microseconds each.
    """

    def __init__(self):
        super().__init__()
        self.peak_anonymous = 0
        self.epoch_seconds: list[float] = []
        self._begun = self._trained = 0.0

    def _sample(self):
        self.peak_anonymous = max(self.peak_anonymous, memory.anonymous())

    def on_epoch_begin(self, epoch, logs=None):
        self._begun = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        self._trained = time.monotonic()
        self._sample()

    def on_epoch_end(self, epoch, logs=None):
        self.epoch_seconds.append(self._trained - self._begun)
        self._sample()


class Report(keras.callbacks.Callback):
    """Tell a `Progress` how far an epoch is, in steps."""

    def __init__(self, progress: Progress, epochs: int):
        super().__init__()
        self._progress, self._epochs = progress, epochs
        self._what = ""

    def on_epoch_begin(self, epoch, logs=None):
        self._what = f"epoch {epoch + 1}/{self._epochs}"

    def on_train_batch_end(self, batch, logs=None):
        total = self.params["steps"]
        note = f"loss {logs['loss']:.4f}" if logs and "loss" in logs else ""
        self._progress(self._what, min(batch + 1, total), total, note)

    def on_test_batch_end(self, batch, logs=None):
        if self.params.get("steps"):
            self._progress("validate", batch + 1, None)


class Curves(keras.callbacks.Callback):
    """Write TensorBoard's curves: loss and accuracy by epoch and by batch, memory and speed.

    The step axis is the optimizer's, so that every curve lines up. Keras' own TensorBoard
    callback counts executions of `steps_per_execution` steps, and its batch values are means
    since the epoch began; here a batch value is the mean of the steps since the last one.
    """

    def __init__(self, run: RunDirectory, batch_size: int, num_reviews: int):
        super().__init__()
        self._directory = run.tensorboard
        self._batch_size, self._num_reviews = batch_size, num_reviews
        self._sums: dict[str, float] = {}
        self._seen = 0
        self._since = 0.0

    def on_train_begin(self, logs=None):
        self._train = tf.summary.create_file_writer(str(self._directory / "train"))
        self._validation = tf.summary.create_file_writer(str(self._directory / "validation"))

    def on_epoch_begin(self, epoch, logs=None):
        self._sums, self._seen = {}, 0
        self._since = time.monotonic()

    def _step(self) -> int:
        return int(self.model.optimizer.iterations.numpy())

    def on_train_batch_end(self, batch, logs=None):
        seen = min((batch + 1) * self._batch_size, self._num_reviews)
        new, now = seen - self._seen, time.monotonic()
        with self._train.as_default(step=self._step()):
            for name, mean in (logs or {}).items():
                total = float(mean) * seen
                tf.summary.scalar(f"batch/{name}", (total - self._sums.get(name, 0.0)) / new)
                self._sums[name] = total
            tf.summary.scalar("process/reviews_per_second", new / (now - self._since))
            tf.summary.scalar("process/anonymous_MB", memory.anonymous() / memory.MB)
            tf.summary.scalar("process/peak_resident_MB", memory.peak_resident() / memory.MB)
        self._seen, self._since = seen, now

    def on_epoch_end(self, epoch, logs=None):
        step = self._step()
        for name, value in (logs or {}).items():
            writer = self._validation if name.startswith("val_") else self._train
            with writer.as_default(step=step):
                tf.summary.scalar(f"epoch/{name.removeprefix('val_')}", value)
        self._train.flush()
        self._validation.flush()

    def on_train_end(self, logs=None):
        self._train.close()
        self._validation.close()
