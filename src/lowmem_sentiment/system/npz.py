"""NumPy's ``.npz``, written and read with every length checked before memory is taken for it.

An ``.npz`` is a zip of ``.npy`` files (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
This software writes arrays uncompressed, so none that it reads back can be larger than its file;
NumPy's own reader believes a header before it looks at the data, and evaluates it as Python.
"""

import math
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

import numpy as np

from .errors import DataError
from .files import open_regular
from .schema import Schema, parse, parse_json

_MAX_ARRAYS = 1 << 14

# A header as NumPy writes it for an array of numbers: no structured types, no Python objects.
_HEADER = re.compile(
    rb"\{'descr': '([<>|][biuf]\d{1,2})', 'fortran_order': (True|False), 'shape': \(([\d, ]*)\), \} *\n"
)


class Rows(NamedTuple):
    """An array with only some rows in memory at a time."""

    shape: tuple[int, ...]
    dtype: np.dtype
    blocks: Iterable[np.ndarray]
    """All rows in order, in C order."""


def write_arrays(file: Path | BinaryIO, arrays: Iterable[tuple[str, np.ndarray | Rows]]) -> None:
    """Write named arrays, one in memory at a time: a state's arrays take three times the weights.

    Writes the same bytes as `np.savez` without its extra copy, 16 MB at a time.
    """
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                _write_array(member, array)
            del array  # before the next is made


def _write_array(file: IO[bytes], array: np.ndarray | Rows) -> None:
    if not isinstance(array, Rows):
        array = np.asarray(array, order="C")
        array = Rows(array.shape, array.dtype, [array])
    descr = np.lib.format.dtype_to_descr(array.dtype)
    header = {"descr": descr, "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(file, header)
    for block in array.blocks:
        file.write(block.reshape(-1).view(np.uint8).data)


def read_arrays(file: Path | BinaryIO, where: str) -> dict[str, np.ndarray]:
    """Return every array by name, read-only; each CRC-32 is checked over all of its bytes.

    Takes the size of the file, once. Raises InputMissing, and DataError for a file that is damaged,
    compressed, or holds anything but arrays of numbers.
    """
    if isinstance(file, Path):
        with open_regular(file) as opened:
            return read_arrays(opened, where)
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if len(members) > _MAX_ARRAYS:
                raise DataError(
                    f"{where} holds {len(members):,} arrays, expected {_MAX_ARRAYS:,} at most"
                )
            arrays: dict[str, np.ndarray] = {}
            for member in members:
                name = member.filename.removesuffix(".npy")
                if member.compress_type != zipfile.ZIP_STORED or name in arrays:
                    raise DataError(f"{where}: {name!r} is compressed or there twice, expected neither")
                if member.file_size != member.compress_size:
                    raise DataError(f"{where} is damaged: {name!r} has two sizes")
                arrays[name] = _array(archive.read(member), f"{where}: {name!r}")
            return arrays
    except (EOFError, ValueError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        # A bad directory or CRC; encryption and compression methods that zipfile does not have
        raise DataError(f"{where} is damaged: {error}") from error


def read_with_metadata(
    file: Path | BinaryIO, where: str, schema: type[Schema], version: int
) -> tuple[Schema, dict[str, np.ndarray]]:
    """Return the array "metadata", JSON of a `schema` of this version, and all other arrays.

    Raises the errors of `read_arrays`, and DataError for metadata that is missing or damaged.
    """
    arrays = read_arrays(file, where)
    if "metadata" not in arrays:
        raise DataError(f"{where} has no metadata, expected what this software writes")
    content = parse_json(arrays.pop("metadata").tobytes(), f"{where}: metadata")
    found = content.get("version") if isinstance(content, dict) else None
    if found != version:
        raise DataError(f"{where} has version {found!r}, expected {version}")
    return parse(schema, content, f"{where}: metadata"), arrays


def _array(data: bytes, where: str) -> np.ndarray:
    """Return the array of an ``.npy`` file, a view of `data`."""
    if data[:6] != b"\x93NUMPY" or len(data) < 12 or data[6] not in (1, 2):
        raise DataError(f"{where} is damaged: it is not an array")
    start = 10 if data[6] == 1 else 12
    end = start + int.from_bytes(data[8:start], "little")
    header = _HEADER.fullmatch(data[start:end])
    if not header:
        raise DataError(f"{where} is damaged: it is not an array of numbers")
    descr, fortran, sizes = header.groups()
    try:
        dtype = np.dtype(descr.decode())
    except TypeError:
        raise DataError(f"{where} is damaged: {descr.decode()} is not a type of number") from None
    shape = tuple(int(size) for size in sizes.replace(b" ", b"").split(b",") if size)
    if math.prod(shape) * dtype.itemsize != len(data) - end or len(shape) > 8:
        raise DataError(f"{where} is damaged: {shape} of {dtype} are not {len(data) - end:,} bytes")
    flat = np.frombuffer(data, dtype, offset=end)
    return flat.reshape(shape, order="F" if fortran == b"True" else "C")
