"""The network's Dense layers in NumPy, on reviews as they are on disk.

The first layer is what costs: a multi-hot row times its kernel is the sum of the kernel's rows of
the ids that are there, 130 of 10,000 for an IMDb review.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from .errors import DataError, InputMissing
from .run_directory import RunDirectory
from .tfrecord import Reviews
from .vocabulary import FIRST_WORD_ID, OUT_OF_VOCABULARY_ID


class Dense(NamedTuple):
    """The layers of a network."""

    kernels: list[np.ndarray]
    biases: list[np.ndarray]
    activations: list[str]

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> "Dense":
        """Take the layers from the arrays of weights.npz (`weights.to_arrays`)."""
        activations = json.loads(arrays["metadata"].tobytes())["activations"]
        count = range(len(activations))
        return cls(
            [arrays[f"kernel_{n}"] for n in count], [arrays[f"bias_{n}"] for n in count], activations
        )

    @classmethod
    def load(cls, run: RunDirectory) -> "Dense":
        """Read a run's weights.npz; InputMissing or DataError if it is not there or damaged."""
        if not run.weights_file.exists():
            raise InputMissing(
                f"{run.path} has no {run.weights_file.name}: it is not finished, or has other layers"
            )
        try:
            with np.load(run.weights_file, allow_pickle=False) as arrays:  # each CRC-32 is checked
                return cls.of(arrays)
        except Exception as error:  # zipfile, zlib, NumPy and json raise a dozen kinds
            raise DataError(f"{run.weights_file} is damaged ({error})") from error

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
        return _activate(self._logits(sums), self.activations[-1])

    def effects(self, ids: np.ndarray, label: int) -> dict[int, float]:
        """Give for each known word of int[ids] how much lower the label's log-odds are without it."""
        ids = np.unique(self._known(ids))
        rows = self.kernels[0][ids].astype(np.float64)
        words = ids >= FIRST_WORD_ID
        whole = rows.sum(axis=0)
        logits = self._logits(np.concatenate([whole[None], whole - rows[words]]))
        if logits.shape[1] == 1:  # softmax of (0, z) is (1 - sigmoid(z), sigmoid(z))
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
        odds = logits[:, label] - np.logaddexp.reduce(np.delete(logits, label, axis=1), axis=1)
        return dict(zip(ids[words].tolist(), (odds[0] - odds[1:]).tolist(), strict=True))

    def _known(self, ids: np.ndarray) -> np.ndarray:
        return np.where(ids < self.num_words, ids, OUT_OF_VOCABULARY_ID)

    def _logits(self, sums: np.ndarray) -> np.ndarray:
        """Give the last layer's values before its activation, from sums of the first kernel's rows."""
        values = sums + self.biases[0]
        for activation, kernel, bias in zip(
            self.activations, self.kernels[1:], self.biases[1:], strict=False
        ):
            values = _activate(values, activation) @ kernel + bias
        return values


def _activate(values: np.ndarray, name: str) -> np.ndarray:
    if name == "relu":
        return np.maximum(values, 0)
    if name == "tanh":
        return np.tanh(values)
    if name == "sigmoid":
        return np.exp(-np.logaddexp(0, -values))
    if name == "softmax":
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)
    if name == "linear":
        return values
    known = "relu, tanh, sigmoid, softmax or linear"
    raise DataError(f"a layer has the activation {name!r}, expected {known}")
