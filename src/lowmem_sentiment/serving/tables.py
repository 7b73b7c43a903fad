"""Batches as CSV and as JSON Lines: a block of texts in memory at a time, in and out.

The answer is written to a file, in memory up to 1 MiB, and is sent when it is whole. So a bad row gives
an error instead of half an answer, and a slow client delays nobody.
"""

import io
import re
import tempfile
from collections.abc import Callable, Iterable
from typing import IO, Any

from ..evaluation.predictions import AnswerForm
from ..system.errors import LowmemError
from ..text.rows import Row
from .protocols import BadRequest

FORMATS = {
    "text/csv": "csv",
    "application/x-ndjson": "jsonl",
    "application/jsonl": "jsonl",
    "application/jsonlines": "jsonl",
}
"""The readers' format of a content type."""

_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"(\xb5/\xfd")
"""First bytes of compressed files, which are refused: a small body could become a large one."""

_ADVICE = re.compile(r", or another --delimiter|(: |; )(pass (its )?)?--.*| \(--no-quotes.*\)")
"""How a message ends that advises options of the command line."""

_IN_MEMORY = 1 << 20


def answer_table(
    stream: IO[bytes],
    read: Callable[[IO[bytes]], Iterable[list[Row]]],
    form: AnswerForm,
    predict: Callable[[list[bytes]], list[dict[str, Any]]],
    block: int,
) -> IO[bytes]:
    """Return a file with the answers, predicted `block` at a time; BadRequest for a bad row.

    `read` yields the rows of a stream, as `read_rows` does.
    """
    body = io.BufferedReader(stream)  # type: ignore[type-var]
    if body.peek(6).startswith(_COMPRESSED):
        raise BadRequest("the body is compressed, expected text", code=415)
    answer: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # the caller's
    number, end = 0, "\r\n" if form.header else "\n"
    if form.header:
        answer.write(f"{form.header}{end}".encode())
    try:
        for rows in read(body):
            for at in range(0, len(rows), block):
                some = rows[at : at + block]
                for row, content in zip(some, predict([row.text for row in some]), strict=True):
                    answer.write(f"{form.line(number, row.kept, content)}{end}".encode())
                    number += 1
    except LowmemError as error:
        message = _ADVICE.sub("", str(error))  # a request has parameters
        message = message.replace("(--text-column", "(?text_column=").replace("(--keep", "(?keep=")
        raise BadRequest(message) from None
    answer.seek(0)
    return answer
