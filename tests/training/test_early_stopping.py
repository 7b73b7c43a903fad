import threading
from functools import partial

import numpy as np
import pytest
from verify_resume import digests

from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.runs.summary import best_epoch, has_ended, kept_epoch
from lowmem_sentiment.system.errors import DataError, OutputError, Resumable, SettingsError
from lowmem_sentiment.training.train import train as train_in_long_executions

train = partial(train_in_long_executions, steps_per_execution=4)

# It learns so fast that it is at its best, and overfits, within a few epochs.
FAST = {"batch_size": 8, "hidden": (6, 4), "learning_rate": 0.1, "validation_split": 0.25}
BEST = TrainingSettings(**FAST, epochs=9, early_stopping=2, keep_best=True, best_by="loss")


def epochs(*accuracies):
    return [
        {"epoch": nth, "val_accuracy": accuracy, "val_loss": 1 - accuracy}
        for nth, accuracy in enumerate(accuracies, 1)
    ]


def test_the_best_epoch_is_the_first_of_equals_and_never_not_a_number():
    history = epochs(0.5, float("nan"), 0.7, 0.7, 0.6)
    assert best_epoch(history, "accuracy")["epoch"] == best_epoch(history, "loss")["epoch"] == 3
    assert kept_epoch(TrainingSettings(), history)["epoch"] == 5
    assert kept_epoch(BEST, history)["epoch"] == 3


@pytest.mark.parametrize(
    ("history", "end"),
    [
        ((), False),
        ((0.5,), False),
        ((0.5, 0.4), False),
        ((0.5, 0.4, 0.5), True),
        ((0.5, 0.4, 0.6), False),
    ],
)
def test_training_ends_after_patience_epochs_without_a_better_one(history, end):
    assert has_ended(BEST, epochs(*history)) == end
    assert not has_ended(TrainingSettings(epochs=9), epochs(*history))


@pytest.mark.parametrize("option", [{"keep_best": True}, {"early_stopping": 1}])
def test_choosing_by_the_test_split_is_refused_with_the_reason(option):
    with pytest.raises(SettingsError, match="makes the test accuracy look better than it is"):
        TrainingSettings(**option)


@pytest.fixture(scope="module")
def undisturbed(dataset, tmp_path_factory):
    run = tmp_path_factory.mktemp("stopping") / "run"
    train(dataset, run, BEST)
    return run


@pytest.mark.slow
def test_a_run_that_keeps_the_best_has_the_weights_of_that_epoch(undisturbed, dataset, tmp_path):
    summary = RunDirectory(undisturbed).summary()
    assert summary.epoch == summary.best_epoch == summary.epochs - 2 < 7
    train(dataset, tmp_path / "run", TrainingSettings(**FAST, epochs=summary.epoch))
    best, plain = (np.load(run / "weights.npz") for run in (undisturbed, tmp_path / "run"))
    for name in plain.files[1:]:
        np.testing.assert_array_equal(best[name], plain[name])


@pytest.mark.slow
def test_stopped_and_resumed_it_keeps_the_same_epoch_and_the_same_curves(undisturbed, dataset, tmp_path):
    # An epoch of 15 steps reports 4 times while it trains, and 2 times while it validates.
    for nth, reports in enumerate((2, 9, 11)):
        stop, seen = threading.Event(), []

        def progress(*what, stop=stop, seen=seen, reports=reports):
            seen.append(what)
            if len(seen) == reports:
                stop.set()

        with pytest.raises(Resumable):
            train(dataset, tmp_path / "run", BEST, resume=nth > 0, stop=stop, progress=progress)
    train(dataset, tmp_path / "run", BEST, resume=True)
    assert digests(tmp_path / "run") == digests(undisturbed)


@pytest.mark.slow
def test_a_finished_run_that_stopped_early_stays_as_it_is(undisturbed, dataset):
    before = {path: path.read_bytes() for path in undisturbed.rglob("*") if path.is_file()}
    train(dataset, undisturbed, BEST, resume=True)
    assert {path: path.read_bytes() for path in undisturbed.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_trained_on_for_more_epochs_the_best_is_still_kept(undisturbed, dataset, tmp_path):
    run, settings = tmp_path / "run", {**FAST, "keep_best": True, "best_by": "loss"}
    epochs = RunDirectory(undisturbed).summary().epochs
    train(dataset, run, TrainingSettings(**settings, epochs=epochs - 1))
    train(dataset, run, TrainingSettings(**settings, epochs=epochs), resume=True)
    assert RunDirectory(run).summary().epochs == epochs
    assert (run / "weights.npz").read_bytes() == (undisturbed / "weights.npz").read_bytes()
    (run / "best.npz").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"best\.npz is damaged"):  # before it trains
        train(dataset, run, TrainingSettings(**settings, epochs=epochs + 1), resume=True)
    assert RunDirectory(run).summary().epochs == epochs


def test_best_weights_that_are_damaged_or_gone_are_told(tmp_path):
    run = RunDirectory(tmp_path)
    with pytest.raises(DataError, match=r"best\.npz, the best epoch's weights, cannot be read"):
        run.best(3, [(1000,)])
    run.write_best(3, [np.arange(1000.0)])
    assert len(run.best(3, [(1000,)])) == 1
    for epoch, shapes in ((2, [(1000,)]), (3, [(999,)])):
        with pytest.raises(DataError, match=f"expected the weights of epoch {epoch}, as this model has"):
            run.best(epoch, shapes)
    damaged = bytearray(run.best_file.read_bytes())
    damaged[4000] ^= 1
    run.best_file.write_bytes(damaged)
    with pytest.raises(DataError, match="cannot be read"):
        run.best(3, [(1000,)])


THREE = TrainingSettings(**FAST, epochs=3, keep_best=True, best_by="loss")


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory):
    run = tmp_path_factory.mktemp("whole") / "run"
    train(dataset, run, THREE)
    return run


@pytest.mark.slow
@pytest.mark.parametrize("name", ["write_best", "write_metrics"])
def test_a_write_that_fails_once_loses_nothing(dataset, whole, tmp_path, monkeypatch, name):
    write, calls, lines = getattr(RunDirectory, name), [], []

    def fail(self, *arguments):
        calls.append(name)
        if len(calls) == 2:
            raise OutputError("cannot write it: No space left on device")
        write(self, *arguments)

    monkeypatch.setattr(RunDirectory, name, fail)
    train(dataset, tmp_path / "run", THREE, report=lines.append)
    assert [line for line in lines if "No space left on device; training continues" in line]
    for file in ("weights.npz", "metrics.jsonl"):
        assert (tmp_path / "run" / file).read_bytes() == (whole / file).read_bytes()


@pytest.mark.slow
def test_no_state_is_saved_whose_best_weights_are_not(dataset, whole, tmp_path, monkeypatch):
    run = tmp_path / "run"

    def fail(self, *arguments):
        raise OutputError("cannot write it: No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OutputError, match="No space left"):
        patched.setattr(RunDirectory, "write_best", fail)
        train(dataset, run, THREE)
    train(dataset, run, THREE, resume=True)
    assert (run / "weights.npz").read_bytes() == (whole / "weights.npz").read_bytes()
