import shutil

import numpy as np
import pytest

from lowmem_sentiment.cli import main
from lowmem_sentiment.decisions.recorded import recorded
from lowmem_sentiment.decisions.thresholds import ChosenThreshold, choose, parse_rule
from lowmem_sentiment.evaluation.evaluate import evaluate
from lowmem_sentiment.model.metrics import SCORE_BINS, score_bins
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.system.errors import CheckFailed, DataError, InputMissing, SettingsError


@pytest.fixture(scope="module")
def scored():
    generator = np.random.default_rng(3)
    labels = (generator.random(3_000) < 0.2).astype(int)
    scores = np.clip(generator.normal(0.2 + 0.3 * labels, 0.15), 0, 1)
    bins = np.zeros((2, SCORE_BINS), np.int64)
    np.add.at(bins, (labels, score_bins(scores)), 1)
    return labels, scores, bins


def by_hand(labels, scores, threshold):
    predicted = scores > threshold
    right = np.sum(predicted & (labels == 1))
    precision, recall = right / max(1, predicted.sum()), right / labels.sum()
    return {"precision": precision, "recall": recall, "f1": 2 * right / (predicted.sum() + labels.sum())}


@pytest.mark.parametrize("text", ["f1", "precision=0.8", "recall=0.9"])
def test_the_best_threshold_of_all_is_chosen(scored, text):
    labels, scores, bins = scored
    metric, at_least = parse_rule(text)
    threshold, metrics = choose(text, bins)
    assert metrics == pytest.approx(by_hand(labels, scores, threshold))
    every = [by_hand(labels, scores, place / SCORE_BINS) for place in range(SCORE_BINS + 1)]
    if text == "f1":
        best = max(each["f1"] for each in every)
        assert metrics["f1"] == pytest.approx(best)
    else:
        other = "recall" if metric == "precision" else "precision"
        best = max(each[other] for each in every if each[metric] >= at_least)
        assert metrics[metric] >= at_least and metrics[other] == pytest.approx(best)


def test_a_precision_that_no_threshold_has_is_a_failed_check():
    bins = np.zeros((2, SCORE_BINS), np.int64)
    bins[0, -1] = bins[1, -1] = 5  # the surest are half wrong
    with pytest.raises(CheckFailed, match=r"precision of 0\.95 .*; the highest there is 0\.5000"):
        choose("precision=0.95", bins)


@pytest.mark.parametrize("text", ["f2", "f1=0.5", "precision", "precision=2", "recall=x", "recall=0"])
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(SettingsError, match="expected f1, precision=P or recall=P"):
        parse_rule(text)


def recorded_threshold(run):
    return recorded(RunDirectory(run), ChosenThreshold).threshold


@pytest.fixture
def run(validated, tmp_path):
    return shutil.copytree(validated, tmp_path / "run")


@pytest.fixture(scope="module")
def validated(dataset, tmp_path_factory):
    from lowmem_sentiment.training.train import train

    run = tmp_path_factory.mktemp("validated") / "run"
    settings = TrainingSettings(
        epochs=2, batch_size=8, hidden=(4,), dropout=(), learning_rate=0.02, validation_split=0.25
    )
    train(dataset, run, settings)
    return run


@pytest.mark.slow
def test_a_chosen_threshold_is_recorded_and_used_when_asked_for(run, capsys):
    report = evaluate(run, choose_threshold="recall=0.9")
    chosen = report.threshold_chosen
    assert report.threshold == chosen.threshold == recorded_threshold(run)
    on_validation = evaluate(run, split="validation", threshold="run")
    for name in ("precision", "recall", "f1"):
        assert on_validation.metrics[name] == pytest.approx(chosen.metrics[name])
    assert on_validation.reviews == 40
    assert not evaluate(run).threshold_chosen  # and 0.5 again
    assert recorded_threshold(run) == chosen.threshold
    assert main(["predict", str(run), "--threshold", "run", "great film", "plot"]) == 0
    with_run = capsys.readouterr().out
    assert main(["predict", str(run), "--threshold", str(chosen.threshold), "great film", "plot"]) == 0
    assert capsys.readouterr().out == with_run


@pytest.mark.slow
def test_a_threshold_of_other_weights_is_refused(run, trained):
    with pytest.raises(
        InputMissing, match=r"has no threshold\.json; choose it: lowmem-sentiment evaluate"
    ):
        recorded_threshold(run)
    evaluate(run, choose_threshold="f1")
    shutil.copyfile(trained / "weights.npz", run / "weights.npz")
    with pytest.raises(DataError, match="chosen for other weights .*--choose-threshold f1"):
        recorded_threshold(run)


def test_a_run_without_a_validation_split_cannot_choose(trained):
    with pytest.raises(
        SettingsError, match="no validation split; .* --run .*-validated --validation-split 0.1"
    ):
        evaluate(trained, choose_threshold="f1")
