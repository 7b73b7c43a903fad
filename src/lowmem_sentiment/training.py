"""Train the network on a dataset, into a run directory."""

import platform
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from . import __version__, memory
from .batching import batches, num_reviews
from .callbacks import Curves, EpochMetrics, Report, Watch
from .errors import DataError, SettingsError
from .network import build_network
from .optimizer import FusedAdam
from .progress import Progress, no_progress
from .run_directory import RunDirectory
from .settings import TrainingSettings
from .shards import Dataset
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
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Train a network on `dataset` into the new directory `run`, and give the summary.

    `network` is any compiled Keras model that takes float32[batch, num_words]; without it the
    tutorial's is built. The same settings and dataset give the same weights, bit for bit,
    on the same machine.

    Raises SettingsError, OutputExists, and DataError for a dataset that is damaged.
    """
    if not isinstance(dataset, Dataset):
        dataset = Dataset(dataset)
    settings = settings or TrainingSettings()
    num_words = settings.num_words_for(dataset)
    held_out = "validation" if settings.validation_split else "test"
    counts = {
        split: num_reviews(dataset, split, settings.validation_split) for split in ("train", held_out)
    }
    if not all(counts.values()):
        raise SettingsError(
            f"validation_split is {settings.validation_split}, which leaves {counts['train']} "
            f"reviews to train and {counts[held_out]} to validate on; expected some of both"
        )
    run = RunDirectory(run)
    run.create(
        describe(dataset, settings, num_words),
        dataset.vocabulary().truncate(num_words),
        overwrite=overwrite,
    )
    if network is None:
        network = build_network(
            num_words,
            len(dataset.labels),
            hidden=settings.hidden,
            dropout=settings.dropout,
            learning_rate=settings.learning_rate,
            seed=settings.seed,
        )
    network.steps_per_execution = STEPS_PER_EXECUTION
    return _fit(network, dataset, run, settings, num_words, held_out, counts, progress)


def describe(dataset: Dataset, settings: TrainingSettings, num_words: int) -> dict[str, Any]:
    """Give what config.json holds of a run: settings, dataset, versions."""
    return {
        "settings": {**asdict(settings), "num_words": num_words},
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


def _fit(
    network: keras.Model,
    dataset: Dataset,
    run: RunDirectory,
    settings: TrainingSettings,
    num_words: int,
    held_out: str,
    counts: dict[str, int],
    progress: Progress,
) -> dict[str, Any]:
    metrics, watch = EpochMetrics(run), Watch()
    callbacks = [
        watch,
        metrics,
        Curves(run, settings.batch_size, counts["train"]),
        Report(progress, settings.epochs),
    ]

    def split(name: str) -> tf.data.Dataset:
        return batches(
            dataset,
            name,
            num_words=num_words,
            batch_size=settings.batch_size,
            seed=settings.seed,
            validation_split=settings.validation_split,
        )

    begun = time.monotonic()
    try:
        network.fit(
            split("train"),
            epochs=settings.epochs,
            validation_data=split(held_out),
            callbacks=callbacks,
            class_weight=class_weights(dataset) if settings.class_weight == "balanced" else None,
            shuffle=False,  # `batches` has done it
            verbose=0,
        )
    except tf.errors.DataLossError as error:
        raise damaged_shard(dataset, error) from error
    seconds = time.monotonic() - begun
    arrays = to_arrays(network, dataset.labels, num_words, run.vocabulary().sha256)
    if arrays:
        run.write_weights(arrays)
    _save_plain(network, run)
    summary = {
        "run": str(run.path),
        "data": dataset.source["description"],
        "reviews": counts,
        "validated_on": held_out,
        **{key: value for key, value in metrics.epochs[-1].items() if key != "step"},
        "parameters": network.count_params(),
        "seconds": {"training": seconds, "epochs": watch.epoch_seconds},
        "reviews_per_second": counts["train"] * settings.epochs / sum(watch.epoch_seconds),
        "peak_resident_bytes": memory.peak_resident(),
        "peak_anonymous_bytes": max(watch.peak_anonymous, memory.anonymous()),
    }
    run.write_summary(summary)
    return summary


def class_weights(dataset: Dataset) -> dict[int, float]:
    """Give each label's weight in the loss, so that all labels weigh the same together."""
    counts = dataset.manifest["splits"]["train"]["labels"]
    mean = sum(counts) / len(counts)
    return {label: mean / max(count, 1) for label, count in enumerate(counts)}


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
