"""What `train` does once a run is open: fit the network, write what a finished run has."""

import math
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import keras
import tensorflow as tf

from ..dataset.reader import Dataset
from ..model.numpy_model import NumpyModel
from ..model.optimizer import FusedAdam
from ..model.weights import to_arrays
from ..runs.configuration import SaveEvery, TrainingSettings
from ..runs.memory_plan import plan
from ..runs.run_directory import RunDirectory
from ..system import memory
from ..system.progress import Progress
from . import checkpoint
from .callbacks import Report, Restore, SaveState, Track
from .checkpoint import Position, State
from .early_stopping import Stop, best_epoch, ended, kept_epoch, restore_best
from .execution import executing
from .input_pipeline import batches
from .strategy import SingleProcess
from .tensorboard_callback import Curves, write_result
from .validation_metrics import Validation

# Steps that TensorFlow runs without returning to Python. 50 halve an epoch's time against 1,
# and 25 reports an epoch are enough for a progress bar and a curve.
STEPS_PER_EXECUTION = 50


class Fitting:
    """One training of a network into a run directory, from a saved state or from the start."""

    def __init__(
        self,
        network: keras.Model,
        dataset: Dataset,
        run: RunDirectory,
        settings: TrainingSettings,
        counts: dict[str, int],
        saved: State | None,
        watch: memory.Watch,
        distribution: SingleProcess,
        conditions: dict[str, str],
    ):
        self._network, self._dataset, self._run, self._watch = network, dataset, run, watch
        self._distribution, self._conditions = distribution, conditions
        self._settings, self._counts, self._saved = settings, counts, saved
        self._position = saved.position if saved else Position()
        self._steps = math.ceil(counts["train"] / settings.batch_size)
        balanced = settings.class_weight == "balanced"
        self._class_weight = class_weights(dataset) if balanced else None

    def run_to_end(
        self,
        save_every: SaveEvery,
        stop: threading.Event,
        progress: Progress,
        report: Callable[[str], None],
    ) -> dict[str, Any]:
        """Train the epochs that are left, write what a finished run has, and give the summary."""
        settings, position, distribution = self._settings, self._position, self._distribution
        validation = Validation(self._dataset.labels)
        curves = Curves(self._run, position, self._dataset, settings, self._counts["train"], validation)

        def save() -> None:
            curves.flush()
            position.event_files = self._run.event_file_sizes()
            checkpoint.save(self._run, self._network, position, self._conditions)

        is_chief = distribution.is_chief
        callbacks = [
            *([Restore(self._saved)] if self._saved else []),
            *distribution.callbacks(validation),
            Track(self._run, position, self._steps, report),
            *([curves] if is_chief else []),
            Stop(self._run, position, settings, report),
            Report(progress, settings.epochs, position, self._steps),
            SaveState(
                save if is_chief else lambda: None,
                position,
                self._steps,
                every_steps=save_every.steps,
                every_seconds=save_every.seconds,
                stop=distribution.stopped_by(stop),
                report=report,
            ),
        ]
        if ended(settings, position.epochs):  # killed before a finished run's files were written
            self._saved.restore(self._network)
            return distribution.broadcast(self._finish)
        held_out = self._batches(settings.validated_on)
        if hasattr(self._network, "output_shape"):  # a subclass of keras.Model need not have one
            checkpoint.variables(
                self._network
            )  # a graph that makes some while it is traced is traced twice
        executions = executing(
            self._network,
            train_steps=lambda: self._steps - position.step,
            test_steps=lambda: len(held_out),
        )
        # In this order: the functions that several replicas need take the place of one's.
        replicas = distribution.training(self._network, self._class_weight)
        with validation.watching(self._network), executions, replicas:
            if position.step:  # the rest of the epoch in which the run was stopped
                rest = self._batches("train", first_epoch=position.epoch, first_step=position.step)
                self._fit(rest, held_out, position.epoch + 1, callbacks)
            if not ended(settings, position.epochs):
                epochs = self._batches("train", first_epoch=position.epoch)
                self._fit(epochs, held_out, settings.epochs, callbacks)
        return distribution.broadcast(self._finish)

    def _batches(self, split: str, **options: int) -> tf.data.Dataset:
        settings = self._settings
        return batches(
            self._dataset,
            split,
            num_words=settings.num_words,
            batch_size=settings.batch_size,
            seed=settings.seed,
            validation_split=settings.validation_split,
            window_bytes=settings.window_bytes,
            prefetch=settings.prefetch,
            **self._distribution.batch_options(),
            **options,
        )

    def _fit(self, rows: tf.data.Dataset, validation: tf.data.Dataset, epochs: int, callbacks: list):
        self._network.fit(
            rows,
            initial_epoch=self._position.epoch,
            epochs=epochs,
            steps_per_epoch=len(rows),  # without it Keras makes each epoch's iterator twice
            validation_data=validation,
            callbacks=callbacks,
            class_weight=self._distribution.class_weight(self._class_weight),
            shuffle=False,  # `batches` has done it
            verbose=0,
        )

    def _write_weights(self) -> None:
        vocabulary = self._run.vocabulary().sha256
        arrays = to_arrays(self._network, self._dataset.labels, self._settings.num_words, vocabulary)
        if arrays:
            self._run.write_weights(arrays)

    def _finish(self) -> dict[str, Any]:
        run, settings, position = self._run, self._settings, self._position
        memory.trim_heap()  # the batches and the window, before the copies that saving makes
        epoch = kept_epoch(settings, position.epochs)
        if epoch["epoch"] < position.epoch:
            restore_best(self._network, run, epoch["epoch"])
        self._write_weights()
        optimizer = self._network.optimizer
        with optimizer.as_plain() if isinstance(optimizer, FusedAdam) else nullcontext():
            run.write_model(self._network)
        predicted = plan(self._dataset, settings, self._distribution.workers)
        summary = {
            "run": str(run.path),
            "data": self._dataset.source["description"],
            "reviews": self._counts,
            "validated_on": settings.validated_on,
            **{name: value for name, value in epoch.items() if name != "step"},
            **{f"val_{name}": value for name, value in position.kept.get("measures", {}).items()},
            "epochs": position.epoch,
            "best_epoch": best_epoch(position.epochs, settings.best_by)["epoch"],
            "parameters": self._network.count_params(),
            "seconds": {"training": sum(position.seconds), "epochs": position.seconds},
            "reviews_per_second": self._counts["train"] * position.epoch / sum(position.seconds),
            "peak_resident_bytes": memory.peak_resident(),
            "peak_anonymous_bytes": self._watch.peak_anonymous,
            "predicted_resident_bytes": predicted.resident,
            "predicted_anonymous_bytes": predicted.anonymous,
        }
        network = NumpyModel.load(run) if run.weights_file.exists() else None
        peak = summary["peak_resident_bytes"]
        write_result(run, position, settings, self._dataset, network, peak)
        run.write_summary(summary)
        return summary


def class_weights(dataset: Dataset) -> dict[int, float]:
    """Give each label's weight in the loss, so that all labels weigh the same together."""
    counts = dataset.manifest["splits"]["train"]["labels"]
    mean = sum(counts) / len(counts)
    return {label: mean / max(count, 1) for label, count in enumerate(counts)}
