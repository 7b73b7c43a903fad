import json
import shutil

import numpy as np
import pytest

from lowmem_sentiment.cli import main
from lowmem_sentiment.evaluation.paired_bootstrap import PairedBootstrap, split_metric
from lowmem_sentiment.evaluation.scoring import Batch, Scores, Tally
from lowmem_sentiment.system.errors import SettingsError

LABELS = ["a", "b", "c", "d"]


def guesses(generator, true, probability, labels):
    """Return float[n, labels] whose largest is the true label with about this probability."""
    noise = generator.random((len(true), labels))
    noise[np.arange(len(true)), true] += np.where(generator.random(len(true)) < probability, 1, 0)
    return noise / noise.sum(axis=1, keepdims=True)


def compared(metric, labels, true, one, other, batch_size=200):
    bootstrap = PairedBootstrap(metric, labels, 0, 1)
    for at in range(0, len(true), batch_size):
        part = slice(at, at + batch_size)
        batch = Batch(*[None] * len(Batch._fields))._replace(labels=true[part])
        scores = []
        for each in (one, other):
            predicted = each[part].argmax(axis=1)
            scores.append(Scores(each[part], predicted, predicted == true[part], []))
        bootstrap(batch, scores)
    return bootstrap.difference(0.05)


def metric_of(metric, labels, true, probabilities):
    tally = Tally(labels)
    tally.add(true, probabilities, np.zeros(len(true)))
    metrics, by_label = tally.metrics()
    name, _, label = metric.partition(":")
    return getattr(by_label[label], name) if label else metrics[name]


@pytest.mark.parametrize(
    ("metric", "labels"),
    [("accuracy", LABELS), ("macro_f1", LABELS), ("precision:b", LABELS), ("recall:d", LABELS),
     ("f1", LABELS[:2]), ("auc", LABELS[:2])],
)  # fmt: skip
def test_drawing_counts_is_drawing_reviews(metric, labels):
    generator = np.random.default_rng(5)
    true = generator.integers(0, len(labels), 600)
    one, other = (guesses(generator, true, chance, len(labels)) for chance in (0.8, 0.7))
    found = compared(metric, labels, true, one, other)
    values = [metric_of(metric, labels, true, each) for each in (one, other)]
    assert [found.value, found.baseline] == pytest.approx(values, abs=2e-3 if metric == "auc" else 1e-9)
    assert found == compared(metric, labels, true, one, other)
    differences = []
    for _ in range(400):
        drawn = generator.integers(0, 600, 600)
        first, second = (metric_of(metric, labels, true[drawn], each[drawn]) for each in (one, other))
        differences.append(first - second)
    assert found.interval == pytest.approx(np.quantile(differences, [0.025, 0.975]), abs=0.015)


def test_equally_good_runs_are_seldom_called_worse():
    """By chance 2.5 of 100 are called worse, and as many better."""
    generator, worse, better = np.random.default_rng(8), 0, 0
    for _ in range(100):
        true = generator.integers(0, 4, 300)
        found = compared("macro_f1", LABELS, true, *(guesses(generator, true, 0.7, 4) for _ in range(2)))
        worse, better = worse + found.significantly_worse, better + found.significantly_better
    assert worse <= 7 and better <= 7


@pytest.mark.parametrize("metric", ["loss", "auc", "f1", "recall:x", "weighted_f1", "brier:a"])
def test_a_metric_that_is_not_compared_is_refused(metric):
    with pytest.raises(SettingsError, match="expected one of accuracy, macro_f1.* recall:d"):
        split_metric(metric, LABELS)


def test_a_named_metric_decides_beside_mcnemars_test(trained, tmp_path, capsys):
    one, other = (shutil.copytree(trained, tmp_path / name) for name in ("one", "other"))
    run = ["evaluate", str(one), "--baseline", str(other), "--metric", "recall:positive"]
    assert main([*run, "--json"]) == 0
    test = json.loads(capsys.readouterr().out)["baseline"]
    assert test["metric"]["metric"] == "recall:positive" and test["metric"]["interval"] == [0, 0]
    assert test["p_value"] == 1
    assert main([*run, "--promote", "better"]) == 1
    assert "not significantly better than" in capsys.readouterr().err
    assert main([*run[:4], "--metric", "recall:eggs"]) == 2
