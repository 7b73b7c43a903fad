import keras
import numpy as np
import pytest
import tensorflow as tf

from lowmem_sentiment.batching import batches
from lowmem_sentiment.execution import executing
from lowmem_sentiment.network import build_network


def fitted(dataset, own, steps_per_execution=7, **options):
    """Fit a small network for 2 epochs of 20 steps; give it and its history."""
    rows = batches(dataset, num_words=dataset.num_ids, batch_size=8)
    held_out = batches(dataset, "test", num_words=dataset.num_ids, batch_size=8)
    network = build_network(dataset.num_ids, hidden=(6, 4))
    network.steps_per_execution = steps_per_execution

    def fit():
        arguments = {"validation_data": held_out, "epochs": 2, "shuffle": False, "verbose": 0}
        return network.fit(rows, steps_per_epoch=len(rows), **arguments, **options)

    if not own:
        return network, fit().history
    with executing(network, train_steps=lambda: len(rows), test_steps=lambda: len(held_out)):
        return network, fit().history


@pytest.mark.parametrize("steps_per_execution", [1, 7, 20, 50])  # 20 steps: 7 leaves a rest of 6
@pytest.mark.parametrize("class_weight", [None, {0: 0.5, 1: 2.0}])
def test_the_bits_are_those_of_keras_own_way(dataset, steps_per_execution, class_weight):
    options = {"steps_per_execution": steps_per_execution, "class_weight": class_weight}
    theirs, ours = fitted(dataset, own=False, **options), fitted(dataset, own=True, **options)
    assert ours[1] == theirs[1]
    for mine, other in zip(ours[0].get_weights(), theirs[0].get_weights(), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_a_step_is_traced_once_and_for_all_executions(dataset, monkeypatch):
    traced = []
    train_step = keras.Model.train_step
    monkeypatch.setattr(
        keras.Model, "train_step", lambda self, data: traced.append(1) or train_step(self, data)
    )
    rows = batches(dataset, num_words=dataset.num_ids, batch_size=8)
    network = build_network(dataset.num_ids, hidden=(6, 4))
    network.steps_per_execution = 7
    network.optimizer.build(network.trainable_variables)
    network.compute_metrics(None, np.zeros(1), np.zeros((1, 1)))
    with executing(network, train_steps=lambda: len(rows)):
        network.fit(rows, epochs=2, steps_per_epoch=len(rows), shuffle=False, verbose=0)
    assert len(traced) == 1


def test_the_network_has_keras_functions_again_afterwards(dataset):
    network, _ = fitted(dataset, own=True)
    assert network.train_function is None and network.test_function is None
    assert "make_train_function" not in vars(network) and "make_test_function" not in vars(network)


def test_a_network_with_a_way_of_its_own_keeps_it():
    class Own(keras.Sequential):
        def make_train_function(self, force=False):
            self.train_function = "mine"

    eager = build_network(5, hidden=(2,))
    eager.run_eagerly = True
    own = Own([keras.Input((5,)), keras.layers.Dense(1)])
    own.compile("adam", "mse")
    with executing(eager), executing(own):
        assert not {"make_train_function", "make_test_function"} & set(vars(eager))
        own.make_train_function()
        assert own.train_function == "mine"
        assert "make_test_function" in vars(own)


def test_a_batch_is_fetched_by_the_thread_that_asks():
    from lowmem_sentiment.execution import next_batch

    rows = tf.data.Dataset.from_tensor_slices((np.arange(3), {"a": np.arange(3.0)}))

    @tf.function
    def fetch(iterator):
        return next_batch(iterator)

    iterator = iter(rows)
    assert [int(fetch(iterator)[1]["a"]) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(tf.errors.OutOfRangeError):
        fetch(iterator)
    functions = fetch.get_concrete_function(iter(rows)).graph.as_graph_def().node
    assert [node.op for node in functions if "GetNext" in node.op] == ["IteratorGetNextSync"]
