import numpy as np
import pytest
import tensorflow as tf

from lowmem_sentiment.model.keras_model import build_model
from lowmem_sentiment.model.metrics import SCORE_BINS, score_bins
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.training import checkpoint
from lowmem_sentiment.training.input_pipeline import batches
from lowmem_sentiment.training.validation_metrics import MOST_WRONG, ValidationMetrics


@pytest.fixture
def rows(dataset):
    return batches(dataset, "test", TrainingSettings(num_words=dataset.num_ids, batch_size=7))


def run(validation, network, rows):
    """Run the counting test step over all rows, and return the metrics."""
    checkpoint.make_variables(network, network.input_shape[-1])
    network.reset_metrics()
    step = tf.function(validation.test_step(network, network))
    for batch in rows:
        logs = step(batch)
    return logs


@pytest.mark.slow
def test_a_validation_pass_gives_keras_metrics_and_is_counted(dataset, rows):
    network = build_model(dataset.num_ids, hidden=(6,), dropout=())
    network.fit(rows, verbose=0, shuffle=False)
    validation = ValidationMetrics(dataset.labels)
    logs = run(validation, network, rows)
    expected = network.evaluate(rows, verbose=0, return_dict=True)
    assert {name: float(value) for name, value in logs.items()} == expected
    labels = np.concatenate([label for _, label in rows])
    scores = network.predict(rows, verbose=0)[:, 0]
    bins = np.zeros((2, SCORE_BINS), int)
    np.add.at(bins, (labels, score_bins(scores)), 1)
    np.testing.assert_array_equal(validation.counts(), bins)
    said = (scores > 0.5).astype(int)
    sure = np.where(said == labels, -1, np.maximum(scores, 1 - scores))
    expected = [number for number in np.argsort(-sure, kind="stable") if sure[number] > 0][:MOST_WRONG]
    assert [wrong.number for wrong in validation.most_wrong()] == expected
    assert all(wrong.predicted == said[wrong.number] for wrong in validation.most_wrong())
    validation.reset()
    assert validation.most_wrong() == [] and validation.confusion_matrix().sum() == 0


def test_three_labels_are_counted_by_the_predicted_one(dataset, rows):
    network = build_model(dataset.num_ids, 3, hidden=())
    validation = ValidationMetrics(["a", "b", "c"])
    run(validation, network, rows)
    labels = np.concatenate([label for _, label in rows])
    said = network.predict(rows, verbose=0).argmax(axis=1)
    counts = validation.confusion_matrix()
    assert counts.tolist() == [[np.sum((labels == t) & (said == p)) for p in range(3)] for t in range(3)]
    assert set(validation.measures()) >= {"macro_f1", "weighted_recall"}


def test_a_network_that_is_not_a_number_is_counted_all_the_same(dataset, rows):
    network = build_model(dataset.num_ids, hidden=())
    network.set_weights([np.full_like(weight, np.nan) for weight in network.get_weights()])
    validation = ValidationMetrics(dataset.labels)
    run(validation, network, rows)
    assert validation.confusion_matrix().sum() == dataset.num_reviews("test")


def test_the_counts_of_many_labels_are_not_kept():
    for labels, kept in ((2, True), (64, True), (65, False)):
        validation = ValidationMetrics([str(nth) for nth in range(labels)])
        assert ("counts" in validation.to_json(with_counts=True)) == kept
