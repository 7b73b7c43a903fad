"""Load, run and explain a trained model in NumPy: 2 MB for the default, no TensorFlow.

Most of the time goes into the first layer. A multi-hot row times its kernel is the sum of the kernel's
rows for the review's ids, 130 of 10,000 for an IMDb review: summing them takes half the time of the dense
product, and no 40 KB row per review.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..runs.run_directory import RunDirectory
from ..system.directories import no_directory
from ..system.errors import DataError, InputMissing, SettingsError, quoted
from ..text.reviews import count_in_each
from ..text.vocabulary import FIRST_WORD_ID, MIN_NUM_WORDS, OUT_OF_VOCABULARY_ID, Vocabulary
from .weights import Metadata, read_weights


def distinct_ids(ids: np.ndarray, num_words: int, ngrams: int | None = None) -> np.ndarray:
    """Return int[n], the columns that are 1 in the multi-hot row of a review's ids, ascending.

    All words outside the vocabulary are one word to a model: ids from `num_words` on become 2. N-grams,
    whose ids are distinct and ascending already, are dropped from `num_words` on.
    """
    if ngrams is not None:
        return ids[ids < num_words]
    known = np.where(ids < num_words, ids, OUT_OF_VOCABULARY_ID)
    known.sort()
    first = np.ones(len(known), bool)
    np.not_equal(known[1:], known[:-1], out=first[1:])
    return known[first]  # as np.unique, in half its time: 4 us for an IMDb review


def num_known(reviews: Sequence[np.ndarray], num_words: int) -> np.ndarray:
    """Return int64[reviews], how many of each one's distinct ids a model knows."""
    ids = np.concatenate([np.empty(0, np.int32), *reviews])
    lengths = np.fromiter(map(len, reviews), np.int64, len(reviews))
    return count_in_each((ids >= FIRST_WORD_ID) & (ids < num_words), lengths)


@dataclass(frozen=True)
class NumpyModel:
    """Dense layers, and the metadata in ``weights.npz``.

    A review is given as its distinct ids (`known_ids`), all below `num_words`.
    """

    metadata: Metadata
    kernels: list[np.ndarray]
    """float32 or float16 [inputs, units] of each layer; the first has `num_words` inputs."""
    biases: list[np.ndarray]
    """float32[units] of each layer."""
    temperature: float = 1.0
    """The logits are divided by it."""

    @classmethod
    def load(cls, run: RunDirectory) -> "NumpyModel":
        """Read a run's ``weights.npz``; InputMissing or DataError if it is missing or damaged."""
        if not run.path.is_dir():
            raise no_directory(run.path, "run", "train")
        if not os.path.lexists(run.weights_file):
            raise InputMissing(f"{run.path} has no {run.weights_file.name}: {_why_no_weights(run)}")
        run.checksums.check(run.weights_file)
        return cls(*read_weights(run.weights_file))

    def require_shape(self, num_words: int, hidden: tuple[int, ...], path: Path) -> None:
        """Raise SettingsError unless these settings match this model's shape; messages name `path`."""
        if self.num_words != num_words:
            raise SettingsError(
                f"num_words is {num_words:,}, {path} has {self.num_words:,}; expected the same"
            )
        units = tuple(kernel.shape[1] for kernel in self.kernels[:-1])
        if units != hidden:
            shown, has = (",".join(map(str, each)) for each in (hidden, units))
            raise SettingsError(f"hidden is {shown}, {path} has {has}; expected the same")

    @property
    def labels(self) -> list[str]:
        """The labels, in the order of the columns of every result."""
        return self.metadata.labels

    @property
    def num_words(self) -> int:
        """Ids below it are known."""
        return self.metadata.num_words

    @property
    def reads_ngrams(self) -> bool:
        """Whether it reads n-grams instead of words."""
        return bool(self.metadata.ngrams)

    def known_ids(self, ids: np.ndarray) -> np.ndarray:
        """Return int[n], the distinct ids of a review to this model (`distinct_ids`)."""
        return distinct_ids(ids, self.num_words, self.metadata.ngrams)

    def logits(self, reviews: Sequence[np.ndarray]) -> np.ndarray:
        """Return float32[reviews, labels], whose softmax is the probabilities."""
        sums = np.empty((len(reviews), self.kernels[0].shape[1]), np.float32)
        for nth, ids in enumerate(reviews):
            np.add.reduce(self._rows(ids), axis=0, out=sums[nth])
        return self._logits_of(sums)

    def probabilities(self, reviews: Sequence[np.ndarray]) -> np.ndarray:
        """Return float32[reviews, labels], equal to `keras.Model.predict` within 1e-5."""
        return softmax(self.logits(reviews))

    def score(self, reviews: Sequence[np.ndarray], labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return float32[reviews, labels], the probabilities, and float64[reviews], the losses.

        The loss is the cross-entropy of the true labels, int[reviews], from the logits, as Keras computes
        it: exact even if the probability rounds to 0 or 1.
        """
        logits = self.logits(reviews)
        exact = logits.astype(np.float64)
        losses = np.logaddexp.reduce(exact, axis=1) - exact[np.arange(len(labels)), labels]
        return softmax(logits), losses

    def effects_of(
        self, ids: np.ndarray, label: int, left_out: np.ndarray, counts: np.ndarray
    ) -> np.ndarray:
        """Return float64[sets], how much lower the label's log-odds are without sets of a review's ids.

        `left_out` int64[sum of counts] are indices in `ids`, one set after the other; `counts`
        int64[sets] are the sizes of the sets, each 1 or more.
        """
        rows = self._rows(ids).astype(np.float64)  # so that subtracting is exact enough
        whole = rows.sum(axis=0)[None]
        sums = np.add.reduceat(rows[left_out], np.cumsum(counts) - counts) if len(counts) else rows[:0]
        odds = log_odds(self._logits_of(np.concatenate([whole, whole - sums])), label)
        return np.asarray(odds[0] - odds[1:])

    def _rows(self, ids: np.ndarray) -> np.ndarray:
        """Return float32[ids, units], the first kernel's rows for a review's ids."""
        kernel = self.kernels[0]
        if kernel.dtype == np.float32:
            return kernel.take(ids, axis=0)
        return _widened(kernel.view(np.int16).take(ids, axis=0))

    def _logits_of(self, sums: np.ndarray) -> np.ndarray:
        """Return [n, labels] from [n, units], sums of the first kernel's rows, in their dtype."""
        values = sums + self.biases[0]
        for activation, kernel, bias in zip(
            self.metadata.activations, self.kernels[1:], self.biases[1:], strict=False
        ):
            values = _activate(values, activation) @ kernel + bias
        if values.shape[1] == 1:  # softmax of (0, z) is (1 - sigmoid(z), sigmoid(z))
            values = np.concatenate([np.zeros_like(values), values], axis=1)
        return values if self.temperature == 1 else values / values.dtype.type(self.temperature)


def _widened(halves: np.ndarray) -> np.ndarray:
    """Return finite float16 values, given as their bits in int16, as float32.

    Sign, exponent and mantissa move to their places; the biases of the exponents differ by 112. NumPy
    converts one value at a time, which takes twice as long.
    """
    bits = halves.astype(np.int32)
    bits <<= 13
    bits &= ~0x70000000  # copies of the sign
    values = bits.view(np.float32)
    values *= np.float32(2.0**112)
    return values


def load_with_vocabulary(run: RunDirectory) -> tuple[NumpyModel, Vocabulary]:
    """Load a run's model and its vocabulary, each checked against the other.

    ``weights.npz`` and ``vocabulary.txt`` suffice, so they can be copied elsewhere for prediction; if
    config.json is there too, it is checked as well. Raises InputMissing or DataError.
    """
    model = NumpyModel.load(run)
    vocabulary = Vocabulary.load(run.vocabulary_file, model.metadata.vocabulary_sha256)
    if len(vocabulary) + MIN_NUM_WORDS != model.num_words:
        raise DataError(
            f"{run.weights_file} is for {model.num_words - MIN_NUM_WORDS:,} words, but "
            f"{run.vocabulary_file} has {len(vocabulary):,}"
        )
    if os.path.lexists(run.config_file):
        config = run.config()
        expected = config["settings"]["num_words"], config["labels"]
        if expected != (model.num_words, model.labels):
            raise DataError(
                f"{run.weights_file} is for {model.num_words:,} words and the labels "
                f"{', '.join(model.labels)}; {run.config_file} says {expected[0]:,} and "
                f"{', '.join(expected[1])}"
            )
    return model, vocabulary


def _why_no_weights(run: RunDirectory) -> str:
    if run.model_file.exists():
        return (
            "its model has other layers than Dense and Dropout, which NumPy does not run; "
            "use evaluate, or export --format saved-model"
        )
    if run.config_file.exists():
        return (
            f"the run is not finished; resume it with lowmem-sentiment train --resume {quoted(run.path)}"
        )
    return "expected a run, or an export made with --format weights"


def _activate(values: np.ndarray, name: str) -> np.ndarray:
    """Apply a hidden layer's activation, one of `weights.ACTIVATIONS`."""
    if name == "relu":
        np.maximum(values, 0, out=values)
    elif name == "tanh":
        np.tanh(values, out=values)
    elif name == "sigmoid":
        np.exp(-np.logaddexp(0, -values), out=values)  # without overflow at either end
    elif name == "softmax":
        return softmax(values)
    return values  # linear


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities [n, labels] of logits [n, labels]."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def log_odds(logits: np.ndarray, label: int) -> np.ndarray:
    """Return log(p / (1 - p)) of a label, from logits: exact even if p is 1 in float32."""
    return np.asarray(logits[:, label] - np.logaddexp.reduce(np.delete(logits, label, axis=1), axis=1))
