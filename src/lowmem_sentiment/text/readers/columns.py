"""Find the columns of a table that hold the text, the label, and values to keep."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...system.errors import DataError, did_you_mean, printable
from ..reader_settings import LABEL_NAMES, TEXT_NAMES, Reading

_NAMES = 50  # columns that are recorded in the manifest


@dataclass(frozen=True)
class Columns:
    """Where the wanted columns are, counted from 0."""

    texts: tuple[int, ...]
    """One, or several that are joined by a space."""
    label: int | None
    kept: tuple[int, ...]
    count: int
    """The number of columns of every row."""
    names: tuple[str, ...]
    """All of them; empty without a header."""
    telling: int | None = None
    """The label's column, also if labels are not read; None: it is not known."""

    def text(self, cells: Sequence[str]) -> str:
        """Return the text of a row."""
        if len(self.texts) == 1:
            return cells[self.texts[0]]
        return " ".join(filter(None, [cells[index] for index in self.texts]))

    def wanted(self) -> list[int]:
        """Return the columns that are read."""
        return sorted({*self.texts, *self.kept} | (set() if self.label is None else {self.label}))

    def described(self) -> dict[str, Any]:
        """Return the names of the columns, or their numbers from 1, as JSON can hold them."""

        def name(index: int) -> str:
            if not self.names:
                return str(index + 1)
            return self.names[index][:200].encode("utf-8", "replace").decode()

        others = sorted(set(range(min(self.count, _NAMES))) - {*self.texts, self.label})
        return {
            "text": ",".join(map(name, self.texts)),
            "label": None if self.label is None else name(self.label),
            "others": [*map(name, others)],
        }


UNKNOWN_COLUMNS = Columns((0,), None, (), 0, ())
"""They are still to be found in the first row."""


def find_columns(cells: Sequence[str], place: str, reading: Reading) -> tuple[Columns, bool]:
    """Return the columns, and whether the first row is a header.

    Columns given by number (from 1) have no header unless `settings.header`, or unless the first row is
    0, 1, 2, ..., as pandas names columns; a name needs one. Raises DataError if the row has no such
    column, or several.
    """
    settings, fields = reading.settings, reading.fields
    header = [cell.strip() for cell in cells]
    numbered = header == [str(number) for number in range(len(header))]
    given = f"{settings.text_column},{settings.label_column}".split(",")
    find = _Finder(header, place, by_name=numbered and "0" in given)
    texts = find.several(settings.text_column, fields.text_names, "--text-column")
    label = telling = None
    if fields.labelled:
        label = telling = find.one(settings.label_column, fields.label_names, "--label-column")
    else:
        with contextlib.suppress(DataError):
            telling = _Finder(header, place, find.by_name).one(None, fields.label_names, "")
    kept = tuple(find.one(column, (), "--keep") for column in fields.keep)
    has_header = find.named or settings.header or numbered
    names = tuple(header) if has_header else ()
    return Columns(texts, label, kept, len(cells), names, telling), has_header


class _Finder:
    def __init__(self, header: list[str], place: str, by_name: bool):
        self._header, self._place, self.by_name = header, place, by_name
        self.named = False

    def several(self, wanted: str | None, usual: tuple[str, ...], option: str) -> tuple[int, ...]:
        """Return the columns that `wanted` lists by name or number, by default the first usual one."""
        folded = [cell.lower() for cell in self._header]
        for names in [wanted] if wanted is not None else usual:
            if names.lower() in folded:
                break
            parts = [part.strip() for part in names.split(",")]
            if len(parts) > 1 and all(part.isdecimal() or part.lower() in folded for part in parts):
                return tuple(
                    self.one(None, (part,), option) if wanted is None else self.one(part, (), option)
                    for part in parts
                )
        return (self.one(wanted, usual, option),)

    def one(self, column: str | None, usual: tuple[str, ...], option: str) -> int:
        header, place = self._header, self._place
        if column is not None and column.isdecimal() and not self.by_name:
            index = int(column) - 1
            if 0 <= index < len(header):
                return index
            if column not in header:
                raise DataError(f"{place}: there is no column {column}; expected 1 to {len(header)}")
        names = tuple(dict.fromkeys(map(str.lower, usual))) if column is None else (column,)
        folded = [cell.lower() for cell in header] if column is None else header
        name = next((name for name in names if name in folded), None)
        if name is None:
            shown = ", ".join(repr(cell[:30]) for cell in header[:8])
            raise DataError(
                f"{place}: no column is named {printable(' or '.join(names))}; the first row has "
                f"{shown}: choose one of them, or a number from 1 without a header ({option}), "
                f"or another --delimiter{did_you_mean(column or '', header)}"
            )
        if folded.count(name) > 1:
            numbers = [str(nth) for nth, cell in enumerate(folded, 1) if cell == name]
            raise DataError(
                f"{place}: {len(numbers)} columns are named {name!r} ({', '.join(numbers)}); choose one "
                f"by its number: {option} {numbers[0]} --header"
            )
        self.named = True
        return folded.index(name)


def looks_like_header(cells: list[str], columns: Columns) -> bool:
    """Return whether a row that is read as data has the usual column names in their places."""

    def named(index: int | None, names: tuple[str, ...]) -> bool:
        return index is not None and cells[index].strip().lower() in names

    return named(columns.texts[0], TEXT_NAMES) or named(columns.label, LABEL_NAMES)
