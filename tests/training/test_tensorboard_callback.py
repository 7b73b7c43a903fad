import json

import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from lowmem_sentiment.monitoring.event_reader import read_values
from lowmem_sentiment.monitoring.event_writer import EventWriter
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.system import memory
from lowmem_sentiment.system.errors import OutputError
from lowmem_sentiment.training.tensorboard_callback import Curves
from lowmem_sentiment.training.train import train


@pytest.fixture(scope="module")
def written(dataset, tmp_path_factory):
    """Every value of a run that gets some reviews wrong, by subdirectory and tag."""
    run = tmp_path_factory.mktemp("curves") / "run"
    train(dataset, run, TrainingSettings(batch_size=8, hidden=(4,), dropout=(), histograms=True))
    values = {}
    for file in (run / "tensorboard").rglob("*tfevents*"):
        part = file.parent.name if file.parent.name != "tensorboard" else ""
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                values.setdefault((part, value.tag), []).append((event.step, value))
    return values


def text(written, part, tag):
    ((_, value),) = written[part, tag]
    return value.tensor.string_val[0].decode()


@pytest.mark.slow
def test_a_run_writes_what_its_charts_need(written):
    plugins = {(part, tag): values[0][1].metadata.plugin_data.plugin_name
               for (part, tag), values in written.items()}  # fmt: skip
    assert plugins["validation", "validation/confusion_matrix"] == "images"
    assert plugins["validation", "validation/precision_recall/pr_curves"] == "pr_curves"
    assert plugins["", "weights/hidden_1/kernel"] == "histograms"
    assert plugins["", "_hparams_/session_start_info"] == "hparams"
    for tag in ("f1", "auc", "precision", "recall"):
        assert [step for step, _ in written["validation", f"validation/{tag}"]] == [20, 40]
    ((step, rate), *_) = written["", "optimizer/learning_rate"]
    assert step == 20 and rate.tensor.float_val[0] == pytest.approx(0.001)
    norms = written["", "optimizer/gradient_norm"]
    assert [step for step, _ in norms] == [20, 40]
    assert all(value.tensor.float_val[0] > 0 for _, value in norms)
    waited = written["", "process/share_of_time_waiting_for_data"]
    assert [step for step, _ in waited] == [20, 40]
    assert all(0 < value.tensor.float_val[0] <= 1 for _, value in waited)


def test_texts_say_how_to_train_it_again_and_what_it_gets_wrong(written, dataset):
    command = f"train {dataset.directory} --run RUN --num-words 26 --hidden 4 --dropout '' --histograms"
    description = text(written, "", "2 run")
    assert command.replace("--num-words", "--batch-size 8 --num-words") in description
    assert "| train reviews | 160: " in description
    assert "| hidden_1 | Dense | relu | 108 |" in description
    assert "| test accuracy | " in text(written, "", "1 result")
    wrong = text(written, "", "3 most wrong")
    assert "positive, predicted negative at" in wrong or "negative, predicted positive at" in wrong
    assert "**" in wrong


@pytest.mark.slow
@pytest.mark.parametrize(("used", "warnings"), [(79, 0), (80, 1)])
def test_four_fifths_of_the_memory_limit_are_warned_of_once(
    dataset, tmp_path, monkeypatch, used, warnings
):
    monkeypatch.setattr(memory, "container", lambda: (used * memory.MB, 100 * memory.MB))
    lines, run = [], tmp_path / "run"
    settings = TrainingSettings(batch_size=8, hidden=(4,), dropout=())
    train(dataset, run, settings, report=lines.append)
    few, *lines = lines
    assert "the test split has 40 reviews" in few
    assert len(lines) == warnings and all(
        " 80 MB of the container's limit of 100 MB" in line for line in lines
    )
    shares = [value.tensor.float_val[0] for _, _, value in read_values(RunDirectory(run))
              if value.tag == "process/share_of_memory_limit"]  # fmt: skip
    assert shares == pytest.approx([used / 100] * 2)


@pytest.mark.slow
@pytest.mark.parametrize("most", [0, 1 << 20])
def test_curves_that_cannot_be_written_once_are_written_later(dataset, tmp_path, monkeypatch, most):
    append, calls, lines = EventWriter._append, [], []

    def fail(self, name, content):
        calls.append(name)
        if len(calls) == 2:
            raise OutputError("cannot write it: No space left on device")
        return append(self, name, content)

    monkeypatch.setattr(EventWriter, "_append", fail)
    monkeypatch.setattr(Curves, "MOST_WAITING", most)
    settings = TrainingSettings(batch_size=8, hidden=(4,), dropout=(), epochs=2)
    run = tmp_path / "run"
    assert train(dataset, run, settings, report=lines.append).epochs == 2
    (line,) = (line for line in lines if "No space left" in line)
    assert ("without curves" if most == 0 else "writes the curves later") in line
    points = [step for part, step, value in read_values(RunDirectory(run)) if value.tag == "epoch_loss"
              and part == "validation"]  # fmt: skip
    assert points == ([] if most == 0 else [20, 40])


@pytest.mark.slow
def test_the_kept_epoch_is_marked_and_has_its_own_pictures(dataset, tmp_path):
    run = tmp_path / "run"
    settings = TrainingSettings(
        batch_size=8, hidden=(4,), dropout=(), epochs=4, validation_split=0.2, keep_best=True
    )
    train(dataset, run, settings)
    values = {(part, value.tag): step for part, step, value in read_values(RunDirectory(run))}
    kept = json.loads((run / "summary.json").read_text())["epoch"]
    steps = values["validation", "epoch_loss"] // 4
    for tag in ("validation_loss", "confusion_matrix", "precision_recall/pr_curves"):
        assert values["", f"result/{tag}"] == kept * steps
