"""Predict with NumPy alone, from ``weights.npz`` and ``vocabulary.txt``: no TensorFlow, 40 MB.

The first layer is what costs. A multi-hot row times its kernel is the sum of the kernel's rows
for the words that are there, 130 of 10,000 for an IMDb review: taking and adding those is half
the time of the dense product, and needs no 40 KB row a review.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..model.numpy_model import NumpyModel, log_odds, softmax
from ..model.weights import load_weights
from ..runs.run_directory import RunDirectory
from ..system.errors import SettingsError
from ..text.tokenizer import PIECE_BYTES, tokenise, tokenise_in_pieces
from ..text.vocabulary import OUT_OF_VOCABULARY_ID, START_ID

UNKNOWN = "#"
"""Stands for all words out of the vocabulary, which are one word to the network."""

_BLOCK = 1_000  # texts at a time; more is no faster


class Effect(NamedTuple):
    """What a word does in a text."""

    word: str
    effect: float
    """How much lower the log-odds of the predicted label are when the word is left out: above 0
    for a word that speaks for the label, below 0 for one that speaks against it."""


class Prediction(NamedTuple):
    """What the network says of a text."""

    label: str
    probability: float
    """Of `label`."""
    probabilities: dict[str, float]
    """Of every label."""
    effects: list[Effect] | None = None
    """The words' effects, from most for the label to most against it; None if not asked for."""

    def as_dict(self) -> dict[str, Any]:
        """Give what JSON can hold; "effects" only where they were asked for."""
        content = self._asdict()
        if self.effects is None:
            del content["effects"]
        else:
            content["effects"] = [effect._asdict() for effect in self.effects]
        return content


def strongest(effects: list[Effect], count: int) -> list[Effect]:
    """Give the `count` strongest effects in either direction, in order."""
    towards = [effect for effect in effects if effect.effect > 0][:count]
    against = [effect for effect in effects if effect.effect < 0][-count:] if count else []
    return towards + against


class Predictor:
    """A trained network, ready to predict: load once, ask often.

    Costs its weights (2 MB at 10,000 words) and its words (150 bytes each, 1.5 MB).
    """

    def __init__(self, run: str | Path):
        """Load a run; InputMissing or DataError where it has no weights or they are damaged."""
        weights, self._vocabulary = load_weights(RunDirectory(run))
        self.labels, self.num_words = weights.labels, weights.num_words
        self._network = NumpyModel.of(weights)
        self._id_of = self._vocabulary.ids.get

    def _ids(self, text: bytes) -> np.ndarray:
        """Give int64[ids], a text's distinct ids, as multi-hot encoding sees them."""
        if len(text) <= PIECE_BYTES:
            ids = set(map(self._id_of, tokenise(text)))
        else:
            ids = set()
            for words in tokenise_in_pieces(text):
                ids.update(map(self._id_of, words))
        if None in ids:
            ids.remove(None)
            ids.add(OUT_OF_VOCABULARY_ID)
        ids.add(START_ID)
        return np.fromiter(ids, np.int64, len(ids))

    def _sums(self, texts: Sequence[bytes]) -> np.ndarray:
        """Give float32[texts, units]: the sums of the first kernel's rows."""
        kernel = self._network.kernels[0]
        sums = np.empty((len(texts), kernel.shape[1]), np.float32)
        for nth, text in enumerate(texts):
            kernel.take(self._ids(text), axis=0).sum(axis=0, out=sums[nth])
        return sums

    def probabilities(self, texts: Iterable[str | bytes]) -> np.ndarray:
        """Give float32[texts, labels]: what `keras.Model.predict` gives, within 1e-5."""
        texts = _as_bytes(texts)
        blocks = [
            softmax(self._network.logits(self._sums(texts[at : at + _BLOCK])))
            for at in range(0, len(texts), _BLOCK)
        ]
        return np.concatenate(blocks) if blocks else np.empty((0, len(self.labels)), np.float32)

    def predict(
        self, texts: Iterable[str | bytes], *, threshold: float | None = None, explain: bool = False
    ) -> list[Prediction]:
        """Give a `Prediction` for each text.

        The label is the most probable one; with `threshold` (two labels only) it is the second
        where its probability is above that. `explain` adds the words' effects.
        """
        if threshold is not None and len(self.labels) != 2:
            raise SettingsError(f"a threshold is for two labels; these are {', '.join(self.labels)}")
        if threshold is not None and not 0 <= threshold <= 1:
            raise SettingsError(f"threshold is {threshold}, expected 0 to 1")
        texts = _as_bytes(texts)
        probabilities = self.probabilities(texts)
        if len(self.labels) == 2:
            chosen = probabilities[:, 1] > (0.5 if threshold is None else threshold)
        else:
            chosen = probabilities.argmax(axis=1)
        labels, predictions = self.labels, []
        for label, row in zip(chosen.tolist(), probabilities.tolist(), strict=True):
            named = dict(zip(labels, row, strict=True))
            predictions.append(Prediction(labels[label], row[label], named))
        if explain:
            return [
                prediction._replace(effects=self._effects(text, int(label)))
                for prediction, text, label in zip(predictions, texts, chosen, strict=True)
            ]
        return predictions

    def _effects(self, text: bytes, label: int) -> list[Effect]:
        """Run the network once without each word, all at once: [words, units] is 28 KB for 140."""
        ids = self._ids(text)
        rows = (
            self._network.kernels[0].take(ids, axis=0).astype(np.float64)
        )  # so that subtracting is exact enough
        whole = rows.sum(axis=0)
        words = ids != START_ID
        without = np.concatenate([whole[None], whole - rows[words]])
        odds = log_odds(self._network.logits(without), label)
        effects = (odds[0] - odds[1:]).tolist()
        names = [self._vocabulary.decode([id_], UNKNOWN) for id_ in ids[words].tolist()]
        return sorted(map(Effect, names, effects), key=lambda effect: (-effect.effect, effect.word))


def _as_bytes(texts: Iterable[str | bytes]) -> list[bytes]:
    if isinstance(texts, (str, bytes)):
        texts = [texts]  # one text, not its letters
    return [text if isinstance(text, bytes) else text.encode("utf-8", "replace") for text in texts]


def predict(
    run: str | Path | Predictor,
    texts: Iterable[str | bytes],
    *,
    threshold: float | None = None,
    explain: bool = False,
) -> list[Prediction]:
    """Give a `Prediction` for each text, from a trained run (see `Predictor.predict`).

    Raises InputMissing or DataError for a run without weights, or with damaged ones.

    >>> predict("runs/imdb", ["a wonderful film"])[0].label  # doctest: +SKIP
    'positive'
    """
    predictor = run if isinstance(run, Predictor) else Predictor(run)
    return predictor.predict(texts, threshold=threshold, explain=explain)
