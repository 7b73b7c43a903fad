"""Start a run from the weights of another, its parent."""

from pathlib import Path
from typing import Any

import keras

from ..model.numpy_model import NumpyModel
from ..runs.run_directory import RunDirectory
from ..system.errors import SettingsError
from .job import Job


def describe_parent(job: Job, path: str | Path) -> dict[str, Any]:
    """Return what config.json records of the parent: its path, and the SHA-256 of its vocabulary.

    Raises DataError unless words and labels of the dataset are the parent's, SettingsError for a model of
    another shape or several workers, InputMissing for a run that is not finished.
    """
    if job.strategy.workers > 1:
        raise SettingsError(
            "a run with a parent (--from) is trained by one worker; expected no TF_CONFIG"
        )
    _read(job, path)
    run = RunDirectory(path)
    return {"path": str(run.path.resolve()), "vocabulary_sha256": run.config()["vocabulary"]["sha256"]}


def set_weights_of(model: keras.Model, job: Job, path: str | Path) -> None:
    """Set a new model to the weights of the parent, 2 MB at 10,000 words; the optimizer starts again."""
    parent = _read(job, path)
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    for layer, kernel, bias in zip(layers, parent.kernels, parent.biases, strict=True):
        layer.set_weights([kernel, bias])


def _read(job: Job, path: str | Path) -> NumpyModel:
    run = RunDirectory(path)
    parent = NumpyModel.load(run)
    run.require_words_of(job.dataset, as_inputs=True)
    if parent.num_words != job.num_words:
        raise SettingsError(
            f"num_words is {job.num_words:,}, {run.path} has {parent.num_words:,}; expected the same"
        )
    hidden = tuple(kernel.shape[1] for kernel in parent.kernels[:-1])
    if job.own_model or hidden != job.settings.hidden:
        shown = "those of another model" if job.own_model else ",".join(map(str, job.settings.hidden))
        raise SettingsError(
            f"hidden is {shown}, {run.path} has {','.join(map(str, hidden))}; expected the same"
        )
    return parent
