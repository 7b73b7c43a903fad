"""Files with one text per line, plain or in fastText's format, cut at line ends; workers parse them.

A line ends with a line feed, a carriage return, or both.
"""

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..encoding import checked_bytes
from ..reader_settings import ReaderSettings
from ..rows import MAX_TEXT_BYTES, TOO_LONG, AnyRow, BadRow, Block, ParsedRows, Row

Read = Callable[[], bytes]
"""Returns the next bytes of a stream, and none at its end."""

ParseLine = Callable[[bytes], tuple[bytes, str | None, tuple[Any, ...]]]
"""Returns text, label and kept values of a line without its end; raises ValueError with the reason."""

_LINE_END = re.compile(rb"\r\n?|\n")


class Unread:
    """The part of a stream that was read, but whose last line or row may be incomplete."""

    def __init__(self, read: Read):
        self._read = read
        self.data, self.line, self.at_end = b"", 1, False

    def more(self, wanted: bytes) -> None:
        """Read up to one of the bytes `wanted`, the limit of a row, or the end."""
        parts, size = [self.data], len(self.data)  # joined once, not once per read
        while block := self._read():
            parts.append(block)
            size += len(block)
            if size > MAX_TEXT_BYTES or any(block.find(byte) >= 0 for byte in wanted):
                break
        else:
            self.at_end = True
            if parts[-1] and not parts[-1].endswith(b"\n"):
                parts.append(b"\n")
        self.data = b"".join(parts)

    def cut(self, end: int, line: int) -> None:
        """Drop the first `end` bytes; what follows begins at `line`."""
        self.data, self.line = self.data[end:], line

    def skip_line(self) -> None:
        """Skip the line at the beginning, which has no end yet."""
        block, self.data, self.line = b"", b"", self.line + 1
        while True:
            match = _LINE_END.search(block)
            if match and (match.end() < len(block) or match.group() != b"\r"):
                self.data = block[match.end() :]
                return
            more = self._read()
            if not more:
                self.at_end = True
                return
            block = (b"\r" if match else b"") + more


@dataclass(frozen=True)
class LineBlock:
    """A block of whole lines, not yet parsed."""

    data: bytes
    name: str
    first: int
    """The line it begins with."""
    parse: ParseLine
    keep_blank: bool
    """Whether an empty line is a text."""

    def rows(self) -> Iterator[AnyRow]:
        data = _with_line_feeds(self.data).removesuffix(b"\n")
        for number, line in enumerate(data.split(b"\n"), self.first):
            if not self.keep_blank and (not line or line.isspace()):
                continue
            place = f"{self.name}:{number}"
            if len(line) > MAX_TEXT_BYTES:
                yield BadRow(place, TOO_LONG)
                continue
            try:
                text, label, kept = self.parse(line)
            except (ValueError, RecursionError) as error:
                yield BadRow(place, str(error))
            else:
                yield Row(text, label, place, None, kept)


def _with_line_feeds(data: bytes) -> bytes:
    if b"\r" in data:
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data


def line_blocks(read: Read, name: str, parse: ParseLine, keep_blank: bool = False) -> Iterator[Block]:
    """Yield blocks of the lines that each read completes."""
    for data, number in _whole_lines(read):
        if data is None:
            yield ParsedRows([BadRow(f"{name}:{number}", TOO_LONG)])
            continue
        if number == 1:
            data = data.removeprefix(codecs.BOM_UTF8)
        if data and (keep_blank or not data.isspace()):
            yield LineBlock(data, name, number, parse, keep_blank)


def _whole_lines(read: Read) -> Iterator[tuple[bytes | None, int]]:
    """Yield whole lines and the number of the first; None for a line that is too long.

    One read and one line of 16 MiB at most are in memory: a longer line is skipped.
    """
    unread = Unread(read)
    while unread.data or not unread.at_end:
        data = unread.data
        # a return at the end may be followed by the line feed that belongs to it
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1
        if end:
            yield data[:end], unread.line
            unread.cut(end, unread.line + _with_line_feeds(data[:end]).count(b"\n"))
        elif len(data) > MAX_TEXT_BYTES + 1:  # it may end with a carriage return
            yield None, unread.line
            unread.skip_line()
        else:
            unread.more(b"\n\r")


def parse_plain(line: bytes, settings: ReaderSettings) -> tuple[bytes, None, tuple[()]]:
    """Return a line that is a text."""
    return checked_bytes(line, settings), None, ()


# --- fastText: a label is a word ``__label__NAME`` ---

_LABELS = re.compile(rb"(?:^|(?<=[ \t\v\f\0]))__label__(\S+)(?:[ \t\v\f]+|$)")

_WRONG_IN_LABEL = re.compile("__label__|[,;\\s\u200b-\u200f\ufeff]")


def parse_fasttext(
    line: bytes, settings: ReaderSettings, labelled: bool = True
) -> tuple[bytes, str | None, tuple[()]]:
    """Return text and label of a line ``__label__pos text``; ValueError gives the reason it cannot.

    The label may be at the end, as fastText allows. Unless `labelled`, labels are dropped, and a line may
    have any number of them.
    """
    labels = _LABELS.findall(line)
    text = _LABELS.sub(b"", line).lstrip() if labels else line
    if not labelled:
        return checked_bytes(text, settings), None, ()
    if not labels:
        raise ValueError(
            "does not have a word __label__NAME; give a file whose lines all have one label as FILE=LABEL"
        )
    if len(labels) > 1:
        raise ValueError(f"has {len(labels)} labels, expected one")
    label = checked_bytes(labels[0], settings).decode()
    if wrong := _WRONG_IN_LABEL.search(label):
        raise ValueError(
            f"has the label {label!a}, with {wrong.group()!a} in it; expected one __label__NAME, and a "
            "space after it"
        )
    return checked_bytes(text, settings), label, ()
