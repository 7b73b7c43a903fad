"""Whatever stands in dataset.json, with a right checksum, ends in a Dataset or a DataError."""

import copy as copying
import hashlib
import json
import random
import shutil
import subprocess
import sys

import pytest

from lowmem_sentiment.dataset.explore import explore
from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.system.errors import DataError
from lowmem_sentiment.system.schema import read_json


@pytest.fixture
def copy(dataset, tmp_path):
    return shutil.copytree(dataset.directory, tmp_path / "copy")


def write_sealed(directory, content) -> None:
    """Write a manifest with a right checksum, whatever it holds."""
    rest = {key: value for key, value in content.items() if key != "checksum"}
    checksum = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
    (directory / "dataset.json").write_text(json.dumps({**rest, "checksum": checksum}))


def places(value, path=()):
    """Yield the path of each value within parsed JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in items:
        yield (*path, key)
        if isinstance(each, dict | list):
            yield from places(each, (*path, key))


def replaced(content, path, value):
    content = copying.deepcopy(content)
    at = content
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return content


def opened(copy, content) -> None:
    """Open and explore a manifest; only DataError may come of it."""
    write_sealed(copy, content)
    try:
        explore(Dataset(copy))
    except DataError as error:
        assert "\n" not in str(error) and len(str(error)) < 1_000


ODD = [None, True, -1, 0, 2**31, 2**62, 2**70, 1.5, float("nan"), float("inf"), "", "../x", "\ud800",
       [], {}, [[]], ["a", "a"], {"a": []}]  # fmt: skip


def test_no_value_of_another_kind_ends_in_anything_but_a_data_error(copy):
    content = read_json(copy / "dataset.json")
    every = [path for path in places(content) if path[0] not in ("checksum", "source")]
    generator = random.Random(3)
    for path in generator.sample(every, 60):
        for value in generator.sample(ODD, 5):
            opened(copy, replaced(content, path, value))


def test_every_key_is_required(copy):
    content = read_json(copy / "dataset.json")
    for key in content.keys() - {"checksum"}:
        write_sealed(copy, {name: each for name, each in content.items() if name != key})
        with pytest.raises(DataError):
            Dataset(copy)


SHARDS = "splits.train.shards: expected the names of different shards"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("labels",), ["a"] * 2, "labels: expected 1 to 1,000, each once"),
        (("labels",), [["a"], "b"], r'labels\[0\] is \["a"\], expected a text'),
        (("labels",), [], "labels: expected 1 to 1,000, each once"),
        (("labels",), ["a", "\ud800"], "labels: expected 1 to 1,000, each once"),
        (("labels",), ["a", "b", "c"], "splits.train.labels: expected a count for each label"),
        (("labels",), [str(nth) for nth in range(2_000)], "labels: expected 1 to 1,000, each once"),
        (("splits",), {}, "splits: expected train, test"),
        (("splits", "train", "reviews"), 2**70, "splits.train.reviews is 1180591620717411303424"),
        (("splits", "train", "reviews"), 5, "splits.train.reviews: expected the sum"),
        (("splits", "train", "shards", 0, "file"), "../../etc/passwd", SHARDS),
        (("splits", "train", "shards", 0, "file"), "/etc/passwd", SHARDS),
        (("splits", "train", "shards", 0, "file"), "a\nb", SHARDS),
        (("splits", "train", "shards", 0, "records"), 0, "expected records that fit"),
        (("splits", "train", "shards", 0, "records"), 2**40, "expected records that fit"),
        (("vocabulary", "words"), 2**40, "vocabulary.words: expected 0 to"),
        (("vocabulary", "words"), 10**9, "cannot hold 1,000,000,000 words"),
        (("vocabulary", "words"), 21, "has 22 lines, the manifest says 21"),
        (("source",), {}, "source.description: expected a text"),
        (("source", "description"), ["a"], "source.description: expected a text"),
        (("length", "mean"), 10**400, "length.mean is"),
    ],
)
def test_what_is_wrong_is_named(copy, path, value, message):
    content = read_json(copy / "dataset.json")
    write_sealed(copy, replaced(content, path, value))
    with pytest.raises(DataError, match=message):
        Dataset(copy).vocabulary()


def test_a_shard_that_is_listed_twice_is_refused(copy):
    content = read_json(copy / "dataset.json")
    train = content["splits"]["train"]
    train["shards"].append(train["shards"][0])
    train["reviews"] += train["shards"][0]["records"]
    train["labels"][0] += train["shards"][0]["records"]
    write_sealed(copy, content)
    with pytest.raises(DataError, match=SHARDS):
        Dataset(copy)


@pytest.mark.parametrize("depth", [100, 800, 990, 1_500, 20_000, 200_000])
@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_nesting_of_any_depth_ends_in_a_data_error(copy, depth, brackets):
    opening = '{"a":' if brackets == "{}" else "["
    nested = opening * depth + "1" + brackets[1] * depth
    text = '{"source": ' + nested + ', "format": "lowmem-sentiment dataset", "version": 1}'
    try:
        checksum = hashlib.sha256(json.dumps(json.loads(text), sort_keys=True).encode()).hexdigest()
    except RecursionError:
        checksum = "0" * 64
    (copy / "dataset.json").write_text(text[:-1] + f', "checksum": "{checksum}"' + "}")
    with pytest.raises(DataError):
        Dataset(copy)


def test_the_command_ends_with_65_and_one_line(copy):
    content = read_json(copy / "dataset.json")
    write_sealed(copy, replaced(content, ("labels",), 2**70))
    done = subprocess.run(
        [sys.executable, "-m", "lowmem_sentiment", "explore", str(copy)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 65
    assert done.stderr.count("\n") == 1 and "labels is 1180591620717411303424" in done.stderr
