"""Adam by TensorFlow's fused kernel: `FusedAdam` for whole variables, `TableAdam` for a table's rows."""

from typing import Any

import numpy as np

from ..system.workarounds import adam_slots
from .tensorflow import keras, tf
from .variables import ROWS


def _handle(variable: Any) -> tf.Tensor:
    """Return the resource behind a `keras.Variable`, or behind the `tf.Variable` in it."""
    return variable.value.handle if isinstance(variable, keras.Variable) else variable.handle


@keras.saving.register_keras_serializable("lowmem_sentiment")
class FusedAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` whose step is TensorFlow's fused kernel.

    The same formula (Kingma & Ba 2015, the last line of section 2, with epsilon outside the
    bias correction, as Keras and the kernel have it), so the same weights up to rounding. Keras
    runs it as a dozen operations, each a pass over 2 MB: 1.3 to 2 ms a step here, and a
    temporary array for each. The kernel is one pass without a temporary.

    `row_scales`, float32[rows], multiply the steps of the rows of the kernel with as many rows. This
    trains a model as if its inputs were scaled, as Adam's step does not depend on a gradient's size. The
    kernel's rows start scaled too, and its inputs are unscaled.

    Raises ValueError for `amsgrad`, which the kernel lacks.
    """

    def __init__(self, *args, row_scales: np.ndarray | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        if self.amsgrad:
            raise ValueError(f"{type(self).__name__} has no amsgrad; use keras.optimizers.Adam")
        self._row_scales = None if row_scales is None else tf.constant(row_scales[:, None])

    def update_step(self, gradient, variable, learning_rate):
        """Update `variable` and its two moments in place, in all rows."""
        if isinstance(gradient, tf.IndexedSlices):  # of a user's Embedding layer
            gradient = tf.scatter_nd(gradient.indices[:, None], gradient.values, variable.shape)
        before = tf.identity(tf.convert_to_tensor(variable)) if self._scales_rows_of(variable) else None
        slots = adam_slots(self, variable)
        if slots is None:  # Keras has changed; its own step gives the same weights but is slower
            super().update_step(gradient, variable, learning_rate)
        else:
            self._apply(variable, *slots, gradient, learning_rate)
        if before is not None:
            scaled = before + self._row_scales * (tf.convert_to_tensor(variable) - before)
            tf.raw_ops.AssignVariableOp(resource=_handle(variable), value=scaled)

    def _scales_rows_of(self, variable):
        shape = variable.shape
        return self._row_scales is not None and len(shape) == 2 and shape[0] == len(self._row_scales)

    def _apply(self, variable, momentum, velocity, gradient, learning_rate):
        """Run the kernel on three variables of one shape."""
        dtype = variable.dtype
        step = tf.cast(self.iterations + 1, dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(momentum),
            v=_handle(velocity),
            beta1_power=tf.pow(tf.cast(self.beta_1, dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, dtype), step),
            lr=tf.cast(learning_rate, dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, dtype),
        )


@keras.saving.register_keras_serializable("lowmem_sentiment")
class TableAdam(FusedAdam):
    """Adam for a model whose first variable is a table; a step reads some of its rows.

    A step calls `gather`, and then applies a gradient of the table as `tf.IndexedSlices` of the same
    rows. Rows without a gradient wait, and catch up on their steps when they are next gathered.

    Without a gradient step L + k moves a weight by a_k b1^k m / (b2^(k/2) sqrt(v) + e), where m and v are
    its moments after step L, a_k the learning rate with its bias corrections, and e epsilon. The sum over
    the g steps that were missed is taken as

        m / (sqrt(v) / Q(g) + e / A(g)),  A(g) = sum of a_k b1^k,  Q(g) = sum of a_k (b1 / sqrt(b2))^k

    which is exact for e = 0 and for v = 0, and within 6e-6 of it in between: b1^k leaves few terms, over
    which b2^(k/2) hardly changes. A and Q are tables over g that each step moves on by one, so that the
    learning rate may change. A step then takes time only for its own words.

    Until `move_all` a row that was not gathered is as it was; the loop calls it at an epoch's end, and
    within an epoch after each `MOST_MISSED` steps.

    With `lazy` rows never catch up on missed steps, as in TensorFlow Addons' `LazyAdam`: a word's moments
    do not decay while it does not occur, so the result differs from Adam's. A step takes a fifth less
    time.
    """

    MOST_MISSED = 1024
    """Steps that a row may miss: A and Q have a value for each, 8 KB together."""

    def __init__(self, *args, lazy: bool = False, **kwargs):
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def build(self, variables):
        """Make the moments, variables to update a step's rows in, and each row's last step (4 bytes)."""
        super().build(variables)
        # Keras counts its own variables among those that are saved, not their handles or TensorFlow's.
        self._table = tuple(map(_handle, (variables[0], *(adam_slots(self, variables[0]) or ()))))
        self._table_rows, columns = variables[0].shape
        rows, shape = tf.zeros([0, columns]), [None, columns]
        self._gathered = tuple(tf.Variable(rows, trainable=False, shape=shape) for _ in range(3))
        self.deferred: tuple[tf.Variable, ...] = ()
        """The variables that a saved state needs beside Keras': the step of each row, int32[rows],
        and A and Q, float32[MOST_MISSED + 1, 2]; none when lazy."""
        if self.lazy:
            return
        size = self.MOST_MISSED + 1
        self._moved_at = tf.Variable(tf.zeros(self._table_rows, tf.int32), trainable=False)
        self._sums = tf.Variable(tf.zeros([size, 2]), trainable=False)
        self.deferred = self._moved_at, self._sums
        steps, root = np.arange(size)[:, None], np.sqrt(self.beta_2)
        self._terms = (np.array([self.beta_1, self.beta_1 / root]) ** steps).astype(np.float32)
        self._decay = (np.array([self.beta_1, self.beta_2]) ** steps).astype(np.float32)

    def gather(self, ids: tf.Tensor) -> tf.Tensor:
        """Return float32[ids, columns]: rows of the table, up to date, for this step's gradient.

        `ids` int64[ids] are distinct.
        """
        for each, rows in zip(self._gathered, self._up_to_date(ids), strict=True):
            each.assign(rows)
        return self._gathered[0].read_value()

    def update_step(self, gradient, variable, learning_rate):
        """Update `variable` and its two moments in place; of the table, the rows that were gathered.

        The fused kernel updates them where they were gathered, and they are scattered back: 0.3 ms at
        1,800 x 50, and 0.5 in separate operations.
        """
        if not isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)
            return
        ids = gradient.indices
        weights, momentum, velocity = self._gathered
        before = weights.read_value() if self._row_scales is not None else None
        self._apply(weights, momentum, velocity, gradient.values, learning_rate)
        if before is not None:
            scales = tf.gather(self._row_scales, ids)
            weights.assign(before + scales * (weights.read_value() - before))
        self._scatter(ids, [rows.read_value() for rows in self._gathered])
        if not self.lazy:
            self._note_step(ids, learning_rate)

    def move_all(self) -> None:
        """Bring all rows up to date."""
        if self.lazy:
            return
        # 4,096 at a time: a temporary takes 0.8 MB instead of 18 at 88,584 words of 50 weights.
        count, size = self._table_rows, 4096

        def move(first: tf.Tensor) -> tuple[tf.Tensor]:
            ids = tf.range(first, tf.minimum(first + size, count))
            self._scatter(ids, self._up_to_date(ids))
            return (first + size,)

        tf.while_loop(lambda first: first < count, move, (tf.constant(0),), parallel_iterations=1)
        self.mark_all_moved()

    @property
    def scales_rows(self) -> bool:
        """Whether the model is trained as if its inputs were scaled."""
        return self._row_scales is not None

    def round_table(self) -> None:
        """Round the table of a model with scaled inputs to numbers that float16 has; up to 65,504."""
        for first in range(0, self._table_rows, ROWS):
            ids = tf.range(first, min(first + ROWS, self._table_rows))
            rows = tf.raw_ops.ResourceGather(resource=self._table[0], indices=ids, dtype=tf.float32)
            rounded = tf.cast(tf.saturate_cast(rows, tf.float16), tf.float32)
            tf.raw_ops.ResourceScatterUpdate(resource=self._table[0], indices=ids, updates=rounded)

    def mark_all_moved(self) -> None:
        """Treat every row as up to date, as in a state without `deferred`."""
        if not self.lazy:
            self._moved_at.assign(tf.fill(self._moved_at.shape, tf.cast(self.iterations, tf.int32)))

    def _up_to_date(self, ids: tf.Tensor) -> list[tf.Tensor]:
        """Return rows of the weights and of their two moments, moved by their missed steps."""
        weights, momentum, velocity = (
            tf.raw_ops.ResourceGather(resource=each, indices=ids, dtype=tf.float32)
            for each in self._table
        )
        if self.lazy:
            return [weights, momentum, velocity]
        missed = tf.cast(self.iterations, tf.int32) - tf.gather(self._moved_at, ids)
        first, second = tf.split(tf.gather(self._decay, missed), 2, axis=1)
        a, q = tf.split(tf.gather(self._sums, missed), 2, axis=1)
        # If no step was missed, A = 0 and e / A is infinite: the weight stays.
        moved = momentum / (tf.sqrt(velocity) * (1 / tf.maximum(q, 1e-30)) + self.epsilon / a)
        if self._row_scales is not None:
            moved *= tf.gather(self._row_scales, ids)
        return [weights - moved, momentum * first, velocity * second]

    def _scatter(self, ids: tf.Tensor, every: list[tf.Tensor]) -> None:
        for each, rows in zip(self._table, every, strict=True):
            tf.raw_ops.ResourceScatterUpdate(resource=each, indices=ids, updates=rows)

    def _note_step(self, ids: tf.Tensor, learning_rate: tf.Tensor) -> None:
        """Record which rows made this step, and how far it would have moved the others."""
        step = tf.cast(self.iterations + 1, tf.int32)
        tf.raw_ops.ResourceScatterUpdate(
            resource=self._moved_at.handle, indices=ids, updates=tf.fill(tf.shape(ids), step)
        )
        power = tf.cast(step, tf.float32)
        rate = learning_rate * tf.sqrt(1 - self.beta_2**power) / (1 - self.beta_1**power)
        self._sums.assign(tf.concat([[[0.0, 0.0]], self._sums[:-1] + rate * self._terms[1:]], axis=0))
