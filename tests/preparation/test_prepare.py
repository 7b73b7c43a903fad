"""Preparing any source: determinism, bounded memory, nothing half done."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import synthetic
from helpers import assert_same_directories, reviews, run_cli, texts_of, wait_for, write_imdb
from synthetic import SyntheticSettings, SyntheticSource

from lowmem_sentiment.dataset.explore import explore
from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.preparation.settings import PreparationSettings
from lowmem_sentiment.sources.files import FilesSource
from lowmem_sentiment.sources.keras_datasets import ImdbSource
from lowmem_sentiment.sources.settings import FilesSettings
from lowmem_sentiment.system.errors import DataError, OutputExists, SettingsError
from lowmem_sentiment.text.vocabulary import Vocabulary


def sorted_csv(path: Path, count: int) -> Path:
    """Write `count` reviews of 12 words: the negative ones first, then the positive."""
    generator = np.random.default_rng(3)
    with open(path, "w") as file:
        file.write("text,label\n")
        for nth in range(count):
            words = " ".join(f"w{rank}" for rank in generator.zipf(1.4, 12) % 5000)
            file.write(f"{words} n{nth},{'pos' if nth >= count // 2 else 'neg'}\n")
    return path


@pytest.fixture(scope="module")
def csv_file(tmp_path_factory) -> Path:
    """2.5 MB: two chunks."""
    return sorted_csv(tmp_path_factory.mktemp("csv") / "sorted.csv", 40_000)


@pytest.mark.slow
def test_dataset_is_the_same_byte_for_byte_with_any_number_of_workers(tmp_path):
    rows = sorted_csv(tmp_path / "rows.csv", 80_000)  # three chunks
    for workers in (1, 3):
        done = run_cli("prepare", "files", rows, "--out", tmp_path / str(workers), "--workers", workers)
        assert done.returncode == 0, done.stderr
    assert_same_directories(tmp_path / "1", tmp_path / "3")


def test_every_review_is_there_once_and_decodes_to_its_words(tmp_path):
    path = sorted_csv(tmp_path / "r.csv", 2_000)
    dataset = prepare(FilesSource([path]), tmp_path / "out", shard_bytes=5_000)
    rows = [row for chunk in FilesSource([path]).chunks() for row in chunk.reviews()]
    expected = [row.text.decode() for row in rows if row.split == "train"]
    assert sorted(texts_of(dataset, "train")) == sorted(expected)
    assert dataset.num_reviews("test") == len(rows) - len(expected)


@pytest.mark.slow
def test_shards_of_a_source_sorted_by_label_are_fair_samples(csv_file, tmp_path):
    dataset = prepare(FilesSource([csv_file]), tmp_path / "out", shard_bytes=200_000)
    shards = dataset.shards("train")
    assert len(shards) > 5
    labels = np.concatenate([block.labels for block in dataset.read("train")])
    ends = np.cumsum([shard.records for shard in shards])
    for part in np.split(labels, ends[:-1]):
        assert 0.48 < part.mean() < 0.52


@pytest.mark.slow
def test_spreading_over_more_shards_than_may_be_open_loses_nothing(tmp_path):
    path = sorted_csv(tmp_path / "r.csv", 2_000)
    dataset = prepare(FilesSource([path]), tmp_path / "out", shard_bytes=400)
    assert len(dataset.shards("train")) > 200
    assert len(set(texts_of(dataset, "train") + texts_of(dataset, "test"))) == 2_000
    explore(dataset)


@pytest.mark.slow
def test_a_lossy_vocabulary_records_its_error_bound(csv_file, tmp_path):
    settings = PreparationSettings(vocabulary_memory=1_000_000)
    dataset = prepare(FilesSource([csv_file]), tmp_path / "out", settings)
    exact = prepare(FilesSource([csv_file]), tmp_path / "exact")
    bound = dataset.source["vocabulary"]["count_error_bound"]
    assert bound >= 1
    assert len(dataset.vocabulary()) < len(exact.vocabulary())
    assert exact.source["vocabulary"]["count_error_bound"] == 0
    assert dataset.vocabulary().words[:20] == exact.vocabulary().words[:20]


# --- synthetic reviews ---


@pytest.mark.slow
def test_synthetic_reviews_depend_on_the_seed_alone(tmp_path):
    def made(out: str, seed: int) -> Dataset:
        return prepare(SyntheticSource(SyntheticSettings(reviews=1_200, seed=seed)), tmp_path / out)

    made("a", 1), made("b", 1)
    assert_same_directories(tmp_path / "a", tmp_path / "b")
    assert made("c", 2).fingerprint != Dataset(tmp_path / "a").fingerprint


@pytest.mark.slow
def test_synthetic_reviews_look_like_imdb_and_say_what_they_are(tmp_path):
    settings = SyntheticSettings(reviews=4_000, num_labels=3)
    dataset = prepare(SyntheticSource(settings), tmp_path / "out")
    assert dataset.source["synthetic"] is True
    assert "synthetic" in dataset.source["description"]
    assert dataset.labels == ["label-1", "label-2", "label-3"]
    assert dataset.length.mean == pytest.approx(234.8, rel=0.05)
    assert dataset.length.standard_deviation == pytest.approx(172.9, rel=0.08)
    counts = np.bincount(np.concatenate([block.token_ids for block in dataset.read("train")]))[4:]
    # Zipf: the logarithm of the count falls about in line with that of the rank
    ranks = np.array([10, 100, 1_000])
    slope = np.polyfit(np.log(ranks), np.log(np.sort(counts)[::-1][ranks - 1]), 1)[0]
    assert -1.2 < slope < -0.8


def test_a_longer_synthetic_corpus_starts_with_the_shorter_one():
    def some(reviews: int) -> list[bytes]:
        chunks = SyntheticSource(SyntheticSettings(reviews=reviews)).chunks()
        return [review.text for chunk in chunks for review in chunk.reviews()]

    assert some(1_500)[:1_000] == some(1_000)


# --- nothing half done ---


@pytest.mark.slow
def test_a_full_disk_leaves_nothing(csv_file, tmp_path):
    code = (
        "import resource, signal, sys; sys.dont_write_bytecode = True;"  # Python would cut it off
        "from lowmem_sentiment.cli import main;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2); sys.exit(main(sys.argv[2:]))"
    )
    for limit in (10_000, 250_000, 650_000):  # in the spill file, then in the shards
        command = [sys.executable, "-c", code, str(limit), "prepare", "files", str(csv_file)]
        done = subprocess.run(
            [*command, "--out", str(tmp_path / "out")], capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 74, done.stderr
        assert "cannot write" in done.stderr and done.stderr.count("\n") == 1
        assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_interrupt_leaves_nothing(tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\n" + "a film that is long enough,pos\n" * 1_000_000)
    command = [sys.executable, "-m", "lowmem_sentiment", "prepare", "files", str(rows)]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path / "out"), "--workers", "2"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for((tmp_path / "out.unfinished").exists, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: workers get it too
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 130
    assert errors == "lowmem-sentiment: stopped\n"
    assert list(tmp_path.iterdir()) == [rows]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_data(tmp_path):
    code = (
        "import synthetic; from lowmem_sentiment.system import memory;"
        "synthetic.main(); print(memory.peak_resident())"
    )

    def peak(reviews: int) -> int:
        command = [sys.executable, "-c", code, "--reviews", str(reviews)]
        command += ["--out", str(tmp_path / str(reviews)), "--vocabulary-memory", "8000000"]
        folder = Path(synthetic.__file__).parent
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=600, check=True
        )
        return int(done.stdout.split()[-1])

    assert peak(24_000) - peak(8_000) < 12_000_000


@pytest.mark.parametrize(
    ("kind", "name", "value", "expected"),
    [
        (FilesSettings, "test_fraction", 1.5, "1.5, expected 0 to below 1"),
        (PreparationSettings, "vocabulary_memory", 5, "5, expected 1,000,000 or more"),
        (PreparationSettings, "ngrams", 6, "6, expected 1 to 5"),
        (PreparationSettings, "rank", "best", "'best', expected one of evidence, frequency"),
        (PreparationSettings, "max_features", 0, "0, expected 1 or more"),
    ],
)
def test_settings_out_of_range_are_refused(kind, name, value, expected):
    with pytest.raises(SettingsError, match=f"{name} is {expected}"):
        kind(**{name: value})


def test_where_imdb_came_from_is_recorded(dataset):
    source = dataset.manifest["source"]
    assert source["description"] == "200 IMDb reviews (Keras' imdb.npz)"
    assert len(source["sha256"]) == 64
    assert source["published_file"] is False
    assert source["split"] == "described"


def test_a_word_index_of_other_reviews_is_refused(tmp_path):
    npz, index = write_imdb(tmp_path)
    index.write_text('{"the": 1, "film": 2}')
    with pytest.raises(DataError, match="but the word index ends at 5"):
        prepare(ImdbSource(npz, index), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_existing_dataset_is_kept_unless_overwritten(imdb_files, tmp_path):
    prepare(ImdbSource(*imdb_files), tmp_path / "out")
    with pytest.raises(OutputExists, match="exists and is not empty"):
        prepare(ImdbSource(*imdb_files), tmp_path / "out")
    prepare(ImdbSource(*imdb_files, split="tutorial"), tmp_path / "out", overwrite=True)
    assert Dataset(tmp_path / "out").num_reviews("train") == 40


def csv_of(path: Path, rows: list[str]) -> FilesSource:
    path.write_text("text,label\n" + "".join(f"{row}\n" for row in rows))
    return FilesSource([path])


def test_a_min_count_that_leaves_no_word_is_refused(tmp_path):
    source = csv_of(tmp_path / "r.csv", [f"word{nth} film,{nth % 2}" for nth in range(50)])
    kept = prepare(source, tmp_path / "kept", PreparationSettings(min_count=30))
    assert kept.vocabulary().words == [b"film"]
    with pytest.raises(SettingsError, match="min_count is 51, but no word occurs more than .. times"):
        prepare(source, tmp_path / "out", PreparationSettings(min_count=51))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "settings", "warned"),
    [
        ("这家店的味道很好", {}, True),
        ("ร้านนี้อร่อยมาก", {"recipe": "tutorial"}, True),
        ("这家店的味道很好", {"tokenizer": "characters"}, False),
        ("이 식당은 맛있어요", {}, False),
        ("a fine 店 in town", {}, False),
    ],
)
def test_scripts_without_spaces_are_warned_of(tmp_path, text, settings, warned):
    source = csv_of(tmp_path / "r.csv", [f"{text}{nth % 7},{nth % 2}" for nth in range(50)])
    lines = []
    prepare(source, tmp_path / "out", PreparationSettings(**settings), report=lines.append)
    assert [line for line in lines if "--tokenizer characters" in line] == lines[: int(warned)]
    assert any("without spaces" in line for line in lines) == warned


def test_texts_without_any_word_are_refused(tmp_path):
    source = csv_of(tmp_path / "r.csv", [f"{chr(0x200B) * (nth + 1)},{nth % 2}" for nth in range(50)])
    with pytest.raises(DataError, match="no training review has a word"):
        prepare(source, tmp_path / "out")


class Tokens:
    """A source of token ids."""

    name, labels = "tokens", ["a", "b"]

    def __init__(self, block):
        self._block = block

    def describe(self):
        return {"description": "made up"}

    def vocabulary(self):
        return Vocabulary([b"x", b"y"])

    def blocks(self):
        yield "train", self._block


@pytest.mark.parametrize(
    ("review", "message"),
    [
        (([1, 6], 0), "a review has word 6, but the word index ends at 5"),
        (([1, -6], 0), "a review has word -6"),
        (([1, 4], 2), "the labels of the reviews are 0 to 2, expected 0 to 1"),
        (([1, 4], -1), "the labels of the reviews are -1 to 0, expected 0 to 1"),
    ],
)
def test_token_ids_and_labels_that_are_not_there_are_refused(tmp_path, review, message):
    with pytest.raises(DataError, match=message):
        prepare(Tokens(reviews(([1, 4], 0), review)), tmp_path / "out")
