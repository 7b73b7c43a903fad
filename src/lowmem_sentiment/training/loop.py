"""The training loop: epochs of executions of steps, and a validation pass after each epoch.

It works like `keras.Model.fit` and calls Keras' callbacks at the usual moments, but can start in the
middle of an epoch, counts its steps, and uses validation's predictions. `fit` would need five patches.
"""

import functools
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from ..dataset.reader import Dataset
from ..model.tensorflow import keras, tf
from ..runs.configuration import TrainingSettings
from ..runs.summary import kept_epoch
from ..system import memory
from ..system.errors import DataError
from .checkpoint import Position, make_variables
from .job import Job
from .single_process import SingleProcess
from .step import GRADIENT_NORM, Execute, train_step
from .validation_metrics import ValidationMetrics


def fit(
    job: Job,
    model: keras.Model,
    position: Position,
    callbacks: Sequence[keras.callbacks.Callback],
    validation: ValidationMetrics,
) -> None:
    """Train `model` from `position` on, until the last epoch or until a callback ends it.

    `position` is advanced before the callbacks, which read it, are called in order.
    """
    epochs = job.settings.epochs
    train = job.strategy.compile_execution(model, train_step(model, job.class_weight, job.sparse))
    make_test = _make_test(job, model, validation)
    callback_list = keras.callbacks.CallbackList(
        list(callbacks), add_history=True, model=model, epochs=epochs, steps=job.steps, verbose=0
    )
    model.stop_training = False
    callback_list.on_train_begin()
    position.described = epochs
    batches = None
    for epoch in range(position.epoch, epochs):
        memory.trim_heap()  # the shuffle window of the epoch before
        first_step = position.step  # above 0 where a stopped run is resumed
        if batches is None:
            batches = job.batches("train", first_epoch=epoch, first_step=first_step)
        if not first_step:
            model.reset_metrics()
            position.seconds.append(0.0)
            position.sums = {}
        callback_list.on_epoch_begin(epoch)
        logs = train_epoch(job, model, position, train, iter(batches), callback_list)
        validation.reset()
        test, held_out = make_test()
        val_logs = validate(job, model, test, iter(held_out), callback_list)
        validation.combine(job.strategy)
        logs |= {f"val_{name}": value for name, value in val_logs.items()}
        _end_epoch(job.settings, model, position, logs, validation)
        callback_list.on_epoch_end(epoch, logs)
        if first_step:
            batches = None  # the rest of an epoch serves once, whole epochs share one graph
        if model.stop_training:
            break
    callback_list.on_train_end()


def _make_test(
    job: Job, model: keras.Model, validation: ValidationMetrics
) -> Callable[[], tuple[Execute, tf.data.Dataset]]:
    """Return a function that returns the execution of validation's steps, and their batches.

    Both are made once. It takes 0.2 s of Python, in a thread while the first epoch runs: the step and
    the pipeline leave a third of two cores idle.
    """
    replicas = job.strategy.replicas

    def make() -> tuple[Execute, tf.data.Dataset]:
        held_out = job.batches(job.settings.validated_on)
        step = validation.test_step(model, job.call(model), replicas)
        return job.strategy.compile_execution(model, step, held_out), held_out

    if job.own_model or replicas > 1:  # a user's code, and strategies, know one thread only
        return functools.cache(make)
    executor = ThreadPoolExecutor(1, "validation")
    made = executor.submit(make)
    executor.shutdown(wait=False)
    return made.result


def train_epoch(
    job: Job,
    model: keras.Model,
    position: Position,
    train: Execute,
    iterator: tf.data.Iterator,
    callback_list: keras.callbacks.CallbackList,
) -> dict[str, float]:
    """Train the remaining steps of an epoch; return the metrics after the last one."""
    begun, logs = time.monotonic() - position.seconds[-1], {}
    for first, count in epoch_executions(job, model, position.step):
        callback_list.on_train_batch_begin(first)
        metrics, waited = train(iterator, count)
        logs = to_floats(metrics)
        if not math.isfinite(logs["loss"]):
            raise DataError(
                f"the loss is {logs['loss']} in epoch {position.epoch + 1}, step {first + count}: "
                "training diverged; try a lower learning rate (--learning-rate)"
            )
        position.step = first + count
        position.seconds[-1] = time.monotonic() - begun
        if waited is not None:  # by the last step; the others are assumed to have waited as long
            position.waited = (position.waited or 0.0) + float(waited) * count
        reviews = job.reviews_in(position.step)
        position.sums = {name: mean * reviews for name, mean in logs.items() if name != GRADIENT_NORM}
        callback_list.on_train_batch_end(position.step - 1, logs)
    logs.pop(GRADIENT_NORM, None)  # one step's
    return logs


def validate(
    job: Job,
    model: keras.Model,
    test: Execute,
    iterator: tf.data.Iterator,
    callback_list: keras.callbacks.CallbackList,
) -> dict[str, float]:
    """Return the metrics of a validation pass."""
    model.reset_metrics()
    callback_list.on_test_begin()
    logs = {}
    for first, count in executions(0, job.validation_steps, job.steps_per_execution):
        callback_list.on_test_batch_begin(first)
        logs = to_floats(test(iterator, count).logs)
        callback_list.on_test_batch_end(first + count - 1, logs)
    callback_list.on_test_end(logs)
    return logs


def _end_epoch(
    settings: TrainingSettings,
    model: keras.Model,
    position: Position,
    logs: dict[str, float],
    validation: ValidationMetrics,
) -> None:
    """Move the position to the next epoch, with this one's measurements."""
    step = int(model.optimizer.iterations.numpy())
    measured = {"epoch": position.epoch + 1, "step": step, **dict(sorted(logs.items()))}
    if settings.best_by == "f1":
        measured["val_macro_f1"] = validation.macro_f1()
    position.epochs.append(measured)
    position.epoch, position.step = position.epoch + 1, 0
    if kept_epoch(settings, position.epochs) is measured:
        position.kept = validation.to_json(with_counts=settings.keep_best)  # the counts are 15 KB


def epoch_executions(job: Job, model: keras.Model, first_step: int) -> Iterator[tuple[int, int]]:
    """Yield the `executions` of an epoch's steps from `first_step` on.

    Moves the table's waiting rows between two executions, before one has missed too many steps, and after
    the last one. In the step's graph this would take 3 MB.
    """
    move_every = model.optimizer.MOST_MISSED if job.sparse else sys.maxsize
    for first, count in executions(first_step, job.steps, job.steps_per_execution, move_every):
        if first and first % move_every == 0:
            model.optimizer.move_all()
        yield first, count
    if job.sparse:
        model.optimizer.move_all()


def executions(
    done: int, steps: int, size: int, end_every: int = sys.maxsize
) -> Iterator[tuple[int, int]]:
    """Yield the first step, and the number of steps, of each execution of up to `size` steps.

    None crosses a multiple of `end_every`.

    >>> list(executions(3, 10, 5))
    [(3, 5), (8, 2)]
    >>> list(executions(3, 10, 5, end_every=6))
    [(3, 3), (6, 4)]
    """
    while done < steps:
        count = min(size, steps - done, end_every - done % end_every)
        yield done, count
        done += count


def to_floats(logs: dict[str, tf.Tensor]) -> dict[str, float]:
    """Return metrics as Keras' callbacks get them, sorted by name."""
    return {name: float(value) for name, value in sorted(logs.items())}


def measure_speed(dataset: Dataset, settings: TrainingSettings, seconds: float = 1.0) -> float:
    """Return the training reviews per second, from `seconds` of training a throwaway model."""
    settings = replace(settings, num_words=settings.num_words_for(dataset))
    job = Job(dataset, settings, SingleProcess(), steps_per_execution=10)
    job.set_threads()
    model = job.build_model()
    make_variables(model, job.num_words)
    train = job.strategy.compile_execution(model, train_step(model, job.class_weight, job.sparse))
    batches, steps, begun = job.batches("train"), 0, None
    while True:
        iterator = iter(batches)
        for _, count in epoch_executions(job, model, 0):
            train(iterator, count).logs["loss"].numpy()  # wait for it
            if begun is None:  # the first execution traces the graph
                begun = time.monotonic()
                continue
            steps += count
            if (spent := time.monotonic() - begun) >= seconds:
                return steps * settings.batch_size / spent
