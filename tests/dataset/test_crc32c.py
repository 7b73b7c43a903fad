import numpy as np

from lowmem_sentiment.dataset.crc32c import crc32c


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
