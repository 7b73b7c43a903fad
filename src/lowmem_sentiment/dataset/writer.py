"""Write a dataset directory: shards first, the manifest last."""

import hashlib
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..system.files import UNFINISHED
from ..system.schema import write_json
from ..text.reviews import Reviews
from ..text.vocabulary import Vocabulary
from . import records
from .reader import FORMAT, MANIFEST, VERSION, VOCABULARY, Shard

# A shard is the unit of shuffling: small enough that several fit any memory, large enough
# that reading one is one sequential read. 1.5 MiB is about 4,000 IMDb reviews.
SHARD_BYTES = 3 << 19


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
    data, sizes = records.encode(reviews)
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
