import numpy as np
import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from lowmem_sentiment.monitoring.text_summaries import draw_confusion_matrix
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.training.train import train


@pytest.fixture(scope="module")
def told(dataset, tmp_path_factory):
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


def text(told, part, tag):
    ((_, value),) = told[part, tag]
    return value.tensor.string_val[0].decode()


def test_a_run_writes_what_its_charts_need(told):
    plugins = {(part, tag): values[0][1].metadata.plugin_data.plugin_name
               for (part, tag), values in told.items()}  # fmt: skip
    assert plugins["validation", "validation/confusion_matrix"] == "images"
    assert plugins["validation", "validation/precision_recall/pr_curves"] == "pr_curves"
    assert plugins["train", "weights/hidden_1/kernel"] == "histograms"
    assert plugins["", "_hparams_/session_start_info"] == "hparams"
    for tag in ("f1", "auc", "precision", "recall"):
        assert [step for step, _ in told["validation", f"validation/{tag}"]] == [20, 40]
    ((step, rate), *_) = told["train", "optimizer/learning_rate"]
    assert step == 20 and rate.tensor.float_val[0] == pytest.approx(0.001)


def test_texts_say_how_to_train_it_again_and_what_it_gets_wrong(told, dataset):
    command = f"train {dataset.directory} --run RUN --num-words 26 --hidden 4 --dropout '' --histograms"
    assert command.replace("--num-words", "--batch-size 8 --num-words") in text(told, "train", "run")
    assert "| train reviews | 160: " in text(told, "train", "data")
    assert "| hidden_1 | Dense | relu | 108 |" in text(told, "train", "network")
    wrong = text(told, "", "most wrong")
    assert "positive, taken for negative at" in wrong or "negative, taken for positive at" in wrong
    assert "**" in wrong


@pytest.mark.parametrize("labels", [["negative", "positive"], [f"a long label {n}" for n in range(7)]])
def test_the_confusion_matrix_is_drawn_with_a_dark_diagonal(labels):
    counts = np.eye(len(labels), dtype=int) * 1_000_000 + 3
    image = draw_confusion_matrix(counts, labels)
    height, width, _ = image.shape
    assert image.dtype == np.uint8 and height < width < 900
    cell = (width - 160) / len(labels)
    corner = [image[round(84 + (nth + 0.1) * cell), round(150 + (nth + 0.1) * cell)] for nth in range(2)]
    assert np.all(np.array(corner) == [31, 119, 180])
