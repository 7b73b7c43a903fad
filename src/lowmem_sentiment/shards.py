"""The dataset directory: shards of reviews, a vocabulary, and a manifest written last.

    dataset.json                      what is here, with sizes and checksums
    vocabulary.txt                    a word a line, by rank
    train-00000-of-00010.tfrecord     tf.train.Example with `tokens` and `label`
    test-00000-of-00003.tfrecord

A shard holds the full sequences in ids of the full vocabulary, so that it decodes back to its
text and any `num_words` can be applied when batches are made.
"""

import hashlib
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import tfrecord
from .atomic import UNFINISHED, read_json, sha256, write_json
from .errors import DataError, InputMissing
from .tfrecord import Reviews
from .vocabulary import FIRST_WORD_ID, Vocabulary

MANIFEST = "dataset.json"
VOCABULARY = "vocabulary.txt"
FORMAT = "lowmem-sentiment dataset"
VERSION = 1

# A shard is the unit of shuffling: small enough that several fit any memory, large enough
# that reading one is one sequential read. 1.5 MiB is about 4,000 IMDb reviews.
SHARD_BYTES = 3 << 19

IMBALANCE = 0.8  # the share of one label from which accuracy says little


@dataclass(frozen=True)
class Shard:
    """A file of a split, as the manifest lists it."""

    file: str
    records: int
    bytes: int
    sha256: str


class _Lengths:
    """Count, sum, sum of squares, least and most of reviews' lengths: exact integers."""

    def __init__(self) -> None:
        self.count = self.total = self.squares = self.max = 0
        self.min: int | None = None

    def add(self, lengths: np.ndarray) -> None:
        if len(lengths):
            self.count += len(lengths)
            self.total += int(lengths.sum())
            self.squares += int((lengths * lengths).sum())
            self.min = min(int(lengths.min()), self.min if self.min is not None else 1 << 62)
            self.max = max(int(lengths.max()), self.max)

    def summary(self) -> dict[str, Any]:
        mean = self.total / self.count if self.count else 0.0
        # n * squares - total^2 is exact, so nothing cancels before the one division
        spread = self.count * self.squares - self.total**2
        deviation = math.sqrt(spread) / self.count if self.count else 0.0
        return {"mean": mean, "standard_deviation": deviation, "min": self.min, "max": self.max}


class Encoded(NamedTuple):
    """A block of reviews as TFRecord bytes: what a worker process hands to the writer."""

    data: bytes
    """The records, one after the other."""
    sizes: np.ndarray
    """int64[reviews]: each record's bytes."""
    lengths: np.ndarray
    """int64[reviews]: how many ids each review has."""
    labels: np.ndarray
    """int64[reviews]"""


def encode(reviews: Reviews) -> Encoded:
    """Give a block of reviews as TFRecord bytes."""
    data, sizes = tfrecord.encode(reviews)
    return Encoded(data, sizes, reviews.lengths, reviews.labels)


class _OpenShard:
    """A shard that is being written, under a name that says so."""

    def __init__(self, path: Path):
        self._file = open(path, "wb")  # noqa: SIM115
        self._digest = hashlib.sha256()
        self.name, self.records, self.bytes = path.name, 0, 0

    def append(self, data: bytes | memoryview, records: int) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.bytes += len(data)
        self.records += records

    def finish(self) -> Shard:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return Shard(self.name, self.records, self.bytes, self._digest.hexdigest())

    def abandon(self) -> None:
        self._file.close()


class _SplitWriter:
    """Write one split's shards, dealing the reviews over `hands` of them at a time.

    Dealt, the n-th review goes to the hand n modulo `hands`, like cards, and each shard is a fair
    sample of what was dealt meanwhile, however the source was sorted.
    """

    def __init__(self, directory: Path, split: str, num_labels: int, shard_bytes: int, hands: int = 1):
        self._directory, self._split, self._shard_bytes = directory, split, shard_bytes
        self._hands: list[_OpenShard | None] = [None] * hands
        self._opened = self._dealt = self.tokens = 0
        self._closed: list[Shard] = []
        self._label_counts = np.zeros(num_labels, np.int64)

    def append(self, block: Encoded) -> None:
        count, hands = len(block.sizes), len(self._hands)
        if hands == 1:
            self._append(0, memoryview(block.data), block.sizes)
        else:
            ends = np.cumsum(block.sizes).tolist()
            starts = [0, *ends[:-1]]
            for nth in range(min(hands, count)):
                records = zip(starts[nth::hands], ends[nth::hands], strict=True)
                data = b"".join([block.data[start:end] for start, end in records])
                self._append((self._dealt + nth) % hands, memoryview(data), block.sizes[nth::hands])
        self._dealt += count
        self._label_counts += np.bincount(block.labels, minlength=len(self._label_counts))
        self.tokens += int(block.lengths.sum())

    def _append(self, hand: int, data: memoryview, sizes: np.ndarray) -> None:
        """Append records to a hand's shard, and to new ones as it fills."""
        ends, start, first = np.cumsum(sizes), 0, 0
        while first < len(sizes):
            shard = self._hands[hand] or self._open(hand)
            # up to and with the record that fills the shard
            room = self._shard_bytes - shard.bytes
            last = min(int(np.searchsorted(ends, start + room)), len(sizes) - 1)
            shard.append(data[start : ends[last]], last + 1 - first)
            start, first = int(ends[last]), last + 1
            if shard.bytes >= self._shard_bytes:
                self._close(hand)

    def _open(self, hand: int) -> _OpenShard:
        name = f"{self._split}-{self._opened:05d}{UNFINISHED}"
        self._hands[hand] = shard = _OpenShard(self._directory / name)
        self._opened += 1
        return shard

    def _close(self, hand: int) -> None:
        if shard := self._hands[hand]:
            self._closed.append(shard.finish())
            self._hands[hand] = None

    def abandon(self) -> None:
        for shard in filter(None, self._hands):
            shard.abandon()

    def close(self) -> dict[str, Any]:
        """Give the shards their final names and return the manifest's entry of the split."""
        for hand in range(len(self._hands)):
            self._close(hand)
        shards = []
        for index, shard in enumerate(self._closed):
            name = f"{self._split}-{index:05d}-of-{len(self._closed):05d}.tfrecord"
            os.rename(self._directory / shard.file, self._directory / name)
            shards.append({**asdict(shard), "file": name})
        return {
            "reviews": sum(shard.records for shard in self._closed),
            "tokens": self.tokens,
            "labels": self._label_counts.tolist(),
            "shards": shards,
        }


class DatasetWriter:
    """Write a dataset into an empty directory; the manifest comes last, at `finish`."""

    def __init__(
        self,
        directory: Path,
        labels: list[str],
        vocabulary: Vocabulary,
        shard_bytes: int = SHARD_BYTES,
        *,
        hands: int = 1,
    ):
        """Deal the training reviews over `hands` shards at a time; 1 keeps their order."""
        self._directory, self._labels, self._vocabulary = directory, labels, vocabulary
        self._lengths = _Lengths()
        self._splits = {
            "train": _SplitWriter(directory, "train", len(labels), shard_bytes, hands),
            "test": _SplitWriter(directory, "test", len(labels), shard_bytes),
        }

    def write(self, split: str, reviews: Reviews) -> None:
        """Append a block of reviews to "train" or "test"."""
        self.append(split, encode(reviews))

    def append(self, split: str, block: Encoded) -> None:
        """Append a block that is encoded already."""
        if len(block.sizes):
            self._splits[split].append(block)
            self._lengths.add(block.lengths)

    def abandon(self) -> None:
        """Close what is open; the directory stays unfinished."""
        for writer in self._splits.values():
            writer.abandon()

    def finish(self, name: str, source: dict[str, Any]) -> None:
        """Write vocabulary and manifest; `source` says where the reviews came from."""
        self._vocabulary.save(self._directory / VOCABULARY)
        splits = {split: writer.close() for split, writer in self._splits.items()}
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "name": name,
            "source": source,
            "labels": self._labels,
            "vocabulary": {"words": len(self._vocabulary), "sha256": self._vocabulary.sha256},
            "length": self._lengths.summary(),
            "tokens": sum(split["tokens"] for split in splits.values()),
            "splits": splits,
        }
        write_json(self._directory / MANIFEST, manifest)


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
                yield from tfrecord.read(file, str(path))

    def pick(self, split: str, numbers: Iterable[int]) -> dict[int, tuple[np.ndarray, int]]:
        """Give token ids (int32) and label of the reviews at some places in a split, by place."""
        numbers, first, picked = sorted(numbers), 0, {}
        for shard, path in zip(self._shards[split], self.paths(split), strict=True):
            here = [number for number in numbers if first <= number < first + shard.records]
            if here:
                with open(path, "rb") as file:
                    block = tfrecord.pick(file, str(path), [number - first for number in here])
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
