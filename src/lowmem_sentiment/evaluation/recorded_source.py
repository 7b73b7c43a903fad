"""What a run records of how its data was prepared: text that comes later is read in the same way."""

from typing import Any, NamedTuple

from ..runs.run_directory import RunDirectory
from ..system.errors import DataError, InputMissing
from ..text.reader_settings import LABEL_NAMES, TEXT_NAMES, WantedFields


class RecordedSource(NamedTuple):
    """How a run's data was read."""

    fields: WantedFields
    """Its columns or fields of text and label, before the usual ones."""
    label_map: dict[str, str]
    """How its labels were renamed; empty where they were not."""


def recorded_source(run: RunDirectory) -> RecordedSource:
    """Return how the run's data was read; the usual for weights without a config.json."""
    source = _source(run)
    return RecordedSource(_fields(source), _label_map(source))


def _fields(source: dict[str, Any]) -> WantedFields:
    columns = source.get("columns")  # of CSV and TSV
    if not isinstance(columns, dict):
        columns = {"text": source.get("text_column"), "label": source.get("label_column")}
    text, label = (_as_names(columns.get(kind)) for kind in ("text", "label"))
    return WantedFields((*text, *TEXT_NAMES), label_names=(*label, *LABEL_NAMES))


def _label_map(source: dict[str, Any]) -> dict[str, str]:
    names = source.get("label_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        return {}
    return names


def _as_names(column: object) -> tuple[str, ...]:
    """Return the name of a column that is recorded by name, not by number."""
    return (column,) if isinstance(column, str) and not column.isdecimal() else ()


def _source(run: RunDirectory) -> dict[str, Any]:
    """Return what the run's dataset recorded of its source; empty for weights without a config.json."""
    try:
        source = run.config()["dataset"]["source"]
    except (InputMissing, DataError):
        return {}
    return source if isinstance(source, dict) else {}
