import keras
import numpy as np
import pytest
import tensorflow as tf

from lowmem_sentiment.model.keras_model import build_model
from lowmem_sentiment.training import checkpoint
from lowmem_sentiment.training.execution import executing, next_batch
from lowmem_sentiment.training.input_pipeline import batches


class Counted:
    """Gives a number of steps, and counts how often it is asked."""

    def __init__(self, steps):
        self.steps, self.asked = steps, 0

    def __call__(self):
        self.asked += 1
        return self.steps


def fit(network, dataset, train_steps=None, test_steps=None, **options):
    """Fit for 2 epochs of 20 steps, tested with 5 after each; give the history."""
    rows = batches(dataset, num_words=dataset.num_ids, batch_size=8)
    held_out = batches(dataset, "test", num_words=dataset.num_ids, batch_size=8)
    assert (len(rows), len(held_out)) == (20, 5)
    options |= {"epochs": 2, "steps_per_epoch": 20, "validation_data": held_out, "verbose": 0}
    with executing(network, train_steps=train_steps, test_steps=test_steps):
        return network.fit(rows, shuffle=False, **options).history


def build(dataset, steps_per_execution=7):
    network = build_model(dataset.num_ids, hidden=(6, 4))
    network.steps_per_execution = steps_per_execution
    return network


@pytest.mark.parametrize("steps_per_execution", [1, 7, 20, 50])  # of 20 steps 7 leaves a rest of 6
@pytest.mark.parametrize("class_weight", [None, {0: 0.5, 1: 2.0}])
def test_the_bits_are_those_of_keras_own_way(dataset, steps_per_execution, class_weight):
    ours, theirs = build(dataset, steps_per_execution), build(dataset, steps_per_execution)
    train_steps, test_steps = Counted(20), Counted(5)
    history = fit(ours, dataset, train_steps, test_steps, class_weight=class_weight)
    assert (train_steps.asked, test_steps.asked) == (2, 2)  # once an epoch, once a pass
    assert history == fit(theirs, dataset, class_weight=class_weight)
    for mine, other in zip(checkpoint.variables(ours), checkpoint.variables(theirs), strict=True):
        np.testing.assert_array_equal(mine.numpy(), other.numpy())


def test_a_step_is_traced_once_where_its_variables_are_there_before(dataset, monkeypatch):
    traced, train_step = [], keras.Model.train_step
    monkeypatch.setattr(
        keras.Model, "train_step", lambda self, data: traced.append(1) or train_step(self, data)
    )
    network = build(dataset)
    checkpoint.variables(network)
    fit(network, dataset, steps := Counted(20))
    assert (len(traced), steps.asked) == (1, 2)


def test_a_network_that_was_fitted_before_does_all_its_steps(dataset):
    """Keras' function would go on with the one step an execution that it was traced with."""
    network = build(dataset, steps_per_execution=1)
    network.fit(batches(dataset, num_words=dataset.num_ids, batch_size=8), verbose=0)
    network.steps_per_execution = 7
    fit(network, dataset, Counted(20))
    assert int(network.optimizer.iterations) == 20 + 2 * 20


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_keras_makes_its_functions_again_afterwards(dataset, error):
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if error:
                raise error

    network = build(dataset)
    with pytest.raises(error) if error else executing(network):
        fit(network, dataset, Counted(20), Counted(5), callbacks=[Interrupt()])
    assert network.train_function is None and network.test_function is None


def test_networks_with_a_way_of_their_own_keep_it(dataset):
    class Own(keras.Sequential):
        def make_train_function(self, force=False):
            made.append(self.train_function)
            return super().make_train_function(force)

    made, steps = [], Counted(20)
    own = Own([keras.Input((dataset.num_ids,)), keras.layers.Dense(1, "sigmoid")])
    own.compile("adam", "binary_crossentropy")
    fit(own, dataset, steps)
    assert made == [None]
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        placed = build(dataset)
    eager = build(dataset)
    eager.run_eagerly = True
    for network in (placed, eager):
        fit(network, dataset, steps)
        assert int(network.optimizer.iterations) == 40
    assert steps.asked == 0


def test_steps_beyond_those_that_were_told_are_refused(dataset):
    with pytest.raises(ValueError, match="all train steps of this iterator are done"):
        fit(build(dataset), dataset, Counted(14))


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
