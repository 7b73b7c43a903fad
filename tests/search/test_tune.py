import csv
import json
import shlex
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from helpers import run_cli, wait_for, write_noisy_reviews

from lowmem_sentiment.cli import main
from lowmem_sentiment.evaluation.scoring import Tally, all_metrics, dataset_batches, score
from lowmem_sentiment.model.numpy_model import NumpyModel
from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.preparation.settings import PreparationSettings
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.search.results import choose, rank
from lowmem_sentiment.search.settings import TuneSettings
from lowmem_sentiment.search.space import SearchSpace, model_bytes
from lowmem_sentiment.search.state import FILE, FORMAT, Result, TuneState
from lowmem_sentiment.search.tune import _Search, tune
from lowmem_sentiment.sources.files import FilesSource
from lowmem_sentiment.sources.settings import FilesSettings
from lowmem_sentiment.system.errors import DataError, OutputExists, SettingsError
from lowmem_sentiment.system.progress import no_progress


def state_of(settings: TuneSettings, *results: Result) -> TuneState:
    return TuneState(FORMAT, 1, "f", settings, 8 << 30, results=list(results))


def space_of(dataset) -> SearchSpace:
    return SearchSpace(dataset, TrainingSettings(validation_split=0.1), 8 << 30)


def test_minutes_and_runs_are_not_both_given():
    assert TuneSettings().minutes == 10 and TuneSettings(runs=3).minutes is None
    with pytest.raises(SettingsError, match="minutes is 5 and runs is 3, expected one of them"):
        TuneSettings(minutes=5, runs=3)


def test_a_metric_that_there_is_not_is_refused_with_those_that_there_are(dataset, tmp_path):
    with pytest.raises(SettingsError, match="expected one of accuracy, macro_f1, auc, loss, f1:neg"):
        tune(dataset, tmp_path / "out", TuneSettings(metric="f2"))


def test_the_metric_of_a_search_is_what_it_is_called():
    """Of three labels: 2 of 3 "a" found, and one "c" called "a"; no "b" is ever predicted."""
    tally = Tally(["a", "b", "c"])
    true, predicted = np.array([0, 0, 0, 1, 2, 2]), np.array([0, 0, 2, 2, 0, 2])
    tally.add(true, np.eye(3, dtype=np.float32)[predicted], np.zeros(6, np.float32))
    values = all_metrics(*tally.metrics())
    assert values["f1:a"] == pytest.approx(2 * 2 / (3 + 3)) and values["f1:b"] == 0
    assert values["f1:c"] == pytest.approx(2 * 1 / (2 + 3))
    assert values["macro_f1"] == pytest.approx((2 / 3 + 0 + 2 / 5) / 3)
    assert values["accuracy"] == pytest.approx(3 / 6) and "auc" not in values
    two_labels = Tally(["a", "b"])
    two_labels.add(np.array([0, 1]), np.eye(2, dtype=np.float32), np.zeros(2, np.float32))
    assert all_metrics(*two_labels.metrics())["auc"] == 1


# --- the state ---


def test_the_state_is_read_back_as_it_was_written(tmp_path):
    settings = TuneSettings(runs=4)
    state = state_of(settings, Result(1, 2, value=0.5, metrics={"loss": 0.1}), Result(2, 1, "failed"))
    state.brackets = [9]
    state.write(tmp_path)
    read = TuneState.open(tmp_path, settings, "f", memory_bytes=1)
    assert read.results == state.results and read.brackets == [9] and read.memory_bytes == 8 << 30


def test_another_search_in_the_folder_is_refused_but_a_longer_one_resumes_it(tmp_path):
    state_of(TuneSettings(runs=4), Result(1, 1, value=0.5)).write(tmp_path)
    with pytest.raises(OutputExists, match="holds a search with a different seed, dataset; choose"):
        TuneState.open(tmp_path, TuneSettings(runs=4, seed=1), "g", memory_bytes=1)
    assert TuneState.open(tmp_path, TuneSettings(minutes=5), "f", memory_bytes=1).settings.minutes == 5


def test_where_every_run_failed_they_are_tried_again(tmp_path):
    state_of(TuneSettings(), Result(1, 1, "no space left")).write(tmp_path)
    assert TuneState.open(tmp_path, TuneSettings(), "f", memory_bytes=1).results == []


def test_a_damaged_state_is_refused(tmp_path):
    state_of(TuneSettings()).write(tmp_path)
    text = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(text.replace('"seed": 0', '"seed": 1'))
    with pytest.raises(DataError, match="does not match its checksum"):
        TuneState.open(tmp_path, TuneSettings(), "f", memory_bytes=1)


# --- the report ---


def test_candidates_are_ranked_by_their_best_epochs(dataset):
    results = [Result(1, 16, value=0.8), Result(1, 32, value=0.7), Result(2, 16, value=0.9)]
    results.append(Result(3, 16, "failed"))
    table = rank(state_of(TuneSettings(), *results), space_of(dataset), dataset)
    assert [(each.kind, each.epochs, each.runs) for each in table] == [
        ("random", 16, 1),
        ("tutorial", 16, 2),
    ]


def test_of_the_loss_less_is_better(dataset):
    settings = TuneSettings(metric="loss")
    results = [Result(1, 16, value=0.8), Result(1, 32, value=0.7), Result(2, 16, value=0.9)]
    table = rank(state_of(settings, *results), space_of(dataset), dataset)
    assert [(each.kind, each.value) for each in table] == [("tutorial", 0.7), ("random", 0.9)]


@pytest.mark.parametrize(("error", "cheapest"), [(0.02, "random"), (0.005, "tutorial")])
def test_the_smallest_model_within_one_standard_error_is_found(dataset, error, cheapest):
    space = space_of(dataset)
    small = min(range(2, 30), key=lambda number: model_bytes(space[number].settings, dataset))
    results = [Result(1, 16, value=0.9, standard_error=error), Result(small, 16, value=0.89)]
    table = rank(state_of(TuneSettings(), *results), space, dataset)
    chosen, smallest = choose(table, TuneSettings())
    assert (chosen.kind, smallest.kind) == ("tutorial", cheapest)
    chosen, _ = choose(table, TuneSettings(prefer="cheap"))
    assert chosen.kind == cheapest


def test_the_recipe_wins_unless_another_is_better_by_more_than_luck(dataset):
    def chosen(worth):
        results = [Result(1, 16, value=0.9, standard_error=0.01), Result(2, 16, value=worth)]
        first, other = rank(state_of(TuneSettings(), *results), space_of(dataset), dataset)[::-1]
        return choose([other, replace(first, kind="ngrams")], TuneSettings())[0].kind

    assert (chosen(0.904), chosen(0.906)) == ("ngrams", "random")


def test_states_are_removed_of_candidates_that_are_not_trained_on(dataset, tmp_path, monkeypatch):
    state = state_of(TuneSettings(runs=20))
    search = _Search(dataset, tmp_path, state, -1, no_progress, print, lambda: False)

    def measure(candidates, epochs):
        if len(state.results) >= 16:  # within the second bracket
            return {}
        for candidate in candidates:
            run = tmp_path / f"{candidate:03d}"
            run.mkdir(exist_ok=True)
            for name in ("state.npz", "state.previous.npz", "model.keras", "weights.npz"):
                (run / name).touch()
            state.results.append(Result(candidate, epochs, value=1 / candidate))
        return {candidate: 1 / candidate for candidate in candidates}

    monkeypatch.setattr(search, "_measure", measure)
    search.run()
    runs = sorted(tmp_path.iterdir())
    assert state.brackets[0] == 9 and len(runs) > 9
    for nth, run in enumerate(runs):  # a longer search may go on with the second bracket
        assert len(list(run.iterdir())) == (1 if nth < 9 else 4)


# --- the command, in processes ---


@pytest.fixture(scope="module")
def three_labels(tmp_path_factory):
    """Reviews, a fifth with another label, so many that the rungs are 1, 2 and 4 epochs."""
    folder, labels = tmp_path_factory.mktemp("three"), ["bad", "good", "so so"]
    train, test = folder / "train.tsv", folder / "test.tsv"
    write_noisy_reviews(train, labels, 7_500)
    write_noisy_reviews(test, labels, 300, seed=2)
    source = FilesSource([train], FilesSettings(test=(str(test),)))
    return prepare(source, folder / "data", PreparationSettings(recipe="tutorial"))


@pytest.fixture(scope="module")
def arguments(three_labels):
    """Two candidates at 1 epoch, and the better one at 2 and at 4."""
    return ["tune", three_labels.directory, "--runs", 4, "--seed", 3, "--metric", "macro_f1"]


def end_after(results, number, arguments, out):
    """Start a search, signal it when it has measured so many runs; return its code and its errors."""
    command = [sys.executable, "-m", "lowmem_sentiment", *map(str, arguments), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    file = out / FILE
    wait_for(lambda: file.exists() and len(json.loads(file.read_text())["results"]) >= results, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=600)
    return process.returncode, errors


@pytest.fixture(scope="module")
def searched(forked_trainings, arguments, tmp_path_factory):
    """A search that was killed, resumed, stopped, and resumed to its end: its folder and its report."""
    out = tmp_path_factory.mktemp("tune") / "out"
    code, _ = end_after(1, signal.SIGKILL, arguments, out)
    assert code == -signal.SIGKILL
    code, errors = end_after(2, signal.SIGINT, arguments, out)
    assert code == 75 and "stopped after 2 runs of the search; the same command resumes it" in errors
    done = run_cli(*arguments, "--json", "--out", out, "--csv", out.parent / "table.csv")
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout)


@pytest.mark.slow
def test_a_search_ends_with_a_winner_that_its_command_makes_again(searched, tmp_path):
    out, result = searched
    assert result["trained"] == 4 and result["failed"] == [] and result["default"]
    assert [row["rank"] for row in result["candidates"]] == [1, 2]
    assert result["test"]["split"] == "test" and result["test"]["reviews"] == 300
    assert result["candidates"][0]["value"] > 0.6 and result["test"]["macro_f1"] > 0.6
    with open(out.parent / "table.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 2
    assert json.loads((out / "winner" / "config.json").read_text())["settings"]["validation_split"] == 0
    command = shlex.split(result["command"])
    command[command.index("--run") + 1] = str(tmp_path / "again")
    assert main(command[1:]) == 0
    again, winner = ((run / "weights.npz").read_bytes() for run in (tmp_path / "again", out / "winner"))
    assert again == winner


@pytest.mark.slow
def test_a_killed_search_measures_what_undisturbed_runs_measure(three_labels, searched, tmp_path):
    """Also after the 2 epochs that train has by default, where a rung has as many."""
    from lowmem_sentiment.training.train import train

    out, _ = searched
    settings = TuneSettings(runs=4, seed=3, metric="macro_f1")
    state = TuneState.open(out, settings, three_labels.fingerprint, memory_bytes=0)
    best = max(state.results[:2], key=lambda result: (result.value, -result.candidate)).candidate
    trained = [(result.candidate, result.epochs) for result in state.results]
    second = [(candidate, 2) for candidate in sorted({1, best})]
    assert trained == [(1, 1), (2, 1), *second, (best, 4)][:4]
    for candidate, epochs in trained:
        settings = RunDirectory(out / f"{candidate:03d}").settings()
        run = tmp_path / f"{candidate}-{epochs}"
        train(three_labels, run, replace(settings, epochs=epochs))
        (tally,) = score(
            [NumpyModel.load(RunDirectory(run))], dataset_batches(three_labels, "validation", 0.1)
        )
        assert state.find(candidate, epochs).value == all_metrics(*tally.metrics())["macro_f1"]


@pytest.mark.slow
def test_the_same_command_again_trains_nothing(searched, arguments):
    out, result = searched
    weights = out / "winner" / "weights.npz"
    before = weights.stat().st_mtime_ns
    done = run_cli(*arguments, "--json", "--out", out)
    again = json.loads(done.stdout)
    for each in (again, result):
        each["seconds"] = each["test"]["time"] = None
    assert again == result
    assert weights.stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_search_goes_by_its_metric(three_labels, tmp_path):
    """A search of one run, which it finds trained, and the winner too."""
    from lowmem_sentiment.training.train import train

    dataset, metric = three_labels, "f1:so so"
    settings = replace(space_of(dataset)[1].settings, epochs=1)
    train(dataset, tmp_path / "out" / "001", settings)
    train(dataset, tmp_path / "out" / "winner", replace(settings, validation_split=0.0))
    done = run_cli("tune", dataset.directory, "--out", tmp_path / "out", "--runs", 1, "--metric", metric)
    assert done.returncode == 0, done.stderr
    assert f"1 setting in 1 run, by {metric} on 10%" in done.stdout and "1 runs" not in done.stderr
    found = json.loads((tmp_path / "out" / "winner" / "evaluation.json").read_text())
    value = found["by_label"]["so so"]["f1"]
    assert value > 0.6 and f"{metric} {value:.4f}" in done.stdout
