import math
import shutil

import numpy as np
import pytest

from lowmem_sentiment.cli import main
from lowmem_sentiment.evaluation.compare import compare, in_words, mcnemar
from lowmem_sentiment.evaluation.evaluate import evaluate
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.system.errors import DataError, InputMissing, SettingsError
from lowmem_sentiment.training.train import train


def bits(only_first, only_second, both=3):
    first = [1] * only_first + [0] * only_second + [1] * both
    second = [0] * only_first + [1] * only_second + [1] * both
    return np.packbits(first), np.packbits(second)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (5, 0), (3, 8), (10, 10), (40, 25), (700, 600)])
def test_the_test_is_the_exact_binomial_one(b, c):
    test = mcnemar(*bits(b, c))
    assert (test["only_first_right"], test["only_second_right"]) == (b, c)
    chance = 2 * sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)
    assert test["p_value"] == pytest.approx(min(1, chance), rel=1e-9)


def test_it_is_said_in_words():
    assert in_words(mcnemar(*bits(0, 0))) == "both are right on exactly the same reviews"
    assert "may well be chance" in in_words(mcnemar(*bits(5, 4)))
    assert "in 100% of such comparisons" in in_words(mcnemar(*bits(5, 4)))
    assert "the first is better" in in_words(mcnemar(*bits(30, 4)))
    assert "this one is better" in in_words(mcnemar(*bits(4, 30)))
    assert "in less than 0.1% of such comparisons" in in_words(mcnemar(*bits(4, 30)))


@pytest.fixture(scope="module")
def other(dataset, tmp_path_factory):
    """A run that knows fewer words and has learnt less."""
    run = tmp_path_factory.mktemp("comparison") / "other"
    train(dataset, run, TrainingSettings(epochs=1, batch_size=8, hidden=(3,), dropout=(), num_words=20))
    return run


def test_metrics_are_those_of_tensorflow_and_settings_that_differ_are_told(trained, other, tmp_path):
    runs = [shutil.copytree(run, tmp_path / name) for name, run in (("a", trained), ("b", other))]
    comparison = compare(runs)
    for run, measures in zip(runs, comparison["metrics"], strict=True):
        evaluation = evaluate(run)
        for name in ("accuracy", "precision", "recall", "f1"):
            assert measures[name] == pytest.approx(evaluation[name])
        assert measures["auc"] == pytest.approx(evaluation["auc"], abs=2e-3)
    assert comparison["settings"]["hidden"] == [[8, 4], [3]]
    assert comparison["settings"]["num_words"] == [26, 20]
    assert "batch_size" not in comparison["settings"] and "dataset" not in comparison["settings"]
    (test,) = comparison["against_first"]
    first, second = (measures["accuracy"] for measures in comparison["metrics"])
    assert test["only_first_right"] - test["only_second_right"] == round((first - second) * 40)


def test_runs_that_cannot_be_compared_are_told(trained, tmp_path):
    with pytest.raises(SettingsError, match="1 run is given, expected two or more"):
        compare([trained])
    run = shutil.copytree(trained, tmp_path / "run")
    weights = run / "weights.npz"
    damaged = bytearray(weights.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    weights.write_bytes(damaged)
    with pytest.raises(DataError, match=r"weights\.npz is damaged"):
        compare([trained, run])
    weights.unlink()
    with pytest.raises(InputMissing, match=r"has no weights\.npz"):
        compare([trained, run])


def test_a_person_gets_a_table_and_a_sentence(trained, other, capsys):
    assert main(["compare", str(trained), str(other)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("40 test reviews of 200 IMDb reviews")
    assert any(line.split() == ["hidden", "8,4", "3"] for line in lines)
    assert f"{other} against the first: " in lines[-1]
