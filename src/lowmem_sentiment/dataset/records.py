"""Shards: TFRecord files of reviews as ``tf.train.Example`` messages, without TensorFlow.

An Example of ours has the features ``label`` (one int64) and ``tokens`` (int64 list, packed), in a
dataset with n-grams also ``features`` (int64 list, packed: distinct ids in the order of rank);
``tf.io.parse_example`` reads it
(https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto).

Token ids are coded in blocks of reviews at once: a per-byte loop in Python makes 10 MB/s, NumPy
over many reviews makes some ten times that.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np

from ..system.errors import DataError
from ..system.tfrecord import BLOCK_BYTES, FRAME, HEAD, DamagedRecord, read_blocks, seal
from ..text.encoders import Features
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
    lists = [] if features is None else [_List(b"features", *features)]
    lists.append(_List(b"label", reviews.labels, np.ones_like(reviews.labels)))
    lists.append(_List(b"tokens", reviews.token_ids, reviews.lengths))
    content = np.sum([each.total for each in lists], axis=0)
    sizes = 1 + _varint_sizes(content) + content
    if (longest := sizes.max(initial=0)) > MAX_RECORD_BYTES:
        raise DataError(
            f"a review takes {longest:,} bytes as a record, expected {MAX_RECORD_BYTES:,} at most"
        )
    framed = sizes + FRAME
    starts = np.cumsum(framed) - framed
    records = _Records(np.empty(int(framed.sum()), np.uint8), starts + HEAD)
    records.put(b"\x0a")  # Example.features
    records.put_varint(content)
    for each in lists:
        each.write(records)
    seal(records.data, starts, sizes)
    return records.data.tobytes(), framed


class _Records:
    """Records of known sizes in one array, all written at once: each has a place to write at."""

    def __init__(self, data: np.ndarray, at: np.ndarray):
        self.data, self._at = data, at

    def put(self, content: bytes) -> None:
        for byte in content:
            self.data[self._at] = byte
            self._at = self._at + 1

    def put_varint(self, values: np.ndarray) -> None:
        _put_varints(self.data, self._at, values)
        self._at = self._at + _varint_sizes(values)

    def put_packed(
        self, values: np.ndarray, starts: np.ndarray, lengths: np.ndarray, totals: np.ndarray
    ) -> None:
        """Write the varints of a list of ids, `totals` bytes, to each record."""
        moved = np.repeat(self._at - (np.cumsum(totals) - totals), lengths)
        moved += starts
        _put_varints(self.data, moved, values)
        self._at = self._at + totals


class _List:
    """A map entry of each Example: a name, and a packed list of int64 in nested fields."""

    def __init__(self, name: bytes, values: np.ndarray, lengths: np.ndarray):
        self._name, self._values, self._lengths = name, values, lengths
        self._starts = np.zeros(len(values) + 1, np.int64)
        np.cumsum(_varint_sizes(values), out=self._starts[1:])
        self._packed = np.diff(self._starts[np.cumsum(lengths)], prepend=0)
        self._list = _field_size(self._packed)  # Int64List.value
        self._feature = _field_size(self._list)  # Feature.int64_list
        self._entry = 2 + len(name) + _field_size(self._feature)
        self.total = _field_size(self._entry)
        """int64[records]: its bytes."""

    def write(self, records: _Records) -> None:
        records.put(b"\x0a")  # Features.feature
        records.put_varint(self._entry)
        records.put(bytes([0x0A, len(self._name), *self._name, 0x12]))
        records.put_varint(self._feature)
        records.put(b"\x1a")
        records.put_varint(self._list)
        records.put(b"\x0a")
        records.put_varint(self._packed)
        records.put_packed(self._values, self._starts[:-1], self._lengths, self._packed)


def _field_size(sizes: np.ndarray) -> np.ndarray:
    return np.asarray(1 + _varint_sizes(sizes) + sizes)


def _varint_sizes(values: np.ndarray) -> np.ndarray:
    """Return int64[n], how many bytes the varints of non-negative int32 `values` take."""
    sizes = np.ones(len(values), np.int64)
    for bits in range(7, int(values.max(initial=0)).bit_length(), 7):
        sizes += values >= 1 << bits
    return sizes


def _put_varints(out: np.ndarray, at: np.ndarray, values: np.ndarray) -> None:
    while len(values):
        more = values >= 0x80
        out[at] = values.astype(np.uint8) | more.view(np.uint8) << 7
        longer = np.flatnonzero(more)
        at, values = at[longer] + 1, values[longer] >> 7


def read(
    file: BinaryIO,
    name: str,
    digest: Callable[[bytes], object] | None = None,
    block_bytes: int = BLOCK_BYTES,
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
    called = f"{ids[:-1]} id"

    def wrong(nth: int, what: object) -> DataError:
        return DataError(f"{name} holds something other than reviews: record {numbers[nth]}: {what}")

    # one number may be read beyond the last record
    content = b"".join([*records, bytes(_MAX_VARINT + 1)])
    data = np.frombuffer(content, np.uint8)
    ends = np.cumsum(np.fromiter(map(len, records), np.int64, len(records)))
    labels, starts, ends = _parse_examples(data, np.concatenate(([0], ends[:-1])), ends, ids.encode())
    if len(others := np.flatnonzero(labels < 0)):
        raise wrong(int(others[0]), f"it is not an Example with one 'label' and a list '{ids}'")
    if len(high := np.flatnonzero(labels >= bounds.num_labels)):
        nth = int(high[0])
        raise wrong(nth, f"the label is {labels[nth]}, expected below {bounds.num_labels}")
    if len(cut := np.flatnonzero((starts < ends) & (data[ends - 1] >= 0x80))):
        raise wrong(int(cut[0]), f"its last {called} is cut short")
    parts = [content[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    values, value_ends = _decode_varints(np.frombuffer(b"".join(parts), np.uint8))
    counts = np.searchsorted(value_ends, np.cumsum(ends - starts), side="right")
    if len(above := np.flatnonzero(values >= bounds.num_ids)):
        nth = int(np.searchsorted(counts, above[0], side="right"))
        raise wrong(nth, f"a {called} is {values[above[0]]}, expected below {bounds.num_ids}")
    return Reviews(values.view(np.int32), np.diff(counts, prepend=0), labels)


_ENTRIES = 3  # label, tokens, features

_MAX_VARINT = 5  # bytes: of sizes within a record, and of labels


def _parse_examples(
    data: np.ndarray, starts: np.ndarray, ends: np.ndarray, key: bytes
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the labels of Examples, and where their lists `key` start and end, int64[records] each.

    The label of a record with any other content is -1. The entries may be in any order.
    """
    labels = np.full(len(starts), -1)
    list_starts, list_ends = np.zeros_like(starts), np.full_like(starts, -1)
    at, ends = _enter(data, starts, ends, 0x0A)  # Example.features
    for _ in range(_ENTRIES):
        here = np.flatnonzero(at < ends)
        name, entry_end = _enter(data, at[here], ends[here], 0x0A)
        at[here] = np.where(entry_end < 0, ends[here], entry_end)
        name, name_end = _enter(data, name, entry_end, 0x0A)
        value, end = _enter(data, name_end, entry_end, 0x12)
        for tag in (0x1A, 0x0A):  # Feature.int64_list, Int64List.value; an empty list may leave them out
            inner, inner_end = _enter(data, value, end, tag)
            empty = value == end
            value, end = np.where(empty, value, inner), np.where(empty, end, inner_end)
        mine = _is(data, name, name_end, key)
        list_starts[here[mine]], list_ends[here[mine]] = value[mine], end[mine]
        mine = _is(data, name, name_end, b"label")
        label, label_end = _varints_at(data, value[mine])
        labels[here[mine]] = np.where(label_end == end[mine], label, -1)
    labels[list_ends < 0] = -1
    return labels, list_starts, list_ends


def _enter(
    data: np.ndarray, at: np.ndarray, limits: np.ndarray, tag: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return start and end (-1: there is none) of the length-delimited field with `tag` at each `at`."""
    sizes, starts = _varints_at(data, at + 1)
    there = (at < limits) & (data[np.minimum(at, len(data) - 1)] == tag)
    fits = there & (starts >= 0) & (starts + sizes <= limits)
    return starts, np.where(fits, starts + sizes, -1)


def _is(data: np.ndarray, starts: np.ndarray, ends: np.ndarray, name: bytes) -> np.ndarray:
    places = np.minimum(starts[:, np.newaxis] + np.arange(len(name)), len(data) - 1)
    same: np.ndarray = (data[places] == np.frombuffer(name, np.uint8)).all(axis=1)
    same &= ends - starts == len(name)
    return same


def _varints_at(data: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return int64[n], the varints at `starts`, and where they end; a longer one ends nowhere: at -1."""
    values, ends = np.zeros(len(starts), np.int64), np.full(len(starts), -1)
    for nth in range(_MAX_VARINT):
        open_ = np.flatnonzero(ends < 0)
        if not len(open_):
            break
        at = np.minimum(starts[open_] + nth, len(data) - 1)
        byte = data[at].astype(np.int64)
        values[open_] |= (byte & 0x7F) << (7 * nth)
        ends[open_] = np.where(byte < 0x80, at + 1, -1)
    return values, ends


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
