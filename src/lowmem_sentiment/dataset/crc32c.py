"""CRC32C (Castagnoli, RFC 3720 appendix B.4) of many byte strings at once, with NumPy."""

import functools

import numpy as np

_SEGMENT = 256  # bytes; a power of two


def _byte_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table


def _word_table(byte_table: np.ndarray) -> np.ndarray:
    """Return uint32[65536]: what two bytes do to the low half of a CRC."""
    words = np.arange(65536, dtype=np.uint32)
    for _ in range(2):
        words = byte_table[words & 0xFF] ^ (words >> 8)
    return words


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the tables for a byte, for two bytes, and for `_SEGMENT` zero bytes: 770 KB."""
    byte_table = _byte_table()
    word_table = _word_table(byte_table)
    # CRC is linear, so what a run of zero bytes does to a CRC is the sum (xor) of what it
    # does to its low and to its high half.
    zeros = np.stack([np.arange(65536, dtype=np.uint32), np.arange(65536, dtype=np.uint32) << 16])
    for _ in range(_SEGMENT // 2):
        zeros = word_table[zeros & 0xFFFF] ^ (zeros >> 16)
    return byte_table, word_table, zeros


def crc32c(data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return uint32[n]: the CRC32C of `n` byte strings in `data`, each from its start to its end.

    `data` is uint8, `starts` and `ends` are int64[n]. Costs 2 bytes a byte of data.

    The strings are cut into segments of 256 bytes, counted from each string's end; all segments'
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

    One column of all segments is taken at a time, two bytes wide, after the odd first bytes.
    """
    byte_table, word_table, _ = _tables()
    odd = np.flatnonzero(lengths & 1)
    crc[odd] = byte_table[(crc[odd] ^ data[ends[odd] - lengths[odd]]) & 0xFF] ^ (crc[odd] >> 8)
    lengths = lengths & ~1
    order = np.argsort(-lengths, kind="stable")
    active_ends, state = ends[order], crc[order]
    # active[c]: how many segments, the longest first, reach back to column c
    active = np.searchsorted(-lengths[order], np.arange(-_SEGMENT, 0, 2), side="right")
    words = np.zeros(len(data), np.uint16)
    words[:-1] = data[:-1] | (data[1:].astype(np.uint16) << 8)
    for column, k in zip(range(_SEGMENT, 0, -2), active, strict=True):
        if k:
            word = words[active_ends[:k] - column] ^ state[:k]
            state[:k] = word_table[word & 0xFFFF] ^ (state[:k] >> 16)
    crc[order] = state


def _join_segments(crc: np.ndarray, first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return each string's CRC: the CRC so far is moved over 256 zero bytes and added to the next one."""
    _, _, zeros = _tables()
    total = crc[first]
    for nth in range(1, int(counts.max(initial=0))):
        more = np.flatnonzero(counts > nth)
        low, high = zeros[0][total[more] & 0xFFFF], zeros[1][total[more] >> 16]
        total[more] = low ^ high ^ crc[first[more] + nth]
    return total


def masked(crc: np.ndarray) -> np.ndarray:
    """Return the form in which TFRecord stores a CRC, so that a CRC of data that holds CRCs is safe."""
    return ((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8)
