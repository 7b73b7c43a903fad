"""Shards: TFRecord files (`system/tfrecord.py`) of reviews as ``tf.train.Example`` (`examples.py`)."""

from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from ..system.errors import DataError
from ..system.tfrecord import DamagedRecord, frame, read_blocks
from ..text.ngrams import Features
from ..text.reviews import Reviews
from .examples import encode_examples

MAX_RECORD_BYTES = 16 << 20
"""A longer review is refused when it is prepared. Decoding takes up to 20 times this."""


def encode(reviews: Reviews, features: Features | None = None) -> tuple[bytes, np.ndarray]:
    """Return a block of reviews as TFRecord bytes, and int64[reviews], each record's size.

    Needs about 25 bytes per token while it runs. Raises DataError for a review above 16 MiB.
    """
    records = encode_examples(reviews, features)
    longest = max(map(len, records), default=0)
    if longest > MAX_RECORD_BYTES:
        raise DataError(
            f"a review takes {longest:,} bytes as a record, expected {MAX_RECORD_BYTES:,} at most"
        )
    return frame(records)


def read(
    file: BinaryIO,
    name: str,
    digest: Callable[[bytes], object] | None = None,
    block_bytes: int = 1 << 20,
    check: bool = True,
) -> Iterator[tuple[range, list[bytes]]]:
    """Yield the records of a shard in blocks of about `block_bytes`, after their numbers in the file.

    Every CRC is checked; without `check` none is. `digest` is called with all bytes of the file, in
    order. Raises DataError with `name` and the number of a record that is damaged or cut short.
    """
    count = 0
    try:
        for block in read_blocks(
            file, MAX_RECORD_BYTES, digest=digest, block_bytes=block_bytes, check=check
        ):
            if block.damaged:
                number = count + block.damaged[0]
                raise DataError(f"{name} is damaged: record {number} has a wrong checksum")
            yield range(count, count + len(block.records)), block.records
            count += len(block.records)
    except DamagedRecord as error:
        raise DataError(f"{name} is damaged: record {count} {error}") from None
