"""The verb: train a model on a dataset, into a run directory."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from ..dataset.reader import Dataset
from ..runs.configuration import SaveEvery, TrainingSettings
from ..runs.run_directory import NoRunDirectory, RunDirectory
from ..system import memory
from ..system.deprecation import renamed
from ..system.errors import Resumable, SettingsError
from ..system.files import locked
from ..system.progress import Progress, as_progress, no_progress
from . import checkpoint, loop
from .callbacks import ReportProgress, SaveState, Track
from .checkpoint import Position, State
from .early_stopping import StopEarly, has_ended
from .execution import STEPS_PER_EXECUTION
from .finish import finish
from .input_pipeline import damaged_shard
from .job import Job
from .open_run import Opening, open_run
from .parent import set_weights_of
from .shard_check import ShardCheck
from .single_process import SingleProcess
from .tensorboard_callback import Curves
from .validation_metrics import ValidationMetrics


class Control(NamedTuple):
    """What watches a training and can stop it; none of it changes the result."""

    callbacks: Sequence[keras.callbacks.Callback]
    save_every: SaveEvery
    stop: threading.Event
    progress: Progress
    report: Callable[[str], None]
    steps_per_execution: int


@renamed(network="model", say="report", distribution="strategy")
def train(
    dataset: Dataset | str | Path,
    run: str | Path,
    settings: TrainingSettings | None = None,
    *,
    model: keras.Model | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    start_from: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    overwrite: bool = False,
    save_every: SaveEvery | None = None,
    limit: memory.Limit | None = None,
    stop: threading.Event | None = None,
    progress: Callable[..., Any] = no_progress,
    report: Callable[[str], None] = lambda line: None,
    strategy: SingleProcess | None = None,
    steps_per_execution: int = STEPS_PER_EXECUTION,
) -> dict[str, Any]:
    """Train a model on `dataset` into the new directory `run`, and return the summary.

    The summary is what summary.json holds: metrics of the epoch that is kept ("accuracy", "val_accuracy",
    ...), "seconds", and memory in bytes.

    `model` is any compiled Keras model that takes float32[batch, num_words]; without it the tutorial's
    is built. `callbacks` are Keras' or your own; one that sets `model.stop_training` ends training
    after the epoch. A batch is to them what it is to Keras: the last of `steps_per_execution` steps.

    `start_from` is a finished run whose weights the new one starts from, in place of random ones: its
    words and labels must be the dataset's, its `hidden` and `num_words` the settings'. It is recorded
    as "parent"; the optimizer starts again.

    The same settings and dataset give the same weights, bit for bit, on the same machine, also when
    training is killed and resumed: `resume` continues an unfinished `run` from its last saved state
    (or trains a finished one for more epochs), `force` also under conditions that change the bits.
    When `stop` is set, the state is saved and Resumable raised; so it is when 92 % of `limit` are used.
    `report` is called with warnings. With a `strategy` over several workers each calls this in the
    same way, and an unfinished `run` of the chief's is resumed.

    Raises SettingsError, OutputExists (a run is there, or is in use), InputMissing (none is there to
    resume), and DataError for a dataset or state that is damaged.
    """
    dataset = dataset if isinstance(dataset, Dataset) else Dataset(dataset)
    strategy = strategy or SingleProcess()
    settings = settings or TrainingSettings()
    settings = replace(settings, num_words=settings.num_words_for(dataset))
    job = Job(dataset, settings, strategy, own_model=model is not None)
    if model is not None and strategy.replicas > 1:
        raise SettingsError("a model of your own is trained by one process on one device; expected none")
    directory = RunDirectory(run) if strategy.is_chief else NoRunDirectory(run)
    resume = resume or (strategy.workers > 1 and directory.config_file.exists() and not overwrite)
    stop = stop or threading.Event()
    control = Control(
        callbacks, save_every or SaveEvery(), stop, as_progress(progress), report, steps_per_execution
    )
    if start_from and resume:
        raise SettingsError("a run that is resumed has weights; expected no start_from (--from)")
    with ExitStack() as held, _stopped_by_memory(limit, stop) as watch, strategy.translate_worker_loss():
        job.require_same_on_all_workers()

        def open_on_chief() -> State | dict[str, Any] | None:
            if resume:
                directory.config()  # InputMissing, or DataError
                held.enter_context(locked(directory.path))
            return open_run(job, directory, Opening(resume, force, overwrite, start_from), held, report)

        opened = strategy.broadcast(open_on_chief)
        if isinstance(opened, dict):  # the summary of a finished run
            return opened
        model = model or job.build_model()
        position = _set_weights(model, job, opened, strategy.broadcast(directory.parent))
        del opened  # 6 MB
        strategy.vary_dropout_seeds(model)
        if not has_ended(job.settings, position.epochs):  # or it was killed before it was finished
            _fit(job, model, directory, position, control)
        return strategy.broadcast(lambda: finish(job, model, directory, position, watch.peak_anonymous))


def _set_weights(
    model: keras.Model, job: Job, state: State | None, parent: str | Path | None
) -> Position:
    """Set a model to where training starts, a saved state or a parent's weights; return the position."""
    checkpoint.make_variables(model, job.num_words)
    if state:
        return state.restore(model)
    if parent:
        set_weights_of(model, job, parent)
    return Position()


def _fit(
    job: Job, model: keras.Model, directory: RunDirectory, position: Position, control: Control
) -> None:
    """Run the loop with all callbacks; Resumable where it was stopped, DataError for a damaged shard."""
    validation = ValidationMetrics(job.dataset.labels)
    stop = job.strategy.agree_on(control.stop)
    curves = Curves(
        directory, position, job.dataset, job.settings, job.reviews["train"], validation, control.report
    )

    def save() -> None:
        curves.flush()
        position.event_files = directory.event_file_sizes()
        checkpoint.save(directory, model, position, job.conditions)

    def save_nothing() -> None:
        """Leave it to the chief."""

    chief, best_by_f1 = job.strategy.is_chief, job.settings.best_by == "f1"
    patience = SaveState.PATIENCE if job.strategy.workers == 1 else 0.0
    callbacks = [
        Track(directory, position, control.report, validation if best_by_f1 else None),
        *([curves] if chief else []),
        *control.callbacks,
        StopEarly(directory, position, job.settings, control.report),
        ReportProgress(control.progress, position, job.validation_steps),
        ShardCheck(job.dataset),
        SaveState(
            save if chief else save_nothing,
            position,
            control.save_every,
            stop,
            control.report,
            patience,
        ),
    ]
    try:
        loop.fit(job, model, position, callbacks, validation, control.steps_per_execution)
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        if damaged := damaged_shard(job.dataset, error):
            raise damaged from error
        raise
    except Resumable as error:
        resume = job.strategy.resume_command(job.dataset.directory, directory.path)
        raise Resumable(f"{error}; {resume}") from None


@contextmanager
def _stopped_by_memory(limit: memory.Limit | None, stop: threading.Event) -> Iterator[memory.Watch]:
    """Set `stop` when 92 % of `limit` are used while the block runs, and give that as the reason."""
    reasons = []

    def alarm(what: str) -> None:
        reasons.append(f"{what}; stopped before the kernel does it: ")
        stop.set()

    try:
        with memory.Watch(limit, alarm) as watch:
            yield watch
    except Resumable as error:
        raise Resumable(f"{''.join(reasons)}{error}") from None
