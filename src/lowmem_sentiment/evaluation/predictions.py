"""Single reviews from a pass: every prediction in a file, and the surest mistakes as text."""

import contextlib
import csv
import heapq
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

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
def write_predictions(path: Path | None, labels: Sequence[str], model: int) -> Iterator[list[Observer]]:
    """Yield an observer that writes each prediction of a scored model; the file appears when whole.

    A row has the review's number from 0, its label, the label predicted, and each label's probability.
    Without a `path` there is no observer. Raises OutputError when the system refuses.
    """
    if path is None:
        yield []
        return
    format_ = predictions_format(path)
    with replace_file(path) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
        write = _csv_rows(text, labels) if format_ == "csv" else _json_lines(text, labels)
        number = 0

        def observe(batch: Batch, scores: list[Scores]) -> None:
            nonlocal number
            columns = batch.labels, scores[model].predicted, scores[model].probabilities
            for label, guess, probabilities in zip(*(each.tolist() for each in columns), strict=True):
                write(number, labels[label], labels[guess], probabilities)
                number += 1

        yield [observe]


def _csv_rows(text: TextIO, labels: Sequence[str]) -> Any:
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", "label", "predicted", *(f"probability:{label}" for label in labels)])
    return lambda number, label, guess, row: writer.writerow([number, label, guess, *row])


def _json_lines(text: TextIO, labels: Sequence[str]) -> Any:
    def write(number: int, label: str, guess: str, row: list[float]) -> None:
        probabilities = dict(zip(labels, row, strict=True))
        content = {"number": number, "label": label, "predicted": guess, "probabilities": probabilities}
        text.write(json.dumps(content) + "\n")

    return write


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
    """Keep the mistakes of a scored model whose wrong label it is surest of, 4 KB each."""

    def __init__(self, model: int, labels: Sequence[str], count: int):
        """Keep `count` mistakes of the model at a place among those scored."""
        self._model, self._labels, self._count = model, labels, count
        self._heap: list[tuple[float, int, int, int, bytes]] = []
        self._seen = 0

    def __call__(self, batch: Batch, scores: list[Scores]) -> None:
        """Look through a batch."""
        mine = scores[self._model]
        for nth in (~mine.right).nonzero()[0].tolist():
            guess = int(mine.predicted[nth])
            key = float(mine.probabilities[nth, guess]), -(self._seen + nth)  # of equals the earlier
            if len(self._heap) < self._count or key > self._heap[0][:2]:
                entry = (*key, int(batch.labels[nth]), guess, batch.text(nth)[:_TEXT_BYTES])
                (heapq.heappush if len(self._heap) < self._count else heapq.heapreplace)(
                    self._heap, entry
                )
        self._seen += len(batch.labels)

    def surest(self) -> list[SurestMistake]:
        """Return the mistakes, the surest first."""
        labels = self._labels
        return [
            SurestMistake(
                -number, labels[label], labels[guess], probability, text.decode("utf-8", "ignore")
            )
            for probability, number, label, guess, text in sorted(self._heap, reverse=True)
        ]
