"""The dataset directory: shards of reviews, a vocabulary, and a manifest written last.

    dataset.json                      what is here, with sizes and checksums
    vocabulary.txt                    a word a line, by rank
    train-00000-of-00010.tfrecord     tf.train.Example with `tokens` and `label`
    test-00000-of-00003.tfrecord

A shard holds the full sequences in ids of the full vocabulary, so that it decodes back to its
text and any `num_words` can be applied when batches are made.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..system.errors import DataError, InputMissing
from ..system.files import UNFINISHED, sha256
from ..system.schema import read_json
from ..text.reviews import Reviews
from ..text.vocabulary import FIRST_WORD_ID, Vocabulary
from . import records

MANIFEST = "dataset.json"

VOCABULARY = "vocabulary.txt"

FORMAT = "lowmem-sentiment dataset"

VERSION = 1

IMBALANCE = 0.8  # the share of one label from which accuracy says little


@dataclass(frozen=True)
class Shard:
    """A file of a split, as the manifest lists it."""

    file: str
    records: int
    bytes: int
    sha256: str


class Dataset:
    """A finished dataset directory."""

    def __init__(self, directory: str | Path):
        """Read the manifest, and look that every shard is there in its full size.

        Raises InputMissing where there is no dataset, DataError where it is unfinished,
        of another format or version, damaged, or a shard is missing or cut short.
        """
        self.directory = Path(directory)
        self.manifest = _read_manifest(self.directory)
        self.name: str = self.manifest["name"]
        self.source: dict[str, Any] = self.manifest["source"]
        self.labels: list[str] = self.manifest["labels"]
        self._shards = {
            split: [Shard(**shard) for shard in content["shards"]]
            for split, content in self.manifest["splits"].items()
        }
        for split in self._shards:
            for shard, path in zip(self._shards[split], self.paths(split), strict=True):
                _check_size(path, shard.bytes)

    @property
    def splits(self) -> list[str]:
        """The names of the splits: "train", "test"."""
        return list(self._shards)

    def shards(self, split: str) -> list[Shard]:
        """Give the shards of "train" or "test", in order."""
        return self._shards[split]

    def paths(self, split: str) -> list[Path]:
        """Give the shards' files."""
        return [self.directory / shard.file for shard in self._shards[split]]

    def num_reviews(self, split: str) -> int:
        """Give how many reviews a split has."""
        return self.manifest["splits"][split]["reviews"]

    def imbalance(self) -> str | None:
        """Give a line of warning when one label holds over 80 % of the training reviews."""
        counts = self.manifest["splits"]["train"]["labels"]
        largest = int(np.argmax(counts))
        share = counts[largest] / sum(counts)
        if share <= IMBALANCE:
            return None
        return (
            f"{share:.1%} of the training reviews are {self.labels[largest]!r}, so always answering "
            "that is as accurate; look at each label's recall, and try --class-weight balanced"
        )

    @property
    def fingerprint(self) -> str:
        """The manifest's checksum: two datasets with the same one hold the same."""
        return self.manifest["checksum"]

    def vocabulary(self) -> Vocabulary:
        """Load the full vocabulary, checked against the manifest."""
        expected = self.manifest["vocabulary"]["sha256"]
        return Vocabulary.load(self.directory / VOCABULARY, expected)

    @property
    def num_ids(self) -> int:
        """One more than the largest token id."""
        return self.manifest["vocabulary"]["words"] + FIRST_WORD_ID

    def read(self, split: str) -> Iterator[Reviews]:
        """Yield a split's reviews in order, in blocks of about 1 MiB; CRCs are checked."""
        for path in self.paths(split):
            with open(path, "rb") as file:
                yield from records.read(file, str(path))

    def pick(self, split: str, numbers: Iterable[int]) -> dict[int, tuple[np.ndarray, int]]:
        """Give token ids (int32) and label of the reviews at some places in a split, by place."""
        numbers, first, picked = sorted(numbers), 0, {}
        for shard, path in zip(self._shards[split], self.paths(split), strict=True):
            here = [number for number in numbers if first <= number < first + shard.records]
            if here:
                with open(path, "rb") as file:
                    block = records.pick(file, str(path), [number - first for number in here])
                picked |= zip(here, zip(block.split(), block.labels.tolist(), strict=True), strict=True)
            first += shard.records
        return picked

    def verify(self, split: str) -> None:
        """Raise DataError for the first shard whose SHA-256 is not the manifest's."""
        for shard, path in zip(self._shards[split], self.paths(split), strict=True):
            if sha256(path) != shard.sha256:
                raise DataError(
                    f"{path} is damaged: its SHA-256 is not the manifest's; prepare the data again"
                )


def _read_manifest(directory: Path) -> dict[str, Any]:
    path = directory / MANIFEST
    if not directory.is_dir():
        raise InputMissing(f"{directory} is no dataset directory; make one: lowmem-sentiment prepare")
    if not path.exists():
        shards = any(directory.glob("*.tfrecord")) or any(directory.glob(f"*{UNFINISHED}"))
        state = "an unfinished dataset" if shards else "no dataset"
        raise DataError(f"{directory} holds {state}: it has no {MANIFEST}; prepare it again")
    manifest = read_json(path)
    if manifest.get("format") != FORMAT:
        raise DataError(f"{path} is of another program: format {manifest.get('format')!r}")
    if manifest.get("version") != VERSION:
        raise DataError(
            f"{path} has version {manifest.get('version')!r}, expected {VERSION}; prepare it again"
        )
    return manifest


def _check_size(path: Path, expected: int) -> None:
    try:
        size = path.stat().st_size
    except OSError:
        raise DataError(f"{path} is missing; prepare the data again") from None
    if size != expected:
        raise DataError(
            f"{path} is damaged: it has {size:,} bytes, expected {expected:,}; prepare it again"
        )
