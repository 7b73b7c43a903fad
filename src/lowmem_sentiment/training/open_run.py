"""Open a run directory for training: a new one, one with a parent's weights, or one to resume."""

import platform
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..dataset.splits import validation_warnings
from ..model.numpy_model import NumpyModel
from ..model.tensorflow import keras, tf
from ..runs.configuration import TrainingSettings
from ..runs.run_directory import RunDirectory
from ..runs.summary import has_ended
from ..system.errors import DataError, SettingsError, quoted
from ..system.files import locked
from ..system.settings import plain
from ..text.vocabulary import KERAS
from . import checkpoint
from .checkpoint import Position, State
from .job import Job


def create_run(
    job: Job,
    run: RunDirectory,
    parent_path: str | Path | None,
    *,
    overwrite: bool,
    held: ExitStack,
    report: Callable[[str], None],
) -> None:
    """Make the directory of a new run, which stays locked until `held` ends.

    `parent_path` is the run whose weights it starts from. Raises OutputExists if the run exists.
    """
    config, inputs = describe(job), [job.dataset.directory]
    if parent_path:
        parent = RunDirectory(parent_path)
        read_parent(job, parent)
        sha256 = parent.config()["vocabulary"]["sha256"]
        config["parent"] = {"path": str(parent.path.resolve()), "vocabulary_sha256": sha256}
        inputs.append(parent.path.resolve())
    run.create(
        config,
        job.dataset.input_vocabulary().truncate(job.num_words),
        overwrite=overwrite,
        inputs=inputs,
        report=report,
        held=held,
    )
    for warning in validation_warnings(job.dataset, job.settings.validation_split):
        report(f"warning: {warning}")


def describe(job: Job) -> dict[str, Any]:
    """Return a run's config.json: what the words are, settings, dataset, labels, versions."""
    dataset = job.dataset
    config = {
        "vocabulary": {
            **({"ngrams": dataset.features.ngrams} if dataset.features else {}),
            **({} if dataset.tokenizer == KERAS else {"tokenizer": dataset.tokenizer}),
        },
        "settings": asdict(job.settings),
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
    workers = ("workers", "replicas")
    return config | {name: job.conditions[name] for name in workers if name in job.conditions}


def resume_run(
    job: Job, run: RunDirectory, *, force: bool, held: ExitStack, report: Callable[[str], None]
) -> State | dict[str, Any] | None:
    """Return the state to resume from (None: the start), or the summary if nothing is left to do.

    The run stays locked until `held` ends. Raises InputMissing if there is no run, SettingsError for
    settings that differ from the run's (except more epochs), and DataError for a different dataset or,
    unless forced, for conditions that change the bits.
    """
    run.config()  # before the lock, which would make a file
    held.enter_context(locked(run.path))
    run.require_own(job.dataset)
    _require_same_settings(run.settings(), job.settings, force, report)
    state = checkpoint.load(run, report)
    position = state.position if state else Position()
    ended = has_ended(job.settings, position.epochs)
    if job.settings.epochs < position.epoch:
        raise SettingsError(
            f"epochs is {job.settings.epochs}, the run to resume has trained {position.epoch}"
        )
    if state:
        _require_same_conditions(state.conditions, job.conditions, force, report)
    if run.finished and state and ended:
        if position.epoch < job.settings.epochs:
            report(
                f"{run.path} stays as it is: it ended early, after epoch {position.epoch}, as the last "
                f"{job.settings.early_stopping} were no better (early_stopping); to train on from its "
                f"weights: lowmem-sentiment train {quoted(job.dataset.directory)} --run NEW "
                f"--from {quoted(run.path)}"
            )
        return run.summary().to_json()
    if state and not ended:
        report(f"{run.path} resumes at epoch {position.epoch + 1}, step {position.step + 1:,}")
    if job.settings.keep_best and run.best_file.exists():
        run.checksums.check(run.best_file)  # not after the epochs that are left
    run.resume(job.settings, job.dataset)
    # Put the run's files where they were when the state was saved.
    run.write_metrics(position.epochs)
    run.trim_event_files(position.event_files)
    run.summary_file.unlink(missing_ok=True)  # for more epochs: unfinished again
    return state


def _require_same_settings(
    theirs: TrainingSettings, settings: TrainingSettings, force: bool, report: Callable[[str], None]
) -> None:
    for name in asdict(settings):
        had, value = getattr(theirs, name), getattr(settings, name)
        if name in ("epochs", "prefetch") or had == value:
            continue
        if name != "optimizer":
            raise SettingsError(f"{name} is {plain(value)}, the run to resume has {plain(had)}")
        if not force:  # both keep the same variables
            raise SettingsError(
                f"optimizer is {value}, the run to resume has {had}: --force resumes anyway"
            )
        report(f"warning: optimizer is {value}, the run had {had}")


def _require_same_conditions(
    then: dict[str, str], now: dict[str, str], force: bool, report: Callable[[str], None]
) -> None:
    # Defaults for conditions that one process, or an older run, does not mention.
    usual = {"input": "dense", "workers": "1", "replicas": "1"}
    then, now = usual | then, usual | now
    names = [name for name in {**now, **then} if then.get(name) != now.get(name)]
    if not names:
        return
    changed = ", ".join(f"{name} ({then.get(name)} then, {now.get(name)} now)" for name in names)
    if not force:
        raise DataError(
            f"other conditions than the run's: {changed}; they change the result's bits: "
            "--force resumes anyway"
        )
    report(f"warning: other conditions than the run's: {changed}; the result is not exact")


# --- a parent's weights ---


def read_parent(job: Job, run: RunDirectory) -> NumpyModel:
    """Return the model whose weights a new run starts from.

    Raises DataError unless the dataset has the parent's words and labels, SettingsError for a different
    shape or several workers, InputMissing for a parent that is not finished.
    """
    if job.strategy.workers > 1:
        raise SettingsError(
            "a run with a parent (--from) is trained by one worker; expected no TF_CONFIG"
        )
    parent = NumpyModel.load(run)
    run.require_words_of(job.dataset, as_inputs=True)
    if job.own_model:
        raise SettingsError("a run with a parent (--from) has its layers; expected no model of your own")
    parent.require_shape(job.num_words, job.settings.hidden, run.path)
    return parent


def set_weights_of(model: keras.Model, job: Job, path: str | Path) -> None:
    """Set a new model to the weights of the parent, 2 MB at 10,000 words; the optimizer starts again."""
    parent = read_parent(job, RunDirectory(path))
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    for layer, kernel, bias in zip(layers, parent.kernels, parent.biases, strict=True):
        layer.set_weights([kernel.astype(np.float32), bias])
