import json
from types import SimpleNamespace

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from lowmem_sentiment.monitoring.event_reader import read_values
from lowmem_sentiment.monitoring.event_writer import EventWriter
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.system import memory
from lowmem_sentiment.system.errors import OutputError
from lowmem_sentiment.training.checkpoint import Position
from lowmem_sentiment.training.job import Job
from lowmem_sentiment.training.single_process import SingleProcess
from lowmem_sentiment.training.tensorboard_callback import Curves
from lowmem_sentiment.training.train import train
from lowmem_sentiment.training.validation_metrics import ValidationMetrics


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


def curves_of(dataset, run, report):
    """Return the callback of a training that has made 20 steps."""
    job = Job(dataset, TrainingSettings(batch_size=8, num_words=20), SingleProcess())
    position, validation = Position(step=20, seconds=[1.0]), ValidationMetrics(dataset.labels)
    curves = Curves(RunDirectory(run), position, job, validation, report)
    optimizer = SimpleNamespace(iterations=tf.Variable(20), learning_rate=0.001)
    curves.set_model(SimpleNamespace(optimizer=optimizer, name="sentiment", trainable_weights=[]))
    return curves


def test_four_fifths_of_the_memory_limit_are_warned_of_once(dataset, tmp_path, monkeypatch):
    lines = []
    curves = curves_of(dataset, tmp_path, lines.append)
    for used, warnings in ((79, 0), (80, 1), (81, 1)):
        monkeypatch.setattr(memory, "container", lambda used=used: (used * memory.MB, 100 * memory.MB))
        curves.on_train_batch_end(19)
        assert len(lines) == warnings
    assert " 80 MB of the container's limit of 100 MB" in lines[0]
    curves.flush()
    shares = [value.tensor.float_val[0] for _, _, value in read_values(RunDirectory(tmp_path))
              if value.tag == "process/share_of_memory_limit"]  # fmt: skip
    assert shares == pytest.approx([0.79, 0.80, 0.81])


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
    curves = curves_of(dataset, tmp_path, lines.append)
    for epoch in range(2):
        curves.on_epoch_end(epoch, {"loss": 0.5, "val_loss": 0.6})
    (line,) = lines
    assert "No space left" in line
    assert ("without curves" if most == 0 else "writes the curves later") in line
    points = [step for part, step, value in read_values(RunDirectory(tmp_path))
              if value.tag == "epoch_loss" and part == "validation"]  # fmt: skip
    assert points == ([] if most == 0 else [20, 20])


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
