"""Every file that this software keeps, and every reader of it: none takes damage, and none waits.

A file with a new reader, or a new file, is added here.
"""

import os
import shutil

import pytest

from lowmem_sentiment.dataset.explore import explore
from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.evaluation.evaluate import evaluate
from lowmem_sentiment.evaluation.predict import Predictor
from lowmem_sentiment.model.export import export
from lowmem_sentiment.monitoring.event_reader import read_curves
from lowmem_sentiment.preparation.given_vocabulary import load_vocabulary
from lowmem_sentiment.preparation.settings import PreparationSettings
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.system.errors import DataError, InputMissing


def keras_model(path):
    from lowmem_sentiment.model.keras_model import load_model

    return load_model(RunDirectory(path))


def verify(path):
    for split in Dataset(path).splits:
        Dataset(path).verify(split)


def words(path):
    load_vocabulary(PreparationSettings(vocabulary=path))


def copy(path, format):
    """Export; nothing is written where the input is damaged."""
    out = path.parent / "export"
    shutil.rmtree(out, ignore_errors=True)
    export(path, out, format=format)


def warned(path):
    """Read the curves, which are read as far as they can be; damage is warned of."""
    warnings = []
    read_curves(path, warnings.append)
    if warnings:
        raise DataError(warnings[0])


OF_DATASET = {
    "dataset.json": [Dataset, explore, verify, words],
    "vocabulary.txt": [explore, words, lambda path: Dataset(path).vocabulary()],
    "train-*.tfrecord": [explore, verify, lambda path: list(Dataset(path).read("train"))],
    "test-*.tfrecord": [explore, verify, lambda path: Dataset(path).pick("test", [0])],
}

OF_RUN = {
    "config.json": [
        Predictor, evaluate, words, lambda path: copy(path, "keras"),
        lambda path: RunDirectory(path).config(),
    ],
    "vocabulary.txt": [
        Predictor, words, lambda path: copy(path, "weights"), lambda path: copy(path, "keras"),
        lambda path: RunDirectory(path).vocabulary(),
    ],
    "weights.npz": [Predictor, evaluate, lambda path: copy(path, "weights")],
    "model.keras": [lambda path: copy(path, "keras"), keras_model],
    "summary.json": [lambda path: RunDirectory(path).summary()],
    "checksums.json": [Predictor, evaluate, lambda path: RunDirectory(path).summary()],
    "tensorboard/*/events*": [warned],
}  # fmt: skip

CASES = [
    (kind, name, nth)
    for kind, readers in (("dataset", OF_DATASET), ("run", OF_RUN))
    for name, every in readers.items()
    for nth in range(len(every))
]


@pytest.fixture
def place(dataset, trained, tmp_path):
    shutil.copytree(dataset.directory, tmp_path / "dataset")
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def replace_by_fifo(file):
    file.unlink()
    os.mkfifo(file)


def replace_by_directory(file):
    file.unlink()
    file.mkdir()


def replace_by_loop(file):
    file.unlink()
    file.symlink_to(file)


@pytest.mark.parametrize("change", [flip, replace_by_fifo, replace_by_directory, replace_by_loop])
@pytest.mark.parametrize(("kind", "name", "nth"), CASES)
def test_no_reader_takes_a_damaged_file_or_what_is_none(place, kind, name, nth, change):
    read = {"dataset": OF_DATASET, "run": OF_RUN}[kind][name][nth]
    read(place / kind)
    change(min((place / kind).glob(name)))
    with pytest.raises((DataError, InputMissing)):
        read(place / kind)


def test_every_file_of_a_dataset_and_a_run_has_its_readers_listed(place):
    """Files that nobody reads back are named here too."""
    never_read = {"metrics.jsonl", "evaluation.json"}
    of_resuming = {"state.npz", "state.previous.npz"}  # tests/training/test_resume.py
    listed = {name.partition("/")[0] for name in (*OF_DATASET, *OF_RUN)} | never_read | of_resuming
    for kind in ("dataset", "run"):
        for file in (place / kind).iterdir():
            assert any(file.match(name) for name in listed), file
