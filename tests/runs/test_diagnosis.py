"""A model that is bad is named, with the command that mends it, and a good one is not."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.runs.diagnosis import diagnose, no_better_than_one_label

DATASET = SimpleNamespace(
    directory=Path("data/mine"),
    recipe="ngrams",
    labels=["bad", "good"],
    length=SimpleNamespace(mean=20.0),
    num_inputs=1_000,
    label_counts={"train": [700, 300], "test": [70, 30]}.__getitem__,
    num_reviews={"train": 8_000, "test": 100}.__getitem__,
)

CONSTANT = TrainingSettings()
LINEAR = TrainingSettings(epochs=10, learning_rate_schedule="linear")


def told(settings=CONSTANT, accuracy=0.9, losses=(0.5, 0.45), steps=250, better=0.0):
    epochs = [
        {"epoch": nth, "val_accuracy": accuracy + nth * better, "val_loss": loss}
        for nth, loss in enumerate(losses, 1)
    ]
    return diagnose(DATASET, settings, epochs, len(epochs), steps)


def test_nothing_is_said_where_all_is_well():
    assert told() == told(LINEAR) == []


@pytest.mark.parametrize("accuracy", [0.5, 0.7])
def test_a_model_that_is_no_better_than_the_largest_label_is_named(accuracy):
    (line,) = told(accuracy=accuracy)
    assert line.startswith(f"accuracy {accuracy:.4f} is no better than always answering 'bad', 0.7000")
    assert "train data/mine --run NEW --recipe ngrams" in line
    assert "the same command with --epochs 20 and a new --run" in told(LINEAR, accuracy)[0]


def test_too_few_steps_are_named():
    assert told(steps=50) == [
        "training had only 100 steps (lowmem-sentiment train data/mine --run NEW --recipe ngrams)"
    ]


def test_a_loss_that_still_falls_steeply_is_named():
    (line,) = told(losses=(0.6, 0.3))
    assert line.startswith(
        "the loss still fell by 50% in the last epoch (lowmem-sentiment train data/mine"
    )


def test_a_loss_that_has_risen_is_named_with_the_options_that_keep_the_better_epoch():
    risen = {"losses": (0.5, 0.4, 0.45)}
    keep = "--keep-best --best-by loss and a new --run)"
    assert told(**risen) == [
        f"test loss has risen since epoch 2 (the same command with --validation-split 0.1 {keep}"
    ]
    assert told(replace(LINEAR, validation_split=0.2), **risen) == [
        f"validation loss has risen since epoch 2 (the same command with {keep}"
    ]
    assert told(LINEAR, better=0.01, **risen) == []  # overconfident, but more accurate
    assert told(replace(CONSTANT, validation_split=0.2, keep_best=True), **risen) == []
    assert told(losses=(0.5, 0.4, 0.401)) == []
    (line,) = told(**risen, steps=50)  # more steps would not mend it
    assert "has risen" in line


def test_reviews_of_a_single_label_say_nothing():
    assert no_better_than_one_label(1.0, ["bad", "good"], [10, 0]) is None
