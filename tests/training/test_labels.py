"""More than two labels, and unbalanced ones, from text to evaluation."""

import numpy as np
import pytest

from lowmem_sentiment.cli import main
from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.sources.files import FilesSource
from lowmem_sentiment.sources.settings import FilesSettings
from lowmem_sentiment.system.errors import Resumable

LEANING = {"negative": ["awful", "dull"], "neutral": ["fair", "usual"], "positive": ["great", "moving"]}
SMALL = TrainingSettings(epochs=4, batch_size=8, hidden=(16,), dropout=(), learning_rate=0.02)


def write_dataset(folder, counts: dict[str, int]) -> Dataset:
    generator = np.random.default_rng(5)
    lines = []
    for label, count in counts.items():
        for _ in range(count):
            plain = generator.choice(["the", "film", "a", "was", "plot"], 5)
            words = [*plain, generator.choice(LEANING[label])]
            lines.append(f"__label__{label} {' '.join(words)} {generator.integers(10**6)}\n")
    path = folder / "reviews.txt"
    path.write_text("".join(lines))
    return prepare(FilesSource([path], FilesSettings(test_fraction=0.3)), folder / "data")


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> Dataset:
    return write_dataset(tmp_path_factory.mktemp("three"), dict.fromkeys(LEANING, 60))


@pytest.fixture(scope="module")
def unbalanced(tmp_path_factory) -> Dataset:
    return write_dataset(tmp_path_factory.mktemp("two"), {"negative": 20, "positive": 180})


@pytest.mark.slow
def test_three_labels_train_and_evaluate(three, tmp_path):
    from lowmem_sentiment.evaluation.evaluate import evaluate
    from lowmem_sentiment.model.keras_model import load_model
    from lowmem_sentiment.runs.run_directory import RunDirectory
    from lowmem_sentiment.training.train import train

    train(three, tmp_path / "run", SMALL)
    network = load_model(RunDirectory(tmp_path / "run"))
    assert network.output_shape == (None, 3)
    assert network.layers[-1].activation.__name__ == "softmax"
    evaluation = evaluate(tmp_path / "run")
    assert evaluation.labels == ["negative", "neutral", "positive"]
    assert evaluation.accuracy > 0.9
    counts = evaluation.confusion_matrix
    assert counts.shape == (3, 3)
    assert counts.sum() == three.num_reviews("test")
    assert set(evaluation.by_label) == set(evaluation.labels)
    assert evaluation.metrics["macro_f1"] > 0.9 and evaluation.metrics["weighted_f1"] > 0.9


def test_an_unbalanced_dataset_is_warned_of(unbalanced, three):
    assert three.imbalance() is None
    assert "of the training reviews are 'positive'" in unbalanced.imbalance()
    assert "--class-weight balanced" in unbalanced.imbalance()


def test_balanced_weights_make_each_label_weigh_the_same(unbalanced):
    from lowmem_sentiment.training.job import Job
    from lowmem_sentiment.training.single_process import SingleProcess

    counts = unbalanced.manifest["splits"]["train"]["labels"]
    settings = TrainingSettings(num_words=8, class_weight="balanced")
    weights = Job(unbalanced, settings, SingleProcess()).class_weight
    assert weights[0] * counts[0] == pytest.approx(weights[1] * counts[1])
    assert weights[0] * counts[0] + weights[1] * counts[1] == pytest.approx(sum(counts))


def test_train_warns_of_an_unbalanced_dataset(unbalanced, tmp_path, capsys, monkeypatch):
    def stop(*arguments):
        raise Resumable("before the first step")

    monkeypatch.setattr("lowmem_sentiment.cli.train._train", stop)
    command = ["train", str(unbalanced.directory), "--run", str(tmp_path / "run")]
    assert main(command) == 75
    assert "of the training reviews are 'positive'" in capsys.readouterr().err
    assert main([*command, "--class-weight", "balanced"]) == 75
    assert "of the training reviews are" not in capsys.readouterr().err
