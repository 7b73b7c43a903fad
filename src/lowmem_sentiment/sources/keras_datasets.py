"""Datasets that Keras publishes as token ids: the IMDb reviews and the Reuters newswires.

Reuters has 11,228 newswires and 46 topics. Its file could not be downloaded where this was written: its
form is known from ``keras.datasets.reuters``, and the tests' files have that form.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..system.errors import DataError, InputMissing, SettingsError, Unavailable
from ..system.files import sha256
from ..system.progress import Progress, no_progress
from ..text.reviews import Reviews
from ..text.vocabulary import Vocabulary
from .keras_npz import KerasNpz, blocks_of

# As in keras.datasets
ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"

KERAS_SEED = 113  # of the shuffle in keras.datasets' load_data

_MAX_INDEX_BYTES = 16 << 20  # IMDb's has 1.6 MB

NOT_USED, TRAIN, TEST = range(3)


class KerasSource:
    """Reviews as token ids in Keras' order, and the words by rank, from the two files of a dataset."""

    name: str
    """The files are ``NAME.npz`` and ``NAME_word_index.json``."""
    texts: str
    """What they are, for people."""
    labels: list[str]
    arrays: tuple[tuple[str, str], ...]
    """The names of each array of token ids and of its labels."""
    digests: tuple[str, str]
    """Of the published files, as keras.datasets checks them: SHA-256 and MD5."""

    def __init__(self, npz: Path, word_index: Path):
        """Open the two files; InputMissing if one is missing, DataError if `npz` is not an archive."""
        self.inputs = [Path(npz), Path(word_index)]
        self._npz = KerasNpz(self.inputs[0])
        for path in self.inputs:
            if not path.is_file():
                files = f"{self.name}.npz and {self.name}_word_index.json"
                raise InputMissing(f"{path} is missing; expected Keras' {files}")
        self._split = ""
        self._sizes = [self._npz.count(labels) for _, labels in self.arrays]

    @classmethod
    def find(
        cls, npz: Path | None, word_index: Path | None, progress: Progress = no_progress
    ) -> tuple[Path, Path]:
        """Return the two files: as given, by environment variable, in Keras' cache, or by download.

        A word index that is not given is also looked for beside the npz file. Downloads go into
        Keras' cache. Raises Unavailable when nothing is there and nothing can be fetched.
        """
        npz_name, index_name = f"{cls.name}.npz", f"{cls.name}_word_index.json"
        variable = f"LOWMEM_SENTIMENT_{cls.name.upper()}_"
        npz = npz or _from_environment(f"{variable}NPZ")
        if npz and npz.is_file():
            with open(npz, "rb") as file:  # before a download
                if file.read(2) != b"PK":
                    raise DataError(f"{npz} is not an .npz file; expected Keras' {npz_name}")
        word_index = word_index or _from_environment(f"{variable}WORD_INDEX")
        if not word_index and npz and (beside := npz.with_name(index_name)).exists():
            word_index = beside
        npz_sha256, index_md5 = cls.digests
        return (
            npz or _cached(npz_name, f"sha256:{npz_sha256}", progress),
            word_index or _cached(index_name, f"md5:{index_md5}", progress),
        )

    def describe(self) -> dict[str, Any]:
        npz, word_index = self.inputs
        count, digest = sum(self._sizes), sha256(npz)
        return {
            "description": f"{count:,} {self.texts} (Keras' {self.name}.npz)",
            "kind": f"{self.name}.npz",
            "sha256": digest,
            "published_file": digest == self.digests[0],
            "word_index_sha256": sha256(word_index),
            **({"split": self._split} if self._split else {}),
            "reviews": count,
        }

    def vocabulary(self) -> Vocabulary:
        return read_word_index(self.inputs[1])

    def blocks(self) -> Iterator[tuple[str, Reviews]]:
        assigned = self._assigned(sum(self._sizes))
        generator = np.random.RandomState(KERAS_SEED)
        first = 0
        for names, size in zip(self.arrays, self._sizes, strict=True):
            order = np.arange(size)
            generator.shuffle(order)
            yield from self._blocks(names, order, assigned[first : first + size])
            first += size

    def _blocks(
        self, names: tuple[str, str], order: np.ndarray, assigned: np.ndarray
    ) -> Iterator[tuple[str, Reviews]]:
        """Yield an array's reviews in `order`, without another array (24 MB) in memory."""
        reviews = self._npz.read(*names, len(self.labels))
        for number, split in ((TEST, "test"), (TRAIN, "train")):
            for block in blocks_of(reviews, order[assigned == number]):
                yield split, block

    def _assigned(self, count: int) -> np.ndarray:
        """Return uint8[count] by review: NOT_USED, TRAIN or TEST."""
        raise NotImplementedError


class ImdbSource(KerasSource):
    """Keras' ``imdb.npz``: 50,000 reviews, train then test."""

    name, texts, labels = "imdb", "IMDb reviews", ["negative", "positive"]
    arrays = (("x_train", "y_train"), ("x_test", "y_test"))
    digests = (
        "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
        "bfafd718b763782e994055a2d397834f",
    )

    def __init__(self, npz: Path, word_index: Path, split: str = "described"):
        super().__init__(npz, word_index)
        self._split = split
        assign_splits(0, split)

    def _assigned(self, count: int) -> np.ndarray:
        return assign_splits(count, self._split)


def assign_splits(count: int, split: str) -> np.ndarray:
    """Return uint8[count] by IMDb review: NOT_USED, TRAIN or TEST.

    The first fifth is the test split. "described" trains on the rest, as the tutorial
    says; "tutorial" only on the last fifth, as its printed code (``data[40000:]``) does.
    """
    if split not in ("described", "tutorial"):
        raise SettingsError(f"split is {split!r}, expected one of described, tutorial")
    test = count // 5
    assigned = np.full(count, NOT_USED, np.uint8)
    assigned[test if split == "described" else count - test :] = TRAIN
    assigned[:test] = TEST
    return assigned


# As in keras.datasets.reuters.get_label_names
_TOPICS = [
    "cocoa", "grain", "veg-oil", "earn", "acq", "wheat", "copper", "housing", "money-supply",
    "coffee", "sugar", "trade", "reserves", "ship", "cotton", "carcass", "crude", "nat-gas", "cpi",
    "money-fx", "interest", "gnp", "meal-feed", "alum", "oilseed", "gold", "tin", "strategic-metal",
    "livestock", "retail", "ipi", "iron-steel", "rubber", "heat", "jobs", "lei", "bop", "zinc",
    "orange", "pet-chem", "dlr", "gas", "silver", "wpi", "hog", "lead",
]  # fmt: skip


class ReutersSource(KerasSource):
    """Keras' ``reuters.npz``: the first 80 % train, as in keras.datasets.reuters.load_data."""

    name, texts, labels = "reuters", "Reuters newswires", _TOPICS
    arrays = (("x", "y"),)
    digests = (
        "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916",
        "4d44cc38712099c9e383dc6e5f11a921",
    )

    def _assigned(self, count: int) -> np.ndarray:
        return np.where(np.arange(count) < int(count * (1 - 0.2)), TRAIN, TEST)


def find_reuters_source(
    *, npz: Path | None = None, word_index: Path | None = None, progress: Progress = no_progress
) -> ReutersSource:
    """Find Keras' Reuters newswires; Unavailable if there are none."""
    return ReutersSource(*ReutersSource.find(npz, word_index, progress))


def read_word_index(path: Path) -> Vocabulary:
    """Return the words of a JSON map from word to rank; DataError unless each rank is there once."""
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_INDEX_BYTES + 1)
        if len(content) > _MAX_INDEX_BYTES:
            raise ValueError(f"it has more than {_MAX_INDEX_BYTES:,} bytes")
        index = json.loads(content)
        words, ranks = sorted(index, key=index.__getitem__), sorted(index.values())
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} is damaged: no JSON map from word to rank ({error})") from error
    if ranks != list(range(1, len(ranks) + 1)):
        raise DataError(f"{path} is damaged: its ranks are not 1 to {len(ranks):,}, each once")
    return Vocabulary([word.encode("utf-8", "surrogatepass") for word in words])


def _from_environment(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None


def _cached(name: str, digest: str, progress: Progress) -> Path:
    path = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets" / name
    if path.exists():
        return path
    from .download import download  # urllib: 25 ms that most calls do not need

    try:
        return download(ORIGIN + name, path, digest, progress)
    except Unavailable as error:
        raise Unavailable(f"{error}; give the files: --npz PATH --word-index PATH") from error
