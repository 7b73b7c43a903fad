"""Read the ``.npz`` files of Keras' datasets: pickled lists of word ranks. Nothing in a pickle is run."""

import contextlib
import itertools
import os
import pickle
import resource
import struct
import types
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..system.errors import DataError
from ..text.reviews import Reviews
from ..text.vocabulary import FIRST_WORD_ID, START_ID

_BLOCK = 2_000  # reviews

# What the formats can need: of imdb.npz, the largest, a member has 25,000 reviews and 14 MB
_MAX_MEMBER_BYTES = 64 << 20

_MAX_REVIEWS = 1_000_000

_MAX_DIRECTORY_BYTES = 1 << 16  # of the zip's four members; each entry costs 1 KB when it is read

# 25,000 reviews take 120 MB as lists. A pickle of a few bytes can ask for gigabytes (of its memo).
_UNPICKLING_BYTES = 384 << 20

# The unpickler, zlib and NumPy raise all of these on a damaged file
_DAMAGE = (
    ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError, MemoryError,
    OSError, RuntimeError, SystemError, TypeError, ValueError,
    pickle.PickleError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class Sequences:
    """Reviews one after the other, with their labels."""

    token_ids: np.ndarray
    """int32[total]: the word of rank r is r + 3, as Keras numbers words."""
    lengths: np.ndarray
    """int64[reviews]"""
    labels: np.ndarray
    """int[reviews]"""

    def blocks(self, order: np.ndarray) -> Iterator[Reviews]:
        """Yield the reviews at these places, each after a start id."""
        ends = np.cumsum(self.lengths)
        start_id = np.array([START_ID], np.int32)
        for at in range(0, len(order), _BLOCK):
            some = order[at : at + _BLOCK]
            pieces = [self.token_ids[ends[i] - self.lengths[i] : ends[i]] for i in some]
            with_start = [piece for pair in zip(itertools.repeat(start_id), pieces) for piece in pair]
            yield Reviews(np.concatenate(with_start), self.lengths[some] + 1, self.labels[some])


class KerasNpz:
    """An ``.npz`` file of Keras; whatever is wrong with it becomes a DataError."""

    def __init__(self, path: Path):
        self._path = path

    def count(self, member: str) -> int:
        """Return how many items an array has, from its header."""
        with self._open() as archive, _member(archive, f"{member}.npy", self._path) as (file, _):
            return _read_header(file)[0][0]

    def read(self, words: str, labels: str, num_labels: int) -> Sequences:
        """Return the reviews of two arrays; DataError unless each has a label below `num_labels`."""
        with self._open() as archive:
            with _member(archive, f"{words}.npy", self._path) as (file, size):
                token_ids, lengths = _read_sequences(file, size)
            with _member(archive, f"{labels}.npy", self._path) as (file, _):
                numbers = _read_labels(file)
        if len(numbers) != len(lengths) or not np.isin(numbers, range(num_labels)).all():
            raise DataError(
                f"{self._path} is damaged: {labels} is not a label of 0 to {num_labels - 1} for each of "
                f"the {len(lengths):,} reviews"
            )
        token_ids += FIRST_WORD_ID - 1
        return Sequences(token_ids, lengths, numbers)

    def _open(self) -> zipfile.ZipFile:
        try:
            _check_directory(self._path)
            return zipfile.ZipFile(self._path)
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(f"{self._path} is not an .npz file, or cut short ({error})") from error


class _Inert:
    """Stands for numpy.dtype and numpy.ndarray in the pickle; keeps what it is given, runs nothing."""

    state: Any = None

    def __init__(self, *_: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    """Admit NumPy's array reconstruction and nothing else, and not even that as itself.

    An object array is pickled as a call of `_reconstruct` whose state holds a plain list. All
    three names become `_Inert`: no code of NumPy runs with arguments from the file.
    """

    _ADMITTED = frozenset(
        {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
        }
    )

    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in self._ADMITTED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is refused")
        return _Inert

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to objects outside the file")


@contextlib.contextmanager
def _limited_memory(size: int) -> Iterator[None]:
    """Let the process's address space grow by `size` bytes at most; MemoryError where it would not do."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # not Linux
        yield
        return
    limit = pages * resource.getpagesize() + size
    if soft != resource.RLIM_INFINITY:
        limit = min(limit, soft)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    if version[0] == 1:
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    if len(shape) != 1 or not 0 <= shape[0] <= _MAX_REVIEWS:
        raise ValueError(f"it has the shape {shape}, expected one of {_MAX_REVIEWS:,} reviews at most")
    return shape, dtype


def _read_labels(file: IO[bytes]) -> np.ndarray:
    """Read an array of whole numbers; its header is believed only as far as its bytes go."""
    (count,), dtype = _read_header(file)
    if dtype.kind not in "iu":
        raise ValueError(f"it holds {dtype}, expected whole numbers")
    data = file.read(count * dtype.itemsize + 1)
    if len(data) != count * dtype.itemsize:
        raise ValueError(f"it holds more or less than the {count:,} labels of its header")
    return np.frombuffer(data, dtype)


def _read_sequences(file: IO[bytes], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Read an object array of lists of ints as int32 ranks, one after the other, and int64 lengths.

    The lists of 25,000 reviews cost 120 MB as Python objects, freed when this returns; the flat array
    costs 24 MB.
    """
    (count,), dtype = _read_header(file)
    if not dtype.hasobject:
        raise ValueError(f"it holds {dtype}, expected lists of word indices")
    # Without readinto(): when that fails within a bytearray, CPython writes a SystemError of its
    # own to standard error.
    plain: Any = types.SimpleNamespace(read=file.read, readline=file.readline, peek=file.peek)  # type: ignore[attr-defined]
    with _limited_memory(_UNPICKLING_BYTES):
        array = _Unpickler(plain).load()
    if file.read(1):  # the CRC is compared at the end of the member
        raise ValueError("something follows the pickled array")
    if not isinstance(array, _Inert) or not isinstance(array.state, tuple):
        raise ValueError("it holds no pickled array")
    lists = array.state[-1]
    if not isinstance(lists, list) or not all(isinstance(item, list) for item in lists):
        raise ValueError("it holds something else than lists of word indices")
    if len(lists) != count:
        raise ValueError(f"it holds {len(lists):,} reviews, its header says {count:,}")
    lengths = np.fromiter(map(len, lists), np.int64, count)
    total = int(lengths.sum())
    if total > size:  # a pickle can name one list many times: a bomb
        raise ValueError(f"it claims {total:,} words in {size:,} bytes")
    words = np.fromiter(itertools.chain.from_iterable(lists), np.int32, total)
    if words.min(initial=1) < 1:
        raise ValueError("it holds a word index below 1")
    return words, lengths


def _check_directory(path: Path) -> None:
    """Raise BadZipFile for a zip whose directory would fill the memory."""
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - (1 << 16) - 22))
        tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at >= 0 and int.from_bytes(tail[at + 12 : at + 16], "little") > _MAX_DIRECTORY_BYTES:
        raise zipfile.BadZipFile("its directory is too large")


@contextlib.contextmanager
def _member(archive: zipfile.ZipFile, name: str, npz: Path) -> Iterator[tuple[IO[bytes], int]]:
    """Open a member of an npz file; any error in it becomes a DataError that names it."""
    try:
        size = archive.getinfo(name).file_size
    except KeyError:
        held = ", ".join(archive.namelist()[:8]) or "nothing"
        raise DataError(f"{npz} has no {name}; it holds {held}") from None
    try:
        if size > _MAX_MEMBER_BYTES:
            raise ValueError(f"it has {size:,} bytes, expected {_MAX_MEMBER_BYTES:,} at most")
        with archive.open(name) as file:
            yield file, size
    except _DAMAGE as error:
        raise DataError(f"{npz} is refused: {name}: {str(error) or type(error).__name__}") from None
