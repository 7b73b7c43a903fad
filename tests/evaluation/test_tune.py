import csv
import json
import shlex
import signal
import subprocess
import sys
import time

import pytest
from helpers import run_cli

from lowmem_sentiment.cli import main
from lowmem_sentiment.evaluation.search_space import SearchSpace
from lowmem_sentiment.evaluation.settings import TuneSettings
from lowmem_sentiment.evaluation.tune import tune
from lowmem_sentiment.evaluation.tune_budget import Budget
from lowmem_sentiment.evaluation.tune_report import choose, rank
from lowmem_sentiment.evaluation.tune_state import FILE, FORMAT, Result, TuneState, open_state
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.system.errors import DataError, OutputExists, SettingsError


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


# --- the state ---


def test_the_state_is_read_back_as_it_was_written(tmp_path):
    settings = TuneSettings(runs=4)
    state = state_of(settings, Result(1, 2, value=0.5, metrics={"loss": 0.1}), Result(2, 1, "failed"))
    state.brackets = [9]
    state.write(tmp_path)
    read = open_state(tmp_path, settings, "f", 1)
    assert read.results == state.results and read.brackets == [9] and read.memory_bytes == 8 << 30


def test_another_search_in_the_folder_is_refused_but_a_longer_one_resumes_it(tmp_path):
    state_of(TuneSettings(runs=4), Result(1, 1, value=0.5)).write(tmp_path)
    with pytest.raises(OutputExists, match="holds a search with another seed, dataset; choose"):
        open_state(tmp_path, TuneSettings(runs=4, seed=1), "g", 1)
    assert open_state(tmp_path, TuneSettings(minutes=5), "f", 1).settings.minutes == 5


def test_where_every_run_failed_they_are_tried_again(tmp_path):
    state_of(TuneSettings(), Result(1, 1, "no space left")).write(tmp_path)
    assert open_state(tmp_path, TuneSettings(), "f", 1).results == []


def test_a_damaged_state_is_refused(tmp_path):
    state_of(TuneSettings()).write(tmp_path)
    text = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(text.replace('"seed": 0', '"seed": 1'))
    with pytest.raises(DataError, match="does not match its checksum"):
        open_state(tmp_path, TuneSettings(), "f", 1)


# --- the budget ---


def timed(candidate, epochs, epoch_seconds):
    return Result(candidate, epochs, value=0.9, epoch_seconds=epoch_seconds, start_seconds=3.0)


def test_time_is_kept_for_the_winner(dataset):
    now = [0.0]
    state = state_of(TuneSettings(minutes=1))
    budget = Budget(dataset, state, space_of(dataset).settings, 1, lambda: now[0])
    assert budget.admits(1, 16) and not budget.is_over()  # nothing is known: one run is made
    state.results.append(timed(1, 16, 0.5))
    winner = budget.final_seconds(1, 16)
    assert 1.25 * (3 + 16 * 0.5) < winner < 1.5 * (3 + 16 * 0.5)
    now[0] = 60 - winner - 0.1
    assert not budget.is_over() and not budget.admits(1, 32)
    now[0] = 60 - winner + 0.1
    assert budget.is_over()


def test_the_runs_left_are_counted_exactly_or_estimated_by_time(dataset):
    state = state_of(TuneSettings(runs=5), timed(1, 16, 0.5))
    assert Budget(dataset, state, space_of(dataset).settings, 1).runs_left() == 4
    state.settings = TuneSettings(minutes=10)
    left = Budget(dataset, state, space_of(dataset).settings, 1, lambda: 0.0).runs_left()
    assert left == pytest.approx((600 - 14.86) / 11, rel=0.01)


def test_a_resumed_search_has_spent_what_it_had(dataset):
    state = state_of(TuneSettings(minutes=1))
    state.seconds = 50.0
    assert Budget(dataset, state, space_of(dataset).settings, 1, lambda: 7.0).spent == 50.0


# --- the report ---


def test_candidates_are_ranked_by_their_best_epochs(dataset):
    results = [Result(1, 16, value=0.8), Result(1, 32, value=0.7), Result(2, 16, value=0.9)]
    results.append(Result(3, 16, "failed"))
    table = rank(state_of(TuneSettings(), *results), space_of(dataset), dataset)
    assert [(each.name, each.result.epochs, each.runs) for each in table] == [
        ("wide", 16, 1),
        ("default", 16, 2),
    ]


def test_of_the_loss_less_is_better(dataset):
    settings = TuneSettings(metric="loss")
    results = [Result(1, 16, value=0.8), Result(1, 32, value=0.7), Result(2, 16, value=0.9)]
    table = rank(state_of(settings, *results), space_of(dataset), dataset)
    assert [(each.name, each.result.value) for each in table] == [("default", 0.7), ("wide", 0.9)]


@pytest.mark.parametrize(("error", "cheapest"), [(0.02, "wide"), (0.005, "default")])
def test_the_smallest_model_within_one_standard_error_is_found(dataset, error, cheapest):
    """The recipe has one layer of 32, the default three of 50."""
    results = [Result(1, 16, value=0.9, standard_error=error), Result(2, 16, value=0.89)]
    table = rank(state_of(TuneSettings(), *results), space_of(dataset), dataset)
    chosen, smallest = choose(table, TuneSettings())
    assert (chosen.name, smallest.name) == ("default", cheapest)
    chosen, _ = choose(table, TuneSettings(prefer="cheap"))
    assert chosen.name == cheapest


# --- the command, in processes ---


@pytest.fixture(scope="module")
def arguments(dataset):
    return ["tune", str(dataset.directory), "--runs", "4", "--seed", "3", "--json"]


@pytest.fixture(scope="module")
def searched(dataset, arguments, tmp_path_factory):
    out = tmp_path_factory.mktemp("tune") / "out"
    done = run_cli(*arguments, "--out", out, "--csv", out.parent / "table.csv")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the validation split has 16 reviews") == 1  # not again for each run
    return out, json.loads(done.stdout)


def without_times(result):
    """Return what does not depend on time, memory, or the folder."""
    timed_ = {"seconds", "run", "command", "test"}
    kept = {name: value for name, value in result.items() if name not in timed_}
    machine = ("epoch_seconds", "peak_resident_bytes")
    rows = [{name: row[name] for name in row if name not in machine} for row in result["candidates"]]
    return {**kept, "candidates": rows, "accuracy": result["test"]["accuracy"]}


@pytest.mark.slow
def test_a_search_ends_with_a_winner_that_its_command_makes_again(dataset, searched, tmp_path):
    out, result = searched
    assert result["trained"] == 4 and result["failed"] == [] and result["default"]
    assert [row["rank"] for row in result["candidates"]] == list(range(1, len(result["candidates"]) + 1))
    assert result["test"]["split"] == "test" and result["test"]["reviews"] == 40
    with open(out.parent / "table.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(result["candidates"])
    assert json.loads((out / "winner" / "config.json").read_text())["settings"]["validation_split"] == 0
    command = shlex.split(result["command"])
    command[command.index("--run") + 1] = str(tmp_path / "again")
    assert main(command[1:]) == 0
    again, winner = ((run / "weights.npz").read_bytes() for run in (tmp_path / "again", out / "winner"))
    assert again == winner


@pytest.mark.slow
def test_the_same_command_again_trains_nothing(searched, arguments):
    out, result = searched
    began = (out / "winner" / "evaluation.json").read_bytes()
    done = run_cli(*arguments, "--out", out)
    assert without_times(json.loads(done.stdout)) == without_times(result)
    assert (out / "winner" / "evaluation.json").read_bytes() == began


def wait_for_results(file, count):
    """Wait until the search has measured `count` runs."""
    for _ in range(600):
        if file.exists() and len(json.loads(file.read_text())["results"]) >= count:
            return
        time.sleep(0.1)
    raise AssertionError(f"no {count} results in {file}")


@pytest.mark.slow
def test_a_killed_search_ends_with_the_same_table(searched, arguments, tmp_path):
    _, undisturbed = searched
    out = tmp_path / "out"
    command = [sys.executable, "-m", "lowmem_sentiment", *arguments, "--out", str(out)]
    for results, number, code in ((1, signal.SIGKILL, -9), (2, signal.SIGINT, 75)):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wait_for_results(out / "tune.json", results)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == code, errors
        if code == 75:
            assert "the same command resumes" in errors
    done = run_cli(*arguments, "--out", out)
    assert done.returncode == 0, done.stderr
    assert without_times(json.loads(done.stdout)) == without_times(undisturbed)
