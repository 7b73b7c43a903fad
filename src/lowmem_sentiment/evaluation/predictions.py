"""Predictions of single reviews: as rows for predict and serve, in a file, and the surest mistakes."""

from __future__ import annotations

import bisect
import contextlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from csv import writer as csv_writer
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..model.decision import Decision
from ..model.effects import Effect, word_effects
from ..model.numpy_model import NumpyModel
from ..system.errors import SettingsError
from ..system.files import check_output, replace_file
from ..text.vocabulary import Vocabulary
from .scoring import Batch, Observer, Scores

if TYPE_CHECKING:
    from .scoring import Model

Reasons = Callable[[Batch, Scores], list[str | None]]
"""Why each review of a batch gets no label; None for one that is answered."""

_TEXT_BYTES = 4_000  # kept of each mistake while the pass runs


class _Echo:
    """A file for `csv.writer`, whose `writerow` then returns the line."""

    def write(self, line: str) -> str:
        return line


class AnswerForm:
    """The form of answers: JSON Lines or CSV, with columns kept from the input."""

    def __init__(self, keep: Sequence[str], columns: Sequence[str], labels: Sequence[str], *, csv: bool):
        """Name the kept columns, the answer's `columns` beside its probabilities, and the labels."""
        self.keep, self._columns = keep, columns
        answer = [*columns, *(f"probability:{label}" for label in labels)]
        taken, kept = {"number", *answer}, []
        for name in keep:
            while name in taken:
                name = f"kept:{name}"
            taken.add(name)
            kept.append(name)
        self._csv_line = csv_writer(_Echo(), lineterminator="").writerow if csv else None
        self.header = self._csv_line(["number", *kept, *answer]) if self._csv_line else None
        """A line without its end; a kept column that has an answer's name is kept:NAME."""

    def line(self, number: int, kept: Sequence[Any], answer: Mapping[str, Any]) -> str:
        """Return a line without its end; `answer` has the columns and "probabilities" by label."""
        if self._csv_line:
            cells = (_cell(answer[name]) for name in self._columns)
            line = [number, *kept_cells(kept), *cells, *answer["probabilities"].values()]
            return str(self._csv_line(line))
        named = {"kept": dict(zip(self.keep, kept, strict=True))} if self.keep else {}
        return json.dumps({"number": number, **named, **answer})


def prediction_form(
    keep: Sequence[str], labels: Sequence[str], decision: Decision, *, csv: bool
) -> AnswerForm:
    """Return the form of predictions; they have a reason if a text may get no label."""
    reason = ["reason"] if decision.abstains else []
    return AnswerForm(keep, ["label", *reason, "probability", "known"], labels, csv=csv)


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def kept_cells(kept: Sequence[Any]) -> list[str]:
    """Return kept values as text: as JSON unless they are texts."""
    return [each if isinstance(each, str) else json.dumps(each) for each in kept]


def check_predictions_path(path: Path) -> bool:
    """Return whether predictions are written to `path` as CSV, by its name; else as JSON Lines.

    Raises SettingsError for other names; only a file of predictions is replaced.
    """
    as_csv = {".csv": True, ".jsonl": False, ".ndjson": False}.get(path.suffix.lower())
    if as_csv is None:
        raise SettingsError(f"predictions is {str(path)!r}, expected a name that ends in .csv or .jsonl")
    check_output(path, r'number,.*\bpredicted,(reason,)?"?probability:|\{"number": \d+, .*"predicted": ')
    return as_csv


@contextlib.contextmanager
def write_predictions(
    path: Path | None, labels: Sequence[str], keep: Sequence[str] = (), reasons: Reasons | None = None
) -> Iterator[list[Observer]]:
    """Yield an observer that writes each prediction of the first model; the file appears when whole.

    A row has the review's number from 0, the values of the columns `keep`, its label, the label
    predicted, and each label's probability. If the run abstains, `reasons` tells why a review gets no
    label. Yields no observer without a `path`. Raises OutputError when the system refuses.
    """
    if path is None:
        yield []
        return
    columns = ["label", "predicted", *["reason"] * bool(reasons)]
    form = AnswerForm(keep, columns, labels, csv=check_predictions_path(path))
    with replace_file(path) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
        if form.header:
            text.write(form.header + "\n")

        def observe(batch: Batch, scores: list[Scores]) -> None:
            mine = scores[0]
            arrays = batch.numbers, batch.labels, mine.predicted, mine.probabilities
            why = reasons(batch, mine) if reasons else [None] * len(mine.right)
            rows = zip(*(each.tolist() for each in arrays), why, strict=True)
            for nth, (number, label, guess, row, reason) in enumerate(rows):
                answer = {"label": labels[label], "predicted": None if reason else labels[guess]}
                answer |= {"reason": reason} if reasons else {}
                answer["probabilities"] = dict(zip(labels, row, strict=True))
                text.write(form.line(number, batch.kept(nth), answer) + "\n")

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
    """Its words' effects on the predicted label, from most for it to most against it."""


class SurestMistakes:
    """Keep a scored model's surest mistakes: 4 KB each, and 8 bytes per distinct word."""

    def __init__(self, nth: int, model: Model, count: int):
        """Keep `count` mistakes, 1 or more, of a model, the `nth` scored one."""
        self._nth, self._model, self._count = nth, model, count
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
            kept = mistake, mine.ids[nth].copy()
            bisect.insort(self._kept, kept, key=lambda each: -each[0].probability)
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
