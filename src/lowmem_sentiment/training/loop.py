"""The training loop: epochs of executions of steps, and a validation pass after each epoch.

It is what `keras.Model.fit` does, with `model.train_step` as the step and Keras' callbacks called at the
usual moments, but can start in the middle of an epoch, counts its steps, and looks at what validation
predicts. `fit` as the frame had to be patched in five places for that.
"""

import sys
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf

from ..model.keras_model import call_on_own_words
from ..model.optimizer import DeferredAdam
from ..system import memory
from .checkpoint import Position
from .execution import Execute, Step
from .job import Job
from .validation_metrics import ValidationMetrics

GRADIENT_NORM = "gradient_norm"
"""What the logs of a batch call the norm of the gradient of all weights together, in its last step."""


def fit(
    job: Job,
    model: keras.Model,
    position: Position,
    callbacks: Sequence[keras.callbacks.Callback],
    validation: ValidationMetrics,
    steps_per_execution: int,
) -> None:
    """Train `model` from `position` on, until the last epoch or until a callback ends it.

    `callbacks` come in the order in which they are called; one of them keeps `position`.
    """
    strategy, steps, epochs = job.strategy, job.steps, job.settings.epochs
    train = strategy.compile_execution(model, train_step(job, model))
    test = strategy.compile_execution(
        model, validation.test_step(model, job.call(model), strategy.replicas)
    )
    held_out = job.batches(job.settings.validated_on)
    callback_list = keras.callbacks.CallbackList(
        list(callbacks), add_history=True, model=model, epochs=epochs, steps=steps, verbose=0
    )
    model.stop_training = False
    callback_list.on_train_begin()
    batches = None
    for epoch in range(position.epoch, epochs):
        memory.trim_heap()  # the shuffle window of the epoch before
        first_step = position.step  # above 0 where a stopped run is resumed
        if batches is None:
            batches = job.batches("train", first_epoch=epoch, first_step=first_step)
        if not first_step:
            model.reset_metrics()
        callback_list.on_epoch_begin(epoch)
        iterator = iter(batches)
        logs: dict[str, float] = {}
        for first, count in epoch_executions(job, model, first_step, steps_per_execution):
            callback_list.on_train_batch_begin(first)
            metrics, waited = train(iterator, count)
            logs = to_floats(metrics)
            if waited is not None:  # by the last step; the others are taken to have waited as long
                position.waited = (position.waited or 0.0) + float(waited) * count
            callback_list.on_train_batch_end(first + count - 1, logs)
        del iterator  # and with it the window, before validation
        logs.pop(GRADIENT_NORM, None)  # one step's
        validation.reset()
        val_logs = validate(model, test, held_out, callback_list, steps_per_execution)
        validation.combine(strategy)
        logs |= {f"val_{name}": value for name, value in val_logs.items()}
        callback_list.on_epoch_end(epoch, logs)
        if first_step:
            batches = None  # the rest of an epoch serves once, whole epochs share one graph
        if model.stop_training:
            break
    callback_list.on_train_end()


def validate(
    model: keras.Model,
    test: Execute,
    batches: tf.data.Dataset,
    callback_list: keras.callbacks.CallbackList,
    steps_per_execution: int,
) -> dict[str, float]:
    """Return the metrics of a pass over `batches`."""
    model.reset_metrics()
    callback_list.on_test_begin()
    iterator, logs = iter(batches), {}
    for first, count in executions(0, len(batches), steps_per_execution):
        callback_list.on_test_batch_begin(first)
        logs = to_floats(test(iterator, count).logs)
        callback_list.on_test_batch_end(first + count - 1, logs)
    callback_list.on_test_end(logs)
    return logs


def epoch_executions(
    job: Job, model: keras.Model, first_step: int, steps_per_execution: int
) -> Iterator[tuple[int, int]]:
    """Yield what `executions` does of an epoch's steps from `first_step` on.

    Moves the rows of the optimizer that wait: between two executions, before one has missed too many
    steps, and after the last one. In the step's graph it would take 3 MB.
    """
    move_every = DeferredAdam.MOST_MISSED if job.sparse else sys.maxsize
    for first, count in executions(first_step, job.steps, steps_per_execution, move_every):
        if first and first % move_every == 0:
            model.optimizer.move_all()
        yield first, count
    if job.sparse:
        model.optimizer.move_all()


def executions(
    done: int, steps: int, size: int, end_every: int = sys.maxsize
) -> Iterator[tuple[int, int]]:
    """Yield the first step, and the number of steps, of each execution of up to `size` steps.

    None goes over a multiple of `end_every`.

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
    """Return metrics as Keras' callbacks expect them."""
    return {name: float(value) for name, value in logs.items()}


def train_step(job: Job, model: keras.Model) -> Step:
    """Return the model's own step, on reviews weighted by their label."""
    step = _sparse_train_step(model) if job.sparse else model.train_step
    if job.class_weight is None:
        return step
    weights = tf.constant(job.class_weight, tf.float32)
    return lambda batch: step((*batch, tf.gather(weights, batch[1])))


def _sparse_train_step(model: keras.Model) -> Step:
    """Return `keras.Model.train_step` for `sparse_batches`, written out in Keras' public methods.

    Loss, metrics, optimizer and variables are the model's, so that callbacks, the state and what is saved
    know of no difference. With "adam" words that a batch does not have are moved when one next has them.
    """
    [mean_loss] = [metric for metric in model.metrics if metric.name == "loss"]
    model.jit_compile = False  # each batch has a width of its own: XLA would compile for each

    def step(batch: tuple) -> dict[str, tf.Tensor]:
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        table, *others = model.trainable_weights
        kernel = model.optimizer.read_rows(x[0])
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            y_pred = call_on_own_words(model, x, training=True, kernel=kernel)
            loss = model.compute_loss(x, y, y_pred, sample_weight, training=True)
            mean_loss.update_state(loss, sample_weight=tf.shape(y)[0])
            scaled = model.optimizer.scale_loss(loss)
        of_rows, *gradients = tape.gradient(scaled, [kernel, *others])
        # Of an execution only the last step's logs are used: of the others TensorFlow leaves this out.
        norm = tf.linalg.global_norm([of_rows, *gradients])
        gradients.insert(0, tf.IndexedSlices(of_rows, x[0], table.shape))
        model.optimizer.apply_gradients(zip(gradients, [table, *others], strict=True))
        return {**model.compute_metrics(x, y, y_pred, sample_weight), GRADIENT_NORM: norm}

    return step
