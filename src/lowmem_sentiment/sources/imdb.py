"""The 50,000 IMDb reviews as token ids: Keras' ``imdb.npz``, and its word index."""

import contextlib
import itertools
import json
import os
import pickle
import resource
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..system.errors import DataError, InputMissing, SettingsError
from ..system.files import sha256
from ..system.progress import Progress, no_progress
from ..text.reviews import Reviews
from ..text.vocabulary import FIRST_WORD_ID, START_ID, Vocabulary

# As in keras.datasets.imdb
ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"

NPZ_SHA256 = "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"

WORD_INDEX_MD5 = "bfafd718b763782e994055a2d397834f"

NPZ, WORD_INDEX = "imdb.npz", "imdb_word_index.json"

NPZ_VARIABLE, WORD_INDEX_VARIABLE = "LOWMEM_SENTIMENT_IMDB_NPZ", "LOWMEM_SENTIMENT_IMDB_WORD_INDEX"

LABELS = ["negative", "positive"]

KERAS_SEED = 113  # of keras.datasets.imdb.load_data's shuffle

TEST_SHARE = 5  # one review in five: the first 10,000 of 50,000

SPLITS = ("described", "tutorial")

_BLOCK = 2_000  # reviews

# What the format can need: the published file has 25,000 reviews and 14 MB in its largest member
_MAX_MEMBER_BYTES = 64 << 20

_MAX_REVIEWS = 1_000_000

_MAX_DIRECTORY_BYTES = 1 << 16  # of the zip's four members; each entry costs 1 KB when it is read

_MAX_INDEX_BYTES = 16 << 20  # the published one has 1.6 MB

# 25,000 reviews take 120 MB as lists. A pickle of a few bytes can ask for gigabytes (of its memo).
_UNPICKLING_BYTES = 384 << 20


def assign_splits(count: int, split: str) -> np.ndarray:
    """Return uint8[count], for each review in order: 0 not used, 1 train, 2 test.

    The first fifth is the test split. "described" trains on the rest, as the tutorial
    says; "tutorial" on the last fifth alone, as its printed code (``data[40000:]``) does.
    """
    if split not in SPLITS:
        raise SettingsError(f"split is {split!r}, expected one of {', '.join(SPLITS)}")
    test = count // TEST_SHARE
    assigned = np.zeros(count, np.uint8)
    assigned[test if split == "described" else count - test :] = 1
    assigned[:test] = 2
    return assigned


def keras_cache() -> Path:
    """Return the directory in which Keras keeps downloaded datasets."""
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return Path(home) / "datasets"


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
    """Read an object array of lists of ints as int32 ids, one after the other, and int64 lengths.

    The lists of 25,000 reviews cost 120 MB as Python objects, and are gone when this returns;
    the flat array costs 24 MB.
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


class ImdbSource:
    """Keras' ``imdb.npz`` in Keras' order: shuffled with seed 113, train then test."""

    name = "imdb"
    labels = LABELS

    def __init__(self, npz: Path, word_index: Path, split: str = "described"):
        self._npz, self._word_index, self._split = Path(npz), Path(word_index), split
        for path in (self._npz, self._word_index):
            if not path.is_file():
                raise InputMissing(f"{path} is missing; expected Keras' {NPZ} and {WORD_INDEX}")
        self.inputs = [self._npz, self._word_index]
        self._sizes = self._read_sizes()
        assign_splits(0, split)

    def _read_sizes(self) -> tuple[int, int]:
        """Return how many reviews the file's two halves hold, from the labels' headers."""
        sizes = []
        with self._open() as archive:
            for half in ("train", "test"):
                with self._member(archive, f"y_{half}.npy") as (file, _):
                    sizes.append(_read_header(file)[0][0])
        return sizes[0], sizes[1]

    def _open(self) -> zipfile.ZipFile:
        try:
            _check_directory(self._npz)
            return zipfile.ZipFile(self._npz)
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(f"{self._npz} is no .npz file, or cut short ({error})") from error

    def _member(self, archive: zipfile.ZipFile, name: str) -> "_Member":
        return _Member(archive, name, self._npz)

    def describe(self) -> dict[str, Any]:
        count = sum(self._sizes)
        digest = sha256(self._npz)
        return {
            "description": f"{count:,} IMDb reviews (Keras' imdb.npz)",
            "kind": "imdb.npz",
            "sha256": digest,
            "published_file": digest == NPZ_SHA256,
            "word_index_sha256": sha256(self._word_index),
            "split": self._split,
            "reviews": count,
        }

    def vocabulary(self) -> Vocabulary:
        path = self._word_index
        try:
            with open(path, "rb") as file:
                content = file.read(_MAX_INDEX_BYTES + 1)
            if len(content) > _MAX_INDEX_BYTES:
                raise ValueError(f"it has more than {_MAX_INDEX_BYTES:,} bytes")
            index = json.loads(content)
            ranked = sorted((rank, word) for word, rank in index.items())
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(f"{path} is damaged: no JSON map from word to rank ({error})") from error
        if [rank for rank, _ in ranked] != list(range(1, len(ranked) + 1)):
            raise DataError(f"{path} is damaged: its ranks are not 1 to {len(ranked):,}, each once")
        return Vocabulary(word.encode("utf-8", "surrogatepass") for _, word in ranked)

    def blocks(self) -> Iterator[tuple[str, Reviews]]:
        assigned = assign_splits(sum(self._sizes), self._split)
        generator = np.random.RandomState(KERAS_SEED)
        first = 0
        for half, size in zip(("train", "test"), self._sizes, strict=True):
            order = np.arange(size)
            generator.shuffle(order)
            yield from self._half_blocks(half, order, assigned[first : first + size])
            first += size

    def _half_blocks(
        self, half: str, order: np.ndarray, assigned: np.ndarray
    ) -> Iterator[tuple[str, Reviews]]:
        """Yield one half's reviews in `order`; the other half is not in memory meanwhile."""
        with self._open() as archive:
            with self._member(archive, f"x_{half}.npy") as (file, size):
                words, lengths = _read_sequences(file, size)
            with self._member(archive, f"y_{half}.npy") as (file, _):
                labels = _read_labels(file)
        if len(labels) != len(lengths) or not np.isin(labels, (0, 1)).all():
            raise DataError(
                f"{self._npz} is damaged: y_{half} is not a label 0 or 1 for each of the "
                f"{len(lengths):,} reviews"
            )
        ends = np.cumsum(lengths)
        words += FIRST_WORD_ID - 1  # the word of rank r has id r + 3
        start_id = np.array([START_ID], np.int32)
        for number, split in ((2, "test"), (1, "train")):
            chosen = order[assigned == number]
            for at in range(0, len(chosen), _BLOCK):
                some = chosen[at : at + _BLOCK]
                pieces = [words[ends[i] - lengths[i] : ends[i]] for i in some]
                with_start = [piece for pair in zip(itertools.repeat(start_id), pieces) for piece in pair]
                yield split, Reviews(np.concatenate(with_start), lengths[some] + 1, labels[some])


def _check_directory(path: Path) -> None:
    """Raise BadZipFile for a zip whose directory alone would fill the memory."""
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - (1 << 16) - 22))
        tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at >= 0 and int.from_bytes(tail[at + 12 : at + 16], "little") > _MAX_DIRECTORY_BYTES:
        raise zipfile.BadZipFile("its directory is too large")


class _Member:
    """Open a member of an npz file; whatever is wrong with it becomes a DataError that names it."""

    def __init__(self, archive: zipfile.ZipFile, name: str, npz: Path):
        self._archive, self._name, self._npz = archive, name, npz

    def __enter__(self) -> tuple[IO[bytes], int]:
        try:
            size = self._archive.getinfo(self._name).file_size
            if size > _MAX_MEMBER_BYTES:
                raise DataError(
                    f"{self._npz} is refused: {self._name} has {size:,} bytes, expected "
                    f"{_MAX_MEMBER_BYTES:,} at most"
                )
            self._file = self._archive.open(self._name)
        except KeyError:
            held = ", ".join(self._archive.namelist()[:8]) or "nothing"
            raise DataError(f"{self._npz} has no {self._name}; it holds {held}") from None
        except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
            raise DataError(f"{self._npz} is damaged: {self._name}: {error}") from error
        return self._file, size

    def __exit__(self, kind: type | None, error: BaseException | None, trace: Any) -> None:
        self._file.close()
        if isinstance(error, Exception) and not isinstance(error, DataError):
            # The unpickler, zlib and NumPy raise a dozen kinds of exception on a damaged file.
            error = str(error) or type(error).__name__
            raise DataError(f"{self._npz} is refused: {self._name}: {error}") from None


def find_imdb(
    npz: Path | None,
    word_index: Path | None,
    split: str = "described",
    progress: Progress = no_progress,
) -> ImdbSource:
    """Find the two files: as given, by environment variable, in Keras' cache, or by download.

    A word index that is not given is also looked for beside the npz file. Downloads go into
    Keras' cache. Raises Unavailable when nothing is there and nothing can be fetched.
    """
    given = npz or _from_environment(NPZ_VARIABLE)
    beside = Path(given).with_name(WORD_INDEX) if given else None
    index = word_index or _from_environment(WORD_INDEX_VARIABLE)
    if index is None and beside is not None and beside.exists():
        index = beside
    given = given or _cached(NPZ, f"sha256:{NPZ_SHA256}", progress)
    index = index or _cached(WORD_INDEX, f"md5:{WORD_INDEX_MD5}", progress)
    return ImdbSource(given, index, split)


def _from_environment(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None


def _cached(name: str, digest: str, progress: Progress) -> Path:
    path = keras_cache() / name
    if path.exists():
        return path
    from .download import download  # urllib: 25 ms that most calls do not need

    return download(ORIGIN + name, path, digest, progress)
