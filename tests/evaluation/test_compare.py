import shutil

import pytest

from lowmem_sentiment.cli import main
from lowmem_sentiment.evaluation.compare import compare
from lowmem_sentiment.evaluation.evaluate import evaluate
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.system.errors import DataError, InputMissing, SettingsError
from lowmem_sentiment.training.train import train


@pytest.fixture(scope="module")
def other(dataset, tmp_path_factory):
    """A run that knows fewer words and has learnt less."""
    run = tmp_path_factory.mktemp("comparison") / "other"
    train(dataset, run, TrainingSettings(epochs=1, batch_size=8, hidden=(3,), dropout=(), num_words=20))
    return run


def test_metrics_are_those_of_evaluate_and_settings_that_differ_are_shown(trained, other, tmp_path):
    runs = [shutil.copytree(run, tmp_path / name) for name, run in (("a", trained), ("b", other))]
    comparison = compare(runs)
    for run, metrics in zip(runs, comparison["metrics"], strict=True):
        evaluation = evaluate(run)
        for name in ("accuracy", "precision", "recall", "f1", "auc", "loss"):
            assert metrics[name] == evaluation[name]
    assert comparison["settings"]["hidden"] == [[8, 4], [3]]
    assert comparison["settings"]["num_words"] == [26, 20]
    assert "batch_size" not in comparison["settings"] and "dataset" not in comparison["settings"]
    (test,) = comparison["against_first"]
    first, second = (metrics["accuracy"] for metrics in comparison["metrics"])
    assert test["only_first_right"] - test["only_second_right"] == round((first - second) * 40)


def test_runs_that_cannot_be_compared_are_named(trained, tmp_path):
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
