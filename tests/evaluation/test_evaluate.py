import json
import shutil
import tracemalloc
from dataclasses import replace

import keras
import numpy as np
import pytest
from helpers import write_imdb

from lowmem_sentiment.cli.evaluation_lines import evaluation_lines
from lowmem_sentiment.evaluation.evaluate import evaluate, evaluate_runs
from lowmem_sentiment.evaluation.intervals import intervals
from lowmem_sentiment.evaluation.results import Evaluation
from lowmem_sentiment.evaluation.scoring import Tally
from lowmem_sentiment.model.metrics import from_confusion_matrix
from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.sources.keras_datasets import ImdbSource
from lowmem_sentiment.system.errors import DataError, InputMissing
from lowmem_sentiment.training.input_pipeline import batches


def exact_auc(labels, scores):
    """Return the share of (positive, negative) pairs in the right order, ties by half."""
    positive, negative = scores[labels == 1][:, None], scores[labels == 0][None]
    return (positive > negative).mean() + (positive == negative).mean() / 2


@pytest.mark.slow
def test_metrics_are_those_computed_by_hand(trained, dataset, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    for split in ("test", "train"):
        evaluation = evaluate(run, dataset, split=split).to_json()
        rows = list(batches(dataset, split, TrainingSettings(num_words=dataset.num_ids), shuffle=False))
        model = keras.models.load_model(run / "model.keras", compile=False)
        scores = np.concatenate([model.predict(row, verbose=0)[:, 0] for row, _ in rows]).astype(float)
        labels = np.concatenate([label for _, label in rows])
        said = scores > 0.5
        counts = [[np.sum((labels == true) & (said == guess)) for guess in (0, 1)] for true in (0, 1)]
        assert evaluation["confusion_matrix"] == counts
        (_, wrong_positive), (wrong_negative, right) = counts
        assert evaluation["accuracy"] == np.mean(said == labels)
        assert evaluation["precision"] == right / (right + wrong_positive)
        assert evaluation["recall"] == right / (right + wrong_negative)
        assert evaluation["f1"] == pytest.approx(
            2 * right / (2 * right + wrong_positive + wrong_negative)
        )
        loss = -np.mean(labels * np.log(scores) + (1 - labels) * np.log(1 - scores))
        assert evaluation["loss"] == pytest.approx(loss, rel=1e-5)
        assert evaluation["auc"] == pytest.approx(exact_auc(labels, scores), abs=2e-3)
        assert evaluation["brier"] == pytest.approx(np.mean((scores - labels) ** 2), rel=1e-5)
        assert evaluation["by_label"]["positive"]["recall"] == evaluation["recall"]
        assert evaluation["reviews"] == len(labels) == dataset.num_reviews(split)
    assert (run / "evaluation.json").exists()
    assert evaluate(run).dataset == str(dataset.directory.resolve())


@pytest.mark.slow
def test_a_thousand_labels_of_any_length_take_the_memory_of_their_counts():
    """Nothing but the counts grows with the square of the labels."""
    peaks = []
    for count in (250, 1_000):
        labels = [f"{nth} {'label' * 100}" for nth in range(count)]
        tally = Tally(labels)
        generator = np.random.default_rng(1)
        np.add.at(tally.counts, tuple(generator.integers(0, count, (2, 20_000))), 1)
        tracemalloc.start()
        metrics, by_label = tally.metrics()
        of_metrics, of_labels = intervals(tally)
        evaluation = Evaluation(
            "run", "data", None, None, "", 20_000, labels, metrics, by_label, tally.counts, of_metrics,
            of_labels, {}, "",
        )  # fmt: skip
        text = json.dumps(evaluation.to_json(), indent=1)
        lines = evaluation_lines(evaluation)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(json.loads(text)["confusions"]) == 1_000
        assert sum(map(len, lines)) < 1_000 * count
    assert peaks[1] < 6 * peaks[0]


def test_confusions_are_the_most_frequent_first(trained):
    evaluation = evaluate_runs([trained])[0].evaluations[0]
    counts = np.array([[5, 3, 0], [2, 2, 4], [0, 3, 0]], np.uint32)
    evaluation = replace(evaluation, labels=["a", "b", "c"], confusion_matrix=counts)
    assert evaluation.confusions(3) == [("b", "c", 4), ("a", "b", 3), ("c", "b", 3)]


def test_three_labels_get_metrics_by_label_and_averages():
    counts = np.array([[5, 1, 0], [2, 2, 0], [0, 0, 0]])
    result = from_confusion_matrix(counts, ["a", "b", "c"])
    assert result["accuracy"] == 0.7
    assert result["by_label"]["a"]["precision"] == 5 / 7
    assert result["by_label"]["a"]["recall"] == 5 / 6
    assert result["by_label"]["c"] == {"precision": 0, "recall": 0, "f1": 0, "reviews": 0}
    assert result["macro_recall"] == pytest.approx((5 / 6 + 1 / 2 + 0) / 3)
    assert result["weighted_recall"] == pytest.approx(0.7)


def test_another_vocabulary_and_other_labels_are_refused(trained, imdb_files, tmp_path):
    npz, index = write_imdb(tmp_path)
    index.write_text(index.read_text().replace('"film"', '"movie"'))
    other = prepare(ImdbSource(npz, index), tmp_path / "other")
    with pytest.raises(DataError, match="has a different vocabulary than .* expected .*, or data"):
        evaluate(trained, other)
    run = RunDirectory(shutil.copytree(trained, tmp_path / "run"))
    config = run.config()
    run.write_json(
        run.config_file, {**config, "dataset": {**config["dataset"], "path": str(other.directory)}}
    )
    with pytest.raises(DataError, match=r"\(it was prepared anew since\); expected data prepared with"):
        evaluate(run.path, other)
    source = ImdbSource(*imdb_files)
    source.labels = ["bad", "good"]
    other = prepare(source, tmp_path / "renamed")
    with pytest.raises(DataError, match="has the labels bad, good; .* trained with negative, positive"):
        evaluate(trained, other)


def test_a_run_that_is_none_unfinished_or_damaged_is_named(trained, tmp_path):
    with pytest.raises(InputMissing, match="is not a run directory; make one"):
        evaluate(tmp_path / "none")
    with pytest.raises(InputMissing, match=r"holds no run: it has no config\.json"):
        evaluate(tmp_path)
    run = shutil.copytree(trained, tmp_path / "run")
    (run / "weights.npz").unlink()  # without it, evaluation is Keras'
    model = run / "model.keras"
    whole = model.read_bytes()
    model.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"model\.keras is damaged"):
        evaluate(run)
    model.unlink()
    with pytest.raises(InputMissing, match=r"is not finished; resume it"):
        evaluate(run)
