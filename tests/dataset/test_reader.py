import functools
import json
import os
import shutil

import pytest
from helpers import reviews

from lowmem_sentiment.dataset import records
from lowmem_sentiment.dataset.explore import explore, show
from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.dataset.writer import DatasetWriter
from lowmem_sentiment.system.errors import DataError, InputMissing
from lowmem_sentiment.system.schema import read_json, write_json
from lowmem_sentiment.text.vocabulary import Vocabulary


@pytest.fixture
def copy(dataset, tmp_path):
    """A copy of the handmade dataset's directory, to damage."""
    return shutil.copytree(dataset.directory, tmp_path / "copy")


def test_a_directory_that_is_missing_or_has_no_manifest_is_reported(copy, tmp_path):
    with pytest.raises(InputMissing, match="is not a dataset directory; make one"):
        Dataset(tmp_path / "none")
    (copy / "dataset.json").unlink()
    with pytest.raises(DataError, match="an unfinished dataset"):
        Dataset(copy)
    with pytest.raises(DataError, match="holds no dataset"):
        Dataset(tmp_path)


def test_a_foreign_or_newer_manifest_is_refused(copy):
    for key, value, message in (
        ("format", "other", "has format and version .'other', 1., expected"),
        ("version", 9, "dataset', 9., expected 'lowmem-sentiment dataset' and 1 or 2"),
    ):
        content = read_json(copy / "dataset.json")
        write_json(copy / "dataset.json", {**content, key: value})
        with pytest.raises(DataError, match=message):
            Dataset(copy)
        write_json(copy / "dataset.json", content)
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


def test_a_review_is_picked_from_one_of_several_blocks(dataset, monkeypatch):
    small = functools.partial(records.read, block_bytes=200)
    monkeypatch.setattr(records, "read", small)
    assert [*dataset.pick("train", [30])] == [30]


def frames(data: bytes) -> list[bytes]:
    """Return the records of a shard, with their checksums."""
    found, at = [], 0
    while at < len(data):
        end = at + 16 + int.from_bytes(data[at : at + 8], "little")
        found.append(data[at:end])
        at = end
    return found


def swap_two(shard) -> None:
    every = frames(shard.read_bytes())
    every[0], every[1] = every[1], every[0]
    shard.write_bytes(b"".join(every))


def duplicate_one(shard) -> None:
    """Write one record over another of its size."""
    every = frames(shard.read_bytes())
    sizes = [len(record) for record in every]
    first = next(nth for nth, size in enumerate(sizes) if size in sizes[nth + 1 :])
    other = sizes.index(sizes[first], first + 1)
    assert every[first] != every[other]
    every[other] = every[first]
    shard.write_bytes(b"".join(every))


@pytest.mark.parametrize("change", [swap_two, duplicate_one])
def test_records_swapped_or_duplicated_within_a_shard_are_found_by_every_reader(copy, change):
    shard = sorted(copy.glob("test-*"))[0]
    change(shard)
    message = f"{shard.name} is damaged: its SHA-256 is not the manifest's"
    dataset = Dataset(copy)
    for reader in (lambda: list(dataset.read("test")), lambda: explore(dataset), lambda: show(dataset, 0),
                   lambda: dataset.verify("test")):  # fmt: skip
        with pytest.raises(DataError, match=message):
            reader()


def rewrite_shard(directory, split: str, block) -> None:
    """Replace a split's first shard and everything that the manifest says of it."""
    import hashlib

    content = read_json(directory / "dataset.json")
    entry = content["splits"][split]
    shard = entry["shards"][0]
    data, _ = records.encode(block)
    (directory / shard["file"]).write_bytes(data)
    entry["reviews"] += len(block.lengths) - shard["records"]
    entry["labels"] = [entry["reviews"], 0]
    shard |= {
        "records": len(block.lengths),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    write_json(directory / "dataset.json", content)


@pytest.mark.parametrize(
    ("ids", "label", "message"),
    [
        ([1, 4], 2, "record 1: the label is 2, expected below 2"),
        ([1, 2**31 - 1], 0, "record 1: a token id is 2147483647, expected below 26"),
        ([1, 26], 0, "record 1: a token id is 26, expected below 26"),
    ],
)
def test_ids_and_labels_that_are_not_there_are_refused_though_every_digest_is_right(
    copy, ids, label, message
):
    rewrite_shard(copy, "test", reviews(([1, 4], 0), (ids, label)))
    with pytest.raises(DataError, match=message):
        explore(Dataset(copy))
    with pytest.raises(DataError, match=message):
        Dataset(copy).pick("test", [1])


def test_counts_that_are_not_those_of_the_records_are_refused(copy):
    rewrite_shard(copy, "test", reviews(([1, 4], 0), ([1, 4], 0)))
    list(Dataset(copy).read("test"))
    with pytest.raises(DataError, match="the test split has .* reviews by label"):
        explore(Dataset(copy))
    content = read_json(copy / "dataset.json")
    content["splits"]["test"]["shards"][0]["records"] += 1
    content["splits"]["test"]["labels"][0] += 1
    content["splits"]["test"]["reviews"] += 1
    write_json(copy / "dataset.json", content)
    with pytest.raises(DataError, match="has 2 reviews, the manifest says 3"):
        list(Dataset(copy).read("test"))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_shard_that_is_no_plain_file_is_refused_without_opening_it(copy, make):
    dataset = Dataset(copy)
    shard = dataset.paths("train")[0]
    shard.unlink()
    make(shard)
    for reader in (lambda: list(dataset.read("train")), lambda: dataset.verify("train"),
                   lambda: Dataset(copy)):  # fmt: skip
        with pytest.raises(DataError, match=f"{shard.name} is not a regular file"):
            reader()


def labelled(path, train: list[int], test: list[int], labels) -> Dataset:
    """Write a dataset with so many reviews of each label."""
    path.mkdir()
    writer = DatasetWriter(path, labels, Vocabulary([b"word"]))
    for split, counts in (("train", train), ("test", test)):
        block = [([1, 4], nth) for nth, count in enumerate(counts) for _ in range(count)]
        writer.write(split, reviews(*block))
    writer.finish("test", {"description": "made up"})
    return Dataset(path)


def test_labels_with_fewer_than_five_reviews_are_warned_of(tmp_path):
    assert labelled(tmp_path / "many", [4, 9], [1, 2], ["a", "b"]).warnings() == []
    (warning,) = labelled(tmp_path / "few", [20, 20, 2], [1, 9, 1], ["a", "b", "c"]).warnings()
    assert warning.startswith("1 label with fewer than 5 reviews: 'c' (3); look for a row")
    warnings = labelled(
        tmp_path / "x", [90, 1, 1, 1, 1, 1, 1], [0] + [1] * 6, list("abcdef\n")
    ).warnings()
    assert warnings[0].startswith("93.8% of the training reviews are 'a'")
    assert (
        "6 labels with fewer than 5 reviews: 'b' (2), 'c' (2), 'd' (2), 'e' (2), 'f' (2) and 1 more"
        in (warnings[1])
    )
    assert warnings[2] == "no test review has the label a"


def test_a_label_with_a_line_end_is_warned_of_in_one_line(tmp_path):
    warnings = labelled(tmp_path / "x", [5, 5], [1, 0], ["a", "b\x1b[2J\nerror:"]).warnings()
    assert warnings == ["no test review has the label b\\x1b[2J\\nerror:"]
