import keras
import numpy as np

from lowmem_sentiment.model.keras_model import build_model


def test_the_tutorials_network_layer_for_layer():
    network = build_model(10_000)
    layers = [
        (type(layer).__name__, getattr(layer, "units", None) or layer.rate) for layer in network.layers
    ]
    assert layers == [
        ("Dense", 50), ("Dropout", 0.3), ("Dense", 50), ("Dropout", 0.2), ("Dense", 50), ("Dense", 1),
    ]  # fmt: skip
    activations = [layer.activation.__name__ for layer in network.layers if hasattr(layer, "units")]
    assert activations == ["relu", "relu", "relu", "sigmoid"]
    assert network.count_params() == 505_201
    assert isinstance(network.optimizer, keras.optimizers.Adam)
    assert network.loss == "binary_crossentropy"


def test_the_seed_decides_the_weights_whatever_was_drawn_before():
    one = build_model(20, seed=3)
    np.random.seed(0)
    keras.random.normal((5,))
    two, other = build_model(20, seed=3), build_model(20, seed=4)
    for mine, yours, theirs in zip(
        one.get_weights(), two.get_weights(), other.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(mine, yours)
        assert mine.ndim == 1 or not np.array_equal(mine, theirs)


def test_more_labels_get_a_softmax():
    network = build_model(20, num_labels=3, hidden=(4,), dropout=())
    assert network.output_shape == (None, 3)
    assert network.loss == "sparse_categorical_crossentropy"
    np.testing.assert_allclose(network(np.eye(2, 20)).numpy().sum(axis=1), 1, rtol=1e-6)


def test_rates_of_zero_and_missing_rates_are_no_layer():
    network = build_model(20, hidden=(4, 4, 4), dropout=(0, 0.5))
    assert [type(layer).__name__ for layer in network.layers] == [
        "Dense", "Dense", "Dropout", "Dense", "Dense",
    ]  # fmt: skip


def test_scaled_inputs_start_from_scaled_rows_and_the_model_takes_inputs_as_they_are():
    scales = np.linspace(0.5, 2, 20).astype(np.float32)
    plain, scaled = build_model(20), build_model(20, input_scales=scales)
    rows = np.eye(20, dtype=np.float32)
    np.testing.assert_allclose(scaled(rows), plain(rows * scales[:, None]), rtol=1e-5, atol=1e-6)
