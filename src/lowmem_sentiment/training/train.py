"""The verb: train a model on a dataset, into a run directory."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..dataset.reader import Dataset
from ..dataset.splits import own_validation_split
from ..model.numpy_model import NumpyModel
from ..model.optimizer import TableAdam
from ..model.tensorflow import keras, tf
from ..model.weights import to_arrays
from ..runs.configuration import SaveEvery, TrainingSettings
from ..runs.diagnosis import diagnose
from ..runs.memory_plan import plan
from ..runs.recipes import settings_by_recipe
from ..runs.run_directory import RunDirectory
from ..runs.summary import Seconds, TrainingSummary, best_epoch, has_ended, kept_epoch
from ..system import memory
from ..system.errors import Resumable, SettingsError, quoted
from ..system.progress import as_progress, no_progress
from ..system.workarounds import save_model
from . import checkpoint, loop
from .callbacks import ReportProgress, SaveRun, ShardCheck
from .checkpoint import Position, State
from .input_pipeline import damaged_shard
from .job import Job
from .open_run import create_run, resume_run, set_weights_of
from .single_process import SingleProcess
from .step import STEPS_PER_EXECUTION
from .tensorboard_callback import Curves, write_result
from .validation_metrics import ValidationMetrics


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
) -> TrainingSummary:
    """Train a model on `dataset` into the new directory `run`, and return the summary.

    `model` is any compiled Keras model that takes float32[batch, num_words]; by default the tutorial's is
    built. `callbacks` are Keras' or your own, called after each `steps_per_execution` steps as in Keras;
    setting `model.stop_training` ends training after the epoch.

    `start_from` is a finished run whose weights the new one starts from, instead of random ones: its
    words and labels must be the dataset's, its `hidden` and `num_words` the settings'. It is recorded
    as "parent"; the optimizer starts again.

    The same settings and dataset give the same weights, bit for bit, on the same machine, also when
    training is killed and resumed: `resume` continues an unfinished `run` from its last saved state (or
    trains a finished one for more epochs), `force` also under conditions that change the bits. When
    `stop` is set, or 92 % of `limit` are used, the state is saved and Resumable raised. `report` is
    called with warnings. With a `strategy` over several workers each calls this in the same way, and the
    chief's unfinished `run` is resumed.

    This changes the process in two ways: importing TensorFlow has the effects listed in
    `model.tensorflow`, and its number of threads is set by the size of a step
    (`model.tensorflow.set_threads`), unless it has run already, its threads were chosen, or a `model` is
    given.

    Raises SettingsError, OutputExists (the run exists, or is in use), InputMissing (there is no run to
    resume), and DataError for a damaged dataset or state.
    """
    strategy, stop = strategy or SingleProcess(), stop or threading.Event()
    job = _make_job(dataset, settings, strategy, model, steps_per_execution, report)
    directory = RunDirectory(run)
    resume = resume or (strategy.workers > 1 and directory.config_file.exists() and not overwrite)
    if start_from and resume:
        raise SettingsError("a resumed run has its own weights; expected no start_from (--from)")
    job.set_threads()
    with ExitStack() as held, _stopped_by_memory(limit, stop) as watch, strategy.translate_worker_loss():
        job.require_same_on_all_workers()

        def open_on_chief() -> State | dict[str, Any] | None:
            if resume:
                return resume_run(job, directory, force=force, held=held, report=report)
            create_run(job, directory, start_from, overwrite=overwrite, held=held, report=report)
            return None

        opened = strategy.broadcast(open_on_chief)
        if isinstance(opened, dict):  # the summary of a finished run
            return TrainingSummary.from_json(opened, str(directory.summary_file))
        model = model or job.build_model()
        position = _set_weights(model, job, opened, strategy.broadcast(directory.parent))
        del opened  # 6 MB
        strategy.vary_dropout_seeds(model)
        if not has_ended(job.settings, position.epochs):  # or it was killed before it was finished
            validation = ValidationMetrics(job.dataset.labels)
            curves = Curves(directory, position, job, validation, report)
            agreed, every = strategy.agree_on(stop), save_every or SaveEvery()
            every_callback = [
                *([curves] if strategy.is_chief else []),
                *callbacks,
                ReportProgress(as_progress(progress), position, job.validation_steps),
                ShardCheck(job.dataset),
                SaveRun(job, directory, position, curves, every, agreed, report),
            ]
            with _errors_explained(job, directory):
                loop.fit(job, model, position, every_callback, validation)
        summary = strategy.broadcast(
            lambda: _finish(job, model, directory, position, watch.peak_anonymous)
        )
        return TrainingSummary.from_json(summary, str(directory.summary_file))


def _make_job(
    dataset: Dataset | str | Path,
    settings: TrainingSettings | None,
    strategy: SingleProcess,
    model: keras.Model | None,
    steps_per_execution: int,
    report: Callable[[str], None],
) -> Job:
    """Return the job, with the validation split and the words that the dataset decides filled in."""
    dataset = Dataset.of(dataset)
    settings = settings or settings_by_recipe(dataset)
    if own := own_validation_split(dataset):
        if settings.validation_split not in (0.0, own):
            report("the dataset has a validation split of its own; nothing is held out of training")
        settings = replace(settings, validation_split=own)
    settings = replace(settings, num_words=settings.num_words_for(dataset))
    if model is not None and strategy.replicas > 1:
        raise SettingsError("a model of your own is trained by one process on one device; expected none")
    return Job(dataset, settings, strategy, model is not None, steps_per_execution)


def _set_weights(
    model: keras.Model, job: Job, state: State | None, parent: str | Path | None
) -> Position:
    """Load a saved state or a parent's weights into a model; return the position to start from."""
    checkpoint.make_variables(model, job.num_words)
    if state:
        return state.restore(model)
    if parent:
        set_weights_of(model, job, parent)
    return Position()


@contextmanager
def _errors_explained(job: Job, directory: RunDirectory) -> Iterator[None]:
    """Add to Resumable how to resume, and raise DataError for a damaged shard."""
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        if damaged := damaged_shard(job.dataset, error):
            raise damaged from error
        raise
    except Resumable as error:
        resume = "resume with the same command on every worker"
        if job.strategy.workers == 1:
            place = f"{quoted(job.dataset.directory)} --resume {quoted(directory.path)}"
            resume = f"resume with: lowmem-sentiment train {place}"
        raise Resumable(f"{error}; {resume}") from None


@contextmanager
def _stopped_by_memory(limit: memory.Limit | None, stop: threading.Event) -> Iterator[memory.Watch]:
    """Set `stop` when 92 % of `limit` are used, and add the reason to Resumable."""
    reasons = []

    def alarm(what: str) -> None:
        reasons.append(f"{what}; stopped before the kernel does it: ")
        stop.set()

    try:
        with memory.Watch(limit, alarm) as watch:
            yield watch
    except Resumable as error:
        raise Resumable(f"{''.join(reasons)}{error}") from None


def _finish(
    job: Job, model: keras.Model, run: RunDirectory, position: Position, peak_anonymous: int
) -> dict[str, Any]:
    """Write the model, its weights for NumPy, and the summary; return the summary as JSON."""
    memory.trim_heap()  # the batches and the window, before the copies that saving makes
    epoch = kept_epoch(job.settings, position.epochs)["epoch"]
    if epoch < position.epoch:
        model.set_weights(run.best(epoch, [tuple(weight.shape) for weight in model.weights]))
    if half := isinstance(model.optimizer, TableAdam) and model.optimizer.scales_rows:
        model.optimizer.round_table()  # so that model.keras predicts what weights.npz does
    # Not `run.vocabulary()`: 500,000 n-grams as Python strings are 70 MB.
    vocabulary = run.config()["vocabulary"]["sha256"]
    read_from_texts = run.ngrams(), run.tokenizer()
    arrays = to_arrays(model, job.dataset.labels, job.num_words, vocabulary, *read_from_texts, half=half)
    runs_in_numpy = bool(arrays)
    if arrays:
        run.write_weights(arrays)
    del arrays
    with run.checksums.replace(run.model_file) as path:
        save_model(model, path)
    summary = _summarise(job, model, run, position, peak_anonymous)
    numpy_model = NumpyModel.load(run) if runs_in_numpy else None
    write_result(run, position, job, numpy_model, summary.peak_resident_bytes)
    run.write_json(run.summary_file, summary.to_json())
    return summary.to_json()


def _summarise(
    job: Job, model: keras.Model, run: RunDirectory, position: Position, peak_anonymous: int
) -> TrainingSummary:
    settings, seconds = job.settings, sum(position.seconds)
    kept = kept_epoch(settings, position.epochs)
    measures = {f"val_{name}": value for name, value in position.kept.get("measures", {}).items()}
    planned = plan(job.dataset, settings, job.strategy.workers)
    return TrainingSummary(
        run=str(run.path),
        parent=run.parent(),
        data=job.dataset.source["description"],
        reviews=job.reviews,
        validated_on=settings.validated_on,
        epoch=kept["epoch"],
        metrics={name: kept[name] for name in kept if name not in ("epoch", "step")} | measures,
        epochs=position.epoch,
        best_by=settings.best_by,
        best_epoch=best_epoch(position.epochs, settings.best_by)["epoch"],
        least_loss_epoch=best_epoch(position.epochs, "loss")["epoch"],
        parameters=model.count_params(),
        seconds=Seconds(seconds, position.seconds, position.waited),
        reviews_per_second=job.reviews["train"] * position.epoch / seconds,
        peak_resident_bytes=memory.peak_resident(),
        peak_anonymous_bytes=peak_anonymous,
        predicted_resident_bytes=planned.resident,
        predicted_anonymous_bytes=planned.anonymous,
        warnings=diagnose(job.dataset, settings, position.epochs, kept["epoch"], job.steps),
    )
