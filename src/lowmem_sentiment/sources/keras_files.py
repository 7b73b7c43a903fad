"""Find the two files of a dataset that Keras publishes: the reviews, and the words by rank."""

import json
import os
from pathlib import Path
from typing import Any

from ..system.errors import DataError, InputMissing, Unavailable
from ..system.files import sha256
from ..system.progress import Progress, no_progress
from ..text.vocabulary import Vocabulary
from .keras_npz import KerasNpz

# As in keras.datasets
ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"

KERAS_SEED = 113  # of the shuffle in keras.datasets' load_data

_MAX_INDEX_BYTES = 16 << 20  # IMDb's has 1.6 MB


class Published:
    """Keras' names of the two files of a dataset, and the digests that it checks downloads by."""

    def __init__(self, name: str, npz_sha256: str, word_index_md5: str):
        self.npz, self.word_index = f"{name}.npz", f"{name}_word_index.json"
        self.npz_sha256, self.word_index_md5 = npz_sha256, word_index_md5
        variable = f"LOWMEM_SENTIMENT_{name.upper()}_"
        self.npz_variable, self.word_index_variable = f"{variable}NPZ", f"{variable}WORD_INDEX"
        """The environment variables that name the files."""

    def find(
        self, npz: Path | None, word_index: Path | None, progress: Progress = no_progress
    ) -> tuple[Path, Path]:
        """Return the two files: as given, by environment variable, in Keras' cache, or by download.

        A word index that is not given is also looked for beside the npz file. Downloads go into
        Keras' cache. Raises Unavailable when nothing is there and nothing can be fetched.
        """
        npz = npz or _from_environment(self.npz_variable)
        if npz and npz.is_file():
            with open(npz, "rb") as file:  # before a download
                if file.read(2) != b"PK":
                    raise DataError(f"{npz} is not an .npz file; expected Keras' {self.npz}")
        word_index = word_index or _from_environment(self.word_index_variable)
        if not word_index and npz and (beside := npz.with_name(self.word_index)).exists():
            word_index = beside
        return (
            npz or _cached(self.npz, f"sha256:{self.npz_sha256}", progress),
            word_index or _cached(self.word_index, f"md5:{self.word_index_md5}", progress),
        )


class KerasSource:
    """A dataset that Keras publishes: reviews as token ids, and the words by rank."""

    name: str
    labels: list[str]
    files: Published

    def __init__(self, npz: Path, word_index: Path):
        """Open the two files; InputMissing if one is missing, DataError if `npz` is not an archive."""
        self.inputs = [Path(npz), Path(word_index)]
        self._npz = KerasNpz(self.inputs[0])
        for path in self.inputs:
            if not path.is_file():
                files = f"{self.files.npz} and {self.files.word_index}"
                raise InputMissing(f"{path} is missing; expected Keras' {files}")

    def describe(self) -> dict[str, Any]:
        npz, word_index = self.inputs
        digest = sha256(npz)
        return {
            "kind": self.files.npz,
            "sha256": digest,
            "published_file": digest == self.files.npz_sha256,
            "word_index_sha256": sha256(word_index),
        }

    def vocabulary(self) -> Vocabulary:
        return read_word_index(self.inputs[1])


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
