"""What the pass over the validation reviews, which `fit` makes anyway, says beside its accuracy.

Another pass would cost a fifth of the training time; this costs a few operations a step, counts
instead of scores, and the few reviews that the network is most wrong about.
"""

import contextlib
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from ..model.metrics import (
    SCORE_BINS,
    Mistake,
    area_under_roc,
    from_confusion_matrix,
    to_confusion_matrix,
)

MOST_WRONG = 8


class Validation:
    """Count a network's validation passes while `watching` it.

    int32[labels, codes] reviews by true label and by code: with one sigmoid unit the bin of the
    probability (16 KB in all), otherwise the predicted label.
    """

    def __init__(self, labels: list[str]):
        self.labels = labels
        codes = SCORE_BINS if len(labels) == 2 else len(labels)
        self._counts = tf.Variable(tf.zeros([len(labels), codes], tf.int32), trainable=False)
        self._seen = tf.Variable(0, trainable=False)
        self._probability = tf.Variable(tf.fill([MOST_WRONG], -1.0), trainable=False)
        self._number = tf.Variable(tf.zeros([MOST_WRONG], tf.int32), trainable=False)
        self._predicted = tf.Variable(tf.zeros([MOST_WRONG], tf.int32), trainable=False)

    def reset(self) -> None:
        """Forget what was counted: a pass begins."""
        for variable in (self._counts, self._seen, self._number, self._predicted):
            variable.assign(tf.zeros_like(variable))
        self._probability.assign(tf.fill([MOST_WRONG], -1.0))

    @contextlib.contextmanager
    def watching(self, network: keras.Model) -> Iterator[None]:
        """Count each review that `network` tests while the block runs.

        `Model.test_step` and `Model.compute_metrics` are overridden, as Keras has it, but on the
        instance: the network is Keras' own, or the user's. A metric would do, and cost every
        training step what it costs a validation step.
        """
        test_step, compute_metrics, testing = network.test_step, network.compute_metrics, False

        def count_and_test(data):
            nonlocal testing
            testing = True  # while it is traced
            try:
                return test_step(data)
            finally:
                testing = False

        def count_and_compute(x, y, y_pred, sample_weight=None):
            if testing:
                self._add(y, y_pred)
            return compute_metrics(x, y, y_pred, sample_weight)

        network.test_step, network.compute_metrics = count_and_test, count_and_compute
        network.test_function = None  # one that was traced before does not count
        try:
            yield
        finally:
            del network.test_step, network.compute_metrics
            network.test_function = None

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
        if self._counts.shape[1] == SCORE_BINS:  # `measures.score_bins`
            codes = tf.clip_by_value(
                tf.cast(tf.math.ceil(score * SCORE_BINS), tf.int32) - 1, 0, SCORE_BINS - 1
            )
        else:
            codes = predicted
        self._counts.scatter_nd_add(tf.stack([true, codes], 1), tf.ones_like(true))
        self._keep_most_wrong(predicted, tf.where(predicted == true, -1.0, probability))

    def _keep_most_wrong(self, predicted: tf.Tensor, probability: tf.Tensor) -> None:
        numbers = self._seen + tf.range(tf.size(predicted))
        best = tf.math.top_k(tf.concat([self._probability, probability], 0), MOST_WRONG)
        self._number.assign(tf.gather(tf.concat([self._number, numbers], 0), best.indices))
        self._predicted.assign(tf.gather(tf.concat([self._predicted, predicted], 0), best.indices))
        self._probability.assign(best.values)
        self._seen.assign_add(tf.size(predicted))

    def combine(self, sum_over_workers: Callable, worker: int, workers: int) -> None:
        """Make the counts of this worker's reviews, number `worker` modulo `workers`, those of all."""
        self._counts.assign(sum_over_workers(self._counts.numpy()))
        number = self._number.numpy() * workers + worker
        table = np.zeros((workers, 3, MOST_WRONG), np.int32)
        table[worker] = number, self._predicted.numpy(), self._probability.numpy().view(np.int32)
        number, predicted, bits = sum_over_workers(table).swapaxes(0, 1).reshape(3, -1)
        probability = bits.view(np.float32)
        first = np.lexsort((number, -probability))[:MOST_WRONG]  # of equals the earlier, as in a pass
        self._number.assign(number[first])
        self._predicted.assign(predicted[first])
        self._probability.assign(probability[first])

    def bins(self) -> np.ndarray | None:
        """Give int32[2, 2048], true label by probability of the second; None with more labels."""
        return self._counts.numpy() if len(self.labels) == 2 else None

    def confusion_matrix(self) -> np.ndarray:
        """Give int32[labels, labels], true label by predicted."""
        counts = self._counts.numpy()
        return to_confusion_matrix(counts) if len(self.labels) == 2 else counts

    def measures(self) -> dict[str, float]:
        """Give precision, recall and F1 (more than two labels: their averages), and with two AUC."""
        measures = from_confusion_matrix(self.confusion_matrix(), self.labels)
        bins = self.bins()
        if bins is not None:
            measures["auc"] = area_under_roc(bins)
        del measures["accuracy"]
        return {name: value for name, value in measures.items() if isinstance(value, float)}

    def most_wrong(self) -> list[Mistake]:
        """Give the reviews whose wrong label the network is surest of, the surest first."""
        columns = (self._number, self._predicted, self._probability)
        every = map(Mistake, *(column.numpy().tolist() for column in columns))
        return [wrong for wrong in every if wrong.probability > 0]
