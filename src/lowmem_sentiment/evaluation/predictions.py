"""Predictions of single reviews: as rows for predict and serve, in a file, and the surest mistakes."""

from __future__ import annotations

import bisect
import contextlib
import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..model.effects import Effect, word_effects
from ..model.numpy_model import NumpyModel
from ..system.errors import SettingsError
from ..system.files import check_output, replace_file
from ..text.vocabulary import Vocabulary
from .predict import Prediction
from .scoring import Batch, Observer, Scores

if TYPE_CHECKING:
    from .scoring import Model

_TEXT_BYTES = 4_000  # kept of each mistake while the pass runs


class AnswerForm:
    """How predict and serve write predictions: as JSON Lines or CSV, with columns kept from the input."""

    def __init__(self, keep: Sequence[str], labels: Sequence[str], *, reasons: bool = False):
        """Name the kept columns; `reasons` adds a column with why a text has no label to CSV."""
        self.keep, self.labels, self._reasons = keep, labels, reasons
        why = ["reason"] if reasons else []
        answer = ["label", *why, "probability", "known", *(f"probability:{label}" for label in labels)]
        self.titles = answer_titles(keep, answer)
        """The header of CSV; a kept column that has an answer's name is kept:NAME."""

    def to_json(self, number: int, kept: Sequence[Any], prediction: Prediction) -> str:
        """Return a line of JSON without its end."""
        values = {"kept": dict(zip(self.keep, kept, strict=True))} if self.keep else {}
        return json.dumps({"number": number, **values, **prediction.to_json()})

    def to_csv(self, number: int, kept: Sequence[Any], prediction: Prediction) -> str:
        """Return a line of CSV without its end; a kept value that is not text is written as JSON."""
        why = [prediction.reason or ""] if self._reasons else []
        known = str(prediction.known).lower()
        answer = [prediction.label or "", *why, prediction.probability, known]
        return csv_line([number, *kept_cells(kept), *answer, *prediction.probabilities.values()])


def csv_line(cells: Sequence[Any]) -> str:
    """Return a line of CSV without its end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def check_predictions_path(path: Path) -> bool:
    """Return whether predictions are written to `path` as CSV, by its name; else as JSON Lines.

    Raises SettingsError for other names; only a file of predictions is replaced.
    """
    as_csv = {".csv": True, ".jsonl": False, ".ndjson": False}.get(path.suffix.lower())
    if as_csv is None:
        raise SettingsError(f"predictions is {str(path)!r}, expected a name that ends in .csv or .jsonl")
    check_output(path, r'number,.*\bpredicted,"?probability:|\{"number": \d+, .*"predicted": ')
    return as_csv


def answer_titles(keep: Sequence[str], answer: Sequence[str]) -> list[str]:
    """Return the names of the columns, each once: a kept one that has an answer's name is kept:NAME."""
    taken = {"number", *answer}
    kept = []
    for name in keep:
        while name in taken:
            name = f"kept:{name}"
        taken.add(name)
        kept.append(name)
    return ["number", *kept, *answer]


def kept_cells(kept: Sequence[Any]) -> list[str]:
    """Return kept values as text: JSON, except for texts."""
    return [each if isinstance(each, str) else json.dumps(each) for each in kept]


@contextlib.contextmanager
def write_predictions(
    path: Path | None, labels: Sequence[str], keep: Sequence[str] = ()
) -> Iterator[list[Observer]]:
    """Yield an observer that writes each prediction of the first model; the file appears when whole.

    A row has the review's number from 0, the values of the columns `keep`, its label, the label
    predicted, and each label's probability. Yields no observer without a `path`. Raises OutputError when
    the system refuses.
    """
    if path is None:
        yield []
        return
    as_csv = check_predictions_path(path)
    with replace_file(path) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        if as_csv:
            titles = (f"probability:{label}" for label in labels)
            writer.writerow(answer_titles(keep, ["label", "predicted", *titles]))

        def observe(batch: Batch, scores: list[Scores]) -> None:
            columns = batch.numbers, batch.labels, scores[0].predicted, scores[0].probabilities
            rows = zip(*(each.tolist() for each in columns), strict=True)
            for nth, (number, label, guess, row) in enumerate(rows):
                content = {"label": labels[label], "predicted": labels[guess]}
                kept = batch.kept(nth)
                if as_csv:
                    writer.writerow([number, *kept_cells(kept), *content.values(), *row])
                else:
                    named = {"kept": dict(zip(keep, kept, strict=True))} if keep else {}
                    content |= {"probabilities": dict(zip(labels, row, strict=True))}
                    text.write(json.dumps({"number": number, **named, **content}) + "\n")

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
        self._nth, self._model, self._count, self._keep_ids = nth, model, count, keep_ids
        self._kept: list[tuple[SurestMistake, np.ndarray]] = []

    @property
    def surest(self) -> list[SurestMistake]:
        """The mistakes, the surest first; ties in order."""
        return [mistake for mistake, _ in self._kept]

    def __call__(self, batch: Batch, scores: list[Scores]) -> None:
        mine, labels = scores[self._nth], self._model.labels
        for nth in np.flatnonzero(~mine.right).tolist():
            guess = int(mine.predicted[nth])
            probability = float(mine.probabilities[nth, guess])
            if len(self._kept) == self._count and probability <= self._kept[-1][0].probability:
                continue
            text = batch.text(nth)[:_TEXT_BYTES].decode("utf-8", "ignore")
            label = labels[int(batch.labels[nth])]
            mistake = SurestMistake(int(batch.numbers[nth]), label, labels[guess], probability, text)
            ids = mine.ids[nth].copy() if self._keep_ids else mine.ids[nth][:0].copy()
            bisect.insort(self._kept, (mistake, ids), key=lambda each: -each[0].probability)
            del self._kept[self._count :]

    def explain(self, vocabulary: Callable[[], Vocabulary]) -> list[ExplainedMistake]:
        """Return the mistakes, with the words' effects if the model is in NumPy."""
        model = self._model
        if not isinstance(model, NumpyModel) or not self._kept:
            return [ExplainedMistake(mistake, []) for mistake in self.surest]
        words, label = vocabulary(), model.labels.index
        return [
            ExplainedMistake(mistake, word_effects(model, words, ids, label(mistake.predicted)))
            for mistake, ids in self._kept
        ]
