import keras
import numpy as np
import pytest

from lowmem_sentiment.dataset.splits import number_in_split
from lowmem_sentiment.model.keras_model import build_model
from lowmem_sentiment.model.numpy_model import NumpyModel
from lowmem_sentiment.model.weights import read, to_arrays
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.training.input_pipeline import batches


@pytest.mark.parametrize("labels", [["a", "b"], ["a", "b", "c"]])
def test_numpy_gives_what_keras_gives(dataset, labels, tmp_path):
    network = build_model(20, len(labels), hidden=(6, 5), dropout=())
    network.set_weights([weight + 0.1 for weight in network.get_weights()])
    np.savez(tmp_path / "weights.npz", **to_arrays(network, labels, 20, ""))
    dense = NumpyModel.of(read(tmp_path / "weights.npz"))
    for block in dataset.read("test"):
        scores = dense.scores(block)
        rows = np.zeros((len(block.lengths), 20), np.float32)
        for row, ids in zip(rows, block.split(), strict=True):
            row[np.where(ids < 20, ids, 2)] = 1
        np.testing.assert_allclose(scores, network(rows).numpy(), atol=1e-5)
        ids = block.split()[0]
        effects = dense.effects(ids, 1)
        assert effects.keys() == {id_ for id_ in ids.tolist() if 2 < id_ < 20}
        for word, effect in effects.items():
            without = rows[:1].copy()
            without[0, word] = 0
            p, q = (network(r).numpy()[0, 1 if len(labels) > 2 else 0] for r in (rows[:1], without))
            assert effect == pytest.approx(np.log(p / (1 - p)) - np.log(q / (1 - q)), abs=1e-4)


def test_a_runs_weights_are_its_model(trained, dataset):
    model = keras.models.load_model(trained / "model.keras", compile=False)
    rows, _ = next(iter(batches(dataset, "test", num_words=dataset.num_ids, batch_size=40)))
    dense = NumpyModel.load(RunDirectory(trained))
    scores = np.concatenate([dense.scores(block) for block in dataset.read("test")])
    np.testing.assert_allclose(scores, model(rows).numpy(), atol=1e-5)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.3])
def test_validation_reviews_are_found_in_the_training_split(dataset, share):
    rows = batches(dataset, "validation", num_words=dataset.num_ids, validation_split=share)
    labels = np.concatenate([label for _, label in rows]).tolist()
    numbers = [number_in_split(nth, share) for nth in range(len(labels))]
    picked = dataset.pick("train", numbers)
    assert [picked[number][1] for number in numbers] == labels
    encoded = np.concatenate([row for row, _ in rows])
    for number, row in zip(numbers, encoded, strict=True):
        assert set(np.flatnonzero(row)) == set(picked[number][0].tolist())
