"""A run that starts from the weights of another, its parent."""

from dataclasses import replace

import numpy as np
import pytest

from lowmem_sentiment.evaluation.evaluate import evaluate
from lowmem_sentiment.model.numpy_model import NumpyModel
from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.preparation.settings import PreparationSettings
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.sources.files import FilesSource
from lowmem_sentiment.system.errors import DataError, SettingsError
from lowmem_sentiment.training.train import train

SMALL = TrainingSettings(epochs=2, batch_size=8, hidden=(6,), dropout=(), learning_rate=0.02)
WORDS = {"good": ["great", "wonderful", "moving", "funny"], "bad": ["awful", "boring", "dull", "worst"]}


def write_texts(path, count, seed):
    generator = np.random.default_rng(seed)
    lines = []
    for nth in range(count):
        label = ("good", "bad")[nth % 2]
        words = [*generator.choice(WORDS[label], 2), "the", "film", f"word{generator.integers(30)}"]
        lines.append(f"__label__{label} {' '.join(words)} {nth}")
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """Return a folder with a dataset, old, a run on it, parent, and new, with the run's words."""
    folder = tmp_path_factory.mktemp("parent")
    one = PreparationSettings(workers=1)
    prepare(FilesSource([write_texts(folder / "old.txt", 200, 1)]), folder / "old", one)
    train(folder / "old", folder / "parent", SMALL)
    new = PreparationSettings(workers=1, vocabulary=folder / "parent")
    prepare(FilesSource([write_texts(folder / "new.txt", 60, 2)]), folder / "new", new)
    return folder


@pytest.mark.slow
def test_a_run_trains_on_from_the_weights_of_its_parent_and_records_it(old):
    summary = train(old / "new", old / "child", replace(SMALL, epochs=1), start_from=old / "parent")
    assert summary.parent == str((old / "parent").resolve())
    assert RunDirectory(old / "child").config()["parent"]["path"] == summary.parent
    train(old / "new", old / "alone", replace(SMALL, epochs=1))
    assert summary.metrics["loss"] < RunDirectory(old / "alone").summary().metrics["loss"]
    scores = [evaluate(old / name, old / "new").accuracy for name in ("child", "alone")]
    assert scores[0] >= scores[1]
    assert evaluate(old / "child", old / "old").accuracy > 0.5


@pytest.mark.slow
def test_training_starts_where_the_parent_ended(old):
    still = replace(SMALL, epochs=1, learning_rate=1e-12)
    train(old / "new", old / "still", still, start_from=old / "parent")
    parent, child = (NumpyModel.load(RunDirectory(old / name)) for name in ("parent", "still"))
    for one, other in zip(parent.kernels + parent.biases, child.kernels + child.biases, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-8)


@pytest.mark.slow
def test_other_words_are_refused_and_the_way_to_have_the_same_is_named(old, tmp_path):
    prepare(FilesSource([old / "new.txt"]), tmp_path / "other", PreparationSettings(workers=1))
    with pytest.raises(DataError, match="a different vocabulary than .* prepare .* --vocabulary"):
        train(tmp_path / "other", tmp_path / "child", SMALL, start_from=old / "parent")
    assert not (tmp_path / "child").exists()


def test_other_layers_are_refused(old, tmp_path):
    with pytest.raises(SettingsError, match="hidden is 5, .* has 6; expected the same"):
        train(old / "new", tmp_path / "child", replace(SMALL, hidden=(5,)), start_from=old / "parent")


def test_a_run_that_is_resumed_takes_no_parent(old, tmp_path):
    with pytest.raises(SettingsError, match="a resumed run has its own weights"):
        train(old / "new", old / "parent", SMALL, start_from=old / "parent", resume=True)


@pytest.mark.slow
def test_an_early_stopped_run_says_why_more_epochs_change_nothing(old, tmp_path):
    settings = replace(
        SMALL, epochs=9, early_stopping=1, keep_best=True, validation_split=0.2, best_by="f1"
    )
    first = train(old / "old", tmp_path / "run", settings)
    assert first.epochs < 9
    assert 0.5 < first.metrics["val_macro_f1"] <= 1
    lines = []
    more = replace(settings, epochs=12)
    again = train(old / "old", tmp_path / "run", more, resume=True, report=lines.append)
    assert again == first
    assert "ended early" in lines[-1]
    assert f"--from {tmp_path / 'run'}" in lines[-1]
