import json

import pytest

from lowmem_sentiment.dataset.given_vocabulary import load_vocabulary
from lowmem_sentiment.dataset.preparation import PreparationSettings, prepare
from lowmem_sentiment.dataset.show import show
from lowmem_sentiment.sources.files import FilesSource
from lowmem_sentiment.system.errors import DataError, SettingsError
from lowmem_sentiment.system.schema import write_json


def write_reviews(folder):
    """Write reviews in French, two labels."""
    lines = [f"__label__{'ab'[nth % 2]} L’ÉTÉ était «{'ab'[nth % 2]}» {nth}" for nth in range(40)]
    path = folder / "french.txt"
    path.write_text("\n".join(lines))
    return path


def prepared(folder, name, **settings):
    return prepare(
        FilesSource([write_reviews(folder)]),
        folder / name,
        PreparationSettings(workers=1, **settings),
    )


def test_files_are_split_by_unicode_and_the_manifest_records_it(tmp_path):
    dataset = prepared(tmp_path, "unicode")
    assert json.loads((tmp_path / "unicode" / "dataset.json").read_text())["tokenizer"] == "unicode"
    assert dataset.tokenizer == "unicode"
    assert {b"l", "été".encode(), "était".encode(), b"a"} <= set(dataset.vocabulary().words)
    assert show(dataset, 0, split="train")["text"].startswith("# l été était ")


def test_a_manifest_without_a_tokenizer_is_of_keras(tmp_path):
    dataset = prepared(tmp_path, "keras", tokenizer="keras")
    assert "tokenizer" not in dataset.manifest
    assert dataset.tokenizer == "keras"
    assert "«a»".encode() in dataset.vocabulary().words


def test_the_words_of_a_dataset_come_with_its_tokenizer(tmp_path):
    given = prepared(tmp_path, "given", tokenizer="characters")
    dataset = prepared(tmp_path, "out", vocabulary=tmp_path / "given")
    assert dataset.tokenizer == "characters"
    assert dataset.vocabulary().words == given.vocabulary().words


def test_another_tokenizer_than_the_recorded_one_is_refused(tmp_path):
    prepared(tmp_path, "given")
    with pytest.raises(SettingsError, match="tokenizer is 'keras', but .* has words of 'unicode'"):
        prepared(tmp_path, "out", vocabulary=tmp_path / "given", tokenizer="keras")


def test_a_file_of_words_alone_is_checked_by_the_tokenizer_that_is_asked_for(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("film\nl’été\n")
    assert load_vocabulary(path, None)[1] == "keras"
    with pytest.raises(DataError, match=r"words.txt:2: .* is no word"):
        load_vocabulary(path, "unicode")


def test_words_of_a_run_on_ngrams_are_refused(tmp_path):
    write_json(tmp_path / "config.json", {"vocabulary": {"ngrams": 2}})
    (tmp_path / "vocabulary.txt").write_text("a\n")
    with pytest.raises(SettingsError, match="was trained on n-grams"):
        load_vocabulary(tmp_path, None)


def test_an_unknown_tokenizer_in_a_manifest_is_refused(tmp_path):
    write_json(tmp_path / "dataset.json", {"tokenizer": "spaces"})
    (tmp_path / "vocabulary.txt").write_text("a\n")
    with pytest.raises(DataError, match="expected one of keras, unicode, characters"):
        load_vocabulary(tmp_path, None)
