"""Single reviews of a pass: every prediction in a file, and the surest mistakes as text."""

from __future__ import annotations

import bisect
import contextlib
import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..model.effects import Effect, word_effects
from ..model.numpy_model import NumpyModel
from ..system.errors import SettingsError
from ..system.files import replace_file
from ..text.vocabulary import Vocabulary
from .scoring import Batch, Observer, Scores

if TYPE_CHECKING:
    from .scoring import Model

_TEXT_BYTES = 4_000  # kept of each mistake while the pass runs


def predictions_format(path: Path) -> str:
    """Return "csv" or "jsonl", by a file's name; SettingsError for other names."""
    format_ = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}.get(path.suffix.lower())
    if format_ is None:
        raise SettingsError(f"predictions is {str(path)!r}, expected a name that ends in .csv or .jsonl")
    return format_


@contextlib.contextmanager
def write_predictions(path: Path | None, labels: Sequence[str]) -> Iterator[list[Observer]]:
    """Yield an observer that writes each prediction of the first model; the file appears when whole.

    A row has the review's number from 0, its label, the label predicted, and each label's probability.
    Yields no observer without a `path`. Raises OutputError when the system refuses.
    """
    if path is None:
        yield []
        return
    as_csv = predictions_format(path) == "csv"
    with replace_file(path) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        if as_csv:
            titles = (f"probability:{label}" for label in labels)
            writer.writerow(["number", "label", "predicted", *titles])

        def observe(batch: Batch, scores: list[Scores]) -> None:
            columns = batch.numbers, batch.labels, scores[0].predicted, scores[0].probabilities
            for number, label, guess, row in zip(*(each.tolist() for each in columns), strict=True):
                content = {"number": number, "label": labels[label], "predicted": labels[guess]}
                if as_csv:
                    writer.writerow([*content.values(), *row])
                else:
                    probabilities = dict(zip(labels, row, strict=True))
                    text.write(json.dumps({**content, "probabilities": probabilities}) + "\n")

        yield [observe]


@dataclass(frozen=True)
class SurestMistake:
    """A review whose label is wrong."""

    number: int
    """Its place among the reviews, from 0."""
    label: str
    predicted: str
    probability: float
    """The model's probability of the predicted label."""
    text: str
    """Its beginning: 4 KB at most."""


class ExplainedMistake(NamedTuple):
    """A mistake with the words behind it."""

    mistake: SurestMistake
    effects: list[Effect]
    """Of its words on the predicted label, from most for it to most against it."""


class SurestMistakes:
    """Keep a scored model's surest mistakes, 4 KB each."""

    def __init__(self, nth: int, model: Model, count: int, *, keep_ids: bool = False):
        """Keep `count` mistakes, 1 or more, of a model, the `nth` scored one.

        With `keep_ids` their ids are kept for `explain`, 8 bytes per distinct word.
        """
        self._nth, self._model, self._count = nth, model, count
        self._ids: dict[int, np.ndarray] | None = {} if keep_ids else None
        self.surest: list[SurestMistake] = []
        """The surest first; ties in order."""

    def __call__(self, batch: Batch, scores: list[Scores]) -> None:
        """Look through a batch."""
        mine, labels, encoded = scores[self._nth], self._model.labels, None
        for nth in np.flatnonzero(~mine.right).tolist():
            guess = int(mine.predicted[nth])
            probability = float(mine.probabilities[nth, guess])
            if len(self.surest) == self._count and probability <= self.surest[-1].probability:
                continue
            text = batch.text(nth)[:_TEXT_BYTES].decode("utf-8", "ignore")
            label = labels[int(batch.labels[nth])]
            mistake = SurestMistake(int(batch.numbers[nth]), label, labels[guess], probability, text)
            bisect.insort(self.surest, mistake, key=lambda each: -each.probability)
            del self.surest[self._count :]
            if self._ids is not None:
                encoded = encoded or batch.encode(self._nth, self._model)
                self._ids[mistake.number] = encoded[nth].copy()
                self._ids = {each.number: self._ids[each.number] for each in self.surest}

    def explain(self, vocabulary: Callable[[], Vocabulary]) -> list[ExplainedMistake]:
        """Return the mistakes, with the words' effects if the model is in NumPy."""
        if not isinstance(self._model, NumpyModel) or not self._ids:
            return [ExplainedMistake(each, []) for each in self.surest]
        words, explained = vocabulary(), []
        for each in self.surest:
            ids, label = self._ids[each.number], self._model.labels.index(each.predicted)
            effects = word_effects(self._model, words, ids, label)
            explained.append(ExplainedMistake(each, effects))
        return explained
