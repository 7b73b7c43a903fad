import shutil

import numpy as np
import pytest

from lowmem_sentiment.dataset.splits import num_reviews
from lowmem_sentiment.evaluation.evaluate import evaluate
from lowmem_sentiment.evaluation.scoring import Tally, dataset_batches, score
from lowmem_sentiment.model.keras_model import build_model, compile_model
from lowmem_sentiment.model.keras_scores import KerasModel
from lowmem_sentiment.model.numpy_model import NumpyModel
from lowmem_sentiment.model.weights import read_weights, to_arrays
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.training.input_pipeline import batches


def random_pair(folder, labels: int, num_words: int):
    """Return a model with random weights in Keras, and the same in NumPy."""
    model = build_model(num_words, labels, hidden=(16, 8), dropout=(0.3,), seed=labels)
    generator = np.random.default_rng(labels)
    model.set_weights([generator.normal(0, 0.3, w.shape) for w in model.get_weights()])
    names = [str(label) for label in range(labels)]
    np.savez(folder / "weights.npz", **to_arrays(model, names, num_words, ""))
    return model, NumpyModel(*read_weights(folder / "weights.npz"))


@pytest.mark.parametrize("labels", [2, 3, 5])
def test_counts_and_loss_are_those_of_keras_evaluate(dataset, labels, tmp_path):
    model, numpy_model = random_pair(tmp_path, labels, dataset.num_ids)
    compile_model(model)
    rows = batches(dataset, "train", TrainingSettings(num_words=dataset.num_ids), shuffle=False)
    expected = model.evaluate(rows, verbose=0, return_dict=True)
    keras_model = KerasModel(model, numpy_model.labels, dataset.num_ids)
    ours, theirs = score([numpy_model, keras_model], dataset_batches(dataset, "train"))
    assert ours.counts.tolist() == theirs.counts.tolist() and ours.reviews == 160
    for tally in (ours, theirs):
        metrics, _ = tally.metrics()
        assert metrics["loss"] == pytest.approx(expected["loss"], abs=1e-6)
        assert round(metrics["accuracy"] * 160) == round(expected["accuracy"] * 160)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.3])
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_has_the_reviews_that_training_gives_it(dataset, split, share):
    rows = batches(
        dataset,
        split,
        TrainingSettings(num_words=dataset.num_ids, validation_split=share, batch_size=7),
        shuffle=False,
    )
    expected = [set(np.flatnonzero(row)) for some, _ in rows for row in some]
    num_words = dataset.num_ids

    class Everything:
        reads_ngrams = False

        def known_ids(self, ids):
            return ids

    found = [
        set(np.unique(ids[ids < num_words]).tolist())
        for batch in dataset_batches(dataset, split, share)
        for ids in batch.encode(0, Everything())
    ]
    assert found == expected and len(found) == num_reviews(dataset, split, share)


def test_a_models_own_threshold_decides_and_its_probabilities_do_not_depend_on_it():
    probabilities = np.array([[0.7, 0.3], [0.4, 0.6], [0.1, 0.9]])
    labels, losses = np.array([1, 0, 1]), np.zeros(3)
    tallies = {at: Tally(["bad", "good"], at) for at in (None, 0.2, 0.6)}
    for tally in tallies.values():
        tally.add(labels, probabilities, losses)
    assert tallies[None].counts.tolist() == [[0, 1], [1, 1]]
    assert tallies[0.2].counts.tolist() == [[0, 1], [0, 2]]
    assert tallies[0.6].counts.tolist() == [[1, 0], [1, 1]]  # above, not at
    for name in ("auc", "brier", "calibration_error"):
        assert len({tally.metrics()[0][name] for tally in tallies.values()}) == 1
    assert tallies[None].metrics()[0]["brier"] == pytest.approx((0.49 + 0.36 + 0.01) / 3)


def test_calibration_error_is_the_mean_gap_between_confidence_and_accuracy():
    tally = Tally(["a", "b", "c"])
    sure = np.array([[0.9, 0.05, 0.05]] * 100)
    tally.add(np.repeat([0, 1], [70, 30]), sure, np.zeros(100))  # 90 % sure and 70 % right
    assert tally.metrics()[0]["calibration_error"] == pytest.approx(0.2, abs=1 / 4096)


def test_a_run_without_weights_is_evaluated_by_keras_in_the_same_report(trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    with_numpy = evaluate(run)
    (run / "weights.npz").unlink()
    with_keras = evaluate(run)
    assert with_keras.to_json().keys() == with_numpy.to_json().keys()
    assert (with_keras.confusion_matrix == with_numpy.confusion_matrix).all()
    assert with_keras.loss == pytest.approx(with_numpy.loss, abs=1e-6)
    assert "keras" in with_keras.versions and "keras" not in with_numpy.versions
