import csv
import json

import numpy as np
import pytest

from lowmem_sentiment.cli import main
from lowmem_sentiment.decisions.abstention import (
    Abstention,
    KnownWords,
    choose,
    count_by_confidence,
    no_counts,
    parse_target,
)
from lowmem_sentiment.decisions.recorded import recorded
from lowmem_sentiment.decisions.settings import DecisionSettings
from lowmem_sentiment.evaluation.evaluate import evaluate
from lowmem_sentiment.evaluation.predict import Predictor, predict
from lowmem_sentiment.model.decision import FEW_KNOWN_WORDS, NOT_SURE, Decision, confidence
from lowmem_sentiment.model.numpy_model import softmax
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.system.errors import CheckFailed, InputMissing, SettingsError

# The share of wrong answers at each rank of confidence, 0 for the surest text.
WORLDS = {
    "a usual model": lambda rank: 0.003 + 0.35 * rank**4,
    "wrong labels among the surest": lambda rank: 0.03 + 0.2 * rank**3,
    "nowhere good enough, but nearly": lambda rank: 0.051 + 0 * rank,
    "less often right where it is sure": lambda rank: 0.06 - 0.03 * rank,
}


def draw(generator, world, texts):
    """Return counts of texts by confidence, whose log-odds are 8 for the surest and 0 for the others."""
    ranks = generator.random(texts)
    right = generator.random(texts) >= WORLDS[world](ranks)
    sure = 1 / (1 + np.exp(-8 * (1 - ranks)))
    counts = no_counts()
    count_by_confidence(counts, np.stack([sure, 1 - sure], axis=1), right)
    return counts


@pytest.mark.parametrize("texts", [300, 1_000])
@pytest.mark.parametrize("world", WORLDS)
def test_the_promise_holds_in_95_of_100_draws(world, texts):
    generator, broken, answered = np.random.default_rng(4), 0, []
    for _ in range(100):
        try:
            log_odds, _, _ = choose(0.05, draw(generator, world, texts))
        except CheckFailed:
            continue
        reached = 1 - log_odds / 8
        answered.append(reached)
        broken += WORLDS[world](np.linspace(0, min(1, reached), 1_001)).mean() > 0.05
    assert broken <= 5
    if world == "a usual model":  # of which 92 % could be answered
        assert np.mean(answered) > {300: 0.6, 1_000: 0.8}[texts]


def test_a_target_that_cannot_be_met_is_told_with_one_that_can():
    counts = draw(np.random.default_rng(1), "nowhere good enough, but nearly", 2_000)
    with pytest.raises(CheckFailed, match=r"0\.01 cannot be kept .* have a wrong label; error=0\.1 is"):
        choose(0.01, counts)
    choose(0.1, counts)
    with pytest.raises(CheckFailed, match="has 100 texts, too few .* takes 299 without a mistake"):
        choose(0.01, draw(np.random.default_rng(1), "a usual model", 100))


def test_texts_with_fewer_known_words_than_nearly_all_have_are_not_answered():
    known = KnownWords()
    for _ in range(2):
        known.add(np.arange(1, 1_001), np.full(1_000, 1_000))
    assert known.least() == (6, 1 / 256)  # five of 1,000 have fewer, and three less than 1/256 per word
    nothing = KnownWords()
    nothing.add(np.zeros(10, np.int64), np.zeros(10, np.int64))
    assert nothing.least() == (1, 0)
    decision = Decision(least_log_odds=1.0, least_known=6, least_per_word=0.5)
    sure = np.array([[0.9, 0.1], [0.6, 0.4], [0.9, 0.1], [0.9, 0.1]])
    found = decision.reasons(sure, np.array([6, 6, 5, 6]), np.array([12, 6, 5, 13]))
    assert found == [None, NOT_SURE, FEW_KNOWN_WORDS, FEW_KNOWN_WORDS]


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_a_temperature_does_not_change_who_is_answered(temperature):
    logits = np.random.default_rng(2).normal(0, 4, (500, 5))
    plain, shown = map(softmax, (logits, logits / temperature))
    np.testing.assert_allclose(confidence(shown, temperature), confidence(plain), atol=1e-9)
    nearly = np.array([[1 - 1e-7, 1e-7]], np.float32)
    assert confidence(nearly)[0] == pytest.approx(np.log(1e7), abs=0.01)  # 1 - p would be 1.2e-7


@pytest.mark.parametrize("text", ["error", "error=0", "error=1", "error=x", "0.05", "f1"])
def test_what_is_no_target_is_refused(text):
    with pytest.raises(SettingsError, match="expected run, or error=E"):
        parse_target(text)


def test_a_run_that_abstains_says_why_everywhere(noisy_run, tmp_path, capsys):
    report = evaluate(noisy_run, abstain="error=0.3")
    answers, limits = report.answers, recorded(RunDirectory(noisy_run), Abstention)
    assert answers.limits == limits and limits.error == 0.3 and limits.texts == 297
    assert answers.answered + answers.not_sure + answers.few_known_words == report.reviews
    assert answers.error == pytest.approx(1 - answers.right / answers.answered)
    assert evaluate(noisy_run, abstain="run").answers == answers
    texts = ["great the film was", "great wonderful moving the", "xyzzy", "wonderful plot it a"]
    found = predict(noisy_run, texts, abstain="run")
    assert [each.label for each in found] == ["a", None, None, "b"]
    assert [each.reason for each in found] == [None, NOT_SURE, FEW_KNOWN_WORDS, None]
    command = ["predict", str(noisy_run), *texts, "--abstain", "run"]
    assert main([*command, "--json"]) == 0
    lines = list(map(json.loads, capsys.readouterr().out.splitlines()))
    assert (lines[1]["label"], lines[1]["reason"]) == (None, NOT_SURE) and lines[0]["reason"] is None
    assert main([*command, "--csv"]) == 0
    head, first, second, *_ = capsys.readouterr().out.splitlines()
    assert head.startswith("number,label,reason,probability,known,")
    assert first.startswith("0,a,,0.") and second.startswith(f"1,,{NOT_SURE},0.")
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[2].startswith(f"no label: {FEW_KNOWN_WORDS}  0.")


def test_evaluate_writes_the_answers_that_predict_gives(noisy_run, tmp_path, capsys):
    evaluate(noisy_run, abstain="error=0.3")
    texts = ["great the film was", "great wonderful moving the", "xyzzy"]
    rows = tmp_path / "rows.tsv"
    rows.write_text("text\tlabel\n" + "".join(f"{text}\ta\n" for text in texts))
    expected = [(each.label, each.reason) for each in predict(noisy_run, texts, abstain="run")]
    assert expected == [("a", None), (None, NOT_SURE), (None, FEW_KNOWN_WORDS)]
    for name in ("out.jsonl", "out.csv", "out.csv"):  # the second replaces the first
        command = ["evaluate", str(noisy_run), "--file", str(rows), "--abstain", "run", "--predictions"]
        assert main([*command, str(tmp_path / name)]) == 0
    lines = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert [(each["predicted"], each["reason"]) for each in lines] == expected
    with open(tmp_path / "out.csv", newline="") as file:
        found = [(each["predicted"] or None, each["reason"] or None) for each in csv.DictReader(file)]
    assert found == expected


def test_a_missed_target_leaves_the_older_limits(noisy_run, capsys):
    evaluate(noisy_run, abstain="error=0.3")
    before = (noisy_run / "abstention.json").read_bytes()
    assert main(["evaluate", str(noisy_run), "--abstain", "error=0.001"]) == 1
    assert "too few for an error of 0.001" in capsys.readouterr().err
    assert (noisy_run / "abstention.json").read_bytes() == before


def test_limits_that_are_not_there_are_asked_for(trained):
    with pytest.raises(InputMissing, match=r"no abstention.json; .* evaluate .* --abstain error=0.05"):
        Predictor(trained).decision(DecisionSettings(abstain="run"))
    with pytest.raises(SettingsError, match="threshold and abstain were given; expected one of them"):
        predict(trained, ["a"], abstain="run", threshold=0.7)
