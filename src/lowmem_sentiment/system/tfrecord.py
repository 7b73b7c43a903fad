"""TFRecord files, the format of shards and of TensorBoard's event files, without TensorFlow.

A record is ``uint64 length, uint32 masked CRC32C of it, data, uint32 masked CRC32C of data``
(https://www.tensorflow.org/tutorials/load_data/tfrecord); RFC 3720, appendix B.4, defines CRC32C. NumPy
computes the CRCs of many records at once, at 100 MB/s and more; a loop in Python makes 6 MB/s.
"""

import functools
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np

FRAME = 16
"""Bytes of a record that are not data."""

HEAD = 12
"""The bytes of a record before its data."""

_HEAD = struct.Struct("<QI")

_SEGMENT = 128  # bytes; a power of two


def frame(records: Sequence[bytes]) -> bytes:
    """Return records as the bytes of a TFRecord file."""
    sizes = np.fromiter(map(len, records), np.int64, len(records))
    starts = np.cumsum(sizes + FRAME) - sizes - FRAME
    head, tail = bytes(HEAD), bytes(FRAME - HEAD)
    data = np.frombuffer(
        bytearray().join(part for record in records for part in (head, record, tail)), np.uint8
    )
    seal(data, starts, sizes)
    return data.tobytes()


def seal(data: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> None:
    """Write lengths and checksums around records that are in their places in uint8 `data`.

    `starts` int64[records] is where each one's length begins, `sizes` the length of its data.
    """
    _put(data, starts, sizes.astype("<u8"))
    begins = starts + HEAD
    _put(data, starts + 8, masked(crc32c(data, starts, starts + 8)).astype("<u4"))
    _put(data, begins + sizes, masked(crc32c(data, begins, begins + sizes)).astype("<u4"))


def _put(data: np.ndarray, at: np.ndarray, numbers: np.ndarray) -> None:
    """Write each whole number to its place, little-endian."""
    size = numbers.itemsize
    data[at[:, np.newaxis] + np.arange(size)] = numbers.view(np.uint8).reshape(-1, size)


class DamagedRecord(ValueError):
    """A record whose end is unknown, so nothing after it can be read; the message continues "it ..."."""

    def __init__(self, start: int, what: str):
        super().__init__(what)
        self.start = start
        """Where the record begins in the file."""


class Block(NamedTuple):
    """Some whole records of a file, one after the other."""

    starts: list[int]
    """The start of each record in the file."""
    records: list[bytes]
    damaged: list[int]
    """The indices in `records` whose data has a wrong checksum."""


BLOCK_BYTES = 1 << 19
"""Read at a time: evaluate takes 9 MB less than with twice as many; n-grams are counted as fast."""


def read_blocks(
    file: BinaryIO,
    max_bytes: int,
    *,
    digest: Callable[[bytes], object] | None = None,
    block_bytes: int = BLOCK_BYTES,
    check: bool = True,
) -> Iterator[Block]:
    """Yield the records of a TFRecord file, about `block_bytes` at a time, with every CRC checked.

    Without `check` no CRC is checked, in a tenth of the time. `digest` is called with all bytes of the
    file, in order. A record that is cut short, has a wrong length or is longer than `max_bytes` raises
    DamagedRecord, after the sound records before it.
    """
    left = file.seek(0, 2)
    file.seek(0)
    start, data, wanted = 0, b"", block_bytes
    while left:
        new = file.read(min(wanted, left))
        if digest:
            digest(new)
        left = left - len(new) if new else 0
        data += new
        starts, lengths, problem = _heads(data, max_bytes, check)
        ends = starts + _HEAD.size + lengths
        whole = int(np.searchsorted(ends, len(data) - 4, side="right"))  # all but the last, or all
        begins, ends = starts[:whole] + _HEAD.size, ends[:whole]
        if whole:
            records = [data[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
            damaged = _wrong_crcs(data, begins, ends) if check else []
            yield Block((start + starts[:whole]).tolist(), records, damaged)
            used = int(ends[-1]) + 4
            start, data = start + used, data[used:]
        if problem:
            raise DamagedRecord(start, problem)
        missing = _HEAD.size - len(data)
        if missing <= 0:
            missing = _HEAD.unpack_from(data)[0] + FRAME - len(data)
        if data and missing > left:
            raise DamagedRecord(start, "is cut short")
        wanted = max(block_bytes, missing)


def _heads(data: bytes, max_bytes: int, check: bool) -> tuple[np.ndarray, np.ndarray, str]:
    """Return each record's start and length, int64[records], and the problem after the last one."""
    heads, sizes, at = [], [], 0
    while at + _HEAD.size <= len(data):
        heads.append(at)
        sizes.append(_HEAD.unpack_from(data, at)[0])
        at += FRAME + sizes[-1]
    starts, problem = np.array(heads, np.int64), ""
    if check and (wrong := _wrong_crcs(data, starts, starts + 8)):
        sizes, problem = sizes[: wrong[0]], "has a wrong length checksum"
    if max(sizes, default=0) > max_bytes:
        first = next(nth for nth, size in enumerate(sizes) if size > max_bytes)
        problem = f"has {sizes[first]:,} bytes, expected {max_bytes:,} at most"
        sizes = sizes[:first]
    return starts[: len(sizes)], np.array(sizes, np.int64), problem


def _wrong_crcs(data: bytes, starts: np.ndarray, ends: np.ndarray) -> list[int]:
    """Return the indices of the byte strings that are not followed by their masked CRC."""
    if not len(starts):
        return []
    octets = np.frombuffer(data, np.uint8)
    stored = octets[ends[:, np.newaxis] + np.arange(4)].view("<u4").ravel()
    return np.flatnonzero(masked(crc32c(octets, starts, ends)) != stored).tolist()


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the tables for a byte, for four bytes, and for `_SEGMENT` zero bytes: 1 MB.

    The others are uint32[2, 65536]: the effect of so many bytes on the low and the high half of a CRC.
    """
    byte_table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        byte_table = np.where(byte_table & 1, (byte_table >> 1) ^ np.uint32(0x82F63B78), byte_table >> 1)
    words = np.arange(65536, dtype=np.uint32)
    zeros = np.stack([words, words << 16])
    for _ in range(4):
        zeros = byte_table[zeros & 0xFF] ^ (zeros >> 8)
    quad_table = zeros
    # CRC is linear, so a run of zero bytes changes a CRC by the sum (xor) of its effects on the low and
    # the high half. A run twice as long applies it twice.
    for _ in range((_SEGMENT // 4).bit_length() - 1):
        zeros = zeros[0][zeros & 0xFFFF] ^ zeros[1][zeros >> 16]
    return byte_table, quad_table, zeros


def crc32c(data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return uint32[n]: the CRC32C of `n` byte strings in `data`, each from its start to its end.

    `data` is uint8, `starts` and `ends` are int64[n]. Takes 3 bytes per byte of data, and up to 300 per
    string.

    The strings are cut into segments of 128 bytes, counted from each string's end; all segments'
    CRCs are computed together, and then joined string by string.
    """
    lengths = ends - starts
    counts = np.maximum(-(-lengths // _SEGMENT), 1)
    last = np.cumsum(counts) - 1  # each string's last segment
    first = last - counts + 1
    # int64[segments]: where each segment ends, and how long it is (full but for the first ones)
    segment_ends = np.repeat(ends - (last * _SEGMENT), counts) + np.arange(counts.sum()) * _SEGMENT
    segment_lengths = np.full(len(segment_ends), _SEGMENT)
    segment_lengths[first] = lengths - (counts - 1) * _SEGMENT
    crc = np.zeros(len(segment_ends), np.uint32)
    crc[first] = 0xFFFFFFFF
    _run_segments(crc, data, segment_ends, segment_lengths)
    return _join_segments(crc, first, counts) ^ np.uint32(0xFFFFFFFF)


def _run_segments(crc: np.ndarray, data: np.ndarray, ends: np.ndarray, lengths: np.ndarray) -> None:
    """Move each segment's CRC over its bytes, in place.

    One column of all segments is taken at a time, four bytes wide, after the first bytes left over.
    """
    byte_table, (low_table, high_table), _ = _tables()
    for left in (3, 2, 1):
        some = np.flatnonzero(lengths % 4 == left)
        crc[some] = byte_table[(crc[some] ^ data[ends[some] - lengths[some]]) & 0xFF] ^ (crc[some] >> 8)
        lengths[some] -= 1
    width = int(lengths.max(initial=0))
    order = np.argsort(-lengths, kind="stable")
    state = crc[order]
    # active[c]: how many segments, the longest first, reach back to column c
    active = np.searchsorted(-lengths[order], np.arange(-width, 0, 4), side="right").tolist()
    padded = np.concatenate((np.zeros(width, np.uint8), data))  # a window may begin before the data
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)[ends[order]]
    columns = np.ascontiguousarray(windows.view("<u4").T)
    for column, k in zip(columns, active, strict=True):
        both = column[:k] ^ state[:k]
        state[:k] = low_table[both & 0xFFFF] ^ high_table[both >> 16]
    crc[order] = state


def _join_segments(crc: np.ndarray, first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return each string's CRC: each partial CRC is moved over 128 zero bytes and added to the next."""
    _, _, zeros = _tables()
    total: np.ndarray = crc[first]
    for nth in range(1, int(counts.max(initial=0))):
        more = np.flatnonzero(counts > nth)
        low, high = zeros[0][total[more] & 0xFFFF], zeros[1][total[more] >> 16]
        total[more] = low ^ high ^ crc[first[more] + nth]
    return total


def masked(crc: np.ndarray) -> np.ndarray:
    """Return CRCs as TFRecord stores them, safe for data that contains CRCs itself."""
    return ((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8)
