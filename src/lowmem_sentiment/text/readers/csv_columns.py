"""Which columns of a CSV or TSV file hold the text, the label, and what is to be kept."""

from dataclasses import dataclass
from typing import Any

from ...system.errors import DataError, printable
from ..reader_settings import LABEL_NAMES, TEXT_NAMES, ReaderSettings, WantedFields

_NAMES = 50  # columns that are named in messages and in the manifest


@dataclass(frozen=True)
class Columns:
    """Where in a row is what, counted from 0."""

    text: int
    label: int | None
    count: int
    """Of the first row: every other one has as many."""
    kept: tuple[int, ...]
    names: tuple[str, ...]
    """The first `_NAMES` of them; none where there is no header."""

    def described(self) -> dict[str, Any]:
        """Return the names of the columns, or their numbers from 1, as JSON can hold them."""

        def name(index: int | None) -> str | None:
            if index is None or index >= len(self.names):
                return None if index is None else str(index + 1)
            return self.names[index].encode("utf-8", "replace").decode()

        others = set(range(min(self.count, _NAMES))) - {self.text, self.label}
        return {
            "text": name(self.text),
            "label": name(self.label),
            "others": [*map(name, sorted(others))],
        }


UNKNOWN_COLUMNS = Columns(0, None, 0, (), ())
"""They are still to be found in the first row."""


def find_columns(
    cells: list[str], place: str, settings: ReaderSettings, fields: WantedFields
) -> tuple[Columns, bool]:
    """Return the columns, and whether the first row is a header.

    Columns given by number (from 1) have no header unless `settings.header`; a name needs one. Raises
    DataError where the row has no such column, or several.
    """
    header = [cell.strip() for cell in cells]
    text, named = _find_column(header, place, settings.text_column, fields.text_names, "--text-column")
    label = None
    if fields.labelled:
        label, also = _find_column(
            header, place, settings.label_column, fields.label_names, "--label-column"
        )
        named = named or also
    kept = []
    for column in fields.keep:
        index, also = _find_column(header, place, column, (), "--keep")
        kept.append(index)
        named = named or also
    has_header = named or settings.header
    names = [cell[:200] for cell in header[:_NAMES]] if has_header else ()
    return Columns(text, label, len(cells), tuple(kept), tuple(names)), has_header


def _find_column(
    header: list[str], place: str, column: str | None, usual: tuple[str, ...], option: str
) -> tuple[int, bool]:
    """Return a column's index, and whether it was found by a name."""
    if column is not None and column.isdecimal():
        index = int(column) - 1
        if not 0 <= index < len(header):
            raise DataError(f"{place}: there is no column {column}; expected 1 to {len(header)}")
        return index, False
    names = tuple(dict.fromkeys(map(str.lower, usual))) if column is None else (column,)
    folded = [cell.lower() for cell in header] if column is None else header
    name = next((name for name in names if name in folded), None)
    if name is None:
        shown = ", ".join(repr(cell[:30]) for cell in header[:8])
        raise DataError(
            f"{place}: no column is named {printable(' or '.join(names))}; the first row has {shown}: "
            f"choose one of them, or a number from 1 where there is no header ({option}); or another "
            "--delimiter"
        )
    if folded.count(name) > 1:
        numbers = [str(nth) for nth, cell in enumerate(folded, 1) if cell == name]
        raise DataError(
            f"{place}: {len(numbers)} columns are named {name!r} ({', '.join(numbers)}); choose one by "
            f"its number: {option} {numbers[0]} --header"
        )
    return folded.index(name), True


def looks_like_header(cells: list[str], columns: Columns) -> bool:
    """Whether a row, read as one of texts, has the usual name of a column where its column stands."""

    def named(index: int | None, names: tuple[str, ...]) -> bool:
        return index is not None and cells[index].strip().lower() in names

    return named(columns.text, TEXT_NAMES) or named(columns.label, LABEL_NAMES)
