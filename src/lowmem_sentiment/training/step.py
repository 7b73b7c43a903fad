"""The training step: from a batch of (words, rows), labels to the updated weights.

`train_step` makes the step of one batch: gather the batch's own rows of the first kernel, forward, loss,
gradients, Adam, scatter. `compile_execution` runs many steps in one call of TensorFlow.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from ..model.tensorflow import keras, tf

# Steps that TensorFlow runs without returning to Python. 50 halve an epoch's time against 1,
# and 25 reports an epoch are enough for a progress bar and a curve.
STEPS_PER_EXECUTION = 50

GRADIENT_NORM = "gradient_norm"
"""The name in the logs of the norm of the gradient of all weights, in the last step."""

# Nothing here has an `if` or a loop over tensors, and AutoGraph would take 0.2 s to find that out. Keras
# excludes its own steps in the same way.
no_autograph = tf.autograph.experimental.do_not_convert

Step = Callable[[Any], dict[str, tf.Tensor]]
"""One batch -> the metrics so far, as `keras.Model.train_step` and `test_step`."""


def train_step(model: keras.Model, class_weight: list[float] | None, sparse: bool) -> Step:
    """Return the step that trains `model` on one batch.

    With `sparse`, batches come from `input_pipeline.sparse_encoder`, the model from
    `model.keras_model.build_model`, and its optimizer is a `TableAdam`; otherwise batches come from
    `encoder`, and the step is the model's own. `class_weight` weights a review in the loss by its label.
    """
    weights = None if class_weight is None else tf.constant(class_weight, tf.float32)

    def step_on_all_words(batch: tuple) -> dict[str, tf.Tensor]:
        return model.train_step(batch if weights is None else (*batch, tf.gather(weights, batch[1])))

    if not sparse:
        return step_on_all_words
    model.jit_compile = False  # batches have different widths: XLA would compile for each
    [mean_loss] = [metric for metric in model.metrics if metric.name == "loss"]
    adam = model.optimizer

    def step(batch: tuple) -> dict[str, tf.Tensor]:
        """Do the same as `keras.Model.train_step`, with Keras' public methods.

        Loss, metrics, optimizer and variables are the model's, so callbacks and the saved state see no
        difference.
        """
        (words, rows), labels = batch  # int64[words], float32[batch, width], int64[batch]
        weight = None if weights is None else tf.gather(weights, labels)
        table, *others = model.trainable_weights
        kernel = adam.gather(words)  # float32[words, units]
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            y_pred = forward(model, kernel, rows, training=True)
            loss = model.compute_loss(rows, labels, y_pred, weight, training=False)
        mean_loss.update_state(loss, sample_weight=tf.shape(labels)[0])
        of_kernel, *gradients = tape.gradient(loss, [kernel, *others])
        of_table = tf.IndexedSlices(of_kernel, words, table.shape)
        adam.apply_gradients(zip([of_table, *gradients], [table, *others], strict=True))
        # Only the last step's logs of an execution are used: TensorFlow leaves the others' norm out.
        norm = tf.linalg.global_norm([of_kernel, *gradients])
        return {**model.compute_metrics(rows, labels, y_pred, weight), GRADIENT_NORM: norm}

    return step


def forward(model: keras.Model, kernel: tf.Tensor, rows: tf.Tensor, *, training: bool) -> tf.Tensor:
    """Return the output of a model of `build_model` for multi-hot rows without most columns of zeros.

    `kernel` is float32[words, units], the rows of the first layer's kernel for a batch's distinct words;
    `rows` is float32[batch, width] over them, and may be wider. Sums have fewer terms, so results differ
    in the last digits from results on all columns.
    """
    first, *others = model.layers
    kernel = tf.pad(kernel, [[0, tf.shape(rows)[1] - tf.shape(kernel)[0]], [0, 0]])
    outputs = first.activation(tf.matmul(rows, kernel) + first.bias)
    for layer in others:
        is_dropout = isinstance(layer, keras.layers.Dropout)
        outputs = layer(outputs, training=training) if is_dropout else layer(outputs)
    return outputs


def predict_on_own_words(model: keras.Model, x: tuple[tf.Tensor, tf.Tensor], training: bool) -> tf.Tensor:
    """Return a model's predictions for the (words, rows) of a batch."""
    words, rows = x
    return forward(model, tf.gather(model.layers[0].kernel.value, words), rows, training=training)


# --- many steps in one call ---


class Executed(NamedTuple):
    """The result of an execution of several steps."""

    logs: dict[str, tf.Tensor]
    """The metrics after the last step."""
    waited: tf.Tensor | None
    """float64[], the seconds that the last step waited for its batch; None if it is not measured."""


Execute = Callable[[tf.data.Iterator, int], Executed]
"""Iterator, number of steps -> the result of the last step."""


def compile_execution(
    step: Step, batches: tf.data.Dataset | None = None, *, run_eagerly: bool, jit_compile: bool
) -> Execute:
    """Return a function that fetches some batches and runs `step` on each, in one call of TensorFlow.

    Its graph is traced now if `batches` are given, otherwise in the first call.

    Keras' own function gets a batch from another thread, and evaluates three conditions per step. At
    0.7 ms per step the hand-over costs a tenth, and moves the weights from one core's cache to another's.
    Here the number of steps is known, and the thread that needs a batch fetches it.

    The wait for a batch is measured only in the last step of an execution: two readings of the clock per
    50 steps cost nothing measurable, two per step cost 9 %.
    """
    one_step = no_autograph(step)
    if not run_eagerly:
        one_step = tf.function(one_step, jit_compile=jit_compile)

    @no_autograph
    def execute_steps(iterator: tf.data.Iterator, steps: tf.Tensor) -> Executed:
        def next_step(nth: tf.Tensor) -> list[tf.Tensor]:
            one_step(next_batch(iterator))
            return [nth + 1]

        done = tf.while_loop(lambda nth: nth < steps, next_step, [tf.constant(1)])
        with tf.control_dependencies(done):
            asked = tf.timestamp()
        with tf.control_dependencies([asked]):
            batch = next_batch(iterator)
        with tf.control_dependencies(tf.nest.flatten(batch, expand_composites=True)):
            waited = tf.timestamp() - asked
        return Executed(one_step(batch), waited)

    execute = execute_steps if run_eagerly else tf.function(execute_steps)
    if batches is not None and not run_eagerly:
        iterator = tf.data.IteratorSpec(batches.element_spec)
        execute.get_concrete_function(iterator, tf.TensorSpec([], tf.int32))
    # As a tensor, the number does not cause another trace for the shorter rest of an epoch.
    return lambda iterator, steps: execute(iterator, tf.constant(steps))


def next_batch(iterator: tf.data.Iterator) -> Any:
    """Return `next(iterator)` in a graph, fetched by the calling thread.

    That thread waits, so the pipeline needs its own, as the pipelines of `batches` have.
    """
    (resource,) = tf.nest.flatten(iterator, expand_composites=True)
    spec = iterator.element_spec
    parts = tf.nest.flatten(spec)
    tensors = tf.raw_ops.IteratorGetNextSync(
        iterator=resource,
        output_types=[part.dtype for part in parts],
        output_shapes=[part.shape for part in parts],
    )
    return tf.nest.pack_sequence_as(spec, tensors)
