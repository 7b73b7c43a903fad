"""Predict with only NumPy, from ``weights.npz`` and ``vocabulary.txt``: no TensorFlow, 40 MB."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..model.effects import Effect, word_effects
from ..model.numpy_model import load_with_vocabulary
from ..runs.run_directory import RunDirectory
from ..system.errors import SettingsError
from ..text.encoders import text_encoder
from ..text.vocabulary import FIRST_WORD_ID

UNKNOWN = "#"
"""Stands for all words outside the vocabulary, which are one word to the model."""

_BLOCK = 1_000  # texts at a time; larger blocks are not faster


@dataclass(frozen=True)
class Prediction:
    """The label that a model predicts for a text."""

    label: str
    probability: float
    """The probability of `label`, 0 to 1."""
    probabilities: dict[str, float]
    """The probability of each label."""
    effects: list[Effect] | None = None
    """The words' effects, from most for the label to most against it; None if not asked for."""
    known: bool = True
    """Whether the model knows any of its words; if not, the answer is the same for all such texts."""

    def with_strongest(self, count: int) -> "Prediction":
        """Return this prediction with only the `count` strongest effects in either direction."""
        if self.effects is None:
            return self
        towards = [effect for effect in self.effects if effect.effect > 0][:count]
        against = [effect for effect in self.effects if effect.effect < 0][-count:] if count else []
        return replace(self, effects=towards + against)

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``predict --json`` prints; "effects" only if requested."""
        content = {
            "label": self.label,
            "probability": self.probability,
            "probabilities": self.probabilities,
        }
        effects = {}
        if self.effects is not None:
            effects["effects"] = [effect.to_json() for effect in self.effects]
        return {**content, **effects, "known": self.known}


class Predictor:
    """A trained model, ready to predict: load once, use often.

    Costs its weights (2 MB at 10,000 words) and its words (`text.encoders`).
    """

    def __init__(self, run: str | Path):
        """Load a run; raises InputMissing if it has no weights, DataError if they are damaged."""
        self._model, self._vocabulary = load_with_vocabulary(RunDirectory(run))
        self.labels, self.num_words = self._model.labels, self._model.num_words
        metadata = self._model.metadata
        self.tokenizer = metadata.tokenizer
        self._encoder = text_encoder(self._vocabulary, metadata.ngrams, metadata.tokenizer)

    def probabilities(self, texts: Iterable[str | bytes]) -> np.ndarray:
        """Return float32[texts, labels], equal to `keras.Model.predict` within 1e-5."""
        blocks = [self._model.probabilities(ids) for ids in self._encoded(_as_bytes(texts))]
        return np.concatenate(blocks) if blocks else np.empty((0, len(self.labels)), np.float32)

    def _encoded(self, texts: list[bytes]) -> Iterator[list[np.ndarray]]:
        """Yield the ids of each text, `_BLOCK` texts at a time."""
        for at in range(0, len(texts), _BLOCK):
            yield self._encoder.encode(texts[at : at + _BLOCK])

    def predict(
        self, texts: Iterable[str | bytes], *, threshold: float | None = None, explain: bool = False
    ) -> list[Prediction]:
        """Return a `Prediction` for each text.

        The label is the most probable one; with `threshold` (two labels only) it is the second
        if its probability is above the threshold. `explain` adds the words' effects.
        """
        check_threshold(threshold, self.labels)
        predictions = []
        for block in self._encoded(_as_bytes(texts)):
            probabilities = self._model.probabilities(block)
            if len(self.labels) == 2:
                chosen = probabilities[:, 1] > (0.5 if threshold is None else threshold)
            else:
                chosen = probabilities.argmax(axis=1)
            for ids, label, row in zip(block, chosen.tolist(), probabilities.tolist(), strict=True):
                named = dict(zip(self.labels, row, strict=True))
                effects = None
                if explain:
                    effects = word_effects(self._model, self._vocabulary, ids, int(label), UNKNOWN)
                known = bool(((ids >= FIRST_WORD_ID) & (ids < self.num_words)).any())
                predictions.append(Prediction(self.labels[label], row[label], named, effects, known))
        return predictions


def check_threshold(threshold: float | None, labels: list[str]) -> None:
    """Raise SettingsError for a threshold outside 0 to 1, or unless there are two labels."""
    if threshold is not None and len(labels) != 2:
        raise SettingsError(f"a threshold is for two labels; these are {', '.join(labels)}")
    if threshold is not None and not 0 <= threshold <= 1:
        raise SettingsError(f"threshold is {threshold}, expected 0 to 1")


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
    """Return a `Prediction` for each text, from a trained run (see `Predictor.predict`).

    Each has `label`, its `probability` (0 to 1), the `probabilities` of all labels by name, and with
    `explain` the `effects` of its words in log-odds.
    Raises InputMissing or DataError for a run without weights, or with damaged ones, and SettingsError
    for a `threshold` outside 0 to 1, or unless there are two labels.

    >>> predict("runs/imdb", ["a wonderful film"])[0].label  # doctest: +SKIP
    'positive'
    """
    predictor = run if isinstance(run, Predictor) else Predictor(run)
    return predictor.predict(texts, threshold=threshold, explain=explain)
