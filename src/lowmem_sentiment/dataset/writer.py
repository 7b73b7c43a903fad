"""Write a dataset directory: shards first, the manifest last."""

import hashlib
import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..system.errors import DataError
from ..system.files import UNFINISHED
from ..system.memory import require_threads
from ..system.schema import write_json
from ..text.reviews import Reviews
from ..text.vocabulary import KERAS, Vocabulary
from . import records
from .counts import LengthCounts
from .manifest import (
    FORMAT,
    MANIFEST,
    MAX_LABELS,
    SPLITS,
    TUTORIAL,
    VALIDATION,
    VERSION,
    VOCABULARY,
    Shard,
    Split,
)

# A shard is the unit of shuffling: small enough that several fit any memory, large enough
# that reading one is one sequential read. 1.5 MiB is about 4,000 IMDb reviews.
SHARD_BYTES = 3 << 19


class EncodedReviews(NamedTuple):
    """A block of reviews as TFRecord bytes, as a worker process returns it for the writer."""

    data: bytes
    """The records, one after the other."""
    sizes: np.ndarray
    """int64[reviews]: each record's bytes."""
    lengths: np.ndarray
    """int64[reviews]: how many ids each review has."""
    labels: np.ndarray
    """int64[reviews]"""

    @classmethod
    def of(cls, reviews: Reviews) -> "EncodedReviews":
        """Encode a block of reviews."""
        data, sizes = records.encode(reviews)
        return cls(data, sizes, reviews.lengths, reviews.labels)


class OpenShard:
    """A shard that is being written, under a temporary name."""

    def __init__(self, path: Path):
        self.file = open(path, "xb")  # noqa: SIM115
        self._digest = hashlib.sha256()
        self.records = self.bytes = 0

    def append(self, data: bytes | memoryview, records: int) -> None:
        self.file.write(data)
        self._digest.update(data)
        self.bytes += len(data)
        self.records += records

    def finish(self) -> Shard:
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        return Shard(Path(self.file.name).name, self.records, self.bytes, self._digest.hexdigest())


class _SplitWriter:
    """Write one split's shards, spreading the reviews over `open_shards` of them at a time.

    The n-th review goes to shard n modulo `open_shards`, so each shard is a fair sample of the reviews
    written meanwhile, however the source is sorted.
    """

    def __init__(self, prefix: Path, num_labels: int, shard_bytes: int, open_shards: int = 1):
        self._prefix, self._shard_bytes = prefix, shard_bytes
        self._open: list[OpenShard | None] = [None] * open_shards
        self._opened = self._reviews = self._tokens = 0
        self._closed: list[Shard] = []
        self._label_counts = np.zeros(num_labels, np.int64)

    def append(self, block: EncodedReviews) -> None:
        count, ends = len(self._open), np.cumsum(block.sizes).tolist()
        starts = [0, *ends[:-1]]
        for nth in range(min(count, len(ends))):
            records = zip(starts[nth::count], ends[nth::count], strict=True)
            data = block.data
            if count > 1:
                data = b"".join([data[start:end] for start, end in records])
            self._append_to((self._reviews + nth) % count, memoryview(data), block.sizes[nth::count])
        self._reviews += len(block.sizes)
        self._label_counts += np.bincount(block.labels, minlength=len(self._label_counts))
        self._tokens += int(block.lengths.sum())

    def _append_to(self, nth: int, data: memoryview, sizes: np.ndarray) -> None:
        """Append records to the `nth` open shard, and to new ones as it fills."""
        ends, start, first = np.cumsum(sizes), 0, 0
        while first < len(sizes):
            shard = self._open[nth]
            if shard is None:
                path = self._prefix.with_name(f"{self._prefix.name}-{self._opened:05d}{UNFINISHED}")
                self._open[nth] = shard = OpenShard(path)
                self._opened += 1
            # up to and with the record that fills the shard
            room = self._shard_bytes - shard.bytes
            last = min(int(np.searchsorted(ends, start + room)), len(sizes) - 1)
            shard.append(data[start : ends[last]], last + 1 - first)
            start, first = int(ends[last]), last + 1
            if shard.bytes >= self._shard_bytes:
                self._closed.append(shard.finish())
                self._open[nth] = None

    def close_files(self) -> None:
        for shard in filter(None, self._open):
            shard.file.close()

    def finish(self) -> Split:
        self._closed += [shard.finish() for shard in self._open if shard]
        shards, prefix = [], self._prefix
        for nth, shard in enumerate(self._closed):
            path = prefix.with_name(f"{prefix.name}-{nth:05d}-of-{len(self._closed):05d}.tfrecord")
            os.rename(prefix.with_name(shard.file), path)
            shards.append(replace(shard, file=path.name))
        return Split(self._reviews, self._tokens, self._label_counts.tolist(), shards)


class DatasetWriter:
    """Write a dataset into an empty directory; the manifest comes last, at `finish`.

    A thread hashes, writes and flushes a block while the caller encodes the next one.
    """

    def __init__(
        self,
        directory: Path,
        labels: list[str],
        vocabulary: Vocabulary,
        shard_bytes: int = SHARD_BYTES,
        *,
        open_shards: int = 1,
    ):
        """Spread the training reviews over `open_shards` shards at a time; 1 keeps their order."""
        if len(labels) > MAX_LABELS:
            raise DataError(f"there are {len(labels):,} labels, expected {MAX_LABELS:,} at most")
        self._directory, self._labels, self._vocabulary = directory, labels, vocabulary
        self._lengths = LengthCounts()
        require_threads(1)
        self._thread = ThreadPoolExecutor(1)
        self._written: Future[None] | None = None
        self._splits = {
            split: _SplitWriter(
                directory / split, len(labels), shard_bytes, open_shards if split == "train" else 1
            )
            for split in (*SPLITS, VALIDATION)
        }

    def write(self, split: str, reviews: Reviews) -> None:
        """Append a block of reviews to "train", "test" or "validation"."""
        self.append(split, EncodedReviews.of(reviews))

    def append(self, split: str, block: EncodedReviews) -> None:
        """Append an encoded block; raises what the writing of the block before raised."""
        if len(block.sizes):
            self._wait()
            self._written = self._thread.submit(self._splits[split].append, block)
            self._lengths.add(block.lengths)

    def _wait(self) -> None:
        if self._written:
            self._written.result()

    def __enter__(self) -> "DatasetWriter":
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files; without `finish` the directory stays unfinished."""
        self._thread.shutdown()
        for writer in self._splits.values():
            writer.close_files()

    def finish(
        self, name: str, source: dict[str, Any], tokenizer: str = KERAS, recipe: str = TUTORIAL
    ) -> None:
        """Write vocabulary and manifest; `source` says where the reviews came from."""
        self._wait()
        self._thread.shutdown()
        self._vocabulary.save(self._directory / VOCABULARY)
        splits = {split: writer.finish() for split, writer in self._splits.items()}
        if not splits[VALIDATION].reviews:
            del splits[VALIDATION]
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "name": name,
            "source": source,
            "labels": self._labels,
            "vocabulary": {"words": len(self._vocabulary), "sha256": self._vocabulary.sha256},
            "length": self._lengths.moments(),
            "tokens": sum(split.tokens for split in splits.values()),
            "splits": {split: asdict(content) for split, content in splits.items()},
            **({} if tokenizer == KERAS else {"tokenizer": tokenizer}),
            **({} if recipe == TUTORIAL else {"recipe": recipe}),
        }
        write_json(self._directory / MANIFEST, manifest)
