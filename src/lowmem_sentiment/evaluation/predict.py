"""Predict with only NumPy, from ``weights.npz`` and ``vocabulary.txt``: no TensorFlow, 40 MB."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..decisions import recorded
from ..decisions.settings import DecisionSettings
from ..model.decision import Decision
from ..model.effects import Effect, strongest, word_effects
from ..model.numpy_model import load_with_vocabulary, num_known
from ..runs.run_directory import RunDirectory
from ..text.encoders import Counts, TextEncoder
from .drift import Profile

UNKNOWN = "#"
"""Stands for all words outside the vocabulary, which are one word to the model."""

_BLOCK = 1_000  # texts at a time; larger blocks are not faster


@dataclass(frozen=True)
class Prediction:
    """The label that a model predicts for a text."""

    label: str | None
    """None if the model does not answer; see `reason`."""
    probability: float
    """The probability of `label`, 0 to 1; without a label, of the one it would have been."""
    probabilities: dict[str, float]
    """The probability of each label."""
    effects: list[Effect] | None = None
    """The words' effects, from most for the label to most against it; None if not asked for."""
    known: bool = True
    """Whether the model knows any of its words; if not, the answer is the same for all such texts."""
    reason: str | None = None
    """Why there is no label: "not sure" or "too few known words"."""

    def with_strongest(self, count: int) -> "Prediction":
        """Return this prediction with only the `count` strongest effects in either direction."""
        if self.effects is None:
            return self
        towards, against = strongest(self.effects, count, count)
        return replace(self, effects=towards + against)

    def to_json(self, *, reason: bool = False) -> dict[str, Any]:
        """Return the object that ``predict --json`` prints, with "effects" only if requested.

        It has a "reason" if there is no label, and with `reason` also null.
        """
        content: dict[str, Any] = {"label": self.label}
        if reason or self.label is None:
            content["reason"] = self.reason
        content |= {"probability": self.probability, "probabilities": self.probabilities}
        if self.effects is not None:
            content["effects"] = [effect.to_json() for effect in self.effects]
        return {**content, "known": self.known}


class Predictor:
    """A trained model, ready to predict: load once, use often.

    Costs its weights (2 MB at 10,000 words) and its words (`text.encoders`).
    """

    def __init__(self, run: str | Path):
        """Load a run; raises InputMissing if it has no weights, DataError if they are damaged."""
        self._run = run
        self._model, self._vocabulary = load_with_vocabulary(RunDirectory(run))
        self.labels, self.num_words = self._model.labels, self._model.num_words
        metadata = self._model.metadata
        self.tokenizer = metadata.tokenizer
        self._encoder = TextEncoder(self._vocabulary, metadata.ngrams, metadata.tokenizer)

    def probabilities(self, texts: Iterable[str | bytes]) -> np.ndarray:
        """Return float32[texts, labels], equal to `keras.Model.predict` within 1e-5."""
        blocks = [self._model.probabilities(ids) for ids in self._encoded(_as_bytes(texts))]
        return np.concatenate(blocks) if blocks else np.empty((0, len(self.labels)), np.float32)

    def profile(self) -> Profile:
        """Return a profile for `predict` to add texts to, to compare them with the test split."""
        return Profile(self.labels, self._encoder)

    def _encoded(self, texts: list[bytes], counts: Counts | None = None) -> Iterator[list[np.ndarray]]:
        for at in range(0, len(texts), _BLOCK):
            yield self._encoder.encode(texts[at : at + _BLOCK], counts)

    def decision(self, settings: DecisionSettings) -> Decision:
        """Return how probabilities become answers; see `decisions.recorded.decision`."""
        return recorded.decision(self._run, settings, self.labels)

    def predict(
        self,
        texts: Iterable[str | bytes],
        decision: Decision | None = None,
        *,
        explain: bool = False,
        profile: Profile | None = None,
    ) -> list[Prediction]:
        """Return a `Prediction` for each text; `explain` adds the words' effects.

        `decision` tells how the probabilities become answers (default: the most probable label). The
        `profile` gets the texts.
        """
        decision, predictions = decision or Decision(), []
        model = self._model
        if decision.temperature != 1:
            model = replace(model, temperature=decision.temperature)
        counts: Counts = []
        for block in self._encoded(_as_bytes(texts), counts if profile or decision.abstains else None):
            probabilities = model.probabilities(block)
            if profile:
                profile.add(counts, block, probabilities, decision.temperature)
            labels = decision.labels(probabilities).tolist()
            known = num_known(block, self.num_words)
            reasons = decision.reasons(probabilities, known, np.array([words for words, _ in counts]))
            counts.clear()
            for ids, label, row, few, reason in zip(
                block, labels, probabilities.tolist(), (known == 0).tolist(), reasons, strict=True
            ):
                effects = None
                if explain:
                    effects = word_effects(model, self._vocabulary, ids, label, UNKNOWN)
                name = None if reason else self.labels[label]
                named = dict(zip(self.labels, row, strict=True))
                predictions.append(Prediction(name, row[label], named, effects, not few, reason))
        return predictions


def _as_bytes(texts: Iterable[str | bytes]) -> list[bytes]:
    if isinstance(texts, (str, bytes)):
        texts = [texts]  # one text, not its letters
    encoded = []
    for nth, text in enumerate(texts):
        if isinstance(text, str):
            text = text.encode("utf-8", "replace")
        elif not isinstance(text, bytes):  # as the None or NaN of an empty cell
            raise TypeError(f"text {nth} is {text!r}, expected str or bytes")
        encoded.append(text)
    return encoded


def predict(
    run: str | Path | Predictor, texts: Iterable[str | bytes], *, explain: bool = False, **settings: Any
) -> list[Prediction]:
    """Return a `Prediction` for each text, from a trained run (see `Predictor.predict`).

    Each has `label`, its `probability` (0 to 1), the `probabilities` of all labels by name, and with
    `explain` the `effects` of its words in log-odds. `settings` are those of `DecisionSettings`:
    `threshold`, `abstain` and `calibrated`.
    Raises InputMissing or DataError for a run without weights, or with damaged ones, TypeError for a text
    that is not str or bytes, and SettingsError for a `threshold` outside 0 to 1, or unless there are two
    labels.

    >>> predict("runs/imdb", ["a wonderful film"])[0].label  # doctest: +SKIP
    'positive'
    """
    predictor = run if isinstance(run, Predictor) else Predictor(run)
    decision = predictor.decision(DecisionSettings(**settings))
    return predictor.predict(texts, decision, explain=explain)
