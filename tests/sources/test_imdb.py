import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
from helpers import WORDS, handmade_reviews, write_imdb

from lowmem_sentiment.sources import keras_datasets
from lowmem_sentiment.sources.imdb import find_imdb_source
from lowmem_sentiment.sources.keras_datasets import ImdbSource, assign_splits
from lowmem_sentiment.sources.keras_npz import KerasNpz
from lowmem_sentiment.system.errors import (
    DataError,
    InputMissing,
    OutOfMemory,
    SettingsError,
    Unavailable,
)


def all_reviews(source):
    """Return (split, ids, label) of every review that a source yields."""
    return [
        (split, ids.tolist(), int(label))
        for split, block in source.blocks()
        for ids, label in zip(block.split(), block.labels, strict=True)
    ]


def keras_order(half):
    """Return what keras.datasets.imdb.load_data makes of the handmade file, train then test."""
    generator = np.random.RandomState(113)
    reviews = []
    for seed in (1, 2):
        words, labels = handmade_reviews(half, seed)
        order = np.arange(half)
        generator.shuffle(order)
        reviews += [([1] + [word + 3 for word in words[i]], labels[i]) for i in order]
    return reviews


def test_reviews_come_in_keras_order_with_the_first_fifth_as_test(imdb_files):
    expected = keras_order(100)
    got = all_reviews(ImdbSource(*imdb_files))
    assert [review[1:] for review in got if review[0] == "test"] == expected[:40]
    assert [review[1:] for review in got if review[0] == "train"] == expected[40:]


def test_the_tutorials_split_trains_on_the_last_fifth(imdb_files):
    expected = keras_order(100)
    got = all_reviews(ImdbSource(*imdb_files, split="tutorial"))
    assert [review[1:] for review in got if review[0] == "test"] == expected[:40]
    assert [review[1:] for review in got if review[0] == "train"] == expected[160:]


def test_splits_of_the_real_size():
    assert np.bincount(assign_splits(50_000, "described")).tolist() == [0, 40_000, 10_000]
    assert np.bincount(assign_splits(50_000, "tutorial")).tolist() == [30_000, 10_000, 10_000]
    with pytest.raises(SettingsError, match="expected one of described, tutorial"):
        assign_splits(10, "other")


def test_the_vocabulary_is_the_word_index_by_rank(imdb_files):
    assert ImdbSource(*imdb_files).vocabulary().words == [word.encode() for word in WORDS]


def write_npz(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def read_members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pickled(content, count=100):
    header = f"{{'descr': '|O', 'fortran_order': False, 'shape': ({count},), }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


class Malice:
    """Runs a command when it is unpickled."""

    def __init__(self, *command):
        self.command = command

    def __reduce__(self):
        return (os.system, self.command)


def bomb():
    """A pickle that names one list a thousand times."""
    many = [list(range(1, 1000))] * 100
    array = np.empty(100, object)
    array[:] = many
    return pickle.dumps(array)


OTHER = "x_train.npy: it holds something other than lists of word indices"


def separate(items):
    """Return an object array of items, even if all have one length."""
    array = np.empty(len(items), object)
    array[:] = items
    return array


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: pickle.dumps([1, 2]), OTHER),
        (lambda: pickle.dumps(np.array([[1], "two"], object)), OTHER),
        (lambda: pickle.dumps(np.array([[1], [2, 3]], object)), "header says 100"),
        (lambda: pickle.dumps(np.array([*[[1]] * 99, [1, "two"]], object)), OTHER),
        (lambda: pickle.dumps(np.array([*[[1]] * 99, [1, 2**40]], object)), OTHER),
        (lambda: pickle.dumps(np.array([*[[1]] * 99, [[1], 2]], object)), OTHER),
        (lambda: pickle.dumps(np.array([*([number] for number in range(5, 104)), 7], object)), OTHER),
        (lambda: pickle.dumps(separate([*([number] for number in range(5, 104)), [1, 0]])), "below 1"),
        (lambda: pickle.dumps(separate([[number] for number in range(5, 105)]))[:-1], OTHER),
        (lambda: pickle.dumps(separate([[number] for number in range(5, 105)])) + b"K", "cut short"),
        (bomb, OTHER),
        (lambda: pickle.dumps(np.dtype("O"))[:-3], OTHER),
        (lambda: b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f", OTHER),
        (lambda: b"", OTHER),
    ],
)
def test_anything_but_lists_of_words_is_refused(tmp_path, content, message):
    npz, index = write_imdb(tmp_path)
    members = read_members(npz)
    write_npz(npz, {**members, "x_train.npy": pickled(content())})
    with pytest.raises(DataError, match=message):
        all_reviews(ImdbSource(npz, index))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_lists_of_any_length_and_rank_are_read(tmp_path, protocol):
    npz, _ = write_imdb(tmp_path)
    generator = np.random.default_rng(5)
    lengths = [0, 1, 2, 1_000, 1_001, 2_000, 2_001, *generator.integers(0, 300, 2_000)]
    ranks = [generator.integers(1, 1 << generator.integers(1, 18, length)).tolist() for length in lengths]
    content = pickled(pickle.dumps(separate(ranks), protocol), len(ranks))
    labels = np.arange(len(ranks)) % 2
    with io.BytesIO() as file:
        np.save(file, labels)
        write_npz(npz, {**read_members(npz), "x_train.npy": content, "y_train.npy": file.getvalue()})
    read = KerasNpz(npz).read("x_train", "y_train", 2)
    assert read.lengths.tolist() == [len(each) for each in ranks]
    assert (read.token_ids - 3).tolist() == [rank for each in ranks for rank in each]
    assert read.labels.tolist() == labels.tolist()


def test_a_thread_that_the_system_refuses_is_not_damage(tmp_path, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    npz, index = write_imdb(tmp_path)
    monkeypatch.setattr("threading.Thread.start", refuse)
    with pytest.raises(OutOfMemory, match="the system refused thread 1 of the 1"):
        all_reviews(ImdbSource(npz, index))


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_is_refused_and_nothing_runs(tmp_path, protocol):
    npz, index = write_imdb(tmp_path)
    sign = tmp_path / "it-ran"
    array = np.array([Malice(f"touch {sign}")] * 100)
    members = {**read_members(npz), "x_train.npy": pickled(pickle.dumps(array, protocol))}
    write_npz(npz, members)
    with pytest.raises(DataError, match=OTHER):
        all_reviews(ImdbSource(npz, index))
    assert not sign.exists()


def test_numpy_itself_is_not_called_by_the_pickle(tmp_path):
    # Admitting numpy.ndarray as such would let a file ask for any amount of memory.
    npz, index = write_imdb(tmp_path)
    greedy = b"cnumpy\nndarray\n((L100000000000000L\ntcnumpy\ndtype\n(Vf8\ntRtR."
    write_npz(npz, {**read_members(npz), "x_train.npy": pickled(greedy)})
    with pytest.raises(DataError, match=OTHER):
        all_reviews(ImdbSource(npz, index))


def test_files_that_are_no_npz_are_refused(tmp_path):
    npz, index = write_imdb(tmp_path)
    whole = npz.read_bytes()
    for content in (b"", b"no zip", whole[:-30], whole[: len(whole) // 2]):
        npz.write_bytes(content)
        with pytest.raises(DataError, match=r"imdb\.npz is not an \.npz file, or cut short"):
            ImdbSource(npz, index)


def test_damage_inside_the_archive_is_named(tmp_path):
    npz, index = write_imdb(tmp_path)
    members = read_members(npz)
    write_npz(npz, {name: content for name, content in members.items() if name != "y_test.npy"})
    with pytest.raises(DataError, match=r"has no y_test.npy; it holds x_train.npy"):
        ImdbSource(npz, index)
    short = np.lib.format.magic(1, 0) + b"\x10\x00{}"
    write_npz(npz, {**members, "y_train.npy": short})
    with pytest.raises(DataError, match=r"is refused: y_train.npy"):
        ImdbSource(npz, index)
    write_npz(npz, {**members, "y_train.npy": members["y_train.npy"].replace(b"\x01", b"\x02")})
    with pytest.raises(DataError, match="y_train"):
        all_reviews(ImdbSource(npz, index))
    write_npz(npz, members)
    damaged = bytearray(npz.read_bytes())
    with zipfile.ZipFile(npz) as archive:
        info = archive.getinfo("x_train.npy")
    damaged[info.header_offset + 200] ^= 0xFF
    npz.write_bytes(damaged)
    with pytest.raises(DataError, match=r"is refused: x_train.npy"):
        all_reviews(ImdbSource(npz, index))


@pytest.mark.parametrize("content", ["", "[1]", '{"a": "b"}', '{"a": 1, "b": 1}', '{"a": 2}', "{"])
def test_a_word_index_that_is_none_is_refused(tmp_path, content):
    npz, index = write_imdb(tmp_path)
    index.write_text(content)
    with pytest.raises(DataError, match=r"imdb_word_index\.json is damaged"):
        ImdbSource(npz, index).vocabulary()


def test_files_are_found_beside_each_other_by_variable_and_in_keras_cache(
    imdb_files, monkeypatch, tmp_path
):
    npz, _ = imdb_files
    expected = len(all_reviews(find_imdb_source("npz", npz=npz)))
    monkeypatch.setenv("LOWMEM_SENTIMENT_IMDB_NPZ", str(npz))
    assert len(all_reviews(find_imdb_source("npz"))) == expected
    monkeypatch.delenv("LOWMEM_SENTIMENT_IMDB_NPZ")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "datasets").mkdir()
    write_imdb(tmp_path / "datasets")
    assert len(all_reviews(find_imdb_source("npz"))) == expected


def test_a_given_file_that_is_missing_is_told(tmp_path):
    with pytest.raises(InputMissing, match="is missing; expected Keras' imdb.npz"):
        find_imdb_source(npz=tmp_path / "none.npz", word_index=tmp_path / "none.json")


def test_without_network_the_reason_is_told(monkeypatch):
    monkeypatch.setattr(keras_datasets, "ORIGIN", "http://127.0.0.1:9/")
    with pytest.raises(Unavailable, match=r"cannot fetch http://127.0.0.1:9/imdb.npz: .*refused"):
        find_imdb_source("npz")


def test_the_word_index_is_json_of_any_order(tmp_path):
    npz, index = write_imdb(tmp_path)
    ranks = json.loads(index.read_text())
    index.write_text(json.dumps(dict(sorted(ranks.items()))))
    assert ImdbSource(npz, index).vocabulary().words == [word.encode() for word in WORDS]
