"""TensorBoard's event files of a run, written while it trains. (`history` reads them back.)

One step axis, the optimizer's. In `train/` and `validation/`, drawn into the same charts:

    accuracy/epoch, accuracy/batch, loss/epoch, loss/batch    (and any other metric of the network)
    optimizer/learning_rate
    process/...                    memory, speed, share of time spent waiting for data
    validation/...                 precision, recall, F1, AUC, PR curve, confusion matrix
    data, network, run             texts; and `most wrong` at the end
    weights/...                    histograms, when asked for

and beside them the run's row in the HParams tab, when it is finished. TensorBoard sorts groups by
name: these come in the order in which one asks.
"""

import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..dataset.reader import Dataset
from ..model.metrics import Mistake, precision_recall
from ..model.numpy_model import NumpyModel
from ..monitoring.event_writer import Events
from ..monitoring.text_summaries import (
    describe_data,
    describe_most_wrong,
    describe_network,
    describe_run,
    draw_confusion_matrix,
)
from ..runs.configuration import TrainingSettings
from ..runs.run_directory import RunDirectory
from ..system import memory
from .checkpoint import Position
from .early_stopping import kept_epoch
from .validation_metrics import ValidationMetrics

RESULTS = ("accuracy", "loss", "f1", "auc", "epoch")
"""What the HParams tab shows of a finished run, beside its settings, time and memory."""


class Curves(keras.callbacks.Callback):
    """Write all that TensorBoard shows of a run, but for its result: `write_result` does at the end.

    Keras' own TensorBoard callback counts executions of `steps_per_execution` steps, starts
    anew when resumed, and its batch values are means since the epoch began; here a batch value is
    the mean of the steps since the last one.
    """

    def __init__(
        self,
        run: RunDirectory,
        position: Position,
        dataset: Dataset,
        settings: TrainingSettings,
        num_reviews: int,
        validation: ValidationMetrics,
    ):
        super().__init__()
        self._position, self._dataset, self._settings = position, dataset, settings
        self._num_reviews, self._validation = num_reviews, validation
        self._events = Events(run)
        self._seen, self._since = 0, 0.0

    def flush(self) -> None:
        """Bring everything written so far to the files."""
        self._events.flush()

    def _step(self) -> int:
        return int(self.model.optimizer.iterations.numpy())

    def _reviews_seen(self) -> int:
        return min(self._position.step * self._settings.batch_size, self._num_reviews)

    def on_train_begin(self, logs=None):
        if self._position.described == self._settings.epochs:  # a resumed run has them
            return
        self._position.described = self._settings.epochs
        texts = {
            "run": describe_run(self._dataset, self._settings),
            "data": describe_data(self._dataset),
            "network": describe_network(self.model),
        }
        for tag, markdown in texts.items():
            self._events.text("train", self._step(), tag, markdown)
        self.flush()

    def on_epoch_begin(self, epoch, logs=None):
        self._begin_interval()

    def _begin_interval(self) -> None:
        self._seen, self._since = self._reviews_seen(), time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        seen, seconds = self._reviews_seen(), time.monotonic() - self._since
        new, sums = seen - self._seen, self._position.sums
        values = {}
        for name, mean in (logs or {}).items():
            total = float(mean) * seen
            values[f"{name}/batch"] = (total - sums.get(name, 0.0)) / new
            sums[name] = total
        values["optimizer/learning_rate"] = float(
            keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        )
        values["process/reviews_per_second"] = new / seconds
        resident, anonymous = memory.resident_and_anonymous()
        values["process/resident_MB"] = resident / memory.MB
        values["process/anonymous_MB"] = anonymous / memory.MB
        if container := memory.container():
            values["process/container_MB"] = container[0] / memory.MB
            values["process/container_limit_MB"] = container[1] / memory.MB
        self._events.scalars("train", self._step(), values)
        self._begin_interval()

    def on_test_begin(self, logs=None):
        self._validation.reset()

    def on_epoch_end(self, epoch, logs=None):
        step, logs = self._step(), logs or {}
        train = {f"{name}/epoch": logs[name] for name in logs if not name.startswith("val_")}
        held_out = {f"{name[4:]}/epoch": logs[name] for name in logs if name.startswith("val_")}
        measures = self._validation.measures()
        held_out |= {f"validation/{name}": value for name, value in measures.items()}
        self._events.scalars("train", step, train)
        self._events.scalars("validation", step, held_out)
        with self._events.writer("validation", step):
            image = draw_confusion_matrix(self._validation.confusion_matrix(), self._validation.labels)
            tf.summary.image("validation/confusion_matrix", image[None])
        bins = self._validation.bins()
        if bins is not None:
            self._events.raw("validation", step, _precision_recall("validation/precision_recall", bins))
        if self._settings.histograms:
            self._write_histograms(step)
        if kept_epoch(self._settings, self._position.epochs)["epoch"] == epoch + 1:
            most_wrong = [list(wrong) for wrong in self._validation.most_wrong()]
            self._position.kept = {"measures": measures, "most_wrong": most_wrong}
        self.flush()

    def _write_histograms(self, step: int) -> None:
        weights = {
            f"weights/{weight.path.removeprefix(f'{self.model.name}/')}": weight.numpy()
            for weight in self.model.trainable_weights
        }
        self._events.histograms("train", step, weights)

    def on_train_end(self, logs=None):
        self.flush()


def _precision_recall(tag: str, bins: np.ndarray) -> Any:
    from tensorboard.plugins.pr_curve.summary import raw_data_pb

    curve = precision_recall(bins)
    counts = (curve[f"{kind}_{of}"] for of in ("positives", "negatives") for kind in ("true", "false"))
    return raw_data_pb(tag, *counts, curve["precision"], curve["recall"], len(curve["recall"]))


# --- the result ---


def write_result(
    run: RunDirectory,
    position: Position,
    settings: TrainingSettings,
    dataset: Dataset,
    network: NumpyModel | None,
    peak_resident: int,
) -> None:
    """Write a finished run's row of the HParams tab, and the reviews that it is most wrong on.

    They have files of their own, which a run that is trained on for more epochs leaves behind.
    """
    epoch, measures = kept_epoch(settings, position.epochs), position.kept.get("measures", {})
    results = {name.removeprefix("val_"): value for name, value in epoch.items() if name != "loss"}
    results = {**results, **measures, "loss": epoch["val_loss"]}
    values = {f"result/{name}": results[name] for name in RESULTS if name in results}
    values["process/total_seconds"] = sum(position.seconds)
    values["process/peak_resident_MB"] = peak_resident / memory.MB
    hparams = {
        name: value if isinstance(value, (int, float, str)) else ",".join(map(str, value))
        for name, value in vars(settings).items()
        if name != "histograms"
    }
    hparams["data"] = dataset.name
    events, step = Events(run), position.epochs[-1]["step"]
    for summary in _hparams(str(run.path), hparams, list(values)):
        events.raw("", 0, summary)
    events.scalars("", step, values)
    most_wrong = [Mistake(*each) for each in position.kept.get("most_wrong", ())]
    text = describe_most_wrong(network, dataset, settings, most_wrong, run.vocabulary())
    events.text("", step, "most wrong", text)
    events.flush()


def _hparams(name: str, hparams: dict[str, Any], metrics: list[str]) -> list[Any]:
    from tensorboard.plugins.hparams import api_pb2, summary, summary_v2

    columns = [summary_v2.HParam(each) for each in hparams]
    experiment = summary_v2.hparams_config_pb(columns, [summary_v2.Metric(tag) for tag in metrics])
    end = summary.session_end_pb(api_pb2.STATUS_SUCCESS)
    return [experiment, summary_v2.hparams_pb(hparams, trial_id=name), end]
