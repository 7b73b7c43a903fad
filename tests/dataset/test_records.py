import io
from pathlib import Path

import numpy as np
import pytest

from lowmem_sentiment.dataset import records
from lowmem_sentiment.dataset.records import Bounds, decode
from lowmem_sentiment.system.errors import DataError
from lowmem_sentiment.system.tfrecord import crc32c, frame, masked
from lowmem_sentiment.text.reviews import Reviews


def some_reviews(count=300, seed=0, largest=2**31 - 1):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(0, 600, count)
    powers = generator.integers(0, largest.bit_length(), lengths.sum())
    token_ids = generator.integers(0, 1 << powers, endpoint=True).clip(0, largest)
    return Reviews(token_ids.astype(np.int32), lengths, generator.integers(0, 200, count))


BOUNDS = Bounds(num_ids=100, num_labels=2)


def read_all(data: bytes, bounds=Bounds(), block_bytes=1 << 20) -> Reviews:  # noqa: B008, immutable
    blocks = [
        decode(block, "file", numbers, bounds)
        for numbers, block in records.read(io.BytesIO(data), "file", block_bytes=block_bytes)
    ]
    return Reviews(*map(np.concatenate, zip(*blocks, strict=True)))


@pytest.mark.parametrize("block_bytes", [1, 5_000, 1 << 20])
def test_reviews_come_back(block_bytes):
    reviews = some_reviews()
    data, sizes = records.encode(reviews)
    assert sizes.sum() == len(data)
    for written, read in zip(reviews, read_all(data, block_bytes=block_bytes), strict=True):
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
    reviews = read_all(Path(path).read_bytes())
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


def field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


def example(label: bytes, tokens: bytes, name: bytes = b"label") -> bytes:
    """Return an Example with these packed integers."""
    entries = [
        field(1, field(1, key) + field(2, field(3, field(1, packed))))
        for key, packed in ((name, label), (b"tokens", tokens))
    ]
    return field(1, b"".join(entries))


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def test_ids_and_labels_below_the_bounds_are_read():
    block = read_all(frame([example(varint(1), varint(99) + varint(0))]), BOUNDS)
    assert (block.token_ids.tolist(), block.labels.tolist()) == ([99, 0], [1])


OTHER = "it is not an Example with one 'label' and a list 'tokens'"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"not an Example", OTHER),
        (b"", OTHER),
        (example(varint(2), b"\x04"), "the label is 2, expected below 2"),
        (example(varint(1 << 63), b"\x04"), OTHER),
        (example(b"", b"\x04"), OTHER),
        (example(b"\x01\x01", b"\x04"), OTHER),
        (example(b"\x01", varint(100)), "a token id is 100, expected below 100"),
        (example(b"\x01", varint(2**31 - 1)), "a token id is 2147483647, expected below 100"),
        (example(b"\x01", varint(2**32 + 4)), "a token id is .*, expected below 100"),
        (example(b"\x01", varint(2**35)), "a token id is 2147483648, expected below 100"),
        (example(b"\x01", varint(2**70)), "a token id is 2147483648, expected below 100"),
        (example(b"\x01", b"\x04\x84"), "its last token id is cut short"),
        (example(b"\x01", b"\x04", name=b"colour"), OTHER),
        (b"\x0a\x7f" + example(b"\x01", b"\x04"), OTHER),
        (example(b"\x01", b"\x04")[:-1], OTHER),
    ],
)
def test_a_record_with_right_checksums_and_other_content_is_refused(record, message):
    good = example(b"\x01", b"\x04")
    expected = f"file holds something other than reviews: record 1: .*{message}"
    with pytest.raises(DataError, match=expected):
        read_all(frame([good, record, good]), BOUNDS)


def test_a_length_beyond_any_review_allocates_nothing():
    huge = (1 << 63).to_bytes(8, "little")
    crc = masked(crc32c(np.frombuffer(huge, np.uint8), np.array([0]), np.array([8])))
    data = huge + crc.astype("<u4").tobytes() + bytes(100)
    with pytest.raises(DataError, match="record 0 has 9,223,372,036,854,775,808 bytes"):
        list(records.read(io.BytesIO(data), "file"))


def test_a_review_too_long_to_be_read_is_not_written():
    long = Reviews(np.full(6_000_000, 2**21, np.int32), np.array([6_000_000]), np.array([0]))
    with pytest.raises(DataError, match="a review takes 24,000,0.. bytes as a record"):
        records.encode(long)


def test_every_byte_that_is_read_is_given_to_the_digest():
    data, _ = records.encode(some_reviews(50))
    seen = []
    list(records.read(io.BytesIO(data), "file", digest=seen.append, block_bytes=1_000))
    assert b"".join(seen) == data
