from dataclasses import replace

from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.search.processes import Training


def test_a_run_is_resumed_with_its_epochs_also_where_train_has_them_by_default(dataset, trained):
    settings = replace(RunDirectory(trained).settings(), epochs=TrainingSettings().epochs)
    command = Training(dataset, settings, RunDirectory(trained)).command()
    assert command[command.index("--resume") + 1] == str(trained)
    assert command[command.index("--epochs") + 1] == "2"


def test_a_run_that_is_not_there_is_made_and_another_one_replaced(dataset, trained, tmp_path):
    new = Training(dataset, TrainingSettings(epochs=3), RunDirectory(tmp_path / "new")).command()
    assert new[-4:] == ["--run", str(tmp_path / "new"), "--epochs", "3"]
    other = Training(dataset, TrainingSettings(), RunDirectory(trained)).command(overwrite=True)
    assert other[-3:] == ["--run", str(trained), "--overwrite"]
