import csv
import json
import signal
import subprocess
import sys

import pytest
from helpers import run_cli, wait_for

from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.search.sweep import parse_grid, sweep
from lowmem_sentiment.system.errors import OutputExists, SettingsError

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


@pytest.mark.parametrize("text", ["epochs", "epochs=", "epochs=x", "seed=1,2", "size=3", "keep_best=1"])
def test_what_is_no_grid_is_refused(text):
    with pytest.raises(SettingsError, match="grid is"):
        parse_grid(text)


def test_choosing_by_the_test_split_is_refused(dataset, tmp_path):
    with pytest.raises(SettingsError, match="settings chosen by the test split"):
        sweep(dataset, tmp_path, TrainingSettings(), {})


def test_a_run_with_other_settings_in_the_way_is_told(dataset, trained, tmp_path):
    (tmp_path / "seed=0").symlink_to(trained)
    with pytest.raises(OutputExists, match="holds a run with another epochs, .*; choose another --out"):
        sweep(dataset, tmp_path, SMALL, {})


@pytest.mark.slow
def test_a_sweep_is_stopped_by_ctrl_c_goes_on_and_tells_the_best(dataset, tmp_path):
    """Three combinations: the first is stopped, the last cannot be (a file is in its place)."""
    out, table = tmp_path / "sweep", tmp_path / "table.csv"
    out.mkdir()
    (out / "learning_rate=0.02,seed=0").write_text("in the way")
    arguments = [
        "sweep", str(dataset.directory), "--out", str(out), "--grid", "learning_rate=0.01,0.05,0.02",
        "--batch-size", "8", "--hidden", "4,4", "--epochs", "25", "--validation-split", "0.25",
        "--csv", str(table), "--json",
    ]  # fmt: skip
    command = [sys.executable, "-m", "lowmem_sentiment", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    first = out / "learning_rate=0.01,seed=0"
    wait_for((first / "state.npz").exists, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 75, errors
    assert "stopped with 0 of 3 runs finished; the same command resumes the rest" in errors
    stopped_at = len((first / "metrics.jsonl").read_text().splitlines())
    assert 0 < stopped_at < 25

    done = run_cli(*arguments)
    assert done.returncode == 1
    assert "1 of 3 runs failed" in done.stderr and "learning_rate=0.02,seed=0 is a file" in done.stderr
    result = json.loads(done.stdout)
    assert done.stderr.count("the validation split has 40 reviews") == 1  # not again for each run
    assert [run.get("error", "")[:5] for run in result["runs"]] == ["", "", "error"]
    best = [row for row in result["combinations"] if row.get("best")]
    assert len(best) == 1 and best[0]["test_accuracy_mean"] > 0.8
    with open(table, newline="") as file:
        assert [row["failed"] for row in csv.DictReader(file)] == ["0", "0", "1"]

    (out / "learning_rate=0.02,seed=0").unlink()
    before = (first / "summary.json").read_bytes()
    arguments[5:6] = ["learning_rate=0.01,0.05"]
    assert run_cli(*arguments).returncode == 0
    assert (first / "summary.json").read_bytes() == before  # finished ones are kept
