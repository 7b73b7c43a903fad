"""Single reviews of a pass: every prediction in a file, and the surest mistakes as text."""

import bisect
import contextlib
import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..system.errors import SettingsError
from ..system.files import replace_file
from .scoring import Batch, Observer, Scores

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


class SurestMistakes:
    """Keep a scored model's surest mistakes, 4 KB each."""

    def __init__(self, model: int, labels: Sequence[str], count: int):
        """Keep `count` mistakes, 1 or more, of the `model`-th scored model."""
        self._model, self._labels, self._count = model, labels, count
        self.surest: list[SurestMistake] = []
        """The surest first; ties in order."""

    def __call__(self, batch: Batch, scores: list[Scores]) -> None:
        """Look through a batch."""
        mine, labels = scores[self._model], self._labels
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
