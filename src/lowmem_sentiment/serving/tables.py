"""Batches as CSV and as JSON Lines: a block of texts in memory at a time, in and out.

The answer is written to a file, in memory up to 1 MiB, and is sent when it is whole. So a bad row gives
an error instead of half an answer, and a slow client delays nobody.
"""

import io
import tempfile
from collections.abc import Callable
from typing import IO

from ..evaluation.predict import Prediction
from ..evaluation.predictions import AnswerForm, csv_line
from ..system.errors import LowmemError
from ..text.reader_settings import ReaderSettings
from ..text.readers.formats import read_rows
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


def answer_table(
    stream: IO[bytes],
    settings: ReaderSettings,
    form: AnswerForm,
    predict: Callable[[list[bytes]], list[Prediction]],
) -> IO[bytes]:
    """Return a file with the answer; BadRequest for a bad row."""
    body = io.BufferedReader(stream)  # type: ignore[type-var]
    if body.peek(6).startswith(_COMPRESSED):
        raise BadRequest("the body is compressed, expected text", code=415)
    block = texts_at_a_time(len(form.labels))
    answer: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # the caller's
    number = 0
    as_csv = settings.format == "csv"
    line, end = (form.to_csv, "\r\n") if as_csv else (form.to_json, "\n")
    if as_csv:
        answer.write(f"{csv_line(form.titles)}\r\n".encode())
    try:
        for rows in read_rows(body, settings, keep=form.keep):
            for at in range(0, len(rows), block):
                some = rows[at : at + block]
                predictions = predict([row.text for row in some])
                for row, each in zip(some, predictions, strict=True):
                    answer.write(f"{line(number, row.kept, each)}{end}".encode())
                    number += 1
    except LowmemError as error:
        message = str(error).replace(", or another --delimiter", "")  # a request has parameters
        message = message.replace("(--text-column", "(?text_column=").replace("(--keep", "(?keep=")
        raise BadRequest(message) from None
    answer.seek(0)
    return answer
