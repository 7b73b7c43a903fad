"""Find the two files of a dataset that Keras publishes: the reviews, and the words by rank."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..system.errors import DataError, InputMissing
from ..system.files import sha256
from ..system.progress import Progress, no_progress
from ..text.vocabulary import Vocabulary

# As in keras.datasets
ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"

KERAS_SEED = 113  # of the shuffle in keras.datasets' load_data

_MAX_INDEX_BYTES = 16 << 20  # IMDb's has 1.6 MB


@dataclass(frozen=True)
class Published:
    """Keras' names of the files of a dataset, and the digests that it checks downloads by."""

    name: str
    npz_sha256: str
    word_index_md5: str

    @property
    def npz(self) -> str:
        """The name of the file of reviews."""
        return f"{self.name}.npz"

    @property
    def word_index(self) -> str:
        """The name of the file of words."""
        return f"{self.name}_word_index.json"

    @property
    def npz_variable(self) -> str:
        """The environment variable that names the file of reviews."""
        return f"LOWMEM_SENTIMENT_{self.name.upper()}_NPZ"

    @property
    def word_index_variable(self) -> str:
        """The environment variable that names the file of words."""
        return f"LOWMEM_SENTIMENT_{self.name.upper()}_WORD_INDEX"

    def find(
        self, npz: Path | None, word_index: Path | None, progress: Progress = no_progress
    ) -> tuple[Path, Path]:
        """Return the two files: as given, by environment variable, in Keras' cache, or by download.

        A word index that is not given is also looked for beside the npz file. Downloads go into
        Keras' cache. Raises Unavailable when nothing is there and nothing can be fetched.
        """
        given = npz or _from_environment(self.npz_variable)
        if given and given.is_file():
            with open(given, "rb") as file:  # before a download
                if file.read(2) != b"PK":
                    raise DataError(f"{given} is not an .npz file; expected Keras' {self.npz}")
        index = word_index or _from_environment(self.word_index_variable)
        if index is None and given and (beside := Path(given).with_name(self.word_index)).exists():
            index = beside
        return (
            given or _cached(self.npz, f"sha256:{self.npz_sha256}", progress),
            index or _cached(self.word_index, f"md5:{self.word_index_md5}", progress),
        )

    def check(self, npz: Path, word_index: Path) -> None:
        """Raise InputMissing unless both files are there."""
        for path in (npz, word_index):
            if not path.is_file():
                raise InputMissing(f"{path} is missing; expected Keras' {self.npz} and {self.word_index}")

    def describe(self, npz: Path, word_index: Path) -> dict[str, Any]:
        """Return the manifest's entries for the two files."""
        digest = sha256(npz)
        return {
            "kind": self.npz,
            "sha256": digest,
            "published_file": digest == self.npz_sha256,
            "word_index_sha256": sha256(word_index),
        }


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


def keras_cache() -> Path:
    """Return the directory in which Keras keeps downloaded datasets."""
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return Path(home) / "datasets"


def _from_environment(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None


def _cached(name: str, digest: str, progress: Progress) -> Path:
    path = keras_cache() / name
    if path.exists():
        return path
    from .download import download  # urllib: 25 ms that most calls do not need

    return download(ORIGIN + name, path, digest, progress)
