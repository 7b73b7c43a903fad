"""Rows of a table, or of a query, in an SQLite file, which is opened read-only."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ...system.errors import DataError, SettingsError, printable
from ..opening import Input
from ..reader_settings import Reading
from ..rows import MAX_TEXT_BYTES, AnyRow
from .columns import Columns, find_columns


def sqlite_rows(file: Input, reading: Reading) -> Iterator[AnyRow]:
    """Yield the rows in SQLite's order; DataError if there is no such table."""
    if file.path is None:
        raise SettingsError(f"{file.name} is an SQLite file, which cannot be read from a pipe; save it")
    uri = f"{Path(file.path).absolute().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
            database.text_factory = bytes
            if hasattr(database, "setlimit"):  # from Python 3.11 on
                database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_TEXT_BYTES)
            query = reading.settings.query
            table = None if query else _quoted(_table(database, file, reading))
            cursor = database.execute(query or f"select * from {table} limit 0")
            if cursor.description is None:
                raise SettingsError("query is not a SELECT; expected one that yields rows")
            names = [column[0] for column in cursor.description]
            columns, _ = find_columns(names, file.name, reading)
            reading.found(file.name, columns.described())
            if table is not None:
                cursor = database.execute(f"select {_wanted(names, columns)} from {table}")
            for number, values in enumerate(cursor, 1):
                yield columns.row(values, f"{file.name}: row {number}", reading.settings)
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise DataError(f"{file.name}: SQLite says: {printable(error)}") from error


def _table(database: sqlite3.Connection, file: Input, reading: Reading) -> str:
    found = database.execute(
        "select name from sqlite_master where type in ('table', 'view') and name not like 'sqlite_%' "
        "order by name"
    )
    tables: list[str] = [name.decode("utf-8", "replace") for (name,) in found]
    wanted = reading.settings.table
    if wanted is not None and wanted in tables:
        return wanted
    if wanted is None and len(tables) == 1:
        return tables[0]
    held = ", ".join(printable(name, 60) for name in tables[:20]) or "no table"
    raise DataError(
        f"{file.name} has {held}; expected "
        + ("--table NAME or --query SQL" if wanted is None else f"the table {printable(wanted)}")
    )


def _wanted(names: list[str], columns: Columns) -> str:
    """Return the columns to select: the wanted ones in their places, and null for the others."""
    wanted = {*columns.texts, columns.label, *columns.kept}
    return ", ".join(_quoted(name) if nth in wanted else "null" for nth, name in enumerate(names))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
