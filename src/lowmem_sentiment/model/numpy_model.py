"""The network's Dense layers in NumPy, on reviews as they are on disk.

The first layer is what costs: a multi-hot row times its kernel is the sum of the kernel's rows of
the ids that are there, 130 of 10,000 for an IMDb review.
"""

from typing import NamedTuple

import numpy as np

from ..runs.run_directory import RunDirectory
from ..text.reviews import Reviews
from ..text.vocabulary import FIRST_WORD_ID, OUT_OF_VOCABULARY_ID
from .weights import Weights, load_weights


class NumpyModel(NamedTuple):
    """The layers of a network."""

    kernels: list[np.ndarray]
    biases: list[np.ndarray]
    activations: list[str]

    @classmethod
    def of(cls, weights: Weights) -> "NumpyModel":
        """Take the layers from weights that were read."""
        return cls(weights.kernels, weights.biases, weights.activations)

    @classmethod
    def load(cls, run: RunDirectory) -> "NumpyModel":
        """Read a run's weights.npz; InputMissing or DataError if it is not there or damaged."""
        return cls.of(load_weights(run)[0])

    @property
    def num_words(self) -> int:
        """Ids below it are known."""
        return len(self.kernels[0])

    def scores(self, reviews: Reviews) -> np.ndarray:
        """Give float32[reviews, outputs], what the network gives for their multi-hot rows.

        Needs 200 bytes a token for the default network while it runs.
        """
        count = len(reviews.lengths)
        ids = self._known(reviews.token_ids)
        keys = np.unique(np.repeat(np.arange(count), reviews.lengths) * self.num_words + ids)
        review, ids = np.divmod(keys, self.num_words)  # each id once a review
        sums = np.zeros((count, len(self.biases[0])), np.float32)
        present, starts = np.unique(review, return_index=True)
        if len(present):
            sums[present] = np.add.reduceat(self.kernels[0][ids], starts, axis=0)
        probabilities = softmax(self.logits(sums))
        return probabilities if len(self.biases[-1]) > 1 else probabilities[:, 1:]

    def effects(self, ids: np.ndarray, label: int) -> dict[int, float]:
        """Give for each known word of int[ids] how much lower the label's log-odds are without it."""
        ids = np.unique(self._known(ids))
        rows = self.kernels[0][ids].astype(np.float64)
        words = ids >= FIRST_WORD_ID
        whole = rows.sum(axis=0)
        odds = log_odds(self.logits(np.concatenate([whole[None], whole - rows[words]])), label)
        return dict(zip(ids[words].tolist(), (odds[0] - odds[1:]).tolist(), strict=True))

    def _known(self, ids: np.ndarray) -> np.ndarray:
        return np.where(ids < self.num_words, ids, OUT_OF_VOCABULARY_ID)

    def logits(self, sums: np.ndarray) -> np.ndarray:
        """Give [n, labels], whose softmax is the probabilities, from sums of the first kernel's rows.

        In the dtype of `sums`: [n, units of the first layer], without its bias.
        """
        values = sums + self.biases[0]
        for activation, kernel, bias in zip(
            self.activations, self.kernels[1:], self.biases[1:], strict=False
        ):
            values = _activate(values, activation) @ kernel + bias
        if values.shape[1] == 1:  # softmax of (0, z) is (1 - sigmoid(z), sigmoid(z))
            values = np.concatenate([np.zeros_like(values), values], axis=1)
        return values


def _activate(values: np.ndarray, name: str) -> np.ndarray:
    """Apply a hidden layer's activation, one of `weights.ACTIVATIONS`."""
    if name == "relu":
        return np.maximum(values, 0, out=values)
    if name == "tanh":
        return np.tanh(values)
    if name == "sigmoid":
        return np.exp(-np.logaddexp(0, -values))  # without overflow at either end
    if name == "softmax":
        return softmax(values)
    return values  # linear


def softmax(logits: np.ndarray) -> np.ndarray:
    """Give the probabilities [n, labels] of logits [n, labels]."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def log_odds(logits: np.ndarray, label: int) -> np.ndarray:
    """Give log(p / (1 - p)) of a label, from logits: it stays exact where p is 1 in float32."""
    return logits[:, label] - np.logaddexp.reduce(np.delete(logits, label, axis=1), axis=1)
