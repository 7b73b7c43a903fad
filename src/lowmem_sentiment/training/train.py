"""Train the network on a dataset, into a run directory."""

import platform
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .. import __version__
from ..dataset.reader import Dataset
from ..dataset.splits import num_reviews
from ..model.keras_model import build_model
from ..runs.configuration import SaveEvery, TrainingSettings
from ..runs.run_directory import RunDirectory
from ..system import memory
from ..system.errors import DataError, Resumable, SettingsError
from ..system.files import locked
from ..system.progress import Progress, no_progress
from . import checkpoint
from .checkpoint import Position, State
from .early_stopping import ended
from .execution import executing
from .fitting import STEPS_PER_EXECUTION, Fitting
from .input_pipeline import batches, damaged_shard
from .strategy import SingleProcess


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
    limit: memory.Limit | None = None,
    stop: threading.Event | None = None,
    progress: Progress = no_progress,
    report: Callable[[str], None] = lambda line: None,
    distribution: SingleProcess | None = None,
) -> dict[str, Any]:
    """Train a network on `dataset` into the new directory `run`, and give the summary.

    `network` is any compiled Keras model that takes float32[batch, num_words]; without it the
    tutorial's is built. The same settings and dataset give the same weights, bit for bit,
    on the same machine, also when training is killed and resumed.

    `resume` goes on with an unfinished `run` from its last saved state (or trains a finished one
    for more epochs); `force` does so under conditions that change the bits. When `stop` is set,
    the state is saved and Resumable raised; the same happens when 92 % of `limit` are used. `report` is
    told warnings. With a `distribution` over several workers each calls this in the same way; an
    unfinished `run` of the chief's is gone on with.

    Raises SettingsError, OutputExists (a run is there, or is in use), InputMissing (none is there
    to resume), and DataError for a dataset or state that is damaged.
    """
    if not isinstance(dataset, Dataset):
        dataset = Dataset(dataset)
    settings = settings or TrainingSettings()
    settings = replace(settings, num_words=settings.num_words_for(dataset))
    counts = _count_reviews(dataset, settings)
    distribution = distribution or SingleProcess()
    if network is not None and distribution.replicas > 1:
        raise SettingsError(
            "a network of your own is trained by one process on one device; expected none"
        )
    run = distribution.run_directory(run)
    stop = stop or threading.Event()
    reasons = []

    def alarm(what: str) -> None:
        reasons.append(f"{what}; stopped before the kernel does it: ")
        stop.set()

    def open_run() -> State | dict[str, Any] | None:
        going_on = resume or (distribution.workers > 1 and run.config_file.exists() and not overwrite)
        if going_on:
            run.config()  # InputMissing before a directory is made
        held.enter_context(locked(run.path))
        if going_on:
            return _resume(run, dataset, settings, conditions, force, report)
        vocabulary = dataset.vocabulary().truncate(settings.num_words)
        config = {**describe(dataset, settings), **distribution.conditions()}
        run.create(config, vocabulary, overwrite=overwrite)
        return None

    conditions = {**checkpoint.conditions(dataset), **distribution.conditions()}
    with ExitStack() as held, memory.Watch(limit, alarm) as watch, distribution.translate_worker_loss():
        distribution.require_same(conditions, asdict(settings))
        saved = distribution.broadcast(open_run)
        if isinstance(saved, dict):  # the summary of a finished run
            return saved
        if network is None:
            network = distribution.build(lambda: _build_network(dataset, settings))
        network.steps_per_execution = STEPS_PER_EXECUTION
        fitting = Fitting(network, dataset, run, settings, counts, saved, watch, distribution, conditions)
        try:
            return fitting.run_to_end(save_every or SaveEvery(), stop, progress, report)
        except tf.errors.DataLossError as error:
            raise damaged_shard(dataset, error) from error
        except Resumable as error:
            command = distribution.going_on(dataset.directory, run)
            raise Resumable(f"{''.join(reasons)}{error}; {command}") from None


def _build_network(dataset: Dataset, settings: TrainingSettings) -> keras.Model:
    return build_model(
        settings.num_words,
        len(dataset.labels),
        hidden=settings.hidden,
        dropout=settings.dropout,
        learning_rate=settings.learning_rate,
        seed=settings.seed,
    )


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
    now: dict[str, str],
    force: bool,
    report: Callable[[str], None],
) -> State | dict[str, Any] | None:
    """Give the state to go on from (None: from the start), or the summary where nothing is left to do.

    `now` are the conditions. Raises SettingsError for settings that are not the run's (more epochs
    are welcome), and DataError for conditions that change the bits, unless `force`.
    """
    config = run.config()
    theirs, ours = config["settings"], asdict(settings)
    for name, value in ours.items():
        had = theirs.get(name, getattr(TrainingSettings, name))  # a setting may be younger than the run
        value = list(value) if isinstance(value, tuple) else value
        if name not in ("epochs", "prefetch") and had != value:
            raise SettingsError(f"{name} is {value}, the run to resume has {had}")
    saved, complaints = checkpoint.load(run)
    for complaint in complaints:
        report(f"warning: {complaint}; going on from the state before it")
    done = saved.position.epoch if saved else 0
    if settings.epochs < done:
        raise SettingsError(f"epochs is {settings.epochs}, the run to resume has trained {done}")
    then = saved.conditions if saved else {**now, "dataset": config["dataset"]["fingerprint"]}
    changed = []
    for name in {**now, **then}:
        had, has = then.get(name, "1"), now.get(name, "1")  # one process speaks of no workers
        if had != has:
            changed.append(f"{name} ({had} then, {has} now)")
    if changed and not force:
        raise DataError(f"other conditions than the run's: {', '.join(changed)}; they change the "
                        "result's bits: --force resumes all the same")  # fmt: skip
    if changed:
        report(f"warning: other conditions than the run's: {', '.join(changed)}; the result is not exact")
    if run.finished and saved and ended(settings, saved.position.epochs):
        return run.summary()
    if saved and dataset.fingerprint != config["dataset"]["fingerprint"]:
        saved.position.step = 0  # a place in an epoch of other reviews means nothing
    _rewind(run, settings, saved)
    run.summary_file.unlink(missing_ok=True)  # for more epochs: unfinished again
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


def measure_speed(dataset: Dataset, settings: TrainingSettings, seconds: float = 1.0) -> float:
    """Give the training reviews a second that this machine manages, from `seconds` of training."""
    settings = replace(settings, num_words=settings.num_words_for(dataset))
    network = _build_network(dataset, settings)
    network.steps_per_execution = 10
    moments: list[tuple[float, int]] = []

    def tell(batch: int, logs: Any) -> None:
        moments.append((time.monotonic(), batch + 1))
        # The first execution is the tracing of the graph.
        network.stop_training = moments[-1][0] - moments[0][0] >= seconds

    rows = batches(dataset, num_words=settings.num_words, batch_size=settings.batch_size,
                   window_bytes=settings.window_bytes, prefetch=settings.prefetch)  # fmt: skip
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=tell)
    with executing(network, train_steps=lambda: len(rows)):
        while len(moments) < 3:  # a small dataset is over before a second is
            network.fit(rows, callbacks=[callback], shuffle=False, verbose=0)
    (begun, first), (ended, last) = moments[0], moments[-1]
    if last <= first:
        last = first + (len(moments) - 1) * 10
    return (last - first) * settings.batch_size / (ended - begun)
