import json
import shutil

import numpy as np
import pytest

from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.dataset.writer import DatasetWriter
from lowmem_sentiment.system.errors import DataError, InputMissing
from lowmem_sentiment.text.reviews import Reviews
from lowmem_sentiment.text.vocabulary import Vocabulary


@pytest.fixture
def copy(dataset, tmp_path):
    """A copy of the handmade dataset's directory, to damage."""
    return shutil.copytree(dataset.directory, tmp_path / "copy")


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
    assert dataset.manifest["splits"]["train"]["labels"] == np.bincount(written.labels).tolist()
    length = dataset.manifest["length"]
    assert length["mean"] == pytest.approx(lengths.mean(), rel=1e-15)
    assert length["standard_deviation"] == pytest.approx(lengths.std(), rel=1e-12)
    assert (length["min"], length["max"]) == (lengths.min(), lengths.max())
    dataset.verify("train")


def test_shards_are_named_by_split_number_and_count(dataset):
    names = [path.name for path in dataset.paths("test")]
    count = len(names)
    assert names == [f"test-{nth:05d}-of-{count:05d}.tfrecord" for nth in range(count)]
    listed = {path.name for path in dataset.directory.iterdir()}
    assert listed == {"dataset.json", "vocabulary.txt", *names} | {
        path.name for path in dataset.paths("train")
    }


def test_a_missing_directory_is_told(tmp_path):
    with pytest.raises(InputMissing, match="is no dataset directory; make one"):
        Dataset(tmp_path / "none")


def test_a_directory_without_manifest_is_told(copy, tmp_path):
    (copy / "dataset.json").unlink()
    with pytest.raises(DataError, match="an unfinished dataset"):
        Dataset(copy)
    with pytest.raises(DataError, match="holds no dataset"):
        Dataset(tmp_path)


def test_a_foreign_or_newer_manifest_is_refused(copy, monkeypatch):
    from lowmem_sentiment.system import files

    for key, value, message in (
        ("format", "other", "of another program: format 'other'"),
        ("version", 9, "has version 9, expected 1"),
    ):
        content = files.read_json(copy / "dataset.json")
        files.write_json(copy / "dataset.json", {**content, key: value})
        with pytest.raises(DataError, match=message):
            Dataset(copy)
        files.write_json(copy / "dataset.json", content)
    (copy / "dataset.json").write_text(json.dumps([1]))
    with pytest.raises(DataError, match="does not match its checksum"):
        Dataset(copy)


def test_a_shard_missing_or_cut_short_is_named(copy):
    shard = sorted(copy.glob("train-*"))[1]
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=f"{shard.name} is damaged: it has"):
        Dataset(copy)
    shard.unlink()
    with pytest.raises(DataError, match=f"{shard.name} is missing"):
        Dataset(copy)


def test_a_flipped_bit_in_a_shard_is_found_when_read_and_by_verify(copy):
    shard = sorted(copy.glob("train-*"))[1]
    damaged = bytearray(shard.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    shard.write_bytes(damaged)
    dataset = Dataset(copy)
    with pytest.raises(DataError, match=f"{shard.name} is damaged: record"):
        list(dataset.read("train"))
    with pytest.raises(DataError, match=f"{shard.name} is damaged: its SHA-256"):
        dataset.verify("train")


def test_a_few_reviews_are_picked_by_their_place(dataset):
    every = [
        (ids.tolist(), label)
        for block in dataset.read("train")
        for ids, label in zip(block.split(), block.labels.tolist(), strict=True)
    ]
    places = [159, 0, 33, 34, 80]
    picked = dataset.pick("train", places)
    assert {place: (ids.tolist(), label) for place, (ids, label) in picked.items()} == {
        place: every[place] for place in places
    }
