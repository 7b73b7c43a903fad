"""Write a run's curves and texts for TensorBoard while it trains.

The step axis is the optimizer's. Training is written for the run itself and validation for a second one,
so that TensorBoard has two rows per run, in the same charts. The first two charts have a point per
execution in training and one at each epoch's end in validation: even a run of two epochs has a curve.

    epoch_accuracy, epoch_loss
    optimizer/...                  learning rate, gradient norm
    per_epoch/...                  means over the epoch as in metrics.jsonl, and the generalization gap
    process/...                    memory, speed, time, share of time spent waiting for data
    validation/...                 precision, recall, F1, AUC, PR curve, confusion matrix
    weights/...                    histograms, when asked for
    result/...                     the kept epoch's, when training is over (`write_result`)

and texts.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..dataset.reader import Dataset
from ..model.metrics import Mistake, precision_recall, to_confusion_matrix
from ..model.numpy_model import NumpyModel
from ..model.tensorflow import keras
from ..monitoring import event_writer
from ..monitoring.confusion_matrix import draw_confusion_matrix
from ..monitoring.event_writer import EventWriter, Value
from ..monitoring.text_summaries import describe_most_wrong, describe_result, describe_run
from ..runs.configuration import TrainingSettings
from ..runs.run_directory import RunDirectory
from ..runs.summary import kept_epoch
from ..system import memory
from ..system.errors import OutputError
from ..system.settings import plain
from .checkpoint import Position
from .job import Job
from .step import GRADIENT_NORM
from .validation_metrics import ValidationMetrics

WAITING = "process/share_of_time_waiting_for_data"

_POINTS = (
    "training: mean of the steps since the point before; validation: all held-out reviews, at the end of "
    "each epoch. A saw tooth in training is usual: an epoch begins with reviews that the model has seen "
    "before, and fits them well, until it has moved on to fit the others"
)

DESCRIPTIONS = {
    "epoch_accuracy": _POINTS,
    "epoch_loss": _POINTS,
    "optimizer/gradient_norm": "the norm of all weights' gradient, in the last step before each point; "
    "if it keeps growing, the learning rate is too large",
    WAITING: "near 0: training waits for the processor; near 1: for reviews to be read and encoded. "
    "Measured in one step per point, so a single point may be off",
}

MEMORY_WARNING = 0.8  # of the container's limit


class Curves(keras.callbacks.Callback):
    """Write everything for TensorBoard except the result, which `write_result` writes.

    Keras' own TensorBoard callback counts executions of `steps_per_execution` steps, starts again when
    resumed, and its batch values are means since the epoch began; here a batch value is the mean of the
    steps since the last one.

    Takes 0.8 ms of processor time per execution and 13 ms at an epoch's end (60 at the first, for
    imports): 1.1 to 1.6 % of the default run.
    """

    INTERVAL = 1.0
    """Seconds between writes of the files."""

    MOST_WAITING = 4 << 20
    """Bytes of events kept in memory while the disk is full: 200 epochs of the default run."""

    def __init__(
        self,
        run: RunDirectory,
        position: Position,
        job: Job,
        validation: ValidationMetrics,
        report: Callable[[str], None] = lambda line: None,
    ):
        super().__init__()
        self._position, self._job, self._settings = position, job, job.settings
        self._validation, self._report = validation, report
        self._events: EventWriter | None = EventWriter(run.tensorboard)
        self._seen, self._since, self._waited, self._flushed = 0, 0.0, 0.0, 0.0
        self._sums: dict[str, float] = {}
        self._warned = self._described = self._failed = False

    def flush(self) -> None:
        """Write all events to the files; if that fails, try again at the next flush.

        Training writes no more curves when more than `MOST_WAITING` bytes wait.
        """
        self._flushed = time.monotonic()
        if not self._events:
            return
        try:
            self._events.flush()
        except OutputError as error:
            if self._events.waiting > self.MOST_WAITING:
                self._events = None
                self._report(f"warning: {error}; training continues without curves")
            elif not self._failed:
                self._report(f"warning: {error}; training continues, and writes the curves later")
            self._failed = True

    def _write(self, name: str, values: list[Value]) -> None:
        if self._events:
            self._events.write(name, int(self.model.optimizer.iterations.numpy()), values)

    def on_train_begin(self, logs=None):
        if self._position.described == self._settings.epochs:  # a resumed run has it
            return
        description = describe_run(self._job.dataset, self._settings, self.model)
        self._write("", [event_writer.text("2 run", description)])
        self.flush()

    def on_epoch_begin(self, epoch, logs=None):
        self._begin_interval()

    def _begin_interval(self) -> None:
        position = self._position
        self._seen, self._sums = self._job.reviews_in(position.step), position.sums
        self._waited, self._since = position.waited or 0.0, time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        seconds = time.monotonic() - self._since
        new = self._job.reviews_in(self._position.step) - self._seen
        values = {}
        if logs and GRADIENT_NORM in logs:
            values["optimizer/gradient_norm"] = logs[GRADIENT_NORM]
        for name, total in self._position.sums.items():
            values[f"epoch_{name}"] = (total - self._sums.get(name, 0.0)) / new
        rate = self.model.optimizer.learning_rate  # a variable, or the value of a schedule or function
        # `convert_to_numpy` takes twice as long, 0.06 ms. A mirrored variable has no float of its own.
        values["optimizer/learning_rate"] = float(rate.numpy() if hasattr(rate, "numpy") else rate)
        values |= self._measure_process(new / seconds)
        if (waited := self._position.waited) is not None:
            values[WAITING] = min((waited - self._waited) / seconds, 1.0)  # it is an estimate
        described = {} if self._described else DESCRIPTIONS  # once per file is enough; they take 0.1 ms
        self._write("", event_writer.scalars(values, described))
        self._described = True
        if time.monotonic() - self._flushed >= self.INTERVAL:
            self.flush()
        self._begin_interval()

    def _measure_process(self, reviews_per_second: float) -> dict[str, float]:
        resident, anonymous = memory.resident_and_anonymous()
        values = {
            "process/reviews_per_second": reviews_per_second,
            "process/seconds": sum(self._position.seconds),
            "process/resident_MB": resident / memory.MB,
            "process/anonymous_MB": anonymous / memory.MB,
        }
        if container := memory.container():
            used, limit = container
            values["process/container_MB"] = used / memory.MB
            values["process/container_limit_MB"] = limit / memory.MB
            values["process/share_of_memory_limit"] = used / limit
            if used >= MEMORY_WARNING * limit and not self._warned:
                self._warned = True
                self._report(
                    f"warning: {used / memory.MB:,.0f} MB of the container's limit of "
                    f"{limit / memory.MB:,.0f} MB are used ({used / limit:.0%}); less is needed with a "
                    "smaller --window-bytes or --batch-size"
                )
        return values

    def on_epoch_end(self, epoch, logs=None):
        train = {name: value for name, value in (logs or {}).items() if not name.startswith("val_")}
        self._write("", event_writer.scalars(_renamed("per_epoch/", train)))
        held_out = _held_out(logs or {})
        measures = _renamed("validation/", self._validation.measures())
        values = _renamed("epoch_", held_out) | measures | _renamed("per_epoch/", held_out)
        values["per_epoch/generalization_gap"] = held_out["loss"] - train["loss"]
        pictures = _pictures(self._validation.counts(), self._validation.labels)
        self._write("validation", [*event_writer.scalars(values, DESCRIPTIONS), *pictures])
        if self._settings.histograms:
            weights = {
                each.path.removeprefix(f"{self.model.name}/"): event_writer.histogram_bins(each.numpy())
                for each in self.model.trainable_weights
            }
            tags = _renamed("weights/", weights)
            self._write("", [event_writer.histogram(tag, bins) for tag, bins in tags.items()])
        self.flush()

    def on_train_end(self, logs=None):
        self.flush()


def _renamed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}{name}": value for name, value in values.items()}


def _held_out(logs: Mapping[str, float]) -> dict[str, float]:
    return {name[4:]: value for name, value in logs.items() if name.startswith("val_")}


def _pictures(counts: np.ndarray, labels: list[str], name: str = "validation") -> list[Value]:
    """Return the confusion matrix, and with two labels, whose `counts` are bins, the PR curve."""
    binned = len(labels) == 2
    matrix = to_confusion_matrix(counts) if binned else counts
    pictures = [event_writer.image(f"{name}/confusion_matrix", draw_confusion_matrix(matrix, labels))]
    if binned:
        curve = precision_recall(counts)
        pictures.append(event_writer.precision_recall(f"{name}/precision_recall", curve))
    return pictures


# --- the result ---

COLUMNS = {
    "accuracy": "{} accuracy",
    "loss": "{} loss",
    "f1": "{} F1",
    "auc": "{} AUC",
    "seconds": "seconds",
    "peak resident MB": "peak resident MB",
}
"""The columns of the HParams tab, and the tags of the result; {} is the split that validated."""


def write_result(
    run: RunDirectory,
    position: Position,
    job: Job,
    model: NumpyModel | None,
    peak_resident: int,
) -> None:
    """Write a finished run's row of the HParams tab, its result, and the reviews it is most wrong on.

    The tags of the result name the split they were scored on, so that HParams never ranks validation and
    test in one column. They are in a separate file, which a run that is trained for more epochs leaves
    behind. Without a `model`, which has only Dense layers, the effects of words are omitted. Raises
    OutputError.
    """
    settings, dataset, writer = job.settings, job.dataset, EventWriter(run.tensorboard)
    epoch, kept = kept_epoch(settings, position.epochs), position.kept
    split, measures = settings.validated_on, kept.get("measures", {})
    values = {**_held_out(epoch), **measures, "seconds": sum(position.seconds)}
    values["peak resident MB"] = peak_resident / memory.MB
    names = {name: column.format(split) for name, column in COLUMNS.items() if name in values}
    tags = {name: f"result/{column.replace(' ', '_')}" for name, column in names.items()}
    counts = kept.get("counts")  # with --keep-best, for up to 64 labels
    pictures = _pictures(np.array(counts), dataset.labels, "result") if counts else []
    scalars = event_writer.scalars({tag: values[name] for name, tag in tags.items()})
    writer.write("", int(epoch["step"]), [*scalars, *pictures])
    metrics = {tags[name]: column for name, column in names.items()}
    hparams = _hparams(settings, dataset, epoch["epoch"])
    writer.write("", 0, event_writer.hyperparameters(hparams, metrics))
    most_wrong = [Mistake(*each) for each in kept.get("most_wrong", ())]
    wrong = describe_most_wrong(model, dataset, settings, most_wrong, run.vocabulary())
    result = describe_result(epoch, len(position.epochs), split, measures, dataset.labels)
    texts = [event_writer.text("1 result", result), event_writer.text("3 most wrong", wrong)]
    writer.write("", int(position.epochs[-1]["step"]), texts)
    writer.flush()


def _hparams(settings: TrainingSettings, dataset: Dataset, epoch: int) -> dict[str, Any]:
    """Return the columns; whole numbers are texts, which the tab shows as they are, not as 2.0000."""
    values = dict.fromkeys(("epochs", "learning_rate")) | vars(settings)
    del values["histograms"]
    values |= {n: plain(each) for n, each in values.items() if not isinstance(each, bool | float | str)}
    return {**values, "data": dataset.name} | ({"kept epoch": str(epoch)} if settings.keep_best else {})
