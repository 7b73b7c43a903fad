"""The loop against Keras' own `fit`, and as Keras' callbacks meet it."""

import math
import re
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from lowmem_sentiment.model.keras_model import build_model
from lowmem_sentiment.model.optimizer import FusedAdam, TableAdam
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.system.errors import SettingsError
from lowmem_sentiment.system.progress import Progress
from lowmem_sentiment.training import checkpoint, loop
from lowmem_sentiment.training.callbacks import ReportProgress
from lowmem_sentiment.training.checkpoint import Position
from lowmem_sentiment.training.input_pipeline import batches
from lowmem_sentiment.training.job import LARGE_BATCH, Job
from lowmem_sentiment.training.single_process import SingleProcess
from lowmem_sentiment.training.step import GRADIENT_NORM
from lowmem_sentiment.training.validation_metrics import ValidationMetrics


def fit(dataset, model, *callbacks, position=None, steps_per_execution=7, sparse=False, **settings):
    """Train for 2 epochs of 20 steps, each followed by 5 of validation; return the metrics of each."""
    settings = {"epochs": 2, "batch_size": 8, "num_words": dataset.num_ids, **settings}
    job = Job(dataset, TrainingSettings(**settings), SingleProcess(), not sparse, steps_per_execution)
    position, validation = position or Position(), ValidationMetrics(dataset.labels)
    checkpoint.make_variables(model, dataset.num_ids)
    loop.fit(job, model, position, callbacks, validation)
    return position.epochs


def fit_with_keras(dataset, model, class_weight=None):
    """Train in the same way with nothing but Keras."""
    rows = batches(dataset, settings=TrainingSettings(num_words=dataset.num_ids, batch_size=8))
    held_out = batches(dataset, "test", TrainingSettings(num_words=dataset.num_ids, batch_size=8))
    return model.fit(
        rows, epochs=2, validation_data=held_out, class_weight=class_weight, shuffle=False, verbose=0
    ).history


def build(dataset):
    return build_model(dataset.num_ids, hidden=(6, 4))


@pytest.mark.slow
def test_the_bits_are_those_of_keras_fit(dataset):
    ours, theirs = build(dataset), build(dataset)
    epochs = fit(dataset, ours)
    history = fit_with_keras(dataset, theirs)
    assert {name: [epoch[name] for epoch in epochs] for name in history} == history
    for mine, other in zip(checkpoint.variables(ours), checkpoint.variables(theirs), strict=True):
        np.testing.assert_array_equal(mine.numpy(), other.numpy())


@pytest.mark.slow
def test_class_weights_are_those_of_keras_fit(dataset, monkeypatch):
    monkeypatch.setattr(Job, "class_weight", [0.5, 2.0])
    ours, theirs = build(dataset), build(dataset)
    fit(dataset, ours)
    fit_with_keras(dataset, theirs, {0: 0.5, 1: 2.0})
    for mine, other in zip(checkpoint.variables(ours), checkpoint.variables(theirs), strict=True):
        np.testing.assert_array_equal(mine.numpy(), other.numpy())


def test_a_large_batch_has_all_words_and_rows_over_all(dataset):
    def sparse(batch_size, **settings):
        settings = TrainingSettings(num_words=dataset.num_ids, batch_size=batch_size, **settings)
        return Job(dataset, settings, SingleProcess()).sparse

    large = LARGE_BATCH // (4 * dataset.num_ids) + 1
    assert sparse(large - 1) and not sparse(large)
    assert sparse(large, optimizer="lazy-adam")  # which knows no others


@pytest.mark.slow
def test_a_hundred_steps_on_a_batchs_own_words_are_those_of_keras_adam_on_all(dataset):
    def trained(optimizer):
        model = build_model(dataset.num_ids, hidden=(6, 4), dropout=(), optimizer=optimizer)
        fit(dataset, model, sparse=isinstance(optimizer, TableAdam), epochs=5)
        assert int(model.optimizer.iterations) == 100
        return model.get_weights()

    impatient = TableAdam()
    impatient.MOST_MISSED = 16  # so that rows are moved within an epoch too
    dense, of_keras = trained(FusedAdam()), trained("adam")
    for adam in (TableAdam(), impatient):
        for mine, of_dense, theirs in zip(trained(adam), dense, of_keras, strict=True):
            np.testing.assert_allclose(mine, of_dense, rtol=0, atol=1e-6)
            # The fused kernel rounds otherwise than Keras' operations, on dense rows too: 1.2e-6.
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [(), (6, 4)])
def test_class_weights_and_metrics_on_a_batchs_own_words_are_those_on_all(dataset, monkeypatch, hidden):
    monkeypatch.setattr(Job, "class_weight", [0.5, 2.0])
    ours, theirs = (
        build_model(dataset.num_ids, hidden=hidden, dropout=(0.3,)[: len(hidden)], optimizer=adam)
        for adam in (TableAdam(), FusedAdam())
    )
    sparse, dense = fit(dataset, ours, sparse=True), fit(dataset, theirs)
    for mine, other in zip(sparse, dense, strict=True):
        assert mine == pytest.approx(other, abs=1e-6)
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_a_batchs_logs_have_the_norm_of_all_gradients_and_an_epochs_have_not(dataset):
    class Written(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            norms.append(logs[GRADIENT_NORM])

    norms = []
    model = build_model(dataset.num_ids, hidden=(6, 4), dropout=(), optimizer=TableAdam())
    x, y = next(
        iter(batches(dataset, settings=TrainingSettings(num_words=dataset.num_ids, batch_size=8)))
    )
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x))
    gradients = tape.gradient(loss, model.trainable_weights)
    epochs = fit(dataset, model, Written(), steps_per_execution=1, sparse=True, dropout=(), epochs=1)
    assert len(norms) == 20 and min(norms) > 0
    assert norms[0] == pytest.approx(float(tf.linalg.global_norm(gradients)), rel=1e-5)
    assert not any(GRADIENT_NORM in name for name in epochs[0])


def test_lazy_adam_is_refused_where_gradients_are_dense(dataset):
    lazy = TrainingSettings(optimizer="lazy-adam")
    several = SingleProcess()
    several.share = (0, 2)
    for strategy, own_model, why in (
        (SingleProcess(), True, "of your own"),
        (several, False, "a single process"),
    ):
        with pytest.raises(SettingsError, match=f"optimizer is lazy-adam, expected adam: .*{why}"):
            Job(dataset, lazy, strategy, own_model)


@pytest.mark.slow
def test_a_models_own_steps_are_kept_and_traced_once(dataset):
    class Own(keras.Sequential):
        def train_step(self, data):
            traced.append(1)
            return super().train_step(data)

        def test_step(self, data):
            return {**super().test_step(data), "seven": 7.0}

    traced = []
    model = Own(build(dataset).layers)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    assert [epoch["val_seven"] for epoch in fit(dataset, model)] == [7.0, 7.0]
    assert len(traced) == 1


@pytest.mark.slow
def test_a_model_that_runs_eagerly_is_trained_without_a_graph(dataset):
    ours, theirs = build(dataset), build(dataset)
    ours.run_eagerly = True
    fit(dataset, ours)
    fit_with_keras(dataset, theirs)
    np.testing.assert_allclose(ours.get_weights()[0], theirs.get_weights()[0], atol=1e-6)


def test_keras_own_callbacks_work(dataset):
    model = build(dataset)
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 / (epoch + 1))
    stop = keras.callbacks.EarlyStopping("val_loss", patience=0, min_delta=1e9)
    epochs = fit(dataset, model, schedule, stop, epochs=5)
    assert float(model.optimizer.learning_rate) == 0.25
    assert len(epochs) == 2  # the first epoch that is no better by a thousand million


@pytest.mark.slow
def test_an_interrupt_leaves_the_model_as_keras_knows_it(dataset):
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    model = build(dataset)
    with pytest.raises(KeyboardInterrupt):
        fit(dataset, model, Interrupt())
    fit_with_keras(dataset, model)
    assert int(model.optimizer.iterations) == 7 + 40


def test_callbacks_are_called_at_keras_moments_and_progress_has_a_line_per_epoch(dataset):
    class Called(keras.callbacks.Callback):
        def __getattribute__(self, name):
            if name.startswith("on_") and "batch" not in name:
                return lambda *rest, **logs: calls.append(name)
            return super().__getattribute__(name)

        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, set(map(type, logs.values()))))

    class Written(Progress):
        def __call__(self, what, done, total, note="", *, unit="", remaining=None):
            reports.append((what, done, remaining))

        def phase(self, what):
            reports.append(what)

        def line(self, text):
            reports.append(text)

    calls, seen, reports, position = [], [], [], Position()
    report = ReportProgress(Written(), position, 5)
    fit(dataset, build(dataset), Called(), report, position=position)
    epoch = ["on_epoch_begin", "on_test_begin", "on_test_end", "on_epoch_end"]
    assert calls == ["on_train_begin", *epoch, *epoch, "on_train_end"]
    assert seen == [(batch, {float}) for batch in (6, 13, 19)] * 2
    steps = [("epoch 1/2", 7, 33), ("epoch 1/2", 14, 26), ("epoch 1/2", 20, 20), ("validate", 5, None)]
    assert reports[:5] == ["tracing", *steps]
    number = r"\d\.\d{3}"
    names = ("loss", "accuracy", "val_loss", "val_accuracy")
    line = "  ".join(["epoch 1/2", *(f"{name} {number}" for name in names), r"\d+\.\d s"])
    assert re.fullmatch(line, reports[5]) and reports[6] == ("epoch 2/2", 7, 13)
    assert reports[-2].startswith("epoch 2/2  ") and reports[-1] == "saving the model"


def test_many_short_epochs_have_few_lines_and_the_last_has_one(monkeypatch):
    monkeypatch.setattr(ReportProgress, "INTERVAL", math.inf)
    lines, progress, position = [], Progress(), Position(seconds=[0.1])
    progress.line = lines.append
    report = ReportProgress(progress, position, 5)
    report.set_params({"epochs": 30, "steps": 20})
    for epoch in range(25):  # early stopping ends it
        report.on_epoch_begin(epoch)
        position.epochs.append({"epoch": epoch + 1, "step": 20, "loss": 0.5})
        report.on_epoch_end(epoch)
    report.on_train_end()
    assert lines == ["epoch 1/30  loss 0.500  0.1 s", "epoch 25/30  loss 0.500  0.1 s"]


def test_executions_cover_the_steps_that_are_left():
    assert list(loop.executions(3, 10, 5)) == [(3, 5), (8, 2)]
    assert list(loop.executions(10, 10, 5)) == []
    assert list(loop.executions(3, 17, 5, end_every=8)) == [(3, 5), (8, 5), (13, 3), (16, 1)]


def test_one_process_agrees_with_itself_on_stopping():
    stop = threading.Event()
    assert SingleProcess().agree_on(stop) is stop
