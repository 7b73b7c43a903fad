import csv
import json
import threading
from dataclasses import replace

import pytest
from helpers import run_cli

from lowmem_sentiment.cli.command_line import parse
from lowmem_sentiment.cli.options import given
from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.preparation.settings import PreparationSettings
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.runs.recipes import settings_by_recipe
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.search.processes import Training
from lowmem_sentiment.search.results import rank
from lowmem_sentiment.search.settings import TuneSettings, parse_grid
from lowmem_sentiment.search.space import grid_trials
from lowmem_sentiment.search.state import FORMAT, Result, TuneState
from lowmem_sentiment.search.tune import tune
from lowmem_sentiment.sources.files import FilesSource
from lowmem_sentiment.system.errors import OutputExists, Resumable, SettingsError
from lowmem_sentiment.training.train import train

SMALL = TrainingSettings(epochs=1, batch_size=8, hidden=(4, 4), validation_split=0.25)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epochs=1,2", ("epochs", [1, 2])),
        ("hidden=50,50:32", ("hidden", [(50, 50), (32,)])),
        ("dropout=0.5:0.3,0.2", ("dropout", [(0.5,), (0.3, 0.2)])),
        ("learning-rate=0.1", ("learning_rate", [0.1])),
        ("num_words=500,1000", ("num_words", [500, 1000])),
        ("keep_best=true,false", ("keep_best", [True, False])),
    ],
)
def test_a_grid_is_read(text, expected):
    assert parse_grid(text) == expected


@pytest.mark.parametrize(
    "text", ["epochs", "epochs=", "epochs=x", "seed=1,2", "validation_split=0.1", "size=3", "keep_best=1"]
)
def test_what_is_no_grid_is_refused(text):
    with pytest.raises(SettingsError, match="grid is"):
        parse_grid(text)


def test_a_grid_is_trained_whole():
    with pytest.raises(SettingsError, match="a grid is trained whole; expected no minutes or runs"):
        TuneSettings(grid=("epochs=1,2",), minutes=1, runs=2)
    with pytest.raises(SettingsError, match="seeds is 2, expected 1 without a grid"):
        TuneSettings(seeds=2)
    assert TuneSettings(grid=("epochs=1,2",)).minutes is None


def test_combinations_have_each_seed_and_a_directory_of_their_own(dataset):
    trials = grid_trials(dataset, replace(SMALL, seed=5), ["epochs=1,2", "hidden=4,4:3"], seeds=2)
    assert [trial.candidate for trial in trials.values()] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert trials[1].directory == "epochs=1,hidden=4-4,seed=5"
    assert trials[8].directory == "epochs=2,hidden=3,seed=6"
    assert trials[8].settings.hidden == (3,) and trials[8].settings.seed == 6


def test_impossible_settings_are_refused_before_anything_is_trained(dataset):
    with pytest.raises(SettingsError, match="dropout is 0.5,0.5, expected at most one rate for each"):
        grid_trials(dataset, SMALL, ["hidden=4", "dropout=0.5,0.5"], seeds=1)


def test_a_grid_starts_from_the_recipe_and_trains_what_its_table_shows(tmp_path):
    """Values that are the tutorial's were replaced by those of the recipe of n-grams."""
    lines = (f"{word} film {n}\t{label}" for n in range(20) for word, label in (("good", 1), ("bad", 0)))
    (tmp_path / "r.tsv").write_text("text\tlabel\n" + "\n".join(lines))
    source = FilesSource([tmp_path / "r.tsv"])
    dataset = prepare(source, tmp_path / "data", PreparationSettings(recipe="ngrams", ngrams=2))
    base = settings_by_recipe(dataset, validation_split=0.25)
    grid = ["epochs=2", "hidden=:50,50,50", "learning_rate_schedule=constant"]
    trials = grid_trials(dataset, base, grid, 1)
    for trial, hidden in zip(trials.values(), [(), (50, 50, 50)], strict=True):
        assert (trial.settings.hidden, trial.settings.dropout) == (hidden, (0.5,)[: len(hidden)])
        command = Training(dataset, trial.settings, RunDirectory(tmp_path / "run")).command()
        options = parse(command[3:])
        assert settings_by_recipe(dataset, **given(options, TrainingSettings)) == trial.settings
    with pytest.raises(SettingsError, match="each of the 1 hidden layers; a colon separates values"):
        grid_trials(dataset, base, ["dropout=0.2,0.5"], seeds=1)


def test_a_dataset_or_run_is_no_folder_for_a_search(dataset, trained):
    for path in (dataset.directory, trained):
        with pytest.raises(OutputExists, match="holds a .*; choose another --out"):
            tune(dataset, path)
        assert not (path / "tune.json").exists()


def test_combinations_are_ranked_by_their_mean_over_the_seeds(dataset):
    settings = TuneSettings(grid=("epochs=1,2",), seeds=2)
    values = {1: 0.9, 2: 0.7, 3: 0.75, 4: 0.95}
    results = [Result(number, (number + 1) // 2, value=value) for number, value in values.items()]
    state = TuneState(FORMAT, 1, "f", settings, 8 << 30, results=results)
    best, other = rank(state, grid_trials(dataset, SMALL, settings.grid, 2), dataset)
    assert (best.candidate, best.epochs, best.runs) == (2, 2, 2)
    assert (best.value, other.value) == (pytest.approx(0.85), pytest.approx(0.8))
    assert best.deviation == pytest.approx(0.1414, abs=1e-4)


def test_another_grid_in_the_folder_measures_the_finished_runs_again(tmp_path):
    state = TuneState(FORMAT, 1, "f", TuneSettings(grid=("epochs=1,2",)), 8 << 30)
    state.results = [Result(1, 1, value=0.5), Result(2, 2, "failed")]
    state.write(tmp_path)
    again = TuneState.open(tmp_path, TuneSettings(grid=("epochs=1,2",)), "f", memory_bytes=1)
    assert [result.candidate for result in again.results] == [1]  # what failed is tried again
    assert TuneState.open(tmp_path, TuneSettings(grid=("epochs=2",)), "f", memory_bytes=1).results == []
    by_loss = TuneSettings(grid=("epochs=1,2",), metric="loss")
    assert TuneState.open(tmp_path, by_loss, "f", memory_bytes=1).results == []
    with pytest.raises(OutputExists, match="holds a search with a different grid"):
        TuneState.open(tmp_path, TuneSettings(), "f", memory_bytes=1)


def test_a_run_with_other_settings_in_the_way_is_named(dataset, trained, tmp_path):
    (tmp_path / "epochs=1,seed=0").symlink_to(trained)
    with pytest.raises(OutputExists, match="holds a run with a different .*; choose another --out"):
        tune(dataset, tmp_path, TuneSettings(grid=("epochs=1",)))


@pytest.mark.slow
def test_a_grid_goes_on_from_what_is_trained_and_tells_the_best(forked_trainings, dataset, tmp_path):
    """Three combinations: the first was stopped, the last cannot be trained (a file is in its place)."""
    out, table = tmp_path / "sweep", tmp_path / "table.csv"
    out.mkdir()
    (out / "learning_rate=0.02,batch_size=8,hidden=4-4,epochs=9,seed=0").write_text("in the way")
    first = out / "learning_rate=0.01,batch_size=8,hidden=4-4,epochs=9,seed=0"
    settings = replace(SMALL, epochs=9, learning_rate=0.01)
    stop = threading.Event()
    with pytest.raises(Resumable):
        train(dataset, first, settings, stop=stop, progress=lambda *steps: stop.set())
    arguments = [
        "tune", str(dataset.directory), "--out", str(out), "--grid", "learning_rate=0.01,0.05,0.02",
        "batch_size=8", "hidden=4,4", "epochs=9", "--validation-split", "0.25", "--csv", str(table),
        "--json",
    ]  # fmt: skip
    done = run_cli(*arguments)
    assert done.returncode == 1
    assert "3 combinations\n" in done.stderr
    assert "1 of 3 runs failed" in done.stderr and "seed=0 is a file" in done.stderr
    result = json.loads(done.stdout)
    assert done.stderr.count("the validation split has 40 reviews") == 1  # not again for each run
    assert [row["rank"] for row in result["candidates"]] == [1, 2] and len(result["failed"]) == 1
    assert result["test"]["accuracy"] > 0.8 and (first / "model.keras").exists()
    with open(table, newline="") as file:
        assert [row["epochs"] for row in csv.DictReader(file)] == ["9", "9"]

    before = (first / "summary.json").read_bytes()
    arguments[5] = "learning_rate=0.01,0.05"
    assert run_cli(*arguments).returncode == 0
    assert (first / "summary.json").read_bytes() == before  # finished ones are kept
