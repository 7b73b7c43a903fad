"""Rows of texts, and blocks of them, which are what readers yield."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

# Bytes of text per block, the same for any number of workers, so that the dataset is too. A worker needs
# some 15 times this; smaller blocks repeat more of the common words.
BLOCK_BYTES = 2 << 20

# One text, line, or row of CSV: the longest IMDb review has 13,704 bytes. This also stops a quote that is
# never closed and a stream without line ends.
MAX_TEXT_BYTES = 16 << 20

TOO_LONG = f"is longer than {MAX_TEXT_BYTES >> 20} MiB"


class Row(NamedTuple):
    """A text, as a file has it."""

    text: bytes
    """UTF-8."""
    label: str | None
    """None: the file has no labels, or they were not asked for."""
    place: str
    """Where it stands: "reviews.csv:17". Printable (`system.errors.printable`)."""
    split: str | None = None
    """"train", "test" or "validation", if a folder is named so."""
    kept: tuple[Any, ...] = ()
    """Values of the columns that are to be kept."""


class BadRow(NamedTuple):
    """Something that should have been a text."""

    place: str
    reason: str
    lines: int = 1
    """How many lines it takes up."""

    def __str__(self) -> str:
        more = f" (this row takes up {self.lines:,} lines)" if self.lines > 1 else ""
        return f"{self.place}: {self.reason}{more}"


class PassedOver(NamedTuple):
    """Something in the input that is neither a text nor an error: a README, a repeated header."""

    place: str
    reason: str
    """A description, such as "a repeated header"."""


class JoinedLines(NamedTuple):
    """A quoted text that spans lines that each look like a row; it follows the text's row or rows."""

    place: str
    labels: tuple[str, ...]
    """The label that each line would have."""
    split: bool = False
    """Whether the lines were read as rows."""


class JoinedCount:
    """Count texts that may be several rows, joined by stray quotes."""

    def __init__(self) -> None:
        self._counts: Counter[bool] = Counter()
        self._first: dict[bool, str] = {}

    def add(self, joined: JoinedLines) -> None:
        self._counts[joined.split] += 1
        self._first.setdefault(joined.split, joined.place)

    def warnings(self, most: float = math.inf) -> list[str]:
        """Return a line for the texts read as one row, unless over `most`, and one for those split."""
        lines = []
        for split, first in self._first.items():
            count = self._counts[split]
            texts = "1 text spans" if count == 1 else f"{count:,} texts span"
            several = f"{texts} several lines that each look like a row"
            if split:
                lines.append(
                    f"{several} and were read as rows, the first at {first}; if the quotes there are "
                    "right, quote all fields"
                )
            elif count <= most:
                lines.append(
                    f"{several}, the first at {first}; if the quotes there are characters, pass "
                    "--no-quotes"
                )
        return lines


AnyRow = Row | BadRow | PassedOver | JoinedLines


class Block(Protocol):
    """Some rows of a file. It can be sent to another process, which does the costly part: parsing."""

    def rows(self) -> Iterator[AnyRow]:
        """Yield them in order."""
        ...


@dataclass(frozen=True)
class ParsedRows:
    """A block of rows that are already parsed."""

    parsed: list[AnyRow]

    def rows(self) -> Iterator[AnyRow]:
        return iter(self.parsed)


def blocks_of(rows: Iterable[AnyRow], size: int = BLOCK_BYTES) -> Iterator[ParsedRows]:
    """Yield parsed rows in blocks of about `size` bytes."""
    parsed: list[AnyRow] = []
    used = 0
    for row in rows:
        parsed.append(row)
        used += 200 + len(row[0])
        if used >= size:
            yield ParsedRows(parsed)
            parsed, used = [], 0
    if parsed:
        yield ParsedRows(parsed)
