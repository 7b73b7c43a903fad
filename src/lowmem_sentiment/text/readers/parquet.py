"""Rows of a Parquet file, by the package `pyarrow` (the extra `parquet`): only the wanted columns."""

from collections.abc import Iterator
from typing import Any

from ...system.errors import DataError, SettingsError, Unavailable, printable
from ..opening import Input
from ..reader_settings import Reading
from ..rows import AnyRow
from .columns import find_columns

_ROWS = 1_000  # at a time

_READ_BYTES = 1 << 20  # of a column at a time; pages are decompressed one by one

_MAX_COLUMN_BYTES = 2 << 30  # of a row group's column, unpacked; a part of it is in memory


def parquet_rows(file: Input, reading: Reading) -> Iterator[AnyRow]:
    """Yield the rows in order; DataError for a damaged file or nested columns."""
    if file.path is None:
        raise SettingsError(
            f"{file.name} is Parquet, which cannot be read from a pipe; save it as a file"
        )
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise Unavailable(
            f"{file.name} is Parquet, which needs pyarrow: pip install 'lowmem-sentiment[parquet]'"
        ) from None
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())  # jemalloc and mimalloc keep what is freed
    try:
        with pyarrow.parquet.ParquetFile(file.path, buffer_size=_READ_BYTES, pre_buffer=False) as table:
            yield from _rows(table, pyarrow, file.name, reading)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{file.name} is damaged, or not Parquet: {printable(error)}") from error


def _rows(table: Any, pyarrow: Any, name: str, reading: Reading) -> Iterator[AnyRow]:
    schema = table.schema_arrow
    columns, _ = find_columns(schema.names, name, reading)
    reading.found(name, columns.described())
    label_columns = [] if columns.label is None else [columns.label]
    wanted = list(dict.fromkeys([*columns.texts, *label_columns, *columns.kept]))
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
        lists = dict(zip(wanted, (column.to_pylist() for column in batch.columns), strict=True))
        for nth in range(batch.num_rows):
            number += 1
            values = {index: values[nth] for index, values in lists.items()}
            yield columns.row(values, f"{name}: row {number}", reading.settings)


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
