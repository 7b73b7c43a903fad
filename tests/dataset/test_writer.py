import errno
import threading

import numpy as np
import pytest
from helpers import reviews

from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.dataset.writer import DatasetWriter, OpenShard
from lowmem_sentiment.system.errors import DataError
from lowmem_sentiment.text.reviews import Reviews
from lowmem_sentiment.text.vocabulary import Vocabulary


def test_reviews_are_read_back_in_order_over_shard_bounds(tmp_path):
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 40, 500)
    ids = generator.integers(1, 300, lengths.sum()).astype(np.int32)
    written = Reviews(ids, lengths, generator.integers(0, 3, 500))
    writer = DatasetWriter(tmp_path, ["a", "b", "c"], Vocabulary([b"x"] * 300), shard_bytes=1_000)
    for first in range(0, 500, 70):
        last = min(first + 70, 500)
        span = slice(lengths[:first].sum(), lengths[:last].sum())
        writer.write("train", Reviews(ids[span], lengths[first:last], written.labels[first:last]))
    writer.finish("test", {"description": "made up"})
    dataset = Dataset(tmp_path)
    assert len(dataset.shards("train")) > 10
    assert all(1_000 <= shard.bytes < 1_200 for shard in dataset.shards("train")[:-1])
    read = Reviews(*map(np.concatenate, zip(*dataset.read("train"), strict=True)))
    for one, other in zip(written, read, strict=True):
        np.testing.assert_array_equal(one, other)
    assert dataset.num_reviews("train") == 500
    assert dataset.shards("test") == []
    assert dataset.label_counts("train") == np.bincount(written.labels).tolist()
    assert dataset.length.mean == pytest.approx(lengths.mean(), rel=1e-15)
    assert dataset.length.standard_deviation == pytest.approx(lengths.std(), rel=1e-12)
    assert (dataset.length.min, dataset.length.max) == (lengths.min(), lengths.max())
    dataset.verify("train")


def test_shards_are_named_by_split_number_and_count(dataset):
    names = [path.name for path in dataset.paths("test")]
    count = len(names)
    assert names == [f"test-{nth:05d}-of-{count:05d}.tfrecord" for nth in range(count)]
    listed = {path.name for path in dataset.directory.iterdir()}
    assert listed == {"dataset.json", "vocabulary.txt", *names} | {
        path.name for path in dataset.paths("train")
    }


def test_reviews_are_spread_over_the_open_shards_in_turn(tmp_path):
    writer = DatasetWriter(tmp_path, ["a", "b"], Vocabulary([b"x"] * 30), open_shards=3)
    block = reviews(*[([1, 4 + nth], nth % 2) for nth in range(8)])
    writer.write("train", block)
    writer.write("train", block)
    writer.finish("test", {"description": "made up"})
    dataset = Dataset(tmp_path)
    shards = [
        np.concatenate([block.token_ids[1::2] for block in dataset.read_shard("train", nth)]).tolist()
        for nth in range(3)
    ]
    numbers = [*range(4, 12), *range(4, 12)]
    assert shards == [numbers[0::3], numbers[1::3], numbers[2::3]]


def test_more_labels_than_a_reader_takes_are_refused(tmp_path):
    with pytest.raises(DataError, match="there are 1,001 labels, expected 1,000 at most"):
        DatasetWriter(tmp_path, [str(nth) for nth in range(1_001)], Vocabulary([]))


@pytest.mark.parametrize("blocks", [1, 2])
def test_a_full_disk_ends_the_writing_and_its_thread(tmp_path, monkeypatch, blocks):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(OpenShard, "append", refuse)
    before = threading.active_count()
    with (
        pytest.raises(OSError, match="disk full"),
        DatasetWriter(tmp_path, ["a", "b"], Vocabulary([b"x"])) as writer,
    ):
        for _ in range(blocks):
            writer.write("train", reviews(([1, 4], 0)))
        writer.finish("test", {"description": "made up"})
    assert threading.active_count() == before
    assert not (tmp_path / "dataset.json").exists()
