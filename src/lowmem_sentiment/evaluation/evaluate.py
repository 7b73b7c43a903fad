"""Evaluate a trained run on a dataset, in one streaming pass."""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from ..dataset.reader import Dataset
from ..model.keras_model import compile_model
from ..model.metrics import from_confusion_matrix
from ..runs.run_directory import RunDirectory
from ..system.errors import SettingsError
from ..system.progress import Progress, no_progress
from ..training.input_pipeline import batches, damaged_shard

BATCH_SIZE = 32  # larger is no faster here, and each review in a batch is 40 KB of rows

STEPS_PER_EXECUTION = 50

# Scores are counted between this many thresholds (5 floats each) instead of being kept, so the
# area is exact but for reviews that share one of 2,000 bins; on IMDb it differs in the 6th digit.
AUC_THRESHOLDS = 2_000


class ConfusionMatrix(keras.metrics.Metric):
    """Count int[labels, labels]: reviews by true label (row) and predicted label (column)."""

    def __init__(self, num_labels: int, name: str = "accuracy"):
        super().__init__(name=name)
        self._num_labels = num_labels
        self.counts = self.add_weight(
            shape=(num_labels, num_labels), initializer="zeros", dtype="int32", name="counts"
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        """`y_true` int[batch]; `y_pred` float32[batch, 1] sigmoid or [batch, labels] softmax."""
        predicted = y_pred[:, 0] > 0.5 if y_pred.shape[-1] == 1 else tf.argmax(y_pred, -1)
        true = tf.reshape(y_true, [-1])
        self.counts.assign_add(tf.math.confusion_matrix(true, predicted, self._num_labels))

    def result(self):
        """Give the accuracy."""
        counts = tf.cast(self.counts, tf.float32)
        return tf.math.divide_no_nan(tf.linalg.trace(counts), tf.reduce_sum(counts))


class _Report(keras.callbacks.Callback):
    """Tell a `Progress` how far the pass is, in steps."""

    def __init__(self, progress: Progress, steps: int):
        super().__init__()
        self._progress, self._steps = progress, steps

    def on_test_batch_end(self, batch, logs=None):
        self._progress("evaluate", min(batch + 1, self._steps), self._steps)


def evaluate(
    run: str | Path,
    dataset: Dataset | str | Path | None = None,
    *,
    split: str = "test",
    batch_size: int = BATCH_SIZE,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Give the metrics of a run on a dataset's split ("test" or "train"), and save them in the run.

    Accuracy, loss, confusion matrix; with two labels precision, recall and F1 of the second and
    the area under the ROC curve; with more, each label's and their averages. Without `dataset`,
    it is the one the run was trained on. Raises DataError when the dataset's vocabulary or
    labels are not the run's.
    """
    run = RunDirectory(run)
    config = run.config()
    dataset = run.find_dataset(dataset)
    run.require_words_of(dataset)
    network = run.load_model()
    matrix = ConfusionMatrix(len(dataset.labels))
    metrics = [matrix]
    if len(dataset.labels) == 2:
        metrics.append(keras.metrics.AUC(AUC_THRESHOLDS, name="auc"))
    compile_model(network, metrics=metrics, steps_per_execution=STEPS_PER_EXECUTION)
    rows = batches(
        dataset,
        split,
        num_words=config["settings"]["num_words"],
        batch_size=batch_size,
        shuffle=False,
    )
    try:
        report = _Report(progress, int(rows.cardinality()))
        measured = network.evaluate(rows, callbacks=[report], verbose=0, return_dict=True)
    except tf.errors.DataLossError as error:
        raise damaged_shard(dataset, error) from error
    evaluation = {
        "run": str(run.path),
        "data": dataset.source["description"],
        "dataset": str(dataset.directory),
        "split": split,
        "reviews": dataset.num_reviews(split),
        "labels": dataset.labels,
        "loss": float(measured["loss"]),
        **from_confusion_matrix(matrix.counts.numpy(), dataset.labels),
        **({"auc": float(measured["auc"])} if "auc" in measured else {}),
    }
    run.write_evaluation(evaluation)
    return evaluation


def missed(evaluation: dict[str, Any], thresholds: dict[str, float]) -> list[str]:
    """Give a line for each metric below its threshold ("loss": above it).

    Raises SettingsError for a metric that the evaluation does not have.
    """
    numbers = {name: value for name, value in evaluation.items() if isinstance(value, float)}
    lines = []
    for name, threshold in thresholds.items():
        if name not in numbers:
            raise SettingsError(f"no metric {name!r}, expected one of {', '.join(numbers)}")
        value = numbers[name]
        by = value - threshold if name == "loss" else threshold - value
        if by > 0:
            side = "above" if name == "loss" else "below"
            lines.append(f"{name} is {value:.5f}, {by:.5f} {side} {threshold}")
    return lines
