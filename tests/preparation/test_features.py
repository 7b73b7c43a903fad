"""Features of n-grams: which are chosen, what the records hold, and that nothing else changes."""

import json
import shutil
from collections import Counter
from collections.abc import Collection
from itertools import pairwise

import numpy as np
import pytest
from helpers import (
    GOOD,
    WORDS,
    assert_same_directories,
    handmade_reviews,
    ngrams_of,
    reviews,
    run_cli,
    texts_of,
)

from lowmem_sentiment.dataset.counts import review_evidence
from lowmem_sentiment.dataset.explore import explore
from lowmem_sentiment.dataset.manifest import FeaturesFile
from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.dataset.splits import num_reviews, number_in_split
from lowmem_sentiment.preparation import feature_selection, lossy_counting
from lowmem_sentiment.preparation.feature_selection import select_features
from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.preparation.settings import PreparationSettings
from lowmem_sentiment.sources.keras_datasets import ImdbSource
from lowmem_sentiment.system.errors import DataError
from lowmem_sentiment.system.memory import MB
from lowmem_sentiment.text.vocabulary import FIRST_WORD_ID, START_ID, Vocabulary


class Source:
    """Reviews as lists of words, with labels, all for training but the last of each label."""

    name = "handmade"

    def __init__(self, items: list[tuple[list[str], int]], labels: list[str]):
        self._items, self.labels = items, labels

    def describe(self):
        return {"description": "handmade"}

    def vocabulary(self):
        return Vocabulary(word.encode() for word in WORDS)

    def blocks(self):
        held_out = {label: nth for nth, (_, label) in enumerate(self._items)}.values()
        for split in ("train", "test"):
            chosen = [
                item for nth, item in enumerate(self._items) if (nth in held_out) == (split == "test")
            ]
            ids = [
                ([START_ID, *(WORDS.index(word) + FIRST_WORD_ID for word in words)], label)
                for words, label in chosen
            ]
            yield split, reviews(*ids)


def handmade(count: int, labels: int = 2, seed: int = 1) -> Source:
    items, _ = handmade_reviews(count, seed)
    generator = np.random.default_rng(seed)
    named = []
    for nth, ranks in enumerate(items):
        words = [WORDS[rank - 1] for rank in ranks]
        label = nth % 2 if labels == 2 else int(generator.integers(labels))
        named.append((words + [WORDS[label]] * 2 if labels > 2 else words, label))
    return Source(named, [f"label{nth}" for nth in range(labels)])


@pytest.fixture(scope="module", params=[2, 3])
def words_only(request, tmp_path_factory) -> Dataset:
    source = handmade(120, request.param)
    return prepare(source, tmp_path_factory.mktemp("data") / "words", shard_bytes=1_000)


def training_words(dataset: Dataset, split: str = "train") -> tuple[list[list[bytes]], list[int]]:
    words = [text.encode().split() for text in texts_of(dataset, split)]
    return words, [label for block in dataset.read(split) for label in block.labels.tolist()]


def select(dataset: Dataset, **options) -> tuple[list[bytes], FeaturesFile]:
    defaults = {"ngrams": 3, "rank": "evidence", "workers": 1}
    features, described = select_features(dataset, PreparationSettings(**{**defaults, **options}))
    return features.words, described


def expected_ranking(
    dataset: Dataset,
    longest: int,
    rank: str,
    min_count: int = 1,
    held_out: Collection[int] = (),
    least: int = 1,
) -> list[bytes]:
    """Return every candidate by rank, from counts made review by review."""
    whole, by_label, totals = Counter(), Counter(), np.zeros(len(dataset.labels), int)
    for place, (words, label) in enumerate(zip(*training_words(dataset), strict=True)):
        if place in held_out:
            continue
        totals[label] += 1
        for ngram in ngrams_of(words, longest):
            whole[ngram] += 1
            by_label[ngram, label] += 1
    scores = {}
    for ngram, number in whole.items():
        if number < max(min_count, least if b" " in ngram else 1):
            continue
        score = float(number)
        if rank == "evidence":
            whole_of, labels = np.array([number]), range(len(totals))
            here = [np.array([by_label[ngram, nth]]) for nth in labels]
            z = [review_evidence(here[nth], whole_of, totals[nth], totals.sum())[1] for nth in labels]
            score = round(float(np.abs(z).max()), 6)
        scores[ngram] = score
    word_ids = dataset.vocabulary().ids
    # ties: fewer words, then words of lower ids
    order = [
        (-score, ngram.count(b" "), [word_ids[w] for w in ngram.split()])
        for ngram, score in scores.items()
    ]
    return [ngram for _, ngram in sorted(zip(order, scores, strict=True))]


@pytest.mark.parametrize("rank", ["evidence", "frequency"])
@pytest.mark.parametrize("longest", [1, 2, 4])
def test_selection_ranks_every_ngram_of_the_training_reviews(words_only, rank, longest):
    features, described = select(words_only, ngrams=longest, rank=rank)
    expected = expected_ranking(words_only, longest, rank)
    assert features == expected
    assert (described.candidates, described.count_error_bound) == (len(expected), 0)
    assert select(words_only, ngrams=longest, rank=rank, max_features=5)[0] == expected[:5]


@pytest.mark.parametrize("rank", ["evidence", "frequency"])
@pytest.mark.parametrize("share", [0.1, 0.3])
def test_reviews_that_validate_have_no_part_in_the_selection(words_only, rank, share):
    count = num_reviews(words_only, "validation", share)
    held_out = {number_in_split(number, share) for number in range(count)}
    expected = expected_ranking(words_only, 3, rank, held_out=held_out)
    for processes in (1, 2):
        features, _ = select(words_only, rank=rank, validation_split=share, workers=processes)
        assert features == expected != expected_ranking(words_only, 3, rank)


def test_min_count_leaves_out_what_stands_in_fewer_reviews(words_only):
    assert select(words_only, min_count=6)[0] == expected_ranking(words_only, 3, "evidence", 6)


def test_ngrams_of_large_data_are_longer_and_stand_in_two_reviews_at_least(words_only, monkeypatch):
    longest = PreparationSettings(recipe="ngrams").ngrams_of
    assert (longest(999_999), longest(10**6)) == (2, 3)
    monkeypatch.setattr(feature_selection, "MANY_TOKENS", 1)
    expected = expected_ranking(words_only, 3, "evidence", least=feature_selection.MIN_REVIEWS)
    assert select(words_only)[0] == expected


def test_the_number_of_processes_changes_nothing_even_when_memory_is_full(words_only, monkeypatch):
    one, two = (select(words_only, workers=count) for count in (1, 2))
    assert one == two
    monkeypatch.setattr(lossy_counting, "ROW_BYTES", MB // 160)
    one_full, two_full = (select(words_only, vocabulary_memory=MB, workers=count) for count in (1, 2))
    assert one_full == two_full
    assert one_full[1].count_error_bound > 0
    assert 0 < one_full[1].candidates < one[1].candidates


def test_test_reviews_do_not_change_what_is_selected(tmp_path):
    class Changed(Source):
        def blocks(self):
            for split, block in super().blocks():
                yield split, block if split == "train" else reviews(*[([1, 9, 9, 8, 9], 0)] * 30)

    source = handmade(60)
    changed = Changed(source._items, source.labels)
    settings = PreparationSettings(ngrams=3)
    one = prepare(source, tmp_path / "one", settings)
    other = prepare(changed, tmp_path / "other", settings)
    assert one.num_reviews("test") != other.num_reviews("test")
    assert one.input_vocabulary().words == other.input_vocabulary().words


@pytest.fixture(scope="module")
def with_features(tmp_path_factory) -> Dataset:
    out = tmp_path_factory.mktemp("data") / "features"
    return prepare(handmade(120), out, PreparationSettings(ngrams=3, max_features=60), shard_bytes=1_000)


def test_a_record_holds_its_features_in_order_of_rank(with_features):
    features = with_features.input_vocabulary().words
    assert len(features) == 60 == with_features.features.features
    for split in ("train", "test"):
        expected = [
            [
                nth + FIRST_WORD_ID
                for nth, feature in enumerate(features)
                if feature in ngrams_of(words, 3)
            ]
            for words in training_words(with_features, split)[0]
        ]
        found = [ids.tolist() for block in with_features.read(split, "features") for ids in block.split()]
        assert found == expected
        numbers = [0, with_features.num_reviews(split) - 1]
        picked = with_features.pick(split, numbers, "features")
        assert [picked[nth][0].tolist() for nth in numbers] == [expected[nth] for nth in numbers]


def test_records_of_a_validation_split_hold_their_features_too(tmp_path):
    class Divided(Source):
        def blocks(self):
            for split, block in super().blocks():
                yield split, block
                yield "validation", block

    dataset = prepare(
        Divided(handmade(60)._items, ["a", "b"]), tmp_path / "x", PreparationSettings(ngrams=2)
    )
    found = [inputs.split() for _, inputs in dataset.read_with_inputs("validation")]
    assert sum(map(len, found)) == dataset.num_reviews("validation") == 60
    assert sum(explore(dataset).reviews.values()) == 120


def test_words_labels_and_their_order_are_as_without_features(with_features, tmp_path):
    plain = prepare(handmade(120), tmp_path / "plain", shard_bytes=1_000)
    for split in ("train", "test"):
        assert training_words(plain, split) == training_words(with_features, split)
    same = ("labels", "vocabulary", "length", "tokens", "source", "name")
    assert all(plain.manifest[key] == with_features.manifest[key] for key in same)
    assert plain.features is None and plain.inputs == "tokens" and plain.num_inputs == plain.num_ids


def test_without_the_option_a_dataset_is_what_it_was(tmp_path):
    plain = prepare(handmade(60), tmp_path / "plain")
    asked = prepare(handmade(60), tmp_path / "asked", PreparationSettings(ngrams=1, rank="frequency"))
    assert plain.manifest["version"] == 1 and "features" not in plain.manifest
    assert_same_directories(plain.directory, asked.directory)


def test_the_manifest_records_how_features_were_chosen(with_features):
    assert with_features.manifest["version"] == 2
    chosen = with_features.features
    assert (chosen.ngrams, chosen.rank, chosen.count_error_bound) == (3, "evidence", 0)
    assert chosen.candidates > 60


def test_words_alone_can_be_ranked_by_evidence(tmp_path):
    dataset = prepare(handmade(60), tmp_path / "words", PreparationSettings(rank="evidence"))
    assert dataset.features.ngrams == 1
    assert dataset.input_vocabulary().words[0].decode() not in WORDS[:12]  # none of the plain ones


def test_explore_shows_the_features_that_lean_most(with_features):
    leaning = explore(with_features, top=5).leaning_features
    words = {word for found in leaning["label1"] for word in found.word.split(" ")}
    assert words & set(GOOD) and not words & set(WORDS[-5:])
    assert all(one.z >= other.z for one, other in pairwise(leaning["label1"]))


@pytest.mark.parametrize("name", ["features.txt", "feature_scales.f32"])
def test_damaged_features_and_scales_are_never_used(with_features, tmp_path, name):
    path = shutil.copytree(with_features.directory, tmp_path / "copy") / name
    content = bytearray(path.read_bytes())
    content[2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{name} is damaged"):
        explore(Dataset(path.parent))
    if name == "feature_scales.f32":
        path.write_bytes(content[:-1])
        with pytest.raises(DataError, match="bytes, expected"):
            Dataset(path.parent)
    path.unlink()
    with pytest.raises(DataError, match=f"{name} is missing"):
        Dataset(path.parent)


@pytest.mark.slow
def test_the_commands_prepare_and_explore_ngrams(imdb_files, tmp_path):
    npz, index = imdb_files
    out = tmp_path / "out"
    prepared = run_cli(
        "prepare", "imdb", "--npz", npz, "--word-index", index, "--out", out,
        "--ngrams", 2, "--max-features", 50, "--json",
    )  # fmt: skip
    assert prepared.returncode == 0, prepared.stderr
    assert json.loads(prepared.stdout)["features"]["features"] == 50
    explored = run_cli("explore", out)
    assert explored.returncode == 0
    assert "n-grams that lean towards each label (log-odds)" in explored.stdout


def test_tensorflow_reads_tokens_and_features(with_features):
    import tensorflow as tf

    (path, *_) = with_features.paths("train")
    lists = {name: tf.io.RaggedFeature(tf.int64) for name in ("tokens", "features")}
    (record, *_) = tf.data.TFRecordDataset(str(path)).take(1)
    example = tf.io.parse_single_example(record, lists)
    for name in lists:
        first = next(iter(with_features.read("train", name))).split()[0]
        assert example[name].numpy().tolist() == first.tolist()


def test_imdb_files_take_the_same_settings(imdb_files, tmp_path):
    settings = PreparationSettings(ngrams=2, validation_split=0.25)
    dataset = prepare(ImdbSource(*imdb_files), tmp_path / "imdb", settings)
    assert dataset.features.features == len(dataset.input_vocabulary())
    assert dataset.features.validation_split == 0.25
    assert Dataset(tmp_path / "imdb").features == dataset.features


def test_a_feature_is_scaled_by_how_far_it_leans_to_a_label(words_only, tmp_path):
    dataset = prepare(
        handmade(120, len(words_only.labels)), tmp_path / "data", PreparationSettings(ngrams=2)
    )
    features, labels = dataset.input_vocabulary().words, len(dataset.labels)
    counts, reviews_of = np.zeros((labels, len(features))), np.zeros(labels)
    for block in dataset.read("train", "features"):
        for ids, label in zip(block.split(), block.labels.tolist(), strict=True):
            counts[label, ids - FIRST_WORD_ID] += 1
            reviews_of[label] += 1
    leaning = np.zeros(len(features))
    for label in range(labels):
        share = reviews_of[label] / reviews_of.sum()
        added = 1 / min(share, 1 - share)
        own = counts[label] / share + added
        other = (counts.sum(axis=0) - counts[label]) / (1 - share) + added
        leaning = np.maximum(leaning, abs(np.log(own / other)))
    scales = dataset.input_scales(dataset.num_inputs)
    assert scales.dtype == np.float32
    np.testing.assert_allclose(scales[FIRST_WORD_ID:], leaning / leaning.mean(), atol=1e-3)
    assert (scales[:FIRST_WORD_ID] == 1).all()
    fewer = dataset.input_scales(10)
    np.testing.assert_allclose(fewer[FIRST_WORD_ID:], leaning[:6] / leaning[:6].mean(), atol=1e-3)


def test_validation_reviews_have_no_part_in_the_scales(tmp_path):
    settings = [PreparationSettings(ngrams=2, validation_split=share) for share in (0.0, 0.5)]
    whole, part = (prepare(handmade(120), tmp_path / str(nth), each) for nth, each in enumerate(settings))
    assert whole.features.scales_sha256 != part.features.scales_sha256
