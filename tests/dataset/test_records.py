import io

import numpy as np
import pytest

from lowmem_sentiment.dataset import records
from lowmem_sentiment.system.errors import DataError
from lowmem_sentiment.text.reviews import Reviews


def some_reviews(count=300, seed=0, largest=2**31 - 1):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(0, 600, count)
    powers = generator.integers(0, largest.bit_length(), lengths.sum())
    token_ids = generator.integers(0, 1 << powers, endpoint=True).clip(0, largest)
    return Reviews(token_ids.astype(np.int32), lengths, generator.integers(0, 200, count))


def read_all(data: bytes, block_bytes=1 << 20) -> Reviews:
    blocks = list(records.read(io.BytesIO(data), "file", block_bytes))
    return Reviews(*map(np.concatenate, zip(*blocks, strict=True)))


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
    got = records.crc32c(data, np.array([32, 64, 96]))
    assert got.tolist() == list(examples.values())


def test_crc_of_every_length_around_a_segment():
    generator = np.random.default_rng(0)
    lengths = [0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 0, 1300]
    strings = [generator.bytes(length) for length in lengths]
    data = np.frombuffer(b"".join(strings), np.uint8)
    got = records.crc32c(data, np.cumsum(lengths))
    assert got.tolist() == [bitwise_crc32c(string) for string in strings]


@pytest.mark.parametrize("block_bytes", [1, 5_000, 1 << 20])
def test_reviews_come_back(block_bytes):
    reviews = some_reviews()
    data, sizes = records.encode(reviews)
    assert sizes.sum() == len(data)
    for written, read in zip(reviews, read_all(data, block_bytes), strict=True):
        np.testing.assert_array_equal(written, read)


def test_tensorflow_reads_what_is_written(tmp_path):
    import tensorflow as tf

    reviews = some_reviews(50)
    (tmp_path / "a.tfrecord").write_bytes(records.encode(reviews)[0])
    features = {
        "label": tf.io.FixedLenFeature((), tf.int64),
        "tokens": tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64),
    }
    loaded = tf.data.TFRecordDataset(str(tmp_path / "a.tfrecord")).batch(50).get_single_element()
    examples = tf.io.parse_example(loaded, features)
    np.testing.assert_array_equal(examples["label"], reviews.labels)
    np.testing.assert_array_equal(examples["tokens"].flat_values, reviews.token_ids)
    np.testing.assert_array_equal(examples["tokens"].row_lengths(), reviews.lengths)


def test_what_tensorflow_writes_is_read(tmp_path):
    import tensorflow as tf

    def integers(values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    path = str(tmp_path / "a.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for tokens, label in (([1, 300, 2], 1), ([], 0), ([70_000], 5)):
            feature = {"tokens": integers(tokens), "label": integers([label])}
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())
    with open(path, "rb") as file:
        (reviews,) = records.read(file, path)
    assert reviews.token_ids.tolist() == [1, 300, 2, 70_000]
    assert reviews.lengths.tolist() == [3, 0, 1]
    assert reviews.labels.tolist() == [1, 0, 5]


def test_every_flipped_bit_is_found():
    data, _ = records.encode(some_reviews(3))
    generator = np.random.default_rng(1)
    for position in [*range(40), *generator.integers(40, len(data), 200)]:
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(generator.integers(8))
        with pytest.raises(DataError, match="file is damaged: record [0-2]"):
            list(records.read(io.BytesIO(bytes(damaged)), "file"))


def test_a_file_cut_short_is_found():
    data, sizes = records.encode(some_reviews(3))
    ends = {0, *np.cumsum(sizes).tolist()}
    for length in {*range(30), len(data) - 1, len(data) - 5} - ends:
        with pytest.raises(DataError, match="record . is cut short"):
            list(records.read(io.BytesIO(data[:length]), "file"))


def test_other_records_are_refused():
    framed, _ = records.encode(some_reviews(1))
    other = b"not an Example"
    head = np.array([len(other)], "<u8").view(np.uint8)
    crcs = [records._masked(records.crc32c(part, np.array([len(part)]))).astype("<u4").tobytes()
            for part in (head, np.frombuffer(other, np.uint8))]  # fmt: skip
    record = head.tobytes() + crcs[0] + other + crcs[1]
    with pytest.raises(DataError, match="holds something else than reviews"):
        list(records.read(io.BytesIO(record), "file"))
    assert framed
