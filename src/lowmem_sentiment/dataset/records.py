"""Shards: TFRecord files of reviews as ``tf.train.Example`` messages, without TensorFlow.

An Example of ours has the features ``label`` (one int64) and ``tokens`` (int64 list, packed), in a
dataset with n-grams also ``features`` (int64 list, packed: distinct ids in the order of rank);
``tf.io.parse_example`` reads it
(https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto).

Token ids are coded in blocks of reviews at once: a per-byte loop in Python makes 10 MB/s, NumPy
over many reviews makes some ten times that.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np

from ..system.errors import DataError
from ..system.tfrecord import DamagedRecord, frame, read_blocks
from ..text.ngrams import Features
from ..text.reviews import Reviews

MAX_RECORD_BYTES = 16 << 20
"""A longer review is refused when it is prepared. Decoding takes up to 20 times this."""


class Bounds(NamedTuple):
    """Exclusive upper bounds of ids and labels, so that they can be used as indices."""

    num_ids: int = 1 << 31
    num_labels: int = 1 << 31


def encode(reviews: Reviews, features: Features | None = None) -> tuple[bytes, np.ndarray]:
    """Return a block of reviews as TFRecord bytes, and int64[reviews], each record's size.

    Each holds its `features` if they are given. Needs about 25 bytes per token while it runs. Raises
    DataError for a review above 16 MiB.
    """
    entries: Iterable[bytes] = itertools.repeat(b"", len(reviews.lengths))
    if features is not None:
        entries = (_list_head(b"features", len(ids)) + ids for ids in _pack(*features))
    packed = _pack(reviews.token_ids, reviews.lengths)
    examples = []
    for label, tokens, entry in zip(reviews.labels.tolist(), packed, entries, strict=True):
        head = _label_entry(label) + _list_head(b"tokens", len(tokens))
        size = len(entry) + len(head) + len(tokens)
        examples.append(b"\x0a" + _varint(size) + entry + head + tokens)  # Example.features
    longest = max(map(len, examples), default=0)
    if longest > MAX_RECORD_BYTES:
        raise DataError(
            f"a review takes {longest:,} bytes as a record, expected {MAX_RECORD_BYTES:,} at most"
        )
    return frame(examples)


def _pack(ids: np.ndarray, lengths: np.ndarray) -> Iterator[bytes]:
    """Yield the packed varints of lists of ids that stand one after the other."""
    varints, sizes = _varints(ids)
    view, start = varints.tobytes(), 0
    for end in np.concatenate(([0], np.cumsum(sizes)))[np.cumsum(lengths)].tolist():
        yield view[start:end]
        start = end


def _varints(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8[bytes], the varints of non-negative int32 `values`, and int64[n], their sizes."""
    values = values.astype(np.uint32)
    sizes = np.ones(len(values), np.int64)
    for bits in (7, 14, 21, 28):
        sizes += values >= 1 << bits
    starts = np.cumsum(sizes) - sizes
    out = np.empty(int(sizes.sum()), np.uint8)
    out[starts] = values & 0x7F
    for nth in range(1, int(sizes.max(initial=1))):
        longer = np.flatnonzero(sizes > nth)
        at = starts[longer] + nth
        out[at - 1] |= 0x80
        out[at] = (values[longer] >> (7 * nth)) & 0x7F
    return out, sizes


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, content: bytes) -> bytes:
    """Return a length-delimited protobuf field."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


@functools.lru_cache(maxsize=1 << 10)
def _label_entry(label: int) -> bytes:
    """Return the map entry of the label."""
    label_list = _field(3, _field(1, _varint(label)))
    return _field(1, _field(1, b"label") + _field(2, label_list))


@functools.lru_cache(maxsize=1 << 14)  # ~100 bytes each: 2 MB
def _list_head(name: bytes, size: int) -> bytes:
    """Return a map entry's bytes up to its packed list, which comes last."""
    # Each level's head holds the size of all that follows in it, the list included.
    head = b"\x0a" + _varint(size)  # Int64List.value
    for tag in (b"\x1a", b"\x12"):  # Feature.int64_list, entry.value
        head = tag + _varint(len(head) + size) + head
    head = _field(1, name) + head  # entry.key
    return b"\x0a" + _varint(len(head) + size) + head  # Features.feature


def read(
    file: BinaryIO,
    name: str,
    digest: Callable[[bytes], object] | None = None,
    block_bytes: int = 1 << 20,
    check: bool = True,
) -> Iterator[tuple[range, list[bytes]]]:
    """Yield the numbers and records of a shard in blocks of about `block_bytes`.

    Every CRC is checked unless `check` is false. `digest` is called with all bytes of the file, in
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


def decode(
    records: list[bytes], name: str, numbers: Sequence[int], bounds: Bounds, ids: str = "tokens"
) -> Reviews:
    """Return the reviews of serialised Examples, with every id and label within `bounds`.

    `ids` says which list becomes the reviews' ids, "tokens" or "features". Raises DataError with the
    file's `name` and the record's number, one of `numbers`, for any other content.
    """
    key, called = ids.encode(), f"{ids[:-1]} id"

    def wrong(nth: int, what: object) -> DataError:
        return DataError(f"{name} holds something other than reviews: record {numbers[nth]}: {what}")

    labels, tokens = [], []
    for nth, record in enumerate(records):
        try:
            label, packed = _parse_example(record, key)
        except ValueError as error:
            raise wrong(nth, error) from None
        if label >= bounds.num_labels:
            raise wrong(nth, f"the label is {label}, expected below {bounds.num_labels}")
        labels.append(label)
        tokens.append(packed)
    data = np.frombuffer(b"".join(tokens), np.uint8)
    record_ends = np.cumsum(np.fromiter(map(len, tokens), np.int64, len(tokens)))
    values, ends = _decode_varints(data)
    filled = np.flatnonzero(np.diff(record_ends, prepend=0))
    cut = filled[data[record_ends[filled] - 1] >= 0x80]
    if len(cut):
        raise wrong(int(cut[0]), f"its last {called} is cut short")
    counts = np.searchsorted(ends, record_ends, side="right")
    above = np.flatnonzero(values >= bounds.num_ids)
    if len(above):
        nth = int(np.searchsorted(counts, above[0], side="right"))
        raise wrong(nth, f"a {called} is {values[above[0]]}, expected below {bounds.num_ids}")
    return Reviews(values.view(np.int32), np.diff(counts, prepend=0), np.array(labels, np.int64))


def _parse_example(data: bytes, key: bytes) -> tuple[int, bytes]:
    """Return the label and a packed list of ids of an Example; ValueError for any other content."""
    at, end = _enter(data, 0, 0x0A, len(data))
    features = {}
    while at < end:
        name, start, value_end, at = _parse_entry(data, at, end)
        features[name] = data[start:value_end]
    if not {b"label", key} <= features.keys():
        raise ValueError(f"an Example has no features 'label' and '{key.decode()}'")
    label, label_end = _read_varint(features[b"label"], 0)
    if label_end != len(features[b"label"]):
        raise ValueError("there are several labels")
    return label, features[key]


def _parse_entry(data: bytes, at: int, end: int) -> tuple[bytes, int, int, int]:
    """Return key, value start, value end and own end of the feature at `at`."""
    at, entry_end = _enter(data, at, 0x0A, end)
    key_start, key_end = _enter(data, at, 0x0A, entry_end)
    at, value_end = _enter(data, key_end, 0x12, entry_end)
    for tag in (0x1A, 0x0A):  # Feature.int64_list, Int64List.value; an empty list may leave them out
        if at < value_end:
            at, value_end = _enter(data, at, tag, value_end)
    return data[key_start:key_end], at, value_end, entry_end


def _enter(data: bytes, at: int, tag: int, end: int) -> tuple[int, int]:
    """Return start and end of the length-delimited field with `tag` at `at`; ValueError if none."""
    if at >= end or data[at] != tag:
        raise ValueError(f"byte {at} is not a field with the tag {tag:#x}")
    size, at = _read_varint(data, at + 1)
    if at + size > end:
        raise ValueError(f"a field of {size} bytes at {at} reaches past its end")
    return at, at + size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the varint in `data` at `at`, and where it ends; ValueError for more than 10 bytes."""
    value = 0
    for nth, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << (7 * nth)
        if byte < 0x80:
            return value, at + nth + 1
    raise ValueError(f"a number at byte {at} has no end")


def _decode_varints(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return uint32[n], the varints in `data`, and int32[n], where each ends.

    A number above 31 bits comes out as 2**31 or more. Takes up to 18 bytes per varint: positions of 32
    bits take half as much as NumPy's own 64.
    """
    ends = np.flatnonzero(data < 0x80).astype(np.int32)
    ends += 1
    starts = np.zeros_like(ends)
    starts[1:] = ends[:-1]
    sizes = ends - starts
    values: np.ndarray = (data[starts] & 0x7F).astype(np.uint32)
    for nth in range(1, min(5, int(sizes.max(initial=1)))):
        longer = np.flatnonzero(sizes > nth)
        part: np.ndarray = data[starts[longer] + nth].astype(np.uint32) & 0x7F
        if nth == 4:
            part = np.minimum(part, 8)  # of 7 bits 3 are left; the fourth is bit 31
        values[longer] |= part << (7 * nth)
    values[sizes > 5] = 1 << 31
    return values, ends
