"""Rows of Parquet and SQLite files: only the wanted columns are read."""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...system.errors import DataError, SettingsError, Unavailable, printable
from ..encoding import NotText, checked_bytes
from ..reader_settings import ReaderSettings, Reading
from ..rows import MAX_TEXT_BYTES, AnyRow, BadRow, Row
from .columns import Columns, find_columns


def _row(
    values: Sequence[Any] | Mapping[int, Any], columns: Columns, place: str, settings: ReaderSettings
) -> Row | BadRow:
    """Return the row of a database's values by column: bytes, text, numbers, and None for nothing."""

    def text(index: int) -> bytes:
        value = values[index]
        data = value if isinstance(value, bytes) else str(value).encode()
        return b"" if value is None else checked_bytes(data, settings)

    try:
        texts = [text(index) for index in columns.texts]
        label = None if columns.label is None else text(columns.label).decode()
    except NotText as error:
        return BadRow(place, str(error))
    kept = tuple(_plain(values[index]) for index in columns.kept)
    return Row(b" ".join(filter(None, texts)), label, place, None, kept)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


# --- Parquet, by the package `pyarrow` (the extra `parquet`) ---

_ROWS = 1_000  # at a time

_READ_BYTES = 1 << 20  # of a column at a time; pages are decompressed one by one

_MAX_COLUMN_BYTES = 2 << 30  # of a row group's column, unpacked; a part of it is in memory


def parquet_rows(path: str, name: str, reading: Reading) -> Iterator[AnyRow]:
    """Yield the rows in order; DataError for a damaged file or nested columns."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise Unavailable(
            f"{name} is Parquet, which needs pyarrow: pip install 'lowmem-sentiment[parquet]'"
        ) from None
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())  # jemalloc and mimalloc keep what is freed
    try:
        with pyarrow.parquet.ParquetFile(path, buffer_size=_READ_BYTES, pre_buffer=False) as table:
            yield from _rows(table, pyarrow, name, reading)
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        raise DataError(f"{name} is damaged, or not Parquet: {printable(error)}") from error


def _rows(table: Any, pyarrow: Any, name: str, reading: Reading) -> Iterator[AnyRow]:
    schema = table.schema_arrow
    columns, _ = find_columns(schema.names, name, reading)
    reading.found(name, columns.described())
    wanted = columns.wanted()
    for index in wanted:
        kind = schema.field(index).type
        if pyarrow.types.is_nested(kind):
            raise DataError(
                f"{name}: the column '{printable(schema.names[index])}' is {printable(kind)}, expected "
                "text or numbers; choose another (--text-column, --label-column), or write it as text"
            )
    names = [schema.names[index] for index in wanted]
    _check_row_groups(table.metadata, names, name)
    number = 0
    for batch in table.iter_batches(_ROWS, columns=names, use_threads=False):
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            number += 1
            by_column = dict(zip(wanted, values, strict=True))
            yield _row(by_column, columns, f"{name}: row {number}", reading.settings)


def _check_row_groups(metadata: Any, names: list[str], name: str) -> None:
    """Raise DataError for a row group whose columns are larger than this reader's memory allows."""
    for nth in range(metadata.num_row_groups):
        group = metadata.row_group(nth)
        for column in map(group.column, range(group.num_columns)):
            size = column.total_uncompressed_size
            if column.path_in_schema in names and size > _MAX_COLUMN_BYTES:
                raise DataError(
                    f"{name}: row group {nth + 1} has {size:,} bytes of the column "
                    f"'{printable(column.path_in_schema)}', expected {_MAX_COLUMN_BYTES:,} at most; "
                    "write smaller row groups"
                )


# --- SQLite, opened read-only ---


def sqlite_rows(path: str, name: str, reading: Reading) -> Iterator[AnyRow]:
    """Yield the rows in SQLite's order; DataError if there is no such table."""
    uri = f"{Path(path).absolute().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
            database.text_factory = bytes
            database.set_authorizer(_may)
            if hasattr(database, "setlimit"):  # from Python 3.11 on
                database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_TEXT_BYTES)
            query = reading.settings.query
            table = None if query else _quoted(_table(database, name, reading))
            cursor = database.execute(query or f"select * from {table} limit 0")
            if cursor.description is None:
                raise SettingsError("query is not a SELECT; expected one that yields rows")
            names = [column[0] for column in cursor.description]
            columns, _ = find_columns(names, name, reading)
            reading.found(name, columns.described())
            if table is not None:
                wanted = columns.wanted()
                selected = (_quoted(each) if nth in wanted else "null" for nth, each in enumerate(names))
                cursor = database.execute(f"select {', '.join(selected)} from {table}")
            for number, values in enumerate(cursor, 1):
                yield _row(values, columns, f"{name}: row {number}", reading.settings)
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise DataError(f"{name}: SQLite says: {printable(error)}") from error
    except UnicodeError as error:
        raise DataError(f"{name} has names that are not UTF-8; name the columns by --query") from error


def _may(action: int, *_: object) -> int:
    """Forbid attaching other files, which "attach" and "vacuum into" would create."""
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


def _table(database: sqlite3.Connection, name: str, reading: Reading) -> str:
    found = database.execute(
        "select name from sqlite_master where type in ('table', 'view') and name not like 'sqlite_%' "
        "order by name"
    )
    tables: list[str] = [table.decode("utf-8", "replace") for (table,) in found]
    wanted = reading.settings.table
    if wanted is not None and wanted in tables:
        return wanted
    if wanted is None and len(tables) == 1:
        return tables[0]
    held = ", ".join(printable(table, 60) for table in tables[:20]) or "no table"
    raise DataError(
        f"{name} has {held}; expected "
        + ("--table NAME or --query SQL" if wanted is None else f"the table {printable(wanted)}")
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
