import keras
import numpy as np
import pytest

from lowmem_sentiment.model.optimizer import FusedAdam
from lowmem_sentiment.system.workarounds import save_as_plain_adam


def networks():
    """Give two equal networks, one with Keras' Adam and one with the fused one."""
    settings = {"learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-5}
    pair = []
    for optimizer in (keras.optimizers.Adam(**settings), FusedAdam(**settings)):
        keras.utils.set_random_seed(1)
        layers = [keras.Input((6,)), keras.layers.Dense(5, "relu"), keras.layers.Dense(1, "sigmoid")]
        network = keras.Sequential(layers)
        network.compile(optimizer, "binary_crossentropy")
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


def test_saved_as_keras_own_adam_it_resumes_where_it_stopped(tmp_path):
    _, fused = networks()
    rows, labels = np.eye(6, dtype=np.float32), np.arange(6) % 2
    for _ in range(5):
        fused.train_on_batch(rows, labels)
    save_as_plain_adam(fused, tmp_path / "model.keras")
    assert type(fused.optimizer) is FusedAdam
    twin = keras.models.load_model(tmp_path / "model.keras")
    assert type(twin.optimizer) is keras.optimizers.Adam
    for network in (twin, fused):
        network.train_on_batch(rows, labels)
    for one, other in zip(twin.get_weights(), fused.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_amsgrad_is_refused():
    with pytest.raises(ValueError, match="no amsgrad"):
        FusedAdam(amsgrad=True)
