"""Measure more than loss and accuracy in the validation pass.

A separate pass would cost a fifth of the training time. This costs a few operations per step, and keeps
counts instead of scores, and the few reviews that the model is most wrong about.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..model.metrics import (
    SCORE_BINS,
    Mistake,
    area_under_roc,
    from_confusion_matrix,
    ratio,
    to_confusion_matrix,
)
from ..model.tensorflow import keras, tf
from .single_process import SingleProcess
from .step import Step

MOST_WRONG = 8


class ValidationMetrics:
    """Counts of a model's predictions in a validation pass.

    The counts are int32[labels, codes], by true label and code: with one sigmoid unit the bin of the
    probability (16 KB in all), otherwise the predicted label.
    """

    def __init__(self, labels: list[str]):
        self.labels = labels
        codes = SCORE_BINS if len(labels) == 2 else len(labels)
        self._counts = tf.Variable(tf.zeros([len(labels), codes], tf.int32), trainable=False)
        self._seen = tf.Variable(0, trainable=False)
        # The most confident mistakes; no probability is below 0.
        self._probability = tf.Variable(tf.fill([MOST_WRONG], -1.0), trainable=False)
        self._number = tf.Variable(tf.zeros([MOST_WRONG], tf.int32), trainable=False)
        self._predicted = tf.Variable(tf.zeros([MOST_WRONG], tf.int32), trainable=False)

    def reset(self) -> None:
        """Set all counts to zero, before a pass."""
        for variable in (self._counts, self._seen, self._number, self._predicted):
            variable.assign(tf.zeros_like(variable))
        self._probability.assign(tf.fill([MOST_WRONG], -1.0))

    def test_step(self, model: keras.Model, call: Callable[..., tf.Tensor], replicas: int = 1) -> Step:
        """Return the model's own test step, which also counts what it predicts.

        `call` is the model, or a function that returns the same for a different form of its input.

        Keras' `test_step` does not return its predictions, so it is reimplemented with Keras' public
        methods. A model with its own `test_step` keeps it, and predicts a second time.
        """
        own = type(model).test_step is not keras.Model.test_step
        mean_loss: Any = next((metric for metric in model.metrics if metric.name == "loss"), None)

        def test_step(batch: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
            x, y = batch
            y_pred = call(x, training=False)
            self._add(y, y_pred)
            if own:
                return model.test_step(batch)
            loss = model.compute_loss(x=x, y=y, y_pred=y_pred, training=False)
            if replicas > 1:  # Keras divides a loss by them
                loss *= replicas
            mean_loss.update_state(loss, sample_weight=tf.shape(y)[0])
            return model.compute_metrics(x, y, y_pred)

        return test_step

    def _add(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> None:
        """`y_true` int[batch]; `y_pred` float32[batch, 1] sigmoid or [batch, labels] softmax."""
        true = tf.cast(tf.reshape(y_true, [-1]), tf.int32)
        if y_pred.shape[-1] == 1:
            score = tf.cast(y_pred[:, 0], tf.float32)
            predicted = tf.cast(score > 0.5, tf.int32)
            probability = tf.where(score > 0.5, score, 1 - score)
        else:
            predicted = tf.argmax(y_pred, -1, tf.int32)
            probability = tf.cast(tf.reduce_max(y_pred, -1), tf.float32)
            score = tf.cast(y_pred[:, -1], tf.float32)
        if self._counts.shape[1] == SCORE_BINS:  # `metrics.score_bins`
            codes = tf.clip_by_value(
                tf.cast(tf.math.ceil(score * SCORE_BINS), tf.int32) - 1, 0, SCORE_BINS - 1
            )
        else:
            codes = predicted
        self._counts.scatter_nd_add(tf.stack([true, codes], 1), tf.ones_like(true))
        probability = tf.where(predicted == true, -1.0, probability)
        numbers = self._seen + tf.range(tf.size(predicted))
        best = tf.math.top_k(tf.concat([self._probability, probability], 0), MOST_WRONG)
        self._number.assign(tf.gather(tf.concat([self._number, numbers], 0), best.indices))
        self._predicted.assign(tf.gather(tf.concat([self._predicted, predicted], 0), best.indices))
        self._probability.assign(best.values)
        self._seen.assign_add(tf.size(predicted))

    def combine(self, strategy: SingleProcess) -> None:
        """Add up the counts of all workers; each has every `workers`-th review."""
        if strategy.workers == 1:
            return
        self._counts.assign(strategy.all_reduce(self._counts.numpy()))
        number = self._number.numpy() * strategy.workers + strategy.worker
        table = np.zeros((strategy.workers, 3, MOST_WRONG), np.int32)
        bits = self._probability.numpy().view(np.int32)
        table[strategy.worker] = number, self._predicted.numpy(), bits
        number, predicted, bits = strategy.all_reduce(table).swapaxes(0, 1).reshape(3, -1)
        probability = bits.view(np.float32)
        first = np.lexsort((number, -probability))[:MOST_WRONG]  # the earlier of equals, as in a pass
        self._number.assign(number[first])
        self._predicted.assign(predicted[first])
        self._probability.assign(probability[first])

    def counts(self) -> np.ndarray:
        """Return int32[2, 2048], true label by bin; with more than two labels the confusion matrix."""
        return self._counts.numpy()

    def confusion_matrix(self) -> np.ndarray:
        """Return int32[labels, labels], true label by predicted."""
        counts = self.counts()
        return to_confusion_matrix(counts) if len(self.labels) == 2 else counts

    def measures(self) -> dict[str, float]:
        """Return precision, recall, F1 and, for two labels, AUC; averages for more than two labels."""
        measures = from_confusion_matrix(self.confusion_matrix(), self.labels)
        if len(self.labels) == 2:
            measures["auc"] = float(area_under_roc(self.counts()))
        del measures["accuracy"]
        return {name: value for name, value in measures.items() if isinstance(value, float)}

    def macro_f1(self) -> float:
        """Return the mean of the labels' F1, in which rare labels count as much as frequent ones."""
        counts = self.confusion_matrix()
        return float(ratio(2 * np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1)).mean())

    def most_wrong(self) -> list[Mistake]:
        """Return the wrongly labelled reviews that the model is surest of, the surest first."""
        columns = (self._number, self._predicted, self._probability)
        every = map(Mistake, *(column.numpy().tolist() for column in columns))
        return [wrong for wrong in every if wrong.probability > 0]

    def to_json(self, *, with_counts: bool) -> dict[str, Any]:
        """Return a pass's measures, most wrong reviews and, if asked, counts, of up to 64 labels.

        The confusion matrix of 1,000 labels would be 40 MB in the state.
        """
        kept = {"measures": self.measures(), "most_wrong": [list(each) for each in self.most_wrong()]}
        counts = self.counts()
        few = counts.size <= 2 * SCORE_BINS
        return {**kept, "counts": counts.tolist()} if with_counts and few else kept
