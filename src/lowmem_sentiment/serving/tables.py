"""Batches as CSV and as JSON Lines: a block of texts in memory at a time, in and out.

The answer is written to a file, in memory up to 1 MiB, and is sent when it is whole. So a bad row gives
an error instead of half an answer, and a slow client delays nobody.
"""

import csv
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from typing import IO, Any, NamedTuple

from ..evaluation.predict import Prediction, Predictor
from ..system.errors import LowmemError
from ..text.reader_settings import ReaderSettings
from ..text.readers.formats import read_rows
from ..text.rows import Row
from .protocols import BadRequest, texts_at_a_time

FORMATS = {
    "text/csv": "csv",
    "application/x-ndjson": "jsonl",
    "application/jsonl": "jsonl",
    "application/jsonlines": "jsonl",
}
"""The readers' format of a content type."""

_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"(\xb5/\xfd")
"""First bytes of compressed files, which are refused: a small body could become a large one."""

_IN_MEMORY = 1 << 20

Predict = Callable[[list[bytes]], list[Prediction]]


class TableRequest(NamedTuple):
    """The columns or fields that a request names."""

    format: str
    text_column: str | None
    keep: tuple[str, ...]


def answer_table(
    stream: IO[bytes], wanted: TableRequest, predictor: Predictor, predict: Predict
) -> IO[bytes]:
    """Return a file with the answer; BadRequest for a bad row."""
    body = io.BufferedReader(stream)  # type: ignore[type-var]
    if body.peek(6).startswith(_COMPRESSED):
        raise BadRequest("the body is compressed, expected text", code=415)
    settings = ReaderSettings(format=wanted.format, text_column=wanted.text_column)
    block = texts_at_a_time(len(predictor.labels))
    answer: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # the caller's
    number = 0
    if wanted.format == "csv":
        answer.write(_csv_header(wanted.keep, predictor.labels))
    lines = _csv_lines if wanted.format == "csv" else _json_lines
    try:
        for rows in read_rows(body, settings, keep=wanted.keep):
            for at in range(0, len(rows), block):
                some = rows[at : at + block]
                answer.write(lines(number, wanted.keep, some, predict([row.text for row in some])))
                number += len(some)
    except LowmemError as error:
        message = str(error).replace(", or another --delimiter", "")  # a request has parameters
        message = message.replace("(--text-column", "(?text_column=").replace("(--keep", "(?keep=")
        raise BadRequest(message) from None
    answer.seek(0)
    return answer


def _csv_header(keep: Sequence[str], labels: Sequence[str]) -> bytes:
    probabilities = [f"probability:{label}" for label in labels]
    return _csv([["number", *keep, "label", "probability", *probabilities]])


def _csv_lines(
    before: int, keep: Sequence[str], rows: Sequence[Row], predictions: Sequence[Prediction]
) -> bytes:
    return _csv(
        [number, *row.kept, each.label, each.probability, *each.probabilities.values()]
        for number, (row, each) in enumerate(zip(rows, predictions, strict=True), before + 1)
    )


def _csv(rows: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _json_lines(
    before: int, keep: Sequence[str], rows: Sequence[Row], predictions: Sequence[Prediction]
) -> bytes:
    lines = []
    for number, (row, each) in enumerate(zip(rows, predictions, strict=True), before + 1):
        kept = {"kept": dict(zip(keep, row.kept, strict=True))} if keep else {}
        lines.append(json.dumps({"number": number, **kept, **each.to_json()}) + "\n")
    return "".join(lines).encode()
