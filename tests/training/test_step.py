import time

import numpy as np
import pytest
import tensorflow as tf

from lowmem_sentiment.training.step import compile_execution, next_batch


def test_a_batch_is_fetched_by_the_thread_that_asks():
    rows = tf.data.Dataset.from_tensor_slices((np.arange(3), {"a": np.arange(3.0)}))

    @tf.function
    def fetch(iterator):
        return next_batch(iterator)

    iterator = iter(rows)
    assert [int(fetch(iterator)[1]["a"]) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(tf.errors.OutOfRangeError):
        fetch(iterator)
    nodes = fetch.get_concrete_function(iter(rows)).graph.as_graph_def().node
    assert [node.op for node in nodes if "GetNext" in node.op] == ["IteratorGetNextSync"]


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_as_many_steps_are_run_as_are_asked_for(run_eagerly):
    total, traced = tf.Variable(0), []

    def step(batch):
        traced.append(1)
        return {"total": total.assign_add(batch)}

    execute = compile_execution(step, run_eagerly=run_eagerly, jit_compile=False)
    iterator = iter(tf.data.Dataset.range(10).map(lambda n: tf.cast(n, tf.int32)))
    assert [int(execute(iterator, count).logs["total"]) for count in (1, 4, 5)] == [0, 10, 45]
    assert run_eagerly or len(traced) == 1
    with pytest.raises(tf.errors.OutOfRangeError):
        execute(iterator, 1)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_the_wait_for_the_last_batch_is_measured(run_eagerly):
    """One batch takes 0.3 s, begun a little early: the last, then one before it."""
    slow = 3

    def numbers():
        for number in range(4):
            time.sleep(0.3 if number == slow else 0)
            yield number

    batches = tf.data.Dataset.from_generator(numbers, output_signature=tf.TensorSpec((), tf.int64))
    execute = compile_execution(lambda batch: {"last": batch}, run_eagerly=run_eagerly, jit_compile=False)
    executed = execute(iter(batches), 4)
    assert int(executed.logs["last"]) == 3 and float(executed.waited) > 0.2
    slow, started = 1, time.monotonic()
    executed = execute(iter(batches), 4)
    assert time.monotonic() - started - float(executed.waited) > 0.2
