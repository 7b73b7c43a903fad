import keras
import numpy as np
import pytest

from lowmem_sentiment.model.keras_model import build_model
from lowmem_sentiment.model.metrics import SCORE_BINS, score_bins
from lowmem_sentiment.training.input_pipeline import batches
from lowmem_sentiment.training.validation_metrics import MOST_WRONG, Validation


@pytest.fixture
def rows(dataset):
    return batches(dataset, "test", num_words=dataset.num_ids, batch_size=7)


def test_a_validation_pass_is_counted_and_training_is_not(dataset, rows):
    network = build_model(dataset.num_ids, hidden=(6,), dropout=())
    network.evaluate(rows, verbose=0)  # a function that was traced before
    validation = Validation(dataset.labels)
    with validation.watching(network):
        network.fit(rows, verbose=0, shuffle=False)
        assert validation.confusion_matrix().sum() == 0
        network.evaluate(rows, verbose=0)
    network.evaluate(rows, verbose=0)
    labels = np.concatenate([label for _, label in rows])
    scores = network.predict(rows, verbose=0)[:, 0]
    bins = np.zeros((2, SCORE_BINS), int)
    np.add.at(bins, (labels, score_bins(scores)), 1)
    np.testing.assert_array_equal(validation.bins(), bins)
    said = (scores > 0.5).astype(int)
    sure = np.where(said == labels, -1, np.maximum(scores, 1 - scores))
    expected = [number for number in np.argsort(-sure, kind="stable") if sure[number] > 0][:MOST_WRONG]
    assert [wrong.number for wrong in validation.most_wrong()] == expected
    assert all(wrong.predicted == said[wrong.number] for wrong in validation.most_wrong())
    validation.reset()
    assert validation.most_wrong() == [] and validation.confusion_matrix().sum() == 0


def test_three_labels_are_counted_by_the_predicted_one(dataset, rows):
    network = build_model(dataset.num_ids, 3, hidden=())
    validation = Validation(["a", "b", "c"])
    with validation.watching(network):
        network.evaluate(rows, verbose=0)
    labels = np.concatenate([label for _, label in rows])
    said = network.predict(rows, verbose=0).argmax(axis=1)
    counts = validation.confusion_matrix()
    assert counts.tolist() == [[np.sum((labels == t) & (said == p)) for p in range(3)] for t in range(3)]
    assert set(validation.measures()) >= {"macro_f1", "weighted_recall"} and validation.bins() is None


def test_a_network_that_is_not_a_number_is_counted_all_the_same(dataset, rows):
    network = build_model(dataset.num_ids, hidden=())
    network.set_weights([np.full_like(weight, np.nan) for weight in network.get_weights()])
    validation = Validation(dataset.labels)
    with validation.watching(network):
        network.evaluate(rows, verbose=0)
    assert validation.confusion_matrix().sum() == dataset.num_reviews("test")
    assert keras.saving.serialize_keras_object(network)  # nothing of ours is left on it
