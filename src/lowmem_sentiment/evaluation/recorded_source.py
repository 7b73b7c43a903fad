"""What a run records of how its data was prepared: text that comes later is read in the same way."""

from typing import Any

from ..runs.run_directory import RunDirectory
from ..system.errors import DataError, InputMissing
from ..text.reader_settings import LABEL_NAMES, TEXT_NAMES, WantedFields


def recorded_fields(run: RunDirectory) -> WantedFields:
    """Return the columns or fields of text and label that the run's data had, before the usual ones."""
    source = _source(run)
    columns = source.get("columns")  # of CSV and TSV
    if not isinstance(columns, dict):
        columns = {"text": source.get("text_column"), "label": source.get("label_column")}
    text, label = (_as_names(columns.get(kind)) for kind in ("text", "label"))
    return WantedFields((*text, *TEXT_NAMES), label_names=(*label, *LABEL_NAMES))


def recorded_label_map(run: RunDirectory) -> dict[str, str]:
    """Return how the labels of the run's data were renamed; empty where they were not."""
    names = _source(run).get("label_map")
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
