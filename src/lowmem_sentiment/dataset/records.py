"""TFRecord files of ``tf.train.Example``, written and read without TensorFlow.

A record is ``uint64 length, uint32 masked CRC32C of it, data, uint32 masked CRC32C of data``
(https://www.tensorflow.org/tutorials/load_data/tfrecord). The data is a ``tf.train.Example``
with the features ``label`` (one int64) and ``tokens`` (int64 list, packed), so that
``tf.io.parse_example`` of any program reads it.

Everything works on blocks of reviews at once: a per-byte loop in Python makes 10 MB/s, NumPy
over many records makes some ten times that.
"""

import functools
import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from ..system.errors import DataError
from ..text.reviews import Reviews
from .crc32c import _masked, crc32c

# --- protobuf: varints and the Example message ---


def _varints(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give uint8[bytes], the varints of non-negative int32 `values`, and int64[n], their sizes."""
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
    """Give a length-delimited protobuf field."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


@functools.lru_cache(maxsize=1 << 14)  # ~200 bytes each: 3 MB
def _example_head(label: int, tokens_size: int) -> bytes:
    """Give an Example's bytes up to its packed tokens, which come last."""
    label_list = _field(3, _field(1, _varint(label)))
    label_entry = _field(1, _field(1, b"label") + _field(2, label_list))
    # Each level's head holds the size of all that follows in it, tokens included.
    head = b"\x0a" + _varint(tokens_size)  # Int64List.value
    for tag in (b"\x1a", b"\x12"):  # Feature.int64_list, entry.value
        head = tag + _varint(len(head) + tokens_size) + head
    head = _field(1, b"tokens") + head  # entry.key
    head = b"\x0a" + _varint(len(head) + tokens_size) + head  # Features.feature
    head = label_entry + head
    return b"\x0a" + _varint(len(head) + tokens_size) + head  # Example.features


def encode(reviews: Reviews) -> tuple[bytes, np.ndarray]:
    """Give a block of reviews as TFRecord bytes, and int64[reviews], each record's size.

    Needs about 25 bytes a token while it runs.
    """
    tokens, token_sizes = _varints(reviews.token_ids)
    token_ends = np.concatenate(([0], np.cumsum(token_sizes)))[np.cumsum(reviews.lengths)]
    view, parts, start = memoryview(tokens), [], 0
    for label, end in zip(reviews.labels.tolist(), token_ends.tolist(), strict=True):
        parts.append(_example_head(label, end - start) + view[start:end])
        start = end
    sizes = np.fromiter(map(len, parts), np.int64, len(parts))
    heads = sizes.astype("<u8").view(np.uint8)
    head_crcs = _masked(crc32c(heads, np.arange(8, len(heads) + 1, 8)))
    data_crcs = _masked(crc32c(np.frombuffer(b"".join(parts), np.uint8), np.cumsum(sizes)))
    frame = struct.Struct("<QI").pack
    ends = data_crcs.astype("<u4").tobytes()
    out = []
    for nth, (part, head_crc) in enumerate(zip(parts, head_crcs.tolist(), strict=True)):
        out += frame(len(part), head_crc), part, ends[4 * nth : 4 * nth + 4]
    return b"".join(out), sizes + 16


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Give a varint of `data` at `at`, and where it ends; IndexError past the end."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _enter(data: bytes, at: int, tag: int, end: int) -> tuple[int, int]:
    """Give start and end of the length-delimited field with `tag` at `at`; ValueError if none."""
    if data[at] != tag:
        raise ValueError(f"byte {at} is {data[at]:#x}, expected {tag:#x}")
    size, at = _read_varint(data, at + 1)
    if at + size > end:
        raise ValueError(f"a field of {size} bytes at {at} reaches past its end")
    return at, at + size


def _parse_entry(data: bytes, at: int, end: int) -> tuple[bytes, int, int, int]:
    """Give key, value start, value end and own end of the feature at `at`."""
    at, entry_end = _enter(data, at, 0x0A, end)
    key_start, key_end = _enter(data, at, 0x0A, entry_end)
    at, value_end = _enter(data, key_end, 0x12, entry_end)
    if at < value_end:
        at, value_end = _enter(data, at, 0x1A, value_end)
    if at < value_end:
        at, value_end = _enter(data, at, 0x0A, value_end)
    return data[key_start:key_end], at, value_end, entry_end


def _parse_example(data: bytes) -> tuple[int, bytes]:
    """Give label and packed tokens of an Example; ValueError or IndexError if it is another."""
    at, end = _enter(data, 0, 0x0A, len(data))
    features = {}
    while at < end:
        key, start, value_end, at = _parse_entry(data, at, end)
        features[key] = data[start:value_end]
    label, _ = _read_varint(features[b"label"], 0)
    return label, features[b"tokens"]


def _decode_varints(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give int32[n], the varints in `data`, and int64[n], where each ends."""
    ends = np.flatnonzero(data < 0x80) + 1
    starts = np.concatenate(([0], ends[:-1]))
    sizes = ends - starts
    if sizes.max(initial=1) > 5 or (len(data) and (not len(ends) or ends[-1] != len(data))):
        raise ValueError("a token id is not a varint of 32 bits")
    values = (data[starts[: len(ends)]] & 0x7F).astype(np.int64)
    for nth in range(1, int(sizes.max(initial=1))):
        longer = np.flatnonzero(sizes > nth)
        values[longer] |= (data[starts[longer] + nth] & 0x7F).astype(np.int64) << (7 * nth)
    if values.max(initial=0) > 0x7FFFFFFF:
        raise ValueError("a token id is larger than 31 bits")
    return values.astype(np.int32), ends


def decode(records: list[bytes]) -> Reviews:
    """Give the reviews of serialised Examples; ValueError if one holds something else."""
    try:
        labels, tokens = zip(*map(_parse_example, records), strict=True) if records else ((), ())
    except (IndexError, KeyError) as error:
        raise ValueError("an Example has no features 'label' and 'tokens'") from error
    values, ends = _decode_varints(np.frombuffer(b"".join(tokens), np.uint8))
    bounds = np.cumsum(np.fromiter(map(len, tokens), np.int64, len(tokens)))
    counts = np.searchsorted(ends, bounds, side="right")
    return Reviews(values, np.diff(counts, prepend=0), np.array(labels, np.int64))


def _check(chunks: list[bytes], stored: list[bytes], first: int, what: str, name: str) -> None:
    """Raise DataError for the first of `chunks` whose masked CRC is not the one in `stored`."""
    ends = np.cumsum(np.fromiter(map(len, chunks), np.int64, len(chunks)))
    crcs = _masked(crc32c(np.frombuffer(b"".join(chunks), np.uint8), ends))
    wrong = np.flatnonzero(crcs != np.frombuffer(b"".join(stored), "<u4"))
    if len(wrong):
        raise DataError(f"{name} is damaged: record {first + wrong[0]} has a wrong {what}checksum")


def _read_records(file: BinaryIO, name: str, block_bytes: int) -> Iterator[list[bytes]]:
    """Yield the data of records, about `block_bytes` at a time, with every CRC checked."""
    left = file.seek(0, 2)
    file.seek(0)
    count = 0
    while left:
        lengths, length_crcs, records, record_crcs, size = [], [], [], [], 0
        cut = False
        while left and size < block_bytes and not cut:
            head = file.read(12)
            length = int.from_bytes(head[:8], "little")
            if cut := len(head) < 12 or 16 + length > left:
                record, left = b"", 0  # a wrong length says so below
            else:
                record, record_crc = file.read(length), file.read(4)
                records.append(record)
                record_crcs.append(record_crc)
                left -= 16 + length
            if len(head) == 12:
                lengths.append(head[:8])
                length_crcs.append(head[8:])
            size += len(record)
        if lengths:
            _check(lengths, length_crcs, count, "length ", name)
        if records:
            _check(records, record_crcs, count, "", name)
        if cut:
            raise DataError(f"{name} is damaged: record {count + len(records)} is cut short")
        yield records
        count += len(records)


def read(file: BinaryIO, name: str, block_bytes: int = 1 << 20) -> Iterator[Reviews]:
    """Yield the reviews of a TFRecord file in blocks of about `block_bytes`.

    Every CRC is checked. Raises DataError with `name` and the record's number for a record
    that is damaged, cut short, or no Example of ours.
    """
    for records in _read_records(file, name, block_bytes):
        try:
            yield decode(records)
        except ValueError as error:
            raise DataError(f"{name} holds something else than reviews: {error}") from error


def pick(file: BinaryIO, name: str, places: list[int]) -> Reviews:
    """Give the reviews at some places of a TFRecord file, in ascending order; others are skipped.

    For a look at a few of 4,000 that have just been read: no CRC is checked (the tables alone take
    40 ms). Raises DataError for what is cut short or holds something else.
    """
    records, at = [], 0
    for place in places:
        while at <= place:
            length = int.from_bytes(file.read(12)[:8], "little")
            if at < place:
                file.seek(length + 4, 1)
            at += 1
        records.append(file.read(length))
        if len(records[-1]) < length or len(file.read(4)) < 4:
            raise DataError(f"{name} is damaged: record {place} is cut short")
    try:
        return decode(records)
    except ValueError as error:
        raise DataError(f"{name} holds something else than reviews: {error}") from error
