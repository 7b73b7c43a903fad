"""What `fit` and `evaluate` call with their iterator: many steps, without Keras' way round each.

Keras' own function asks for a batch with an operation that another thread carries out, and three
conditions a step decide whether to go on. At 0.7 ms a step the hand-over costs a tenth and takes
the weights from one core's cache to another's. Here the number of steps is known, and the batch is
fetched where it is needed. The steps are Keras' own `train_step` and `test_step`, in the same order.
"""

import contextlib
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

no_autograph = tf.autograph.experimental.do_not_convert


@contextlib.contextmanager
def executing(
    network: keras.Model,
    *,
    train_steps: Callable[[], int] | None = None,
    test_steps: Callable[[], int] | None = None,
) -> Iterator[None]:
    """Let `fit` and `evaluate` run the network's steps so while the block runs.

    `train_steps` and `test_steps` are asked, as an epoch or a pass over what is tested begins, how many
    batches its iterator has; without one, Keras runs these steps. `Model.train_function` and
    `test_function` are set, which Keras makes where there is none. It does so, too, for a network
    that makes its own, runs eagerly, or was built under a strategy.
    """
    for kind, steps in (("train", train_steps), ("test", test_steps)):
        own = steps and _is_plain(network, kind)
        # None: one from before would go on with the `steps_per_execution` that it was traced with.
        setattr(network, f"{kind}_function", _function(network, kind, steps) if own else None)
    try:
        yield
    finally:
        network.train_function = network.test_function = None


def _is_plain(network: keras.Model, kind: str) -> bool:
    name = f"make_{kind}_function"
    return (
        not network.run_eagerly
        and not tf.distribute.has_strategy()
        and network.distribute_strategy is tf.distribute.get_strategy()
        and getattr(type(network), name) is getattr(keras.Model, name)
    )


def _function(network: keras.Model, kind: str, steps: Callable[[], int]) -> Callable:
    """Give iterator -> the metrics after the last of up to `steps_per_execution` steps."""
    step = getattr(network, f"{kind}_step")
    step = tf.function(no_autograph(step), jit_compile=network.jit_compile)
    begun, left = None, 0

    @tf.function
    @no_autograph
    def execute(iterator: tf.data.Iterator, count: tf.Tensor) -> dict[str, tf.Tensor]:
        def next_step(nth: tf.Tensor) -> tf.Tensor:
            step(next_batch(iterator))
            return nth + 1

        tf.while_loop(lambda nth: nth < count, next_step, [tf.constant(1)])
        return step(next_batch(iterator))

    def function(iterator: tf.data.Iterator) -> dict[str, tf.Tensor]:
        nonlocal begun, left
        if begun is None or begun() is not iterator:
            begun, left = weakref.ref(iterator), steps()  # weak: it holds the shuffle window
        if left <= 0:
            raise ValueError(f"all {kind} steps of this iterator are done; expected a new one")
        count = min(network.steps_per_execution, left)
        left -= count
        return execute(iterator, tf.constant(count))

    return function


def next_batch(iterator: tf.data.Iterator) -> Any:
    """Give `next(iterator)` in a graph, fetched by the thread that asks for it.

    That thread waits, so the pipeline has to have one of its own, as that of `batches` does.
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
