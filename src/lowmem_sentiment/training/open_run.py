"""Open a run directory for training: a new one, or one to resume."""

import platform
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from .. import __version__
from ..dataset.splits import validation_warnings
from ..runs.configuration import TrainingSettings
from ..runs.run_directory import RunDirectory
from ..system.errors import DataError, SettingsError
from . import checkpoint
from .checkpoint import Position, State
from .early_stopping import has_ended
from .job import Job
from .parent import describe_parent


class Opening(NamedTuple):
    """How a run directory is to be opened."""

    resume: bool
    """Continue the run that is there."""
    force: bool
    """Resume under conditions that change the bits."""
    overwrite: bool
    """Replace a run that is there."""
    parent: str | Path | None = None
    """The run whose weights a new run starts from."""


def open_run(
    job: Job, run: RunDirectory, opening: Opening, held: ExitStack, report: Callable[[str], None]
) -> State | dict[str, Any] | None:
    """Return the state to resume from (None: the start), or the summary where nothing is left to do.

    A new run stays locked until `held` ends; who resumes one has locked it.
    Raises OutputExists for a new run where one is, SettingsError for settings that are not the run's
    (more epochs are welcome), and DataError for conditions that change the bits, unless forced.
    """
    if opening.resume:
        return _resume(job, run, opening.force, report)
    vocabulary, features = job.dataset.input_vocabulary().truncate(job.num_words), job.dataset.features
    parent = describe_parent(job, opening.parent) if opening.parent else None
    run.create(
        describe(job) | ({"parent": parent} if parent else {}),
        vocabulary,
        ngrams=features.ngrams if features else None,
        tokenizer=job.dataset.tokenizer,
        overwrite=opening.overwrite,
        inputs=[job.dataset.directory, *([parent["path"]] if parent else [])],
        report=report,
        held=held,
    )
    for warning in validation_warnings(job.dataset, job.settings.validation_split):
        report(f"warning: {warning}")
    return None


def describe(job: Job) -> dict[str, Any]:
    """Return what config.json holds of a run: settings, dataset, labels, versions."""
    dataset = job.dataset
    config = {
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


def _resume(
    job: Job, run: RunDirectory, force: bool, report: Callable[[str], None]
) -> State | dict[str, Any] | None:
    config = run.config()
    _require_same_settings(config["settings"], job.settings, force, report)
    state = checkpoint.load(run, report)
    position = state.position if state else Position()
    if job.settings.epochs < position.epoch:
        raise SettingsError(
            f"epochs is {job.settings.epochs}, the run to resume has trained {position.epoch}"
        )
    trained_on = config["dataset"]["fingerprint"]
    then = state.conditions if state else {**job.conditions, "dataset": trained_on}
    _require_same_conditions(then, job.conditions, force, report)
    if run.finished and state and has_ended(job.settings, position.epochs):
        if position.epoch < job.settings.epochs:
            report(
                f"{run.path} stays as it is: it ended early, after epoch {position.epoch}, as the last "
                f"{job.settings.early_stopping} were no better (early_stopping); to train on from its "
                f"weights: train {job.dataset.directory} --run NEW --from {run.path}"
            )
        return run.summary()
    if job.dataset.fingerprint != trained_on:
        position.step = 0  # a place in an epoch of other reviews means nothing
    if state and not has_ended(job.settings, position.epochs):
        report(f"{run.path} resumes at epoch {position.epoch + 1}, step {position.step + 1:,}")
    run.resume(job.settings, job.dataset)
    _rewind(run, position)
    return state


def _require_same_settings(
    theirs: dict[str, Any], settings: TrainingSettings, force: bool, report: Callable[[str], None]
) -> None:
    for name, value in asdict(settings).items():
        had = theirs.get(name, getattr(TrainingSettings, name))  # a setting may be younger than the run
        value = list(value) if isinstance(value, tuple) else value
        had = list(had) if isinstance(had, tuple) else had
        if name in ("epochs", "prefetch") or had == value:
            continue
        if name != "optimizer":
            raise SettingsError(f"{name} is {value}, the run to resume has {had}")
        if not force:  # both keep the same variables
            raise SettingsError(
                f"optimizer is {value}, the run to resume has {had}: --force resumes all the same"
            )
        report(f"warning: optimizer is {value}, the run had {had}")


def _require_same_conditions(
    then: dict[str, str], now: dict[str, str], force: bool, report: Callable[[str], None]
) -> None:
    changed = []
    for name in {**now, **then}:
        # What one process, or a run from before there was a choice, does not mention.
        usual = "dense" if name == "input" else "1"
        had, has = then.get(name, usual), now.get(name, usual)
        if had != has:
            changed.append(f"{name} ({had} then, {has} now)")
    if changed and not force:
        raise DataError(
            f"other conditions than the run's: {', '.join(changed)}; they change the result's bits: "
            "--force resumes all the same"
        )
    if changed:
        report(f"warning: other conditions than the run's: {', '.join(changed)}; the result is not exact")


def _rewind(run: RunDirectory, position: Position) -> None:
    """Put the run's files where they were when the state was saved."""
    run.write_metrics(position.epochs)
    run.trim_event_files(position.event_files)
    run.summary_file.unlink(missing_ok=True)  # for more epochs: unfinished again
