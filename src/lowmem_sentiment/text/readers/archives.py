"""Archives of texts in folders or of other files, read as streams: nothing is unpacked on disk."""

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from ...system.errors import DataError, SettingsError, printable
from ..encoding import NotText
from ..opening import Input, unpacked
from ..reader_settings import Reading, format_by_name
from ..rows import AnyRow, BadRow, Block, PassedOver, Row
from .folders import HIDDEN, Folders, no_texts, text_of

_STREAMED = ("csv", "tsv", "jsonl")
"""Formats of members that are read as files of their own."""


class Member(NamedTuple):
    """A file in an archive; its content can be read until the next one is asked for."""

    name: str
    size: int
    stream: Any
    """A raw binary stream."""
    problem: str | None = None
    """Why reading it would make a bad row."""


def archive_rows(
    members: Iterable[Member],
    file: Input,
    reading: Reading,
    read: Callable[[Input, str], Iterator[Block]],
) -> Iterator[AnyRow]:
    """Yield the rows of an archive; `read` reads a member in a format. DataError if there are none."""
    rules = Folders(file.name, reading.settings)
    found_any, others, example = False, 0, ""
    for member in members:
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        place = f"{file.name}:{printable(member.name, 1_000)}"
        problem = member.problem
        if ".." in parts or member.name.startswith(("/", "\\")):
            problem = "names a file outside the archive"
        if problem is not None:
            found_any = True
            yield BadRow(place, problem)
            continue
        found = rules.find(parts)
        format_ = format_by_name(member.name)
        if not isinstance(found, str):
            found_any = True
            if reading.fields.keep:
                raise SettingsError(f"{place} has no columns to keep; expected tables in the archive")
            try:
                text = text_of(member.stream, place, member.size, reading.settings)
                yield Row(text, found.label, place, found.split)
            except NotText as error:
                yield BadRow(place, str(error))
        elif format_ in _STREAMED and found != HIDDEN:
            found_any = True
            stream = io.BufferedReader(member.stream, 1 << 18)
            for block in read(Input(unpacked(stream, place), place, None, stream), format_):
                yield from block.rows()
        else:
            yield PassedOver(place, found)
            example = example or member.name
            others += 1
    if not found_any:
        raise DataError(no_texts(file.name, reading.settings, others, example))
