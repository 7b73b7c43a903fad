"""Small handmade data that every test shares, and the real data where it can be had."""

import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from forks import fork_server
from helpers import write_imdb, write_noisy_reviews

from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.sources.keras_datasets import ImdbSource


def pytest_configure() -> None:
    """Give the tests' processes what a user's have, whatever the shell that started the tests sets.

    Ctrl-C may be ignored (`pytest &`), PYTHONUNBUFFERED hides what happens when a buffered stream
    breaks, and readline, which pytest imports, exports COLUMNS=80 and LINES=24 to every child.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
        os.unsetenv(name)  # readline sets them behind os.environ
    for name in [name for name in os.environ if name.startswith("PYTHON") and name != "PYTHONPATH"]:
        del os.environ[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with the most slow tests first, so that both processes end at about the same time."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(autouse=True)
def no_user_files(request, monkeypatch, tmp_path_factory):
    """Keep tests away from the user's caches and variables; real_data tests may read the latter."""
    home = tmp_path_factory.getbasetemp() / "home"
    monkeypatch.setenv("KERAS_HOME", str(home / "keras"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    if not request.node.get_closest_marker("real_data"):
        for name in [name for name in os.environ if name.startswith("LOWMEM_SENTIMENT_")]:
            monkeypatch.delenv(name)


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
def trained(dataset, tmp_path_factory) -> Iterator[Path]:
    """A run directory trained on the handmade reviews. Copy it to change it, as evaluating does."""
    from lowmem_sentiment.runs.configuration import TrainingSettings
    from lowmem_sentiment.training.train import train

    run = tmp_path_factory.mktemp("runs") / "handmade"
    train(dataset, run, TrainingSettings(epochs=3, batch_size=8, hidden=(8, 4), learning_rate=0.02))
    before = contents(run)
    yield run
    assert contents(run) == before, "a test has changed the run that all share"


def contents(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def server() -> Iterator[subprocess.Popen]:
    """The process whose forks are `Fork`s."""
    with fork_server() as started:
        yield started


@pytest.fixture(scope="session")
def real_npz() -> Path:
    """The 50,000 reviews, where LOWMEM_SENTIMENT_IMDB_NPZ names them; skips otherwise."""
    value = os.environ.get("LOWMEM_SENTIMENT_IMDB_NPZ")
    if not value:
        pytest.skip("the 50,000 IMDb reviews are not here: set LOWMEM_SENTIMENT_IMDB_NPZ")
    return Path(value)


@pytest.fixture(scope="session")
def noisy_reviews(tmp_path_factory) -> Path:
    """A TSV file of short reviews with three labels, a fifth of which are given at random."""
    file = tmp_path_factory.mktemp("noisy") / "reviews.tsv"
    write_noisy_reviews(file, ["a", "b", "c"], 2_000)
    return file


@pytest.fixture(scope="session")
def trained_on_noise(noisy_reviews, tmp_path_factory) -> Path:
    """A run on them with a validation split of 300 reviews. Do not change it: copy it first."""
    from lowmem_sentiment.preparation.settings import PreparationSettings
    from lowmem_sentiment.runs.configuration import TrainingSettings
    from lowmem_sentiment.sources.files import FilesSource
    from lowmem_sentiment.sources.settings import FilesSettings
    from lowmem_sentiment.training.train import train

    source = FilesSource([str(noisy_reviews)], FilesSettings(test_fraction=0.25))
    data = prepare(source, noisy_reviews.parent / "data", PreparationSettings(recipe="tutorial"))
    settings = TrainingSettings(epochs=8, hidden=(), dropout=(), learning_rate=0.05, validation_split=0.2)
    run = tmp_path_factory.mktemp("noisy-runs") / "run"
    train(data, run, settings)
    return run


@pytest.fixture
def noisy_run(trained_on_noise, tmp_path) -> Path:
    """A copy of it."""
    return shutil.copytree(trained_on_noise, tmp_path / "run")
