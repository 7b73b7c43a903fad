from dataclasses import replace

import keras
import numpy as np
import pytest

from lowmem_sentiment.dataset.splits import number_in_split
from lowmem_sentiment.model.keras_model import build_model
from lowmem_sentiment.model.keras_scores import KerasModel
from lowmem_sentiment.model.numpy_model import NumpyModel
from lowmem_sentiment.model.weights import read_weights, to_arrays
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.training.input_pipeline import batches


def multi_hot(reviews: list[np.ndarray], num_words: int) -> np.ndarray:
    rows = np.zeros((len(reviews), num_words), np.float32)
    for row, ids in zip(rows, reviews, strict=True):
        row[np.where(ids < num_words, ids, 2)] = 1
    return rows


@pytest.fixture(params=[["a", "b"], ["a", "b", "c"]], ids=["two labels", "three labels"])
def pair(request, tmp_path) -> tuple[keras.Model, NumpyModel]:
    """The same random model in Keras and in NumPy; it knows 20 ids."""
    model = build_model(20, len(request.param), hidden=(6, 5), dropout=())
    model.set_weights([weight + 0.1 for weight in model.get_weights()])
    np.savez(tmp_path / "weights.npz", **to_arrays(model, request.param, 20, ""))
    return model, NumpyModel(*read_weights(tmp_path / "weights.npz"))


def test_a_kernel_of_halves_gives_the_bits_of_their_values(pair):
    values = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    values = values[np.isfinite(values)].reshape(-1, 1)
    halves, whole = (
        replace(pair[1], kernels=[kernel], biases=[np.zeros(1, np.float32)])
        for kernel in (values, values.astype(np.float32))
    )
    reviews = [np.array([nth]) for nth in range(len(values))]
    assert halves.logits(reviews).tobytes() == whole.logits(reviews).tobytes()


def test_numpy_returns_what_keras_returns(pair, dataset):
    model, numpy_model = pair
    keras_model = KerasModel(model, numpy_model.labels, 20)
    for block in dataset.read("test"):
        expected = model(multi_hot(block.split(), 20)).numpy()
        if len(numpy_model.labels) == 2:
            expected = np.hstack([1 - expected, expected])
        known = [numpy_model.known_ids(ids) for ids in block.split()]
        for each in (numpy_model, keras_model):
            probabilities, losses = each.score(known, block.labels)
            np.testing.assert_allclose(probabilities, expected, atol=1e-6)
            truth = expected[np.arange(len(block.labels)), block.labels]
            np.testing.assert_allclose(losses, -np.log(truth), atol=1e-5)


def test_a_loss_is_exact_where_the_probability_rounds_to_0(pair):
    _, model = pair
    steep = NumpyModel(model.metadata, model.kernels, [*model.biases[:-1], model.biases[-1].copy()])
    steep.biases[-1][-1] = 200
    label = len(model.labels) - 1
    probabilities, losses = steep.score([np.array([1])], np.array([0]))
    assert probabilities[0, label] == 1 and 150 < losses[0] < 250


@pytest.mark.parametrize("share", [0.1, 0.25, 0.3])
def test_validation_reviews_are_found_in_the_training_split(dataset, share):
    rows = batches(
        dataset, "validation", TrainingSettings(num_words=dataset.num_ids, validation_split=share)
    )
    labels = np.concatenate([label for _, label in rows]).tolist()
    numbers = [number_in_split(nth, share) for nth in range(len(labels))]
    picked = dataset.pick("train", numbers)
    assert [picked[number][1] for number in numbers] == labels
    encoded = np.concatenate([row for row, _ in rows])
    for number, row in zip(numbers, encoded, strict=True):
        assert set(np.flatnonzero(row)) == set(picked[number][0].tolist())
