"""TFRecord files of reviews, written and read without TensorFlow.

A record is ``uint64 length, uint32 masked CRC32C of it, data, uint32 masked CRC32C of data``
(https://www.tensorflow.org/tutorials/load_data/tfrecord). The data is a ``tf.train.Example``
(`examples.py`). The CRCs of a block of records are computed together.
"""

import contextlib
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..system.errors import DataError
from ..text.ngrams import Features
from ..text.reviews import Reviews
from .crc32c import crc32c, masked
from .examples import Bounds, decode, encode_examples

MAX_RECORD_BYTES = 16 << 20
"""A longer review is refused when it is prepared. Decoding takes up to 20 times this."""

_FRAME = 16  # bytes of a record that are not data: 12 before it, 4 after

_HEAD = struct.Struct("<QI")


def encode(reviews: Reviews, features: Features | None = None) -> tuple[bytes, np.ndarray]:
    """Return a block of reviews as TFRecord bytes, and int64[reviews], each record's size.

    Needs about 25 bytes a token while it runs. Raises DataError for a review above 16 MiB.
    """
    parts = encode_examples(reviews, features)
    sizes = np.fromiter(map(len, parts), np.int64, len(parts))
    if sizes.max(initial=0) > MAX_RECORD_BYTES:
        raise DataError(
            f"a review takes {sizes.max():,} bytes as a record, expected {MAX_RECORD_BYTES:,} at most"
        )
    heads = sizes.astype("<u8").view(np.uint8)
    head_starts, ends = np.arange(0, len(heads), 8), np.cumsum(sizes)
    head_crcs = masked(crc32c(heads, head_starts, head_starts + 8)).tolist()
    data_crcs = masked(crc32c(np.frombuffer(b"".join(parts), np.uint8), ends - sizes, ends))
    tails = data_crcs.astype("<u4").tobytes()
    out: list[bytes] = []
    for nth, (part, head_crc) in enumerate(zip(parts, head_crcs, strict=True)):
        out += _HEAD.pack(len(part), head_crc), part, tails[4 * nth : 4 * nth + 4]
    return b"".join(out), sizes + _FRAME


@contextlib.contextmanager
def open_file(path: Path) -> Iterator[BinaryIO]:
    """Open a shard for reading; DataError where it cannot be opened or read."""
    try:
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def read(
    file: BinaryIO,
    name: str,
    bounds: Bounds = Bounds(),  # noqa: B008, immutable
    digest: Callable[[bytes], object] | None = None,
    block_bytes: int = 1 << 20,
    ids: str = "tokens",
) -> Iterator[Reviews]:
    """Yield the reviews of a TFRecord file, of about `block_bytes` at a time.

    `ids` is the list to read, one of `examples.ID_LISTS`. Every CRC is checked. `digest` is called with
    all bytes of the file, in order. Raises DataError with `name` and the record's number for a record
    that is damaged, cut short, or no Example of ours.
    """
    left = file.seek(0, 2)
    file.seek(0)
    count, rest, wanted = 0, b"", block_bytes
    while left:
        new = file.read(min(wanted, left))
        if digest:
            digest(new)
        left = left - len(new) if new else 0
        block = rest + new
        records, used = _whole_records(block, name, count)
        if records:
            yield decode(records, name, range(count, count + len(records)), bounds, ids)
        count += len(records)
        rest = block[used:]
        wanted = max(block_bytes, _missing_bytes(rest, left, name, count))


def _whole_records(block: bytes, name: str, first: int) -> tuple[list[bytes], int]:
    """Return the data of the records that `block` holds whole, CRCs checked, and where they end."""
    starts, lengths, at = [], [], 0
    while at + _FRAME <= len(block):
        (length, _) = _HEAD.unpack_from(block, at)
        if length > len(block) - at - _FRAME:
            break
        starts.append(at + _HEAD.size)
        lengths.append(length)
        at += _FRAME + length
    data = np.frombuffer(block, np.uint8)
    begin = np.array(starts, np.int64)
    _check_crcs(data, begin - 12, begin - 4, "length ", name, first)
    ends = begin + np.array(lengths, np.int64)
    _check_crcs(data, begin, ends, "", name, first)
    return [block[start:end] for start, end in zip(starts, ends.tolist(), strict=True)], at


def _check_crcs(
    data: np.ndarray, starts: np.ndarray, ends: np.ndarray, what: str, name: str, first: int
) -> None:
    """Raise DataError where the masked CRC of a byte string is not the one that follows it."""
    if len(starts):
        stored = data[ends[:, np.newaxis] + np.arange(4)].view("<u4").ravel()
        wrong = np.flatnonzero(masked(crc32c(data, starts, ends)) != stored)
        if len(wrong):
            raise DataError(f"{name} is damaged: record {first + wrong[0]} has a wrong {what}checksum")


def _missing_bytes(rest: bytes, left: int, name: str, number: int) -> int:
    """Return how many bytes the record lacks that begins with `rest`, of a file with `left` bytes more.

    Raises DataError where they cannot follow.
    """
    missing = _HEAD.size - len(rest)
    if missing <= 0:
        head = np.frombuffer(rest[: _HEAD.size], np.uint8)
        _check_crcs(head, np.array([0]), np.array([8]), "length ", name, number)
        missing = _checked_length(rest, name, number) + _FRAME - len(rest)
    if rest and missing > left:
        raise DataError(f"{name} is damaged: record {number} is cut short")
    return missing


def _checked_length(head: bytes, name: str, number: int) -> int:
    """Return the length in a record's head; DataError for one that is never written."""
    length, _ = _HEAD.unpack_from(head)
    if length > MAX_RECORD_BYTES:
        raise DataError(
            f"{name} is damaged: record {number} has {length:,} bytes, expected {MAX_RECORD_BYTES:,} "
            "at most"
        )
    return length


def pick(
    file: BinaryIO,
    name: str,
    places: list[int],
    bounds: Bounds = Bounds(),  # noqa: B008, immutable
    ids: str = "tokens",
) -> Reviews:
    """Return the reviews at some places of a TFRecord file, in ascending order; others are skipped.

    For a look at a few of 4,000 that have just been read: no CRC is checked (the tables alone take
    40 ms). Raises DataError for what is cut short or holds something else.
    """
    left = file.seek(0, 2)
    file.seek(0)
    records, at = [], 0
    for place in places:
        while True:
            head = file.read(_HEAD.size)
            cut = len(head) < _HEAD.size
            length = 0 if cut else _checked_length(head, name, at)
            left -= _FRAME + length
            if cut or left < 0:
                raise DataError(f"{name} is damaged: record {at} is cut short")
            at += 1
            if at > place:
                break
            file.seek(length + 4, 1)
        records.append(file.read(length))
        file.seek(4, 1)
    return decode(records, name, places, bounds, ids)
