import os
import sys
from dataclasses import replace

from helpers import wait_for

from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.search.processes import Training, lock_runs


def test_a_run_is_resumed_with_its_epochs_also_where_train_has_them_by_default(dataset, trained):
    settings = replace(RunDirectory(trained).settings(), epochs=TrainingSettings().epochs)
    command = Training(dataset, settings, RunDirectory(trained)).command()
    assert command[command.index("--resume") + 1] == str(trained)
    assert command[command.index("--epochs") + 1] == "2"


def test_a_run_that_is_not_there_is_made_and_another_one_replaced(dataset, trained, tmp_path):
    new = Training(dataset, TrainingSettings(epochs=3), RunDirectory(tmp_path / "new")).command()
    assert new[-4:] == ["--run", str(tmp_path / "new"), "--epochs", "3"]
    other = Training(dataset, TrainingSettings(), RunDirectory(trained), overwrite=True).command()
    assert other[-3:] == ["--run", str(trained), "--overwrite"]


def test_a_training_that_a_signal_ends_says_so_instead_of_its_last_line_of_progress(
    dataset, tmp_path, monkeypatch
):
    code = "import os; os.write(2, b'epoch 1/1  loss 0.7'); os.kill(os.getpid(), 15)"
    monkeypatch.setattr(Training, "command", lambda *_: [sys.executable, "-c", code])
    training = Training(dataset, TrainingSettings(), RunDirectory(tmp_path / "run"))
    lock = os.open(tmp_path, os.O_RDONLY)
    training.start(lock)
    wait_for(training.has_ended)
    os.close(lock)
    assert training.error == "signal 15 ended it"


def test_a_search_goes_on_where_a_kill_left_its_first_state_half_written(tmp_path):
    (tmp_path / "tune.0a1b2c3d.unfinished.json").touch()
    with lock_runs(tmp_path, "tune.json", lambda: False, print):
        pass
