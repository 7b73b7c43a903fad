import numpy as np
import pytest
from helpers import texts_of

from lowmem_sentiment.preparation.corpus_summary import Stratification
from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.preparation.settings import PreparationSettings
from lowmem_sentiment.sources.files import FilesSource
from lowmem_sentiment.sources.settings import FilesSettings
from lowmem_sentiment.system.errors import SettingsError

COUNTS = {"ham": 120, "spam": 46, "rare": 11}  # 177 rows


def write_rows(path, extra=()):
    lines = [f"{name},text number {name} {nth}" for name, count in COUNTS.items() for nth in range(count)]
    path.write_text("label,text\n" + "\n".join([*lines, *extra]))
    return path


def prepared(path, out, workers=1, **settings):
    source = FilesSource([path], FilesSettings(split="stratified", **settings))
    return prepare(source, out, PreparationSettings(workers=workers))


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_each_label_has_its_share_within_one_review(tmp_path, share):
    dataset = prepared(write_rows(tmp_path / "rows.csv"), tmp_path / "out", test_fraction=share)
    for label, train, test in zip(
        dataset.labels, dataset.label_counts("train"), dataset.label_counts("test"), strict=True
    ):
        assert train + test == COUNTS[label]
        assert abs(test - share * COUNTS[label]) <= 1
    assert dataset.source["split"] == "stratified"


def test_the_seed_decides_which_and_workers_do_not(tmp_path):
    path = write_rows(tmp_path / "rows.csv")
    same = [prepared(path, tmp_path / f"same{n}", workers=n, seed=3) for n in (1, 2)]
    other = prepared(path, tmp_path / "other", seed=4)
    assert same[0].fingerprint == same[1].fingerprint
    assert other.label_counts("test") == same[0].label_counts("test")
    assert texts_of(other, "test") != texts_of(same[0], "test")


def test_the_vocabulary_is_counted_in_training_reviews_alone(tmp_path):
    dataset = prepared(write_rows(tmp_path / "rows.csv"), tmp_path / "out")
    words = {word for text in texts_of(dataset, "train") for word in text.split()}
    assert {word.decode() for word in dataset.vocabulary().words} == words
    assert dataset.vocabulary().words[:2] == [b"number", b"text"]


def test_texts_with_the_same_words_are_in_one_split(tmp_path):
    for seed in range(5):
        copies = [f'spam,"The {word}... film, {word}!"' for word in "abcdefgh"]
        copies += [f"spam,the {word} FILM “{word}”" for word in "abcdefgh"]
        path = write_rows(tmp_path / "rows.csv", copies)
        dataset = prepared(path, tmp_path / f"out{seed}", test_fraction=0.5, seed=seed)
        one, other = (
            {text for text in texts_of(dataset, split) if "film" in text} for split in dataset.splits
        )
        assert sum("film" in text for split in dataset.splits for text in texts_of(dataset, split)) == 16
        assert not {text for text in one & other if "#" not in text}


def test_rows_with_a_split_of_their_own_keep_it(tmp_path):
    for split, label, count in (("train", "a", 9), ("test", "a", 1), ("train", "b", 5), ("test", "b", 5)):
        folder = tmp_path / "texts" / split / label
        folder.mkdir(parents=True)
        for nth in range(count):
            (folder / f"{nth}.txt").write_text(f"{label} {nth}")
    dataset = prepared(tmp_path / "texts", tmp_path / "out", test_fraction=0.5)
    assert (dataset.label_counts("train"), dataset.label_counts("test")) == ([9, 5], [1, 5])


def test_stratified_with_a_test_file_is_refused():
    with pytest.raises(SettingsError, match="split is stratified, but --test names the test split"):
        FilesSettings(split="stratified", test=("test.csv",))


def decide(labels, hashes, share, seed=0):
    stratification = Stratification()
    stratification.add(np.array(hashes, np.uint64), np.array(labels))
    (in_test,) = stratification.decide(share, seed)
    return in_test


def test_a_label_of_two_reviews_has_one_in_each_split():
    assert decide([0, 0], [5, 6], 0.1).sum() == decide([0, 0], [5, 6], 0.9).sum() == 1


def test_copies_are_not_divided_and_single_reviews_make_up_the_share():
    hashes = [1] * 7 + list(range(10, 23))
    for seed in range(20):
        in_test = decide([0] * 20, hashes, 0.25, seed)
        assert in_test.sum() == 5
        assert not in_test[:7].any()
