"""Small handmade data that every test shares, and the real data where it can be had."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lowmem_sentiment.preparation import prepare
from lowmem_sentiment.shards import Dataset
from lowmem_sentiment.sources.imdb import NPZ_VARIABLE, WORD_INDEX_VARIABLE, ImdbSource

GOOD = ["great", "wonderful", "moving", "funny", "brilliant"]
BAD = ["awful", "boring", "dull", "worst", "mess"]
PLAIN = ["the", "film", "a", "was", "and", "plot", "actor", "it", "scene", "of", "story", "i"]
WORDS = PLAIN + GOOD + BAD  # in order of rank


@pytest.fixture(autouse=True)
def no_user_files(request, monkeypatch, tmp_path_factory):
    """Keep tests away from the user's caches and variables; real_data tests may read the latter."""
    home = tmp_path_factory.getbasetemp() / "home"
    monkeypatch.setenv("KERAS_HOME", str(home / "keras"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    if not request.node.get_closest_marker("real_data"):
        monkeypatch.delenv(NPZ_VARIABLE, raising=False)
        monkeypatch.delenv(WORD_INDEX_VARIABLE, raising=False)


def handmade_reviews(count: int, seed: int = 1) -> tuple[list[list[int]], list[int]]:
    """Give `count` reviews as lists of word ranks, and their labels: most words tell the label."""
    generator = np.random.default_rng(seed)
    reviews, labels = [], []
    for nth in range(count):
        label = nth % 2
        leaning = GOOD if label else BAD
        words = generator.choice(PLAIN, generator.integers(3, 12)).tolist()
        words += generator.choice(leaning, generator.integers(1, 4)).tolist()
        reviews.append([WORDS.index(word) + 1 for word in generator.permutation(words)])
        labels.append(label)
    return reviews, labels


def write_imdb(folder: Path, half: int = 100) -> tuple[Path, Path]:
    """Write an imdb.npz with twice `half` reviews and its word index, as Keras' files are made."""
    arrays = {}
    for nth, name in enumerate(("train", "test")):
        reviews, labels = handmade_reviews(half, seed=nth + 1)
        sequences = np.empty(half, object)
        sequences[:] = reviews
        arrays |= {f"x_{name}": sequences, f"y_{name}": np.array(labels)}
    np.savez(folder / "imdb.npz", **arrays)
    index = {word: rank for rank, word in enumerate(WORDS, 1)}
    (folder / "imdb_word_index.json").write_text(json.dumps(index))
    return folder / "imdb.npz", folder / "imdb_word_index.json"


@pytest.fixture(scope="session")
def imdb_files(tmp_path_factory) -> tuple[Path, Path]:
    """A handmade imdb.npz of 200 reviews, and its word index."""
    return write_imdb(tmp_path_factory.mktemp("imdb"))


@pytest.fixture(scope="session")
def dataset(imdb_files, tmp_path_factory) -> Dataset:
    """The handmade reviews as a dataset directory: 160 train, 40 test, in shards of a few dozen."""
    out = tmp_path_factory.mktemp("data") / "handmade"
    return prepare(ImdbSource(*imdb_files), out, shard_bytes=2_000)


@pytest.fixture(scope="session")
def trained(dataset, tmp_path_factory) -> Path:
    """A run directory trained on the handmade reviews. Do not change it: copy it first."""
    from lowmem_sentiment.settings import TrainingSettings
    from lowmem_sentiment.training import train

    run = tmp_path_factory.mktemp("runs") / "handmade"
    train(dataset, run, TrainingSettings(epochs=3, batch_size=8, hidden=(8, 4), learning_rate=0.02))
    return run


@pytest.fixture(scope="session")
def real_npz() -> Path:
    """The 50,000 reviews, where LOWMEM_SENTIMENT_IMDB_NPZ names them; skips otherwise."""
    value = os.environ.get(NPZ_VARIABLE)
    if not value:
        pytest.skip(f"the 50,000 IMDb reviews are not here: set {NPZ_VARIABLE}")
    return Path(value)


def run_cli(*arguments: object, **options) -> subprocess.CompletedProcess:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "lowmem_sentiment", *map(str, arguments)]
    options = {"capture_output": True, "text": True, "timeout": 300, **options}
    return subprocess.run(command, check=False, **options)


def free_addresses(count: int) -> tuple[str, ...]:
    """Give addresses on this machine whose ports are free."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)
    for each in sockets:
        each.close()
    return addresses
