"""Whatever ends a run, it goes on and ends with the bits of one that nobody disturbed."""

import io
import json
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from helpers import run_cli, wait_for
from verify_resume import _killed, digests, verify_resume

from lowmem_sentiment.cli import main
from lowmem_sentiment.model import variables
from lowmem_sentiment.model.keras_model import build_model
from lowmem_sentiment.monitoring.event_reader import read_curves
from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.preparation.settings import PreparationSettings
from lowmem_sentiment.runs.configuration import SaveEvery, TrainingSettings
from lowmem_sentiment.runs.recipes import settings_by_recipe
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.sources.keras_datasets import ImdbSource
from lowmem_sentiment.system import npz
from lowmem_sentiment.system.errors import (
    DataError,
    InputMissing,
    OutputError,
    OutputExists,
    Resumable,
    SettingsError,
)
from lowmem_sentiment.system.files import locked
from lowmem_sentiment.training import checkpoint
from lowmem_sentiment.training.callbacks import SaveRun
from lowmem_sentiment.training.train import train as train_in_long_executions

SETTINGS = TrainingSettings(epochs=3, batch_size=8, hidden=(6, 4), learning_rate=0.02)


# Back in Python every 3 of an epoch's 20 steps, so that there is a middle to stop in
train = partial(train_in_long_executions, steps_per_execution=3)


@pytest.mark.parametrize("row_size", [1, 20])
def test_a_table_that_is_saved_some_rows_at_a_time_is_saved_to_the_bit(row_size, monkeypatch):
    monkeypatch.setattr(variables, "_LARGE_TABLE", 8 * row_size)
    monkeypatch.setattr(variables, "ROWS", 3)
    table = tf.random.stateless_normal([8, row_size], [1, 2])  # 8 rows in blocks of 3
    file = io.BytesIO()
    npz.write_arrays(file, [("table", variables.values(tf.Variable(table)))])
    assert isinstance(variables.values(tf.Variable(table)), npz.Rows)
    np.testing.assert_array_equal(npz.read_arrays(file, "it")["table"], table.numpy())


@pytest.fixture(scope="module")
def undisturbed(dataset, tmp_path_factory):
    run = tmp_path_factory.mktemp("resume") / "undisturbed"
    train(dataset, run, SETTINGS)
    return run


def train_until(dataset, run, reports, settings=SETTINGS, **options):
    """Train, and ask to stop at the given report of progress (one every 3 steps)."""
    stop, seen = threading.Event(), []

    def progress(*what):
        seen.append(what)
        if len(seen) == reports:
            stop.set()

    return train(dataset, run, settings, stop=stop, progress=progress, **options)


@pytest.mark.slow
def test_a_run_stopped_anywhere_again_and_again_ends_identical(
    dataset, undisturbed, tmp_path, monkeypatch
):
    """An epoch reports 7 times while it trains and 2 times while it validates."""
    monkeypatch.setattr(SaveRun, "PATIENCE", 1e-6)  # over at the second of two batches
    run, stays = tmp_path / "run", "step 20 of 20; the last saved state stays"
    stops = [
        (1, "epoch 1, step 3 of 20, saved"), (6, f"epoch 1, {stays}"), (7, f"epoch 1, {stays}"),
        (19, "epoch 3, step 6 of 20, saved"), (5, f"epoch 3, {stays}"),
    ]  # fmt: skip
    for nth, (reports, where) in enumerate(stops):
        with pytest.raises(Resumable, match=f"stopped at {where}.*--resume .*/run"):
            train_until(dataset, run, reports, resume=nth > 0)
    # what a killed process wrote after its last saved state
    left = run / "tensorboard" / "events.out.tfevents.9.left"
    left.write_bytes(b"half a record")
    train(dataset, run, SETTINGS, resume=True)
    assert digests(run) == digests(undisturbed)
    assert not left.exists()
    (curve,) = (each for each in read_curves(run) if (each.part, each.tag) == ("train", "epoch_loss"))
    assert curve.steps == [step + epoch * 20 for epoch in range(3) for step in (3, 6, 9, 12, 15, 18, 20)]


@pytest.mark.slow
def test_a_run_stopped_in_validation_saves_its_epoch(dataset, undisturbed, tmp_path):
    with pytest.raises(Resumable, match="stopped at epoch 2, step 0 of 20, saved"):
        train_until(dataset, tmp_path / "first", 8)
    train(dataset, tmp_path / "first", SETTINGS, resume=True)
    train_until(dataset, tmp_path / "last", 26)  # nothing is left to train
    assert digests(tmp_path / "first") == digests(tmp_path / "last") == digests(undisturbed)


@pytest.mark.slow
def test_a_run_on_scaled_ngrams_at_a_falling_rate_stopped_and_resumed_ends_identical(
    imdb_files, tmp_path
):
    settings = PreparationSettings(recipe="ngrams")
    ngrams = prepare(ImdbSource(*imdb_files), tmp_path / "data", settings, shard_bytes=2_000)
    recipe = replace(settings_by_recipe(ngrams), epochs=2, batch_size=8)
    assert recipe.learning_rate_schedule == "linear" and ngrams.input_scales(30) is not None
    train(ngrams, tmp_path / "undisturbed", recipe)
    with pytest.raises(Resumable, match="stopped at epoch 2"):
        train_until(ngrams, tmp_path / "run", 11, recipe)
    train(ngrams, tmp_path / "run", recipe, resume=True)
    assert digests(tmp_path / "run") == digests(tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_run_with_lazy_adam_stopped_and_resumed_ends_identical(dataset, tmp_path):
    lazy = replace(SETTINGS, optimizer="lazy-adam")
    train(dataset, tmp_path / "undisturbed", lazy)
    with pytest.raises(Resumable):
        train_until(dataset, tmp_path / "run", 10, settings=lazy)
    train(dataset, tmp_path / "run", lazy, resume=True)
    assert digests(tmp_path / "run") == digests(tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_run_resumes_with_another_optimizer_when_forced(dataset, stopped):
    lazy, reports = replace(SETTINGS, optimizer="lazy-adam"), []
    with pytest.raises(
        SettingsError, match="optimizer is lazy-adam, the run to resume has adam: --force"
    ):
        train(dataset, stopped, lazy, resume=True)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Resumable):
        train(dataset, stopped, lazy, resume=True, force=True, report=reports.append, stop=stop)
    assert reports == [
        "warning: optimizer is lazy-adam, the run had adam",
        f"{stopped} resumes at epoch 2, step 10",
    ]
    assert RunDirectory(stopped).config()["settings"]["optimizer"] == "lazy-adam"


@pytest.mark.slow
def test_a_run_resumes_with_a_model_that_takes_rows_over_all_words_when_forced(dataset, stopped):
    own = build_model(dataset.num_ids, hidden=SETTINGS.hidden)
    with pytest.raises(DataError, match=r"input \(own words then, dense now\)"):
        train(dataset, stopped, SETTINGS, model=own, resume=True)
    summary = train(dataset, stopped, SETTINGS, model=own, resume=True, force=True)
    assert summary.epochs == SETTINGS.epochs


@pytest.mark.slow
def test_verify_resume_finds_killed_runs_identical(dataset, tmp_path, monkeypatch):
    """The script as it is, but what it does not kill needs no process; `faults` kill at each call."""

    def train_here_unless_killed(command, after):
        return _killed(command, after) if after else main(command[3:])

    monkeypatch.setattr("verify_resume._killed", train_here_unless_killed)
    options = ["--epochs", "6", "--hidden", "6,4", "--save-every", "2"]
    result = verify_resume(dataset.directory, tmp_path / "work", kills=1, options=options)
    assert result["kills"] >= 1
    assert result["identical"]
    assert {entry["weights"] for entry in result["runs"]} == {result["undisturbed"]["weights"]}


@pytest.mark.slow
def test_a_finished_run_is_trained_on_to_the_bits_of_a_longer_one(dataset, undisturbed, tmp_path):
    run = tmp_path / "run"
    train(dataset, run, TrainingSettings(**{**vars(SETTINGS), "epochs": 1}))
    summary = train(dataset, run, SETTINGS, resume=True)
    # The curves differ in the table of settings: the run was one of one epoch when it was written.
    ours, theirs = digests(run), digests(undisturbed)
    assert (ours["weights"], ours["history"]) == (theirs["weights"], theirs["history"])
    assert RunDirectory(run).config()["settings"]["epochs"] == 3
    again = train(dataset, run, SETTINGS, resume=True)
    assert again == summary
    with pytest.raises(SettingsError, match="epochs is 2, the run to resume has trained 3"):
        train(dataset, run, TrainingSettings(**{**vars(SETTINGS), "epochs": 2}), resume=True)


@pytest.mark.slow
def test_a_run_killed_before_its_first_state_starts_over(dataset, undisturbed, tmp_path):
    run = shutil.copytree(undisturbed, tmp_path / "run")
    for name in ("state.npz", "state.previous.npz", "summary.json", "model.keras", "weights.npz"):
        (run / name).unlink()
    train(dataset, run, SETTINGS, resume=True)
    assert digests(run) == digests(undisturbed)


@pytest.mark.slow
def test_a_run_killed_before_its_last_files_only_writes_them(dataset, undisturbed, tmp_path):
    run = shutil.copytree(undisturbed, tmp_path / "run")
    for name in ("summary.json", "model.keras", "weights.npz"):
        (run / name).unlink()
    reports = []
    train(dataset, run, SETTINGS, resume=True, progress=lambda *what: reports.append(what))
    assert not reports
    assert digests(run) == digests(undisturbed)


@pytest.fixture(scope="module")
def stopped_once(dataset, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "stopped"
    with pytest.raises(Resumable):
        train_until(dataset, run, 12, save_every=SaveEvery(3))
    return run


@pytest.fixture
def stopped(stopped_once, tmp_path):
    return shutil.copytree(stopped_once, tmp_path / "stopped")


@pytest.mark.parametrize(("name", "value"), [("batch_size", 4), ("seed", 1), ("hidden", (6, 5))])
def test_other_settings_are_refused_by_name(dataset, stopped, name, value):
    other = TrainingSettings(**{**vars(SETTINGS), name: value})
    with pytest.raises(SettingsError, match=f"{name} is .*, the run to resume has"):
        train(dataset, stopped, other, resume=True)


@pytest.mark.slow
def test_another_dataset_is_refused_even_if_forced(imdb_files, stopped, tmp_path):
    """The run's record would name the wrong one."""
    other = prepare(ImdbSource(*imdb_files, split="tutorial"), tmp_path / "other")
    with pytest.raises(DataError, match=f"is not the dataset that .* was trained .* --from {stopped}"):
        train(other, stopped, SETTINGS, resume=True, force=True)
    result = run_cli("train", other.directory, "--resume", stopped, "--force")
    assert result.returncode == 65 and "is not the dataset that" in result.stderr


def test_another_tensorflow_or_onednn_setting_is_refused(dataset, stopped, monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    with pytest.raises(DataError, match=r"oneDNN \(1 then, 0 now\).*--force"):
        train(dataset, stopped, SETTINGS, resume=True)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    monkeypatch.setattr(tf, "__version__", "9.9")
    with pytest.raises(DataError, match=r"tensorflow \(.* then, 9.9 now\)"):
        train(dataset, stopped, SETTINGS, resume=True)


@pytest.mark.slow
def test_a_damaged_state_falls_back_to_the_one_before(dataset, undisturbed, stopped):
    path = stopped / "state.npz"
    path.write_bytes(path.read_bytes()[:-100])
    said = []
    train(dataset, stopped, SETTINGS, resume=True, report=said.append)
    assert "state.npz is damaged" in said[0]
    assert "resuming from the state before it" in said[0]
    assert digests(stopped) == digests(undisturbed)


def test_two_damaged_states_are_told(dataset, stopped):
    for name in ("state.npz", "state.previous.npz"):
        (stopped / name).write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"state.npz is damaged.*previous.*; start over with --overwrite"):
        train(dataset, stopped, SETTINGS, resume=True)


def test_a_flipped_byte_of_a_state_is_found_or_changes_nothing(stopped):
    run = RunDirectory(stopped)
    whole = run.state_file.read_bytes()
    expected = checkpoint.load(run)
    run.previous_state_file.unlink()
    generator = np.random.default_rng(0)
    found = 0
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[generator.integers(len(whole))] ^= int(generator.integers(1, 256))
        run.state_file.write_bytes(damaged)
        try:
            got = checkpoint.load(run)
        except DataError as error:
            found += 1
            assert "state.npz" in str(error)
            continue
        assert got.position == expected.position
        for one, other in zip(got.arrays, expected.arrays, strict=True):
            np.testing.assert_array_equal(one, other)
    assert found > 200


def test_another_process_in_the_run_is_refused(dataset, stopped):
    code = f"""
import time
from pathlib import Path
from lowmem_sentiment.system.files import locked
with locked(Path({str(stopped)!r})):
    print("locked", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(OutputExists, match="is in use by another process"):
            train(dataset, stopped, SETTINGS, resume=True)
        other.kill()
    with locked(stopped):  # a kill lets go of it
        pass


@pytest.mark.slow
def test_a_disk_that_is_full_for_a_while_is_told_once_and_training_ends(
    dataset, undisturbed, tmp_path, monkeypatch
):
    saves = []

    def full(*arguments):
        saves.append(arguments)
        if len(saves) < 6:
            raise OutputError("cannot write checkpoint.npz: No space left on device")
        whole(*arguments)

    whole = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", full)
    said = []
    train(dataset, tmp_path / "run", SETTINGS, save_every=SaveEvery(3), report=said.append)
    few, full_disk = said
    assert few.startswith("warning: the test split has 40 reviews")
    assert "No space left on device; training continues with the last good state" in full_disk
    assert digests(tmp_path / "run") == digests(undisturbed)


@pytest.mark.slow
def test_a_disk_that_is_full_at_the_end_is_an_error_and_the_run_can_be_resumed(
    dataset, undisturbed, tmp_path, monkeypatch
):
    def full(*_):
        raise OutputError("cannot write weights.npz: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "write_weights", full)
        with pytest.raises(OutputError, match=r"weights\.npz"):
            train(dataset, tmp_path / "run", SETTINGS)
    assert not RunDirectory(tmp_path / "run").finished
    train(dataset, tmp_path / "run", SETTINGS, resume=True)
    assert digests(tmp_path / "run") == digests(undisturbed)


def test_an_unfinished_run_says_how_it_is_resumed(dataset, stopped):
    with pytest.raises(OutputExists, match="holds an unfinished run; resume it with --resume"):
        train(dataset, stopped, SETTINGS)


def test_a_run_that_is_not_there_cannot_be_resumed(dataset, tmp_path):
    with pytest.raises(InputMissing, match="is not a run directory"):
        train(dataset, tmp_path / "none", SETTINGS, resume=True)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("text", ["", "0", "-1", "s", "0s", "1.5", "nans", "infs", "5m"])
def test_save_every_takes_steps_or_seconds(text):
    assert SaveEvery.parse("500") == SaveEvery(500, None)
    assert SaveEvery.parse("1.5s") == SaveEvery(None, 1.5)
    with pytest.raises(ValueError):
        SaveEvery.parse(text)


@pytest.mark.slow
def test_ctrl_c_saves_exits_with_75_and_the_command_that_resumes(dataset, tmp_path):
    """As SIGTERM does (`test_server_files.py`)."""
    run = tmp_path / "run"
    command = [sys.executable, "-m", "lowmem_sentiment", "train", str(dataset.directory)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    long = ["--run", str(run), "--epochs", "100000"]
    with subprocess.Popen([*command, *long], **options) as process:
        wait_for((run / "state.npz").exists, process)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=600)
    assert process.returncode == 75
    assert out == ""
    few, *_, last = lines = errors.splitlines()
    assert "warning: the test split has 40 reviews" in few
    assert [line for line in lines if not line.startswith("epoch ")] == [few, last]
    assert f"resume with: lowmem-sentiment train {dataset.directory} --resume {run}" in errors
    saved = checkpoint.load(RunDirectory(run))
    history = (run / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in history] == saved.position.epochs


@pytest.mark.slow
def test_the_command_line_resumes_with_the_runs_own_settings(dataset, undisturbed, stopped, tmp_path):
    done = run_cli("train", dataset.directory, "--resume", stopped, "--json")
    assert done.returncode == 0, done.stderr
    assert digests(stopped)["weights"] == digests(undisturbed)["weights"]
    again = run_cli("train", dataset.directory, "--resume", stopped, "--json")
    assert json.loads(again.stdout)["epoch"] == 3
    refused = run_cli("train", dataset.directory, "--resume", stopped, "--batch-size", 16)
    assert refused.returncode == 2
    assert "batch_size is 16, the run to resume has 8" in refused.stderr
