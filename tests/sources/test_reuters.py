import json

import numpy as np
import pytest
from helpers import WORDS, run_cli, write_reuters

from lowmem_sentiment.cli import main
from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.sources import keras_datasets
from lowmem_sentiment.sources.keras_datasets import ReutersSource, find_reuters_source
from lowmem_sentiment.system.errors import DataError, InputMissing, Unavailable


@pytest.fixture
def files(tmp_path):
    return write_reuters(tmp_path)


def all_newswires(source, wanted):
    """Return ids and label of every newswire of a split, in order."""
    return [
        (ids.tolist(), int(label))
        for split, block in source.blocks()
        if split == wanted
        for ids, label in zip(block.split(), block.labels, strict=True)
    ]


@pytest.mark.slow
def test_newswires_splits_and_topics_are_those_of_keras(files, monkeypatch):
    from keras.src.datasets import reuters as of_keras

    npz, index = files
    monkeypatch.setattr(of_keras, "get_file", lambda **_: str(npz))
    train, test = of_keras.load_data(num_words=len(WORDS) + 4)
    source = ReutersSource(npz, index)
    for split, (sequences, topics) in (("train", train), ("test", test)):
        expected = [(list(ids), int(topic)) for ids, topic in zip(sequences, topics, strict=True)]
        assert all_newswires(source, split) == expected
    assert tuple(ReutersSource.labels) == of_keras.get_label_names()


@pytest.mark.parametrize(("count", "train"), [(100, 80), (11, 8), (28, 22)])
def test_the_first_four_fifths_train_rounded_down(tmp_path, count, train):
    source = ReutersSource(*write_reuters(tmp_path, count))
    assert len(all_newswires(source, "train")) == train
    assert len(all_newswires(source, "test")) == count - train


def test_the_command_makes_a_dataset_of_46_topics(files, tmp_path, capsys):
    npz, _ = files
    assert main(["prepare", "reuters", "--npz", str(npz), "--out", str(tmp_path / "data"), "--json"]) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["labels"] == ReutersSource.labels and len(ReutersSource.labels) == 46
    assert manifest["source"]["description"] == "100 Reuters newswires (Keras' reuters.npz)"
    assert manifest["source"]["published_file"] is False
    dataset = Dataset(tmp_path / "data")
    assert (dataset.num_reviews("train"), dataset.num_reviews("test")) == (80, 20)
    assert dataset.vocabulary().words == [word.encode() for word in WORDS]
    assert dataset.tokenizer == "keras"


def test_files_are_found_by_variable_and_in_keras_cache(files, monkeypatch, tmp_path):
    npz, _ = files
    monkeypatch.setenv("LOWMEM_SENTIMENT_REUTERS_NPZ", str(npz))
    assert find_reuters_source().describe()["reviews"] == 100
    monkeypatch.delenv("LOWMEM_SENTIMENT_REUTERS_NPZ")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "datasets").mkdir()
    write_reuters(tmp_path / "datasets", 50)
    assert find_reuters_source().describe()["reviews"] == 50


def test_a_file_that_is_missing_or_cannot_be_fetched_is_reported(monkeypatch, tmp_path):
    with pytest.raises(InputMissing, match="expected Keras' reuters.npz and reuters_word_index.json"):
        find_reuters_source(npz=tmp_path / "none.npz", word_index=tmp_path / "none.json")
    monkeypatch.setattr(keras_datasets, "ORIGIN", "http://127.0.0.1:9/")
    with pytest.raises(
        Unavailable, match=r"fetch http://127.0.0.1:9/reuters.npz: .*; give the files: --n"
    ):
        find_reuters_source()


@pytest.mark.parametrize("topic", [46, -1])
def test_a_topic_without_a_name_is_refused(files, topic):
    npz, index = files
    with np.load(npz, allow_pickle=True) as arrays:
        np.savez(npz, x=arrays["x"], y=np.where(arrays["y"] == 3, topic, arrays["y"]))
    with pytest.raises(DataError, match=r"reuters.npz is damaged: y is not a label of 0 to 45 for each"):
        all_newswires(ReutersSource(npz, index), "train")


def test_another_datasets_file_is_refused_by_name_of_what_it_lacks(imdb_files, files):
    with pytest.raises(DataError, match=r"imdb.npz has no y.npy; it holds x_train.npy"):
        ReutersSource(imdb_files[0], files[1])


@pytest.mark.slow
def test_the_topics_are_trained_and_predicted(files, tmp_path):
    npz, _ = files
    data, run = tmp_path / "data", tmp_path / "run"
    assert run_cli("prepare", "reuters", "--npz", npz, "--out", data).returncode == 0
    options = ("--epochs", 2, "--batch-size", 8, "--hidden", 8, "--dropout", "0", "--json")
    assert run_cli("train", data, "--run", run, *options).returncode == 0
    result = run_cli("predict", run, "a brilliant story", "--json")
    assert set(json.loads(result.stdout)["probabilities"]) == set(ReutersSource.labels)
