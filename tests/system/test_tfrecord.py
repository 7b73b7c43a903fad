import io

import numpy as np
import pytest

from lowmem_sentiment.system.tfrecord import DamagedRecord, crc32c, frame, read_blocks


def bitwise_crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_crc_of_rfc_3720s_examples():
    examples = {bytes(32): 0x8A9136AA, b"\xff" * 32: 0x62A8AB43, bytes(range(32)): 0x46DD794E}
    data = np.frombuffer(b"".join(examples), np.uint8)
    got = crc32c(data, np.array([0, 32, 64]), np.array([32, 64, 96]))
    assert got.tolist() == list(examples.values())


def test_crc_of_every_length_around_a_segment():
    generator = np.random.default_rng(0)
    lengths = [0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 0, 1300]
    strings = [generator.bytes(length) for length in lengths]
    data = np.frombuffer(b"".join(strings), np.uint8)
    ends = np.cumsum(lengths)
    got = crc32c(data, ends - lengths, ends)
    assert got.tolist() == [bitwise_crc32c(string) for string in strings]


def test_strings_may_have_gaps_between_them():
    data = np.frombuffer(b"..abc.....de.", np.uint8)
    got = crc32c(data, np.array([2, 10]), np.array([5, 12]))
    assert got.tolist() == [bitwise_crc32c(b"abc"), bitwise_crc32c(b"de")]


@pytest.mark.parametrize("block_bytes", [1, 30, 1 << 20])
def test_records_come_back_with_the_places_where_they_begin(block_bytes):
    records = [b"", b"abc", bytes(70), b"x"]
    data = frame(records)
    blocks = list(read_blocks(io.BytesIO(data), 70, block_bytes=block_bytes))
    assert [record for block in blocks for record in block.records] == records
    starts = [start for block in blocks for start in block.starts]
    assert starts == [0, 16, 35, 121]
    assert not any(block.damaged for block in blocks)


def read_until_damage(data: bytes, max_bytes: int = 70) -> tuple[list[bytes], list[int], str]:
    """Return the sound records, the numbers of damaged ones, and why reading ended, and where."""
    sound, damaged, count = [], [], 0
    try:
        for block in read_blocks(io.BytesIO(data), max_bytes):
            damaged += [count + nth for nth in block.damaged]
            sound += [each for nth, each in enumerate(block.records) if nth not in block.damaged]
            count += len(block.records)
    except DamagedRecord as error:
        return sound, damaged, f"{error.start}: {error}"
    return sound, damaged, ""


def test_damaged_data_is_passed_over_and_a_damaged_length_ends_the_file():
    data = frame([b"abc", b"defg", b"hi"])
    for at, expected in (
        (20, ([b"abc"], [], "19: has a wrong length checksum")),
        (31, ([b"abc", b"hi"], [1], "")),
    ):
        changed = bytearray(data)
        changed[at] ^= 1
        assert read_until_damage(bytes(changed)) == expected
    assert read_until_damage(data[:-1]) == ([b"abc", b"defg"], [], "39: is cut short")
    assert read_until_damage(data, 3) == ([b"abc"], [], "19: has 4 bytes, expected 3 at most")
