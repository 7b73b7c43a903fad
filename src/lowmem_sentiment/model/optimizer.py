"""Adam in one pass over the weights, or over those of a batch's own words."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..system.workarounds import adam_slots


def _handle(variable: Any) -> tf.Tensor:
    """Return the resource behind a `keras.Variable`, or behind the `tf.Variable` in it."""
    return variable.value.handle if isinstance(variable, keras.Variable) else variable.handle


@keras.saving.register_keras_serializable("lowmem_sentiment")
class FusedAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` whose step is TensorFlow's fused kernel.

    The same formula (Kingma & Ba 2015, the last line of section 2, with epsilon outside the
    bias correction, as Keras and the kernel have it), so the same weights up to rounding. Keras
    runs it as a dozen operations, each a pass over 2 MB: 1.3 to 2 ms a step here, and a
    temporary array for each. The kernel is one pass, and no temporary.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.amsgrad:
            raise ValueError("FusedAdam has no amsgrad; use keras.optimizers.Adam")

    def update_step(self, gradient, variable, learning_rate):
        """Update `variable` and its two moments in place, in all rows, with a gradient or without."""
        if isinstance(gradient, tf.IndexedSlices):  # of a user's Embedding layer
            gradient = tf.scatter_nd(gradient.indices[:, None], gradient.values, variable.shape)
        momentum, velocity = adam_slots(self, variable)
        self._apply(variable, momentum, velocity, gradient, learning_rate)

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


class RowAdam(FusedAdam):
    """Adam for a table of weights of which a step reads some rows; the first variable is the table.

    A step calls `read_rows`, and applies a gradient that is `tf.IndexedSlices` of the same rows. What
    happens to the other rows is the subclass's to say. Where a gradient is a tensor, this is FusedAdam.
    """

    def build(self, variables):
        """Make the moments, and the scratch variables that the rows of a step are updated in."""
        super().build(variables)
        # Keras counts its own variables among those that are saved, not their handles or TensorFlow's.
        self._table = tuple(map(_handle, (variables[0], *adam_slots(self, variables[0]))))
        self._table_rows, columns = variables[0].shape
        rows, shape = tf.zeros([0, columns]), [None, columns]
        self._scratch = tuple(tf.Variable(rows, trainable=False, shape=shape) for _ in range(3))

    def read_rows(self, ids: tf.Tensor) -> tf.Tensor:
        """Return float32[ids, columns] of the table: the rows of the step's gradient, none twice."""
        for each, rows in zip(self._scratch, self._gather(ids), strict=True):
            each.assign(rows)
        return self._scratch[0].read_value()

    def move_all(self) -> None:
        """Move rows that steps have not moved yet to where they belong: here there are none."""

    @property
    def deferred(self) -> tuple[tf.Variable, ...]:
        """What a saved state needs to know of rows that were not moved yet."""
        return ()

    def _gather(self, ids: tf.Tensor) -> list[tf.Tensor]:
        """Return rows of the weights and of their two moments."""
        return [
            tf.raw_ops.ResourceGather(resource=each, indices=ids, dtype=tf.float32)
            for each in self._table
        ]

    def _scatter(self, ids: tf.Tensor, every: Iterable[tf.Tensor]) -> None:
        for each, rows in zip(self._table, every, strict=True):
            tf.raw_ops.ResourceScatterUpdate(resource=each, indices=ids, updates=rows)

    def update_step(self, gradient, variable, learning_rate):
        """Update `variable` and its two moments in place, of the table those rows that were read.

        The fused kernel updates them in the scratch variables: 0.3 ms at 1,800 x 50, and the same in
        separate operations 0.5.
        """
        if not isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)
            return
        weights, momentum, velocity = self._scratch
        self._apply(weights, momentum, velocity, gradient.values, learning_rate)
        self._scatter(gradient.indices, (rows.read_value() for rows in self._scratch))


@keras.saving.register_keras_serializable("lowmem_sentiment")
class LazyAdam(RowAdam):
    """Adam that moves a row of weights, and its moments, only in steps that have a gradient of it.

    The rule is that of `LazyAdam` in TensorFlow Addons: what was not looked up is left alone, and all
    rows share the step count. A word's moments do not decay while it does not occur, so the result is
    another than Adam's, and a step does not take longer with more words.
    """


@keras.saving.register_keras_serializable("lowmem_sentiment")
class DeferredAdam(RowAdam):
    """Adam, whose steps without a gradient of a row are made up for when the row is next read.

    Without a gradient step L + k moves a weight by a_k b1^k m / (b2^(k/2) sqrt(v) + e), where m and v are
    its moments after step L, a_k the learning rate with its bias corrections, and e epsilon. The sum over
    the g steps that were missed is taken as

        m / (sqrt(v) / Q(g) + e / A(g)),  A(g) = sum of a_k b1^k,  Q(g) = sum of a_k (b1 / sqrt(b2))^k

    which is exact for e = 0 and for v = 0, and within 6e-6 of it in between: b1^k leaves few terms, over
    which b2^(k/2) hardly changes. A and Q are tables over g that each step moves on by one, so that a
    learning rate may change. A step then costs its own words, as with `LazyAdam`, and a quarter more.

    Until `move_all` a row that was not read is as it was; the loop calls it at an epoch's end, and in it
    after each `MOST_MISSED` steps.
    """

    MOST_MISSED = 1024
    """Steps that a row may miss: A and Q have a value for each, 8 KB together."""

    def build(self, variables):
        """Make what `RowAdam` makes, and the step of each row: 4 bytes a word."""
        super().build(variables)
        size = self.MOST_MISSED + 1
        self._moved_at = tf.Variable(tf.zeros(self._table_rows, tf.int32), trainable=False)
        self._sums = tf.Variable(tf.zeros([size, 2]), trainable=False)
        steps, root = np.arange(size)[:, None], np.sqrt(self.beta_2)
        self._terms = (np.array([self.beta_1, self.beta_1 / root]) ** steps).astype(np.float32)
        self._decay = (np.array([self.beta_1, self.beta_2]) ** steps).astype(np.float32)

    @property
    def deferred(self) -> tuple[tf.Variable, ...]:
        """The step of each row, int32[rows], and A and Q, float32[MOST_MISSED + 1, 2]."""
        return self._moved_at, self._sums

    def move_all(self) -> None:
        """Move all rows to where the steps so far leave them."""
        # 4,096 at a time: a temporary is 0.8 MB and not, as at 88,584 words of 50 weights, 18.
        count, size = self._table_rows, 4096

        def move(first: tf.Tensor) -> tuple[tf.Tensor]:
            ids = tf.range(first, tf.minimum(first + size, count))
            self._scatter(ids, self._gather(ids))
            return (first + size,)

        tf.while_loop(lambda first: first < count, move, (tf.constant(0),), parallel_iterations=1)
        self.mark_all_moved()

    def mark_all_moved(self) -> None:
        """Take all rows for up to date, as those of a state without `deferred` are."""
        self._moved_at.assign(tf.fill(self._moved_at.shape, tf.cast(self.iterations, tf.int32)))

    def _gather(self, ids: tf.Tensor) -> list[tf.Tensor]:
        """Return rows of the weights and of their two moments, moved by the steps that they missed."""
        weights, momentum, velocity = super()._gather(ids)
        missed = tf.cast(self.iterations, tf.int32) - tf.gather(self._moved_at, ids)
        first, second = tf.split(tf.gather(self._decay, missed), 2, axis=1)
        a, q = tf.split(tf.gather(self._sums, missed), 2, axis=1)
        # Where no step was missed, A = 0 and e / A is infinite: the weight stays.
        moved = momentum / (tf.sqrt(velocity) * (1 / tf.maximum(q, 1e-30)) + self.epsilon / a)
        return [weights - moved, momentum * first, velocity * second]

    def update_step(self, gradient, variable, learning_rate):
        """Update as `RowAdam` does, and note which rows have made this step, and how far it moves."""
        super().update_step(gradient, variable, learning_rate)
        if not isinstance(gradient, tf.IndexedSlices):
            return
        step = tf.cast(self.iterations + 1, tf.int32)
        ids = gradient.indices
        tf.raw_ops.ResourceScatterUpdate(
            resource=self._moved_at.handle, indices=ids, updates=tf.fill(tf.shape(ids), step)
        )
        power = tf.cast(step, tf.float32)
        rate = learning_rate * tf.sqrt(1 - self.beta_2**power) / (1 - self.beta_1**power)
        self._sums.assign(tf.concat([[[0.0, 0.0]], self._sums[:-1] + rate * self._terms[1:]], axis=0))
