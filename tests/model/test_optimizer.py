from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from lowmem_sentiment.model import optimizer
from lowmem_sentiment.model.optimizer import FusedAdam, TableAdam
from lowmem_sentiment.system import workarounds
from lowmem_sentiment.system.workarounds import adam_slots, save_model


def networks():
    """Return two equal networks, one with Keras' Adam and one with the fused one."""
    settings = {"learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-5}
    pair = []
    for adam in (keras.optimizers.Adam(**settings), FusedAdam(**settings)):
        keras.utils.set_random_seed(1)
        layers = [keras.Input((6,)), keras.layers.Dense(5, "relu"), keras.layers.Dense(1, "sigmoid")]
        network = keras.Sequential(layers)
        network.compile(adam, "binary_crossentropy")
        pair.append(network)
    return pair


@pytest.mark.slow
def test_every_step_is_keras_adams():
    plain, fused = networks()
    generator = np.random.default_rng(0)
    for _ in range(30):
        rows = generator.integers(0, 2, (8, 6)).astype(np.float32)
        labels = generator.integers(0, 2, 8)
        for network in (plain, fused):
            network.train_on_batch(rows, labels)
        for one, other in zip(plain.get_weights(), fused.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)
    for one, other in zip(plain.optimizer.variables, fused.optimizer.variables, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=1e-7)


def sparse_and_dense_steps(adam, steps=30, scale=1.0, late_rate=0.01):
    """Train 9 rows of 4 by gradients of 3 of them, and the same by FusedAdam on dense gradients.

    The learning rate is 0.01, and from step 20 on another, as by a callback.
    """
    generator = np.random.default_rng(0)
    start = generator.normal(size=(9, 4)).astype(np.float32)
    pair = [keras.Variable(start), keras.Variable(start)]
    plain = FusedAdam(0.01)
    adam.build(pair[:1])
    for step in range(steps):
        # The later rows are seldom there, and the last once.
        ids = np.array([0, 1 + step % 7, 8]) if step == 3 else np.array([0, 1 + step % 2, 3 + step % 5])
        for each in (adam, plain):
            each.learning_rate = 0.01 if step < 20 else late_rate
        values = scale * generator.normal(size=(3, 4)).astype(np.float32)
        gradient = tf.IndexedSlices(tf.constant(values), tf.constant(ids), tf.constant([9, 4]))
        before = [each.numpy() for each in (pair[0], *adam.variables[2:])]
        if isinstance(adam, TableAdam):
            adam.gather(gradient.indices)
        adam.apply([gradient], [pair[0]])
        plain.apply([tf.convert_to_tensor(gradient)], [pair[1]])
        yield before, ids, values, pair


def test_rows_without_a_gradient_move_by_their_moments():
    for *_, (sparse, dense) in sparse_and_dense_steps(FusedAdam(0.01)):
        np.testing.assert_array_equal(sparse.numpy(), dense.numpy())


# Epsilon is 1e-7: with the first scale it decides, with the last it does not count.
@pytest.mark.parametrize("scale", [1e-8, 1e-6, 1e-5, 1e-3])
def test_rows_that_are_moved_later_are_where_adam_on_all_rows_has_them(scale):
    adam = TableAdam(0.01)
    for *_, pair in sparse_and_dense_steps(adam, 60, scale, late_rate=0.003):
        rows = adam.gather(tf.range(9))  # moves nothing yet
        np.testing.assert_allclose(rows, pair[1].numpy(), rtol=0, atol=2e-6)
    deferred, dense = pair
    assert abs(deferred.numpy() - dense.numpy()).max() > 1e-4
    adam.move_all()
    np.testing.assert_allclose(deferred.numpy(), dense.numpy(), rtol=0, atol=2e-6)


@pytest.mark.slow
def test_a_row_that_misses_as_many_steps_as_it_may_is_moved_to_where_it_belongs():
    adam = TableAdam(0.01)
    adam.MOST_MISSED, missed = 16, 0  # as 1,024, sooner
    for *_, (deferred, dense) in sparse_and_dense_steps(adam, 100):
        late = deferred.numpy(), dense.numpy()
        if int(adam.iterations) % 16 == 0:
            missed = max(missed, int(adam.iterations) - adam.deferred[0].numpy().min())
            adam.move_all()
    assert missed == 16
    assert abs(late[0] - late[1]).max() > 1e-4
    adam.move_all()
    np.testing.assert_allclose(deferred.numpy(), dense.numpy(), rtol=0, atol=1e-6)


def test_lazy_adam_moves_the_rows_of_a_gradient_alone_by_adams_formula():
    adam = TableAdam(0.01, lazy=True)
    for step, (before, ids, gradient, (lazy, _)) in enumerate(sparse_and_dense_steps(adam), 1):
        m, v = before[1:]
        expected = before[0].copy()
        m = 0.9 * m[ids] + 0.1 * gradient
        v = 0.999 * v[ids] + 0.001 * gradient**2
        rate = 0.01 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        expected[ids] -= rate * m / (np.sqrt(v) + 1e-7)
        np.testing.assert_allclose(lazy.numpy(), expected, rtol=1e-5, atol=1e-6)
        others = np.setdiff1d(range(9), ids)
        np.testing.assert_array_equal(lazy.numpy()[others], before[0][others])


def test_lazy_adam_keeps_the_variables_of_adam():
    variables = [keras.Variable(np.zeros((9, 4), np.float32))]
    lazy, adam = TableAdam(lazy=True), keras.optimizers.Adam()
    for each in (lazy, adam):
        each.build(variables)
    assert [each.path.split("/")[-1] for each in lazy.variables] == [
        each.path.split("/")[-1] for each in adam.variables
    ]


def test_saved_as_keras_own_adam_it_resumes_where_it_stopped(tmp_path):
    _, fused = networks()
    rows, labels = np.eye(6, dtype=np.float32), np.arange(6) % 2
    for _ in range(5):
        fused.train_on_batch(rows, labels)
    save_model(fused, tmp_path / "model.keras")
    assert type(fused.optimizer) is FusedAdam
    twin = keras.models.load_model(tmp_path / "model.keras")
    assert type(twin.optimizer) is keras.optimizers.Adam
    for network in (twin, fused):
        network.train_on_batch(rows, labels)
    for one, other in zip(twin.get_weights(), fused.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_an_optimizer_of_a_users_own_is_saved_as_what_it_is(tmp_path):
    network, _ = networks()
    network.compile(keras.optimizers.SGD(0.5, momentum=0.9), "binary_crossentropy")
    network.train_on_batch(np.eye(6, dtype=np.float32), np.arange(6) % 2)
    save_model(network, tmp_path / "model.keras")
    twin = keras.models.load_model(tmp_path / "model.keras")
    assert type(twin.optimizer) is keras.optimizers.SGD and twin.optimizer.momentum == 0.9
    for one, other in zip(network.optimizer.variables, twin.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other)


class Upgraded:
    """An optimizer as Keras promises it, without the private names that it has today."""

    def __init__(self, optimizer):
        self.variables = optimizer.variables


@pytest.mark.slow
def test_after_an_upgrade_that_renames_moments_the_weights_are_the_same_with_a_warning(monkeypatch):
    plain, fused = networks()
    today = adam_slots
    monkeypatch.setattr(optimizer, "adam_slots", lambda adam, variable: today(Upgraded(adam), variable))
    rows, labels = np.eye(6, dtype=np.float32), np.arange(6) % 2
    with pytest.warns(RuntimeWarning, match="different name for Adam's moments: training is slower"):
        fused.train_on_batch(rows, labels)
    plain.train_on_batch(rows, labels)
    for one, other in zip(plain.get_weights(), fused.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    table = keras.Variable(np.zeros((9, 4), np.float32))
    adam = TableAdam()
    with pytest.warns(RuntimeWarning, match="Adam's moments"):
        adam.build([table])
        found = today(Upgraded(adam), table)
    assert [*map(id, found)] == [*map(id, today(adam, table))]


def test_after_an_upgrade_that_renames_where_weights_are_collected_a_model_is_saved_with_a_warning(
    monkeypatch, tmp_path
):
    monkeypatch.delattr("keras.src.saving.saving_lib.is_memory_sufficient")
    with pytest.warns(RuntimeWarning, match="saving may take"), workarounds._weights_on_disk(tmp_path):
        pass


@pytest.mark.parametrize("adam", [FusedAdam, TableAdam, partial(TableAdam, lazy=True)])
def test_scaled_rows_move_as_if_the_inputs_were_scaled(adam):
    """A row of scale s is s times the row of a model whose input is multiplied by s."""
    scales = np.array([0.1, 0.5, 1, 1, 2, 3, 0.7, 1, 4], np.float32)
    generator = np.random.default_rng(0)
    start = generator.normal(size=(9, 4)).astype(np.float32)
    plain, scaled = adam(0.01), adam(0.01, row_scales=scales)
    pair = [keras.Variable(start), keras.Variable(start * scales[:, None])]
    for each, variable in zip((plain, scaled), pair, strict=True):
        each.build([variable])
    for step in range(40):
        ids = np.array([0, 1 + step % 4, 5 + step % 3])
        values = generator.normal(size=(3, 4)).astype(np.float32)
        # the gradient of a scaled input's row is as many times larger
        for each, variable, times in ((plain, pair[0], scales[ids][:, None]), (scaled, pair[1], 1)):
            gradient = tf.IndexedSlices(tf.constant(values * times), tf.constant(ids), [9, 4])
            if isinstance(each, TableAdam):
                each.gather(gradient.indices)
            each.apply([gradient], [variable])
    if isinstance(plain, TableAdam):
        plain.move_all(), scaled.move_all()
    assert abs(pair[0].numpy() - start).max() > 0.05
    np.testing.assert_allclose(pair[1].numpy(), pair[0].numpy() * scales[:, None], rtol=1e-4, atol=1e-5)


def test_amsgrad_is_refused():
    with pytest.raises(ValueError, match="no amsgrad"):
        FusedAdam(amsgrad=True)
