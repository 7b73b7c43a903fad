"""Rows of texts, and blocks of them, which are what readers yield."""

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
    """A text that spans lines that each look like a row; it follows the text's row."""

    place: str
    labels: tuple[str, ...]
    """The label that each line would have."""


class JoinedCount:
    """Count texts that may be several rows, joined by stray quotes."""

    def __init__(self) -> None:
        self.count, self._first = 0, ""

    def add(self, joined: JoinedLines) -> None:
        self.count += 1
        self._first = self._first or joined.place

    def warning(self) -> str:
        """Return a line that says how many there are, and where the first begins."""
        texts = "1 text spans" if self.count == 1 else f"{self.count:,} texts span"
        return (
            f"{texts} several lines that each look like a row, the first at {self._first}; if the quotes "
            "there are characters, pass --no-quotes"
        )


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
