import json
import shutil

import keras
import numpy as np
import pytest
from helpers import VOCABULARY, reviews

from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.dataset.writer import DatasetWriter
from lowmem_sentiment.evaluation.evaluate import evaluate
from lowmem_sentiment.model.optimizer import FusedAdam
from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.sources.files import FilesSettings, FilesSource
from lowmem_sentiment.system.errors import DataError, OutputExists, SettingsError
from lowmem_sentiment.system.schema import write_json
from lowmem_sentiment.training.input_pipeline import batches
from lowmem_sentiment.training.train import train

SMALL = TrainingSettings(epochs=2, batch_size=8, hidden=(6, 4), learning_rate=0.02)


def weights(run):
    with np.load(run / "weights.npz") as arrays:
        return {name: arrays[name] for name in arrays}


def test_a_run_directory_holds_all_of_a_run(trained, dataset):
    assert sorted(path.name for path in trained.iterdir()) == [
        "checksums.json", "config.json", "metrics.jsonl", "model.keras", "state.npz",
        "state.previous.npz", "summary.json", "tensorboard", "vocabulary.txt", "weights.npz",
    ]  # fmt: skip
    config = RunDirectory(trained).config()
    assert config["settings"]["num_words"] == dataset.num_ids
    assert config["dataset"]["source"] == dataset.source
    assert config["versions"]["keras"] == keras.__version__
    epochs = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3]
    assert [epoch["step"] for epoch in epochs] == [20, 40, 60]
    assert set(epochs[0]) == {"epoch", "step", "loss", "accuracy", "val_loss", "val_accuracy"}
    assert epochs[-1]["val_accuracy"] > 0.9


@pytest.mark.slow
def test_a_new_run_warns_of_few_reviews_to_validate_on_and_a_resumed_one_does_not(dataset, tmp_path):
    reported = []
    small = {**vars(SMALL), "validation_split": 0.1}
    train(dataset, tmp_path / "run", TrainingSettings(**small), report=reported.append)
    (warning,) = reported
    assert warning.startswith("warning: the validation split has 16 reviews: metrics on so few")
    longer = TrainingSettings(**{**small, "epochs": 3})
    train(dataset, tmp_path / "run", longer, resume=True, report=reported.append)
    assert reported == [warning, f"{tmp_path / 'run'} resumes at epoch 3, step 1"]


@pytest.mark.slow
def test_validation_split_leaves_the_test_split_alone(dataset, tmp_path, monkeypatch):
    from lowmem_sentiment.training import job

    asked = []

    def spy(dataset, split, *rest, **options):
        asked.append(split)
        return batches(dataset, split, *rest, **options)

    monkeypatch.setattr(job, "batches", spy)
    settings = TrainingSettings(**{**vars(SMALL), "validation_split": 0.25})
    summary = train(dataset, tmp_path / "run", settings)
    assert sorted(asked) == ["train", "validation"]
    assert summary.reviews == {"train": 120, "validation": 40}
    assert summary.validated_on == "validation"


def test_the_summary_tells_time_and_memory(trained):
    summary = json.loads((trained / "summary.json").read_text())
    assert summary["data"] == "200 IMDb reviews (Keras' imdb.npz)"
    assert 100e6 < summary["peak_anonymous_bytes"] < summary["peak_resident_bytes"]
    assert summary["reviews_per_second"] > 0
    assert len(summary["seconds"]["epochs"]) == 3
    assert 0 < summary["seconds"]["waiting_for_data"] < summary["seconds"]["training"]


def test_tensorboard_gets_every_curve_at_the_true_step(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves = {}
    for writer, folder in (("train", "."), ("validation", "validation")):
        events = EventAccumulator(str(trained / "tensorboard" / folder)).Reload()
        for tag in events.Tags()["tensors"]:
            curves[writer, tag] = [event.step for event in events.Tensors(tag)]
    for name in ("loss", "accuracy"):
        assert curves["train", f"per_epoch/{name}"] == [20, 40, 60]
        assert curves["validation", f"per_epoch/{name}"] == [20, 40, 60]
        assert curves["train", f"epoch_{name}"] == [20, 40, 60]
    assert curves["train", "process/reviews_per_second"] == [20, 40, 60]


@pytest.mark.slow
def test_batch_curves_are_means_of_the_steps_since_the_last(dataset, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    train(dataset, tmp_path / "run", SMALL, steps_per_execution=6)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()

    def values(tag):
        return {e.step: float(tensor_util.make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)}

    batch, epoch = values("epoch_accuracy"), values("per_epoch/accuracy")
    assert list(batch) == [6, 12, 18, 20, 26, 32, 38, 40]
    mean = (6 * batch[6] + 6 * batch[12] + 6 * batch[18] + 2 * batch[20]) / 20
    assert mean == pytest.approx(epoch[20], abs=1e-6)


@pytest.mark.slow
def test_an_existing_run_is_kept_unless_overwritten(dataset, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    with pytest.raises(OutputExists, match="holds a finished run"):
        train(dataset, run, SMALL)
    assert weights(run).keys() == weights(trained).keys()
    train(dataset, run, SMALL, overwrite=True)
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("num_words", [3, -1, 27])
def test_num_words_outside_the_vocabulary_is_refused(dataset, tmp_path, num_words):
    with pytest.raises(SettingsError, match=f"num_words is {num_words}, expected 4 to 26"):
        train(dataset, tmp_path / "run", TrainingSettings(num_words=num_words))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0), ("batch_size", 0), ("learning_rate", 0), ("learning_rate", float("nan")),
        ("hidden", (5, 0)), ("dropout", (1.0,)), ("dropout", (0.1,) * 4), ("seed", -1),
        ("validation_split", 1.0), ("validation_split", -0.1),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(name, value):
    with pytest.raises(SettingsError, match=f"{name} is .*, expected"):
        TrainingSettings(**{name: value})


def test_fewer_layers_take_fewer_of_the_default_rates():
    assert TrainingSettings(hidden=(4,)).dropout == (0.3,)
    assert TrainingSettings(hidden=()).dropout == ()


def test_a_validation_split_of_no_reviews_is_refused(dataset, tmp_path):
    with pytest.raises(SettingsError, match="0 to validate on"):
        train(dataset, tmp_path / "run", TrainingSettings(validation_split=0.001))


def test_a_damaged_shard_is_named_and_training_leaves_no_model(dataset, tmp_path):
    copy = shutil.copytree(dataset.directory, tmp_path / "copy")
    shard = sorted(copy.glob("train-*"))[1]
    damaged = bytearray(shard.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    shard.write_bytes(damaged)
    with pytest.raises(DataError, match=f"{shard.name} is damaged: record"):
        train(Dataset(copy), tmp_path / "run", SMALL)
    assert not (tmp_path / "run" / "model.keras").exists()


def test_a_label_that_there_is_not_is_named_though_all_digests_are_right(tmp_path):
    (tmp_path / "data").mkdir()
    writer = DatasetWriter(tmp_path / "data", ["negative", "positive", "unheard of"], VOCABULARY)
    for split in ("train", "test"):
        writer.write(split, reviews(*[([4, 5], nth % 2) for nth in range(40)], ([4], 2)))
    writer.finish("crafted", {"description": "crafted"})
    manifest_file = tmp_path / "data" / "dataset.json"
    manifest = json.loads(manifest_file.read_text())
    manifest["labels"].pop()
    for split in manifest["splits"].values():
        split["labels"] = [20, 21]
    del manifest["checksum"]
    write_json(manifest_file, manifest)
    with pytest.raises(
        DataError, match="train-00000-of-00001.tfrecord.*the label is 2, expected below 2"
    ):
        train(Dataset(tmp_path / "data"), tmp_path / "run", SMALL)


@pytest.mark.slow
def test_a_users_own_network_is_trained(dataset, tmp_path):
    layers = [keras.Input((dataset.num_ids,)), keras.layers.Dense(4), keras.layers.LayerNormalization()]
    network = keras.Sequential([*layers, keras.layers.Dense(1, "sigmoid")])
    network.compile(FusedAdam(0.01), "binary_crossentropy")  # without accuracy
    train(dataset, tmp_path / "run", SMALL, model=network)
    assert (tmp_path / "run" / "model.keras").exists()
    assert not (tmp_path / "run" / "weights.npz").exists()


@pytest.mark.slow
def test_a_subclass_of_model_that_was_fitted_before_does_all_its_steps(dataset, tmp_path):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1, "sigmoid")

        def call(self, rows):
            return self.dense(rows)

    network = Own()
    network.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    network.fit(
        batches(dataset, settings=TrainingSettings(num_words=dataset.num_ids, batch_size=8)), verbose=0
    )
    summary = train(dataset, tmp_path / "run", SMALL, model=network)
    assert summary.epochs == 2
    assert int(network.optimizer.iterations) == 20 + 2 * 20


def test_a_network_that_is_no_chain_of_dense_layers_has_no_weights_for_numpy():
    from lowmem_sentiment.model.weights import to_arrays

    words = keras.Input((9,))
    two = [keras.layers.Dense(3)(words), keras.layers.Dense(3)(words)]
    branching = keras.Model(words, keras.layers.Dense(1)(keras.layers.add(two)))
    layer = keras.layers.Dense(1, activation=keras.layers.LeakyReLU())
    for network in (branching, keras.Sequential([words, layer])):
        assert to_arrays(network, ["a", "b"], 9, "") is None


def test_training_ends_at_the_first_step_whose_loss_is_not_a_number(dataset, tmp_path):
    settings = TrainingSettings(learning_rate=1e30, epochs=50)
    with pytest.raises(DataError, match=r"the loss is nan in epoch \d, .* try a lower learning rate"):
        train(dataset, tmp_path / "run", settings)


@pytest.mark.slow
def test_a_validation_split_of_the_datasets_own_is_validated_on(tmp_path):
    rows = "".join(f"a {('bad', 'good')[nth % 2]} film {nth},{nth % 2}\n" for nth in range(200))
    paths = []
    for name, start in (("train", 0), ("held", 1_000), ("test", 2_000)):
        path = tmp_path / f"{name}.csv"
        path.write_text("text,label\n" + rows.replace("film ", f"film {start}"))
        paths.append(str(path))
    files = FilesSettings(test=(paths[2],), validation=(paths[1],))
    data = prepare(FilesSource(paths[:1], files), tmp_path / "data")
    train(data, tmp_path / "run", TrainingSettings(epochs=1))
    run = RunDirectory(tmp_path / "run")
    assert run.settings().validated_on == "validation" and run.settings().validation_split == 0.5
    assert evaluate(run.path, split="validation").reviews == 200
    assert evaluate(run.path, split="train").reviews == 200
