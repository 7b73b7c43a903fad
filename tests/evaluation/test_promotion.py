"""Nights of a gate, simulated: what is promoted, and what is lost in the end."""

import json
import shutil
from typing import NamedTuple

import numpy as np
import pytest
from helpers import texts_of

from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.decisions.significance import default_margin, paired_interval, paired_test
from lowmem_sentiment.evaluation.evaluate import evaluate_runs
from lowmem_sentiment.evaluation.settings import EvaluationSettings
from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.preparation.settings import PreparationSettings
from lowmem_sentiment.sources.files import FilesSource
from lowmem_sentiment.sources.settings import FilesSettings
from lowmem_sentiment.system.errors import SettingsError


class Nights(NamedTuple):
    promoted: int
    lost: float
    """How much lower the accuracy of the last live run is than the first one's, in truth."""


def simulate(
    worse: float, promote: str | None, *, best: bool, nights: int = 200, reviews: int = 10_000
) -> Nights:
    """Return what a gate of `scripts/evaluate.sh` does, with a different test set each night.

    Each candidate is `worse` than the live run that it would replace, and 3 % of the reviews are right by
    only one of two equally good runs. With `best` the baseline is the best run ever promoted, otherwise
    the live run.
    """
    generator = np.random.default_rng(5)
    live, reference, promoted = 0.0, 0.0, 0
    for _ in range(nights):
        candidate = live - worse
        loss = (reference if best else live) - candidate
        cells = [0.015 + max(loss, 0), 0.015 + max(-loss, 0)]
        only_baseline, only_run, _ = generator.multinomial(reviews, [*cells, 1 - sum(cells)]).tolist()
        test = paired_test("best", 0.9, only_baseline, only_run, reviews, 0.05)
        if test.refusal(promote, default_margin(reviews)) is None:
            live, promoted = candidate, promoted + 1
            reference = candidate if test.significantly_better else reference
    return Nights(promoted, -live)


def test_many_small_losses_do_not_add_up_against_the_best_run_ever():
    before = simulate(0.002, None, best=False)
    assert before.promoted > 150 and before.lost > 0.3
    assert simulate(0.002, None, best=True).lost <= 0.012
    assert simulate(0.002, "not-worse", best=True).lost <= 0.006


def test_nearly_every_run_that_is_as_good_is_promoted():
    for promote in (None, "not-worse"):
        for reviews in (100, 500, 2_000, 10_000):
            assert simulate(0, promote, best=True, reviews=reviews).promoted > 150
    assert simulate(0, "better", best=True).promoted < 20


def test_the_interval_holds_the_true_difference_as_often_as_it_says():
    generator = np.random.default_rng(3)
    for reviews, cells in ((100, [0.05, 0.12]), (2_000, [0.03, 0.03])):
        drawn = generator.multinomial(reviews, [*cells, 1 - sum(cells)], 2_000).tolist()
        ends = [paired_interval(one, other, reviews, 0.05) for one, other, _ in drawn]
        held = np.mean([low <= cells[0] - cells[1] <= high for low, high in ends])
        assert held == pytest.approx(0.95, abs=0.02)


def test_a_refusal_says_which_margin_would_do():
    test = paired_test("live", 0.8, 50, 48, 1_000, 0.05)
    assert test.refusal(None, 0.005) is None
    refusal = test.refusal("not-worse", 0.005)
    assert refusal.startswith("it may be 0.50% or more worse than live: -0.20%, -2.1")
    assert refusal.endswith("needs a --margin above 0.019")
    assert test.refusal("better", 0.005).startswith("not significantly better than live: -0.20%")
    assert paired_test("live", 0.8, 10, 60, 1_000, 0.05).refusal("better", 0.005) is None


def test_a_promotion_needs_a_baseline(trained):
    with pytest.raises(SettingsError, match="promote is 'better', and no baseline was given"):
        evaluate_runs([trained], settings=EvaluationSettings(promote="better"))


def test_test_reviews_that_the_baseline_was_trained_on_are_left_out_and_counted(evaluated, tmp_path):
    run, texts = evaluated
    words = PreparationSettings(vocabulary=run)
    same = prepare(FilesSource([texts], FilesSettings()), tmp_path / "same", words)
    (comparison,) = evaluate_runs([run], [same], baseline=run)
    assert comparison.evaluations[0].left_out == 0  # by hash no text changes its split
    source = FilesSource([texts], FilesSettings(split="stratified"))
    dataset = prepare(source, tmp_path / "stratified", words)
    rows = tmp_path / "rows.jsonl"
    (comparison,) = evaluate_runs([run], [dataset], baseline=run, predictions=rows)
    (evaluation,) = comparison.evaluations
    before, tested = set(texts_of(Dataset(run.parent / "data"), "train")), texts_of(dataset, "test")
    kept = [nth for nth, text in enumerate(tested) if text not in before]
    assert 0 < len(kept) < 50 and evaluation.left_out == len(tested) - len(kept)
    assert evaluation.reviews == len(kept) and evaluation.to_json()["left_out"] == evaluation.left_out
    assert [json.loads(line)["number"] for line in rows.read_text().splitlines()] == kept


def test_a_comparison_that_may_flatter_the_baseline_is_refused(evaluated, tmp_path):
    run, texts = evaluated
    copy = shutil.copytree(run, tmp_path / "elsewhere" / "run")  # its dataset is not beside it
    moved = run.parent / "data"
    moved.rename(tmp_path / "hidden")
    try:
        source = FilesSource([texts], FilesSettings(split="stratified"))
        dataset = prepare(source, tmp_path / "stratified", PreparationSettings(vocabulary=run))
        with pytest.raises(SettingsError, match="may have been trained on test reviews of"):
            evaluate_runs([copy], [dataset], baseline=copy)
    finally:
        (tmp_path / "hidden").rename(moved)
