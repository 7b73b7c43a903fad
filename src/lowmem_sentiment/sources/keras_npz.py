"""Read the ``.npz`` files of Keras' datasets: pickled lists of word ranks, decoded without unpickling."""

import contextlib
import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import numpy as np

from ..system.errors import DataError
from ..system.memory import require_threads
from ..text.readers.archives import check_directory
from ..text.reviews import Reviews
from ..text.vocabulary import FIRST_WORD_ID, START_ID

_BLOCK = 2_000  # reviews

# What the formats can need: of imdb.npz, the largest, a member has 25,000 reviews and 14 MB
_MAX_MEMBER_BYTES = 64 << 20

_MAX_REVIEWS = 1_000_000

_MAX_DIRECTORY_BYTES = 1 << 16  # of the zip's four members; each entry costs 1 KB when it is read

_BLOCK_BYTES = 1 << 18  # decoding takes 20 times as much, which the processor's cache holds

_HEAD_BYTES = 1 << 10  # the beginning of a pickled array: NumPy's names, its shape and type

# zlib, zipfile and NumPy raise all of these on a damaged file
_DAMAGE = (
    ArithmeticError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError,
    struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def blocks_of(reviews: Reviews, order: np.ndarray) -> Iterator[Reviews]:
    """Yield blocks of the reviews at places `order`, each after a start id."""
    ends = np.cumsum(reviews.lengths)
    start_id = np.array([START_ID], np.int32)
    for at in range(0, len(order), _BLOCK):
        some = order[at : at + _BLOCK]
        bounds = zip((ends - reviews.lengths)[some].tolist(), ends[some].tolist(), strict=True)
        ids = [part for start, end in bounds for part in (start_id, reviews.token_ids[start:end])]
        yield Reviews(np.concatenate(ids), reviews.lengths[some] + 1, reviews.labels[some])


class KerasNpz:
    """An ``.npz`` file of Keras; whatever is wrong with it becomes a DataError."""

    def __init__(self, path: Path):
        self._path = path

    def count(self, array: str) -> int:
        """Return how many items an array has, from its header."""
        with self._opened(array) as (file, _):
            return _read_header(file)[0][0]

    def read(self, words: str, labels: str, num_labels: int) -> Reviews:
        """Return the reviews of two arrays; DataError unless each has a label below `num_labels`.

        The word of rank r has id r + 3, as Keras numbers words.
        """
        with self._opened(words) as (file, size):
            token_ids, lengths = _read_sequences(file, size)
        with self._opened(labels) as (file, _):
            numbers = _read_labels(file)
        if len(numbers) != len(lengths) or not np.isin(numbers, range(num_labels)).all():
            raise DataError(
                f"{self._path} is damaged: {labels} is not a label of 0 to {num_labels - 1} for each of "
                f"the {len(lengths):,} reviews"
            )
        token_ids += FIRST_WORD_ID - 1
        return Reviews(token_ids, lengths, numbers)

    @contextlib.contextmanager
    def _opened(self, array: str) -> Iterator[tuple[IO[bytes], int]]:
        """Open an array's file, of so many bytes; any error in it becomes a DataError that names it."""
        try:
            check_directory(self._path, _MAX_DIRECTORY_BYTES)
            archive = zipfile.ZipFile(self._path)
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(f"{self._path} is not an .npz file, or cut short ({error})") from error
        with archive:
            name = f"{array}.npy"
            if name not in archive.NameToInfo:
                held = ", ".join(archive.namelist()[:8]) or "nothing"
                raise DataError(f"{self._path} has no {name}; it holds {held}")
            try:
                size = archive.getinfo(name).file_size
                if size > _MAX_MEMBER_BYTES:
                    raise ValueError(f"it has {size:,} bytes, expected {_MAX_MEMBER_BYTES:,} at most")
                with archive.open(name) as file:
                    yield file, size
            except _DAMAGE as error:
                reason = str(error) or type(error).__name__
                raise DataError(f"{self._path} is refused: {name}: {reason}") from None


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

    The array of 25,000 reviews takes 24 MB; as lists they would take 120 MB more.
    """
    (count,), dtype = _read_header(file)
    head = file.read(_HEAD_BYTES)
    start = head.find(b"\x89]")  # False, not in Fortran's order, and the list of the items
    if not dtype.hasobject or start < 0:
        raise ValueError(_OTHER)
    words, total = np.empty(size // 2, np.int32), 0
    structure: list[bytes] = []
    list_starts: list[np.ndarray] = []
    data = head[start + 1 :]
    require_threads(1)  # a thread that is refused says nothing of the file
    with ThreadPoolExecutor(1) as inflater:
        ahead = inflater.submit(file.read, _BLOCK_BYTES)
        while data:
            octets = np.frombuffer(data, np.uint8)
            starts, used = _instructions(data)
            codes = octets[starts]
            numbers = np.frombuffer(codes.tobytes().translate(_IS_NUMBER), bool)
            ranks = _numbers(octets, starts[numbers], codes[numbers])
            words[total : total + len(ranks)] = ranks
            # of each row of numbers one, and all others, which are few
            others = np.flatnonzero(~numbers)
            rows = np.flatnonzero(np.diff(others, prepend=-1, append=len(codes)) > 1)
            codes = codes[others]
            with_rows: bytes = np.insert(codes, rows, ord("K")).tobytes()
            structure.append(with_rows.translate(None, _UNSTRUCTURED))
            list_starts.append(total + (others - np.arange(len(others)))[codes == ord("]")])
            total += len(ranks)
            data = data[used:] + (more := ahead.result())
            ahead = inflater.submit(file.read, _BLOCK_BYTES)
            if data and not more:
                raise ValueError("it is cut short, or something follows the pickled array")
    if not _STRUCTURE.fullmatch(b"".join(structure)):
        raise ValueError(_OTHER)
    lengths = np.diff(np.concatenate(list_starts)[1:], append=total)
    if len(lengths) != count:
        raise ValueError(f"it holds {len(lengths):,} reviews, its header says {count:,}")
    if words[:total].min(initial=1) < 1:
        raise ValueError("it holds a word index below 1")
    return words[:total], lengths


# The instructions of a pickled list of lists of whole numbers, and the bytes of each with its argument:
# https://github.com/python/cpython/blob/main/Lib/pickletools.py. They are read, never run.
_NUMBERS = {b"K": 2, b"M": 3, b"J": 5}

_MEMO_AND_FRAME = {b"q": 2, b"r": 5, b"\x94": 1, b"\x95": 9}

_LISTS = {b"]": 1, b"(": 1, b"e": 1, b"a": 1, b"t": 1, b"b": 1, b".": 1}

_STRUCTURE = re.compile(rb"\](?:\((?:\](?:\(K+e|K+a)*)+e|\](?:\(K+e|K+a)*a)*tb\.")

_OTHER = "it holds something other than lists of word indices"


def _table(sizes: dict[bytes, int]) -> np.ndarray:
    table = np.zeros(256, np.uint8)
    for code, size in sizes.items():
        table[ord(code)] = size
    return table


_SIZES = _table({**_NUMBERS, **_MEMO_AND_FRAME, **_LISTS})

_IS_NUMBER = (_table(_NUMBERS) > 0).tobytes()

_UNSTRUCTURED = b"".join(_MEMO_AND_FRAME)


def _instructions(data: bytes) -> tuple[np.ndarray, int]:
    """Return where each whole instruction in `data` begins, int64[n], and where the last one ends."""
    sizes = np.frombuffer(data.translate(_SIZES.tobytes()), np.uint8)
    starts = np.flatnonzero(sizes > 0)
    ends = starts + sizes[starts]
    # a byte of an argument may look like an instruction
    hiding = np.flatnonzero(starts[1:] < ends[:-1])
    hiding = hiding[_are_real(starts[hiding], ends[hiding])]
    real, hidden, until = np.ones(len(starts), bool), hiding + 1, ends[hiding]
    while len(hidden):
        inside = starts[hidden] < until
        hidden, until = hidden[inside], until[inside]
        real[hidden] = False
        inside = hidden + 1 < len(starts)
        hidden, until = hidden[inside] + 1, until[inside]
    real &= ends <= len(data)
    starts, ends = starts[real], ends[real]
    if not len(starts) or starts[0] or (starts[1:] != ends[:-1]).any():
        raise ValueError(_OTHER)
    return starts, int(ends[-1])


def _are_real(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return bool[n], which of the instructions that hide something are not hidden by the one before."""
    real = np.ones(len(starts), bool)
    doubtful = np.zeros(len(starts) + 1, bool)
    doubtful[1:-1] = starts[1:] < np.maximum.accumulate(ends)[:-1]
    # the first of each row of them, then the second, and so on; what stands before a row is real
    nth = np.flatnonzero(doubtful[1:] & ~doubtful[:-1]) + 1
    before = ends[nth - 1]
    while len(nth):
        real[nth] = starts[nth] >= before
        before = np.where(real[nth], ends[nth], before)
        more = doubtful[nth + 1]
        nth, before = nth[more] + 1, before[more]
    return real


def _numbers(octets: np.ndarray, starts: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return int32[n], the numbers of instructions: 1, 2 or 4 bytes, little-endian."""
    values: np.ndarray = octets[starts + 1].astype(np.int32)
    longer = np.flatnonzero(codes != ord("K"))
    for nth in (2, 3, 4):
        values[longer] |= octets[starts[longer] + nth].astype(np.int32) << (8 * (nth - 1))
        longer = longer[codes[longer] == ord("J")]
    return values
