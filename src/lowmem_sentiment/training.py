"""Train the network on a dataset, into a run directory."""

import math
import platform
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from . import __version__, memory, state
from .atomic import locked
from .batching import batches, num_reviews, timed
from .callbacks import Report, Restore, SaveState, Track, WatchMemory
from .curves import Curves, write_result
from .dense import Dense
from .errors import DataError, Resumable, SettingsError
from .network import build_network
from .optimizer import FusedAdam
from .progress import Progress, no_progress
from .run_directory import RunDirectory
from .settings import SaveEvery, TrainingSettings
from .shards import Dataset
from .state import Position, State
from .stopping import Stop, best_epoch, ended, kept_epoch, restore_best
from .validation import Validation
from .weights import to_arrays

# Steps that TensorFlow runs without returning to Python. 50 halve an epoch's time against 1,
# and 25 reports an epoch are enough for a progress bar and a curve.
STEPS_PER_EXECUTION = 50


def train(
    dataset: Dataset | str | Path,
    run: str | Path,
    settings: TrainingSettings | None = None,
    *,
    network: keras.Model | None = None,
    resume: bool = False,
    force: bool = False,
    overwrite: bool = False,
    save_every: SaveEvery | None = None,
    stop: threading.Event | None = None,
    progress: Progress = no_progress,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train a network on `dataset` into the new directory `run`, and give the summary.

    `network` is any compiled Keras model that takes float32[batch, num_words]; without it the
    tutorial's is built. The same settings and dataset give the same weights, bit for bit,
    on the same machine, also when training is killed and resumed.

    `resume` goes on with an unfinished `run` from its last saved state (or trains a finished one
    for more epochs); `force` does so under conditions that change the bits. When `stop` is set,
    the state is saved and Resumable raised. `say` is told warnings.

    Raises SettingsError, OutputExists (a run is there, or is in use), InputMissing (none is there
    to resume), and DataError for a dataset or state that is damaged.
    """
    if not isinstance(dataset, Dataset):
        dataset = Dataset(dataset)
    settings = settings or TrainingSettings()
    settings = replace(settings, num_words=settings.num_words_for(dataset))
    counts = _count_reviews(dataset, settings)
    run = RunDirectory(run)
    if resume:
        run.config()  # InputMissing before a directory is made
    with locked(run.path):
        saved = None
        if not resume:
            vocabulary = dataset.vocabulary().truncate(settings.num_words)
            run.create(describe(dataset, settings), vocabulary, overwrite=overwrite)
        else:
            saved = _resume(run, dataset, settings, force, say)
            if run.finished and saved and ended(settings, saved.position.epochs):
                return run.summary()
            _rewind(run, settings, saved)
            run.summary_file.unlink(missing_ok=True)  # for more epochs: unfinished again
        if network is None:
            network = build_network(
                settings.num_words,
                len(dataset.labels),
                hidden=settings.hidden,
                dropout=settings.dropout,
                learning_rate=settings.learning_rate,
                seed=settings.seed,
            )
        network.steps_per_execution = STEPS_PER_EXECUTION
        fitting = _Fitting(network, dataset, run, settings, counts, saved)
        try:
            return fitting.run_to_end(save_every or SaveEvery(), stop or threading.Event(), progress, say)
        except tf.errors.DataLossError as error:
            raise damaged_shard(dataset, error) from error
        except Resumable as error:
            command = f"lowmem-sentiment train {dataset.directory} --resume {run.path}"
            raise Resumable(f"{error}; go on with: {command}") from None


def _count_reviews(dataset: Dataset, settings: TrainingSettings) -> dict[str, int]:
    """Give how many reviews are trained and validated on; SettingsError if there are none."""
    counts = {
        split: num_reviews(dataset, split, settings.validation_split)
        for split in ("train", settings.validated_on)
    }
    if not all(counts.values()):
        raise SettingsError(
            f"validation_split is {settings.validation_split}, which leaves {counts['train']} reviews "
            f"to train and {counts[settings.validated_on]} to validate on; expected some of both"
        )
    return counts


def _resume(
    run: RunDirectory,
    dataset: Dataset,
    settings: TrainingSettings,
    force: bool,
    say: Callable[[str], None],
) -> State | None:
    """Give the state to go on from (None: from the start).

    Raises SettingsError for settings that are not the run's (more epochs are welcome), and
    DataError for conditions that change the bits, unless `force`.
    """
    config = run.config()
    theirs, ours = config["settings"], asdict(settings)
    for name, value in ours.items():
        had = theirs.get(name, getattr(TrainingSettings, name))  # a setting may be younger than the run
        if name != "epochs" and had != (list(value) if isinstance(value, tuple) else value):
            raise SettingsError(f"{name} is {value}, the run to resume has {had}")
    saved, complaints = state.load(run)
    for complaint in complaints:
        say(f"warning: {complaint}; going on from the state before it")
    done = saved.position.epoch if saved else 0
    if settings.epochs < done:
        raise SettingsError(f"epochs is {settings.epochs}, the run to resume has trained {done}")
    now = state.conditions(dataset)
    then = saved.conditions if saved else {**now, "dataset": config["dataset"]["fingerprint"]}
    changed = [f"{name} ({then.get(name)} then, {now[name]} now)" for name in now
               if then.get(name) != now[name]]  # fmt: skip
    if changed and not force:
        raise DataError(f"other conditions than the run's: {', '.join(changed)}; they change the "
                        "result's bits: --force resumes all the same")  # fmt: skip
    if changed:
        say(f"warning: other conditions than the run's: {', '.join(changed)}; the result is not exact")
    return saved


def _rewind(run: RunDirectory, settings: TrainingSettings, saved: State | None) -> None:
    """Put the run's files where they were when the state was saved, and the epochs to train in it."""
    config, position = run.config(), saved.position if saved else Position()
    run.write_config({**config, "settings": {**config["settings"], "epochs": settings.epochs}})
    run.write_metrics(position.epochs)
    run.trim_event_files(position.event_files)


def describe(dataset: Dataset, settings: TrainingSettings) -> dict[str, Any]:
    """Give what config.json holds of a run: settings, dataset, versions."""
    return {
        "settings": asdict(settings),
        "dataset": {
            "path": str(dataset.directory.resolve()),
            "name": dataset.name,
            "source": dataset.source,
            "fingerprint": dataset.fingerprint,
        },
        "labels": dataset.labels,
        "versions": {
            "lowmem-sentiment": __version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


class _Fitting:
    """One training of a network into a run directory, from a saved state or from the start."""

    def __init__(
        self,
        network: keras.Model,
        dataset: Dataset,
        run: RunDirectory,
        settings: TrainingSettings,
        counts: dict[str, int],
        saved: State | None,
    ):
        self._network, self._dataset, self._run = network, dataset, run
        self._settings, self._counts, self._saved = settings, counts, saved
        self._position = saved.position if saved else Position()
        self._steps = math.ceil(counts["train"] / settings.batch_size)
        self._watch = WatchMemory()
        self._conditions = state.conditions(dataset)

    def run_to_end(
        self,
        save_every: SaveEvery,
        stop: threading.Event,
        progress: Progress,
        say: Callable[[str], None],
    ) -> dict[str, Any]:
        """Train the epochs that are left, write what a finished run has, and give the summary."""
        settings, position = self._settings, self._position
        validation = Validation(self._dataset.labels)
        curves = Curves(self._run, position, self._dataset, settings, self._counts["train"], validation)

        def save() -> None:
            curves.flush()
            position.event_files = self._run.event_file_sizes()
            state.save(self._run, self._network, position, self._conditions)

        callbacks = [
            *([Restore(self._saved)] if self._saved else []),
            Track(self._run, position, self._steps, say),
            self._watch,
            curves,
            Stop(self._run, position, settings, say),
            Report(progress, settings.epochs, position, self._steps),
            SaveState(
                save,
                position,
                self._steps,
                every_steps=save_every.steps,
                every_seconds=save_every.seconds,
                stop=stop,
                say=say,
            ),
        ]
        if ended(settings, position.epochs):  # killed before a finished run's files were written
            self._saved.restore(self._network)
            return self._finish()
        held_out = self._batches(settings.validated_on)
        with validation.watching(self._network):
            if position.step:  # the rest of the epoch in which the run was stopped
                rest = self._batches("train", first_epoch=position.epoch, first_step=position.step)
                self._fit(timed(rest, curves.waited), held_out, position.epoch + 1, callbacks)
            if not ended(settings, position.epochs):
                epochs = self._batches("train", first_epoch=position.epoch)
                self._fit(timed(epochs, curves.waited), held_out, settings.epochs, callbacks)
        return self._finish()

    def _batches(self, split: str, **options: int) -> tf.data.Dataset:
        settings = self._settings
        return batches(
            self._dataset,
            split,
            num_words=settings.num_words,
            batch_size=settings.batch_size,
            seed=settings.seed,
            validation_split=settings.validation_split,
            **options,
        )

    def _fit(self, rows: tf.data.Dataset, validation: tf.data.Dataset, epochs: int, callbacks: list):
        self._network.fit(
            rows,
            initial_epoch=self._position.epoch,
            epochs=epochs,
            validation_data=validation,
            callbacks=callbacks,
            shuffle=False,  # `batches` has done it
            verbose=0,
        )

    def _finish(self) -> dict[str, Any]:
        run, settings, position = self._run, self._settings, self._position
        epoch = kept_epoch(settings, position.epochs)
        if epoch["epoch"] < position.epoch:
            restore_best(self._network, run, epoch["epoch"])
        arrays = to_arrays(
            self._network, self._dataset.labels, settings.num_words, run.vocabulary().sha256
        )
        if arrays:
            run.write_weights(arrays)
        _save_plain(self._network, run)
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
            "peak_anonymous_bytes": max(self._watch.peak_anonymous, memory.anonymous()),
        }
        network = Dense.of(arrays) if arrays else None
        peak = summary["peak_resident_bytes"]
        write_result(run, position, settings, self._dataset, network, peak)
        run.write_summary(summary)
        return summary


def _save_plain(network: keras.Model, run: RunDirectory) -> None:
    """Save the network compiled with Keras' own Adam, so that any Keras opens it."""
    if isinstance(network.optimizer, FusedAdam):
        adam = network.optimizer.plain(network.trainable_variables)
        config = network.get_compile_config()
        network.compile(optimizer=adam, loss=config["loss"], metrics=config["metrics"])
    run.write_model(network)


def damaged_shard(dataset: Dataset, error: Exception) -> DataError:
    """Give the DataError that names the damaged shard behind TensorFlow's error."""
    try:
        for split in ("train", "test"):
            for _ in dataset.read(split):
                pass
    except DataError as found:
        return DataError(f"{found}; prepare the data again")
    return DataError(f"{dataset.directory} is damaged: {error}; prepare the data again")
