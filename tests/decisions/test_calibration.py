import numpy as np
import pytest
from helpers import random_texts, write_run

from lowmem_sentiment.cli import main
from lowmem_sentiment.decisions.calibration import Calibration, TemperatureFit
from lowmem_sentiment.decisions.records import write_record
from lowmem_sentiment.decisions.settings import DecisionSettings
from lowmem_sentiment.decisions.thresholds import ChosenThreshold
from lowmem_sentiment.evaluation.evaluate import evaluate
from lowmem_sentiment.evaluation.predict import Predictor
from lowmem_sentiment.model.decision import Decision
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.system.errors import CheckFailed, InputMissing


@pytest.mark.parametrize("labels", [2, 20])
@pytest.mark.parametrize("true_temperature", [0.4, 1.0, 3.0])
def test_the_temperature_has_the_least_loss_of_all(labels, true_temperature):
    generator = np.random.default_rng(labels)
    logits = generator.normal(0, 2, (2_000, labels)).astype(np.float32)
    true = (logits / true_temperature + generator.gumbel(size=logits.shape)).argmax(axis=1)
    fit = TemperatureFit()
    for at in range(0, 2_000, 300):
        fit.add(logits[at : at + 300], true[at : at + 300])
    found = fit.temperature()
    assert found == pytest.approx(true_temperature, rel=0.15) and fit.texts == 2_000

    def loss(temperature):
        scaled = logits.astype(np.float64) / temperature
        return (np.logaddexp.reduce(scaled, axis=1) - scaled[np.arange(2_000), true]).mean()

    assert loss(found) < min(loss(found * 1.01), loss(found / 1.01))


def test_a_model_that_is_always_right_has_no_temperature():
    fit = TemperatureFit()
    fit.add(np.array([[3.0, 0.0], [0.0, 3.0]]), np.array([0, 1]))
    with pytest.raises(CheckFailed, match="nearly all, or none, are right"):
        fit.temperature()


def test_a_calibrated_run_keeps_its_labels_and_is_as_sure_as_it_is_right(noisy_run):
    with pytest.raises(InputMissing, match=r"no calibration.json; .* evaluate .* --calibrate"):
        evaluate(noisy_run, calibrated="run")
    plain, after = evaluate(noisy_run), evaluate(noisy_run, calibrate=True)
    assert (plain.confusion_matrix == after.confusion_matrix).all()
    before = after.correction.before
    assert before["calibration_error"] == pytest.approx(plain.metrics["calibration_error"], abs=1e-6)
    assert before["loss"] == pytest.approx(plain.loss, abs=1e-6)
    assert after.correction.temperature != 1 and after.loss != plain.loss
    again = evaluate(noisy_run, calibrated="run")
    assert again.metrics == after.metrics and again.correction == after.correction
    predictor = Predictor(noisy_run)
    corrected = predictor.decision(DecisionSettings(calibrated="run"))
    texts = ["great the film", "the film was", "wonderful plot it a"]
    one, other = predictor.predict(texts), predictor.predict(texts, corrected)
    assert [each.label for each in one] == [each.label for each in other]
    assert [each.probability for each in one] != [each.probability for each in other]


def test_a_recorded_threshold_is_translated(tmp_path):
    run = write_run(tmp_path / "run")
    write_record(run, ChosenThreshold("", "", 0.8, "f1", "positive", {}))
    write_record(run, Calibration("", "", 2.0, 10))
    predictor = Predictor(run.path)
    both = predictor.decision(DecisionSettings(threshold="run", calibrated="run"))
    assert both == Decision(pytest.approx(2 / 3), 2.0)  # log-odds of log(4), halved
    found, expected = (predictor.predict(random_texts(50), each) for each in (both, Decision(0.8)))
    assert [each.label for each in found] == [each.label for each in expected]


@pytest.mark.slow
def test_reviews_that_helped_to_rank_the_ngrams_promise_nothing(noisy_reviews, tmp_path, capsys):
    data, run = str(tmp_path / "data"), str(tmp_path / "run")
    assert main(["prepare", "files", str(noisy_reviews), "--recipe", "ngrams", "--out", data]) == 0
    training = ["--run", run, "--validation-split", "0.2", "--epochs", "1"]
    assert main(["train", data, *training]) == 0
    assert not RunDirectory(run).path.joinpath("abstention.json").exists()
    capsys.readouterr()
    assert main(["evaluate", run, "--abstain", "error=0.3"]) == 2
    assert "cannot choose by its validation split: the n-grams were chosen" in capsys.readouterr().err
