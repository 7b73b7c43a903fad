"""A Keras model that NumPy cannot run (other layers than Dense and Dropout), scored as `NumpyModel` is.

It takes 540 MB and two seconds, as TensorFlow does, and 40 KB per review of a batch at 10,000 words.
"""

from collections.abc import Sequence

import numpy as np

from .numpy_model import distinct_ids
from .tensorflow import keras, tf

_BATCH = 32  # reviews; larger is no faster, and each review in it is 40 KB of rows


class KerasModel:
    """A model of float32[batch, num_words] -> sigmoid [batch, 1] or softmax [batch, labels]."""

    def __init__(self, model: keras.Model, labels: list[str], num_words: int, ngrams: int | None = None):
        self.labels, self.num_words, self._ngrams = labels, num_words, ngrams
        self.reads_ngrams = bool(ngrams)
        binary = len(labels) == 2
        specs = [tf.TensorSpec([None, num_words], tf.float32), tf.TensorSpec([None], tf.int64)]

        @tf.function(input_signature=specs)
        def run(rows: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            outputs = model(rows, training=False)
            if binary:  # the loss as Keras' `evaluate` computes it, from the logits if it finds them
                return outputs, keras.losses.binary_crossentropy(labels[:, None], outputs)
            return outputs, keras.losses.sparse_categorical_crossentropy(labels, outputs)

        self._run = run

    def known_ids(self, ids: np.ndarray) -> np.ndarray:
        """Return int[n], the distinct ids of a review to this model (`distinct_ids`)."""
        return distinct_ids(ids, self.num_words, self._ngrams)

    def score(self, reviews: Sequence[np.ndarray], labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return float32[reviews, labels], the probabilities, and float64[reviews], the losses."""
        probabilities, losses = [], []
        for first in range(0, len(reviews), _BATCH):
            some = reviews[first : first + _BATCH]
            rows = np.zeros((len(some), self.num_words), np.float32)
            for row, ids in zip(rows, some, strict=True):
                row[ids] = 1
            outputs, loss = self._run(rows, labels[first : first + _BATCH])
            outputs = outputs.numpy()
            probabilities.append(np.hstack([1 - outputs, outputs]) if len(self.labels) == 2 else outputs)
            losses.append(loss.numpy().astype(np.float64))
        return np.concatenate(probabilities), np.concatenate(losses)
