import json

import pytest
from helpers import VOCABULARY, run_cli, run_config, write, write_run

from lowmem_sentiment.dataset.explore import show
from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.preparation.given_vocabulary import load_vocabulary
from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.preparation.settings import PreparationSettings
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.sources.files import FilesSource
from lowmem_sentiment.system.errors import DataError, SettingsError
from lowmem_sentiment.system.schema import write_json
from lowmem_sentiment.text.vocabulary import Vocabulary


def write_reviews(folder):
    """Write reviews in French, two labels."""
    lines = [f"__label__{'ab'[nth % 2]} L’ÉTÉ était «{'ab'[nth % 2]}» {nth}" for nth in range(40)]
    path = folder / "french.txt"
    path.write_text("\n".join(lines))
    return path


def prepared(folder, name, **settings):
    source = FilesSource([write_reviews(folder)])
    return prepare(source, folder / name, PreparationSettings(workers=1, **settings))


def load(path, **settings):
    return load_vocabulary(PreparationSettings(vocabulary=path, **settings))


def test_files_are_split_by_unicode_and_the_manifest_records_it(tmp_path):
    dataset = prepared(tmp_path, "unicode", recipe="tutorial")
    assert json.loads((tmp_path / "unicode" / "dataset.json").read_text())["tokenizer"] == "unicode"
    assert dataset.tokenizer == "unicode"
    assert {b"l", "été".encode(), "était".encode(), b"a"} <= set(dataset.vocabulary().words)
    assert show(dataset, 0, split="train").text.startswith("# l été était ")


def test_files_are_prepared_for_ngrams_with_punctuation_and_the_manifest_records_it(tmp_path):
    dataset = prepared(tmp_path, "ngrams")
    assert (dataset.recipe, dataset.tokenizer) == ("ngrams", "unicode-punctuation")
    assert show(dataset, 0, split="train").text.startswith("# l été était « ")
    assert (dataset.features.ngrams, dataset.features.rank) == (2, "evidence")
    assert "« a".encode() in dataset.input_vocabulary().words


@pytest.mark.parametrize(
    ("settings", "ngrams", "tokenizer"),
    [
        ({"ngrams": 1}, 1, "unicode-punctuation"),
        ({"ngrams": 3, "tokenizer": "unicode"}, 3, "unicode"),
        ({"recipe": "tutorial", "ngrams": 2}, 2, "unicode"),
        ({"recipe": "tutorial"}, None, "unicode"),
    ],
)
def test_a_setting_that_is_given_overrides_the_recipe(tmp_path, settings, ngrams, tokenizer):
    dataset = prepared(tmp_path, "out", **settings)
    assert dataset.recipe == settings.get("recipe", "ngrams")
    assert dataset.tokenizer == tokenizer
    assert (dataset.features.ngrams if dataset.features else None) == ngrams


def test_a_manifest_without_a_tokenizer_is_of_keras(tmp_path):
    dataset = prepared(tmp_path, "keras", tokenizer="keras")
    assert "tokenizer" not in dataset.manifest
    assert dataset.tokenizer == "keras"
    assert "«a»".encode() in dataset.vocabulary().words


def test_the_words_of_a_dataset_come_with_its_tokenizer_and_for_the_tutorials_model(tmp_path):
    given = prepared(tmp_path, "given", recipe="tutorial", tokenizer="characters")
    dataset = prepared(tmp_path, "out", vocabulary=tmp_path / "given")
    assert (dataset.tokenizer, dataset.recipe, dataset.features) == ("characters", "tutorial", None)
    assert dataset.vocabulary().words == given.vocabulary().words
    with pytest.raises(SettingsError, match="tokenizer is 'keras', but .* has words of 'characters'"):
        prepared(tmp_path, "other", vocabulary=tmp_path / "given", tokenizer="keras")


def test_a_file_of_words_alone_is_checked_by_the_tokenizer_that_is_asked_for(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("film\nl’été\n")
    assert load(path).tokenizer == "keras"
    with pytest.raises(DataError, match=r"words.txt:2: .* is not a word"):
        load(path, tokenizer="unicode")
    path.write_text("")
    with pytest.raises(DataError, match=r"words.txt has no words"):
        load(path)


def ngrams_of(directory):
    """Return each review's n-grams of a dataset, by its text."""
    dataset = Dataset(directory)
    pairs = (
        zip(tokens.split(), features.split(), strict=True)
        for split in dataset.splits
        for tokens, features in zip(dataset.read(split), dataset.read(split, "features"), strict=True)
    )
    words, ngrams = dataset.vocabulary(), dataset.input_vocabulary()
    return {words.decode(ids): ngrams.decode(found) for block in pairs for ids, found in block}


def test_the_ngrams_of_a_dataset_are_taken_with_its_words(tmp_path):
    given = prepared(tmp_path, "given", ngrams=2)
    dataset = prepared(tmp_path, "out", vocabulary=tmp_path / "given")
    assert dataset.input_vocabulary().words == given.input_vocabulary().words
    assert (dataset.features.ngrams, dataset.features.rank) == (2, "given")
    assert ngrams_of(tmp_path / "out") == ngrams_of(tmp_path / "given")


def write_run_on_ngrams(folder, lines):
    """Write the two files of a run on n-grams of words by Unicode."""
    folder.mkdir()
    words = Vocabulary(line.encode() for line in lines)
    words.save(folder / "vocabulary.txt")
    vocabulary = {"sha256": words.sha256, "ngrams": 2, "tokenizer": "unicode"}
    write_json(folder / "config.json", {"vocabulary": vocabulary})
    return folder


def test_of_a_run_on_ngrams_the_words_are_those_of_its_ngrams(tmp_path):
    run = write_run_on_ngrams(tmp_path / "run", ["était a", "l été", "b"])
    dataset = prepared(tmp_path, "out", vocabulary=run)
    assert [word.decode() for word in dataset.vocabulary().words] == ["était", "a", "l", "été", "b"]
    assert [line.decode() for line in dataset.input_vocabulary().words] == ["était a", "l été", "b"]
    assert dataset.tokenizer == "unicode"
    # it does not hold the pair "é é", and words outside it separate its words
    assert set(ngrams_of(tmp_path / "out").values()) == {"était a l été", "l été b"}


@pytest.mark.parametrize("chosen", [{"ngrams": 3}, {"rank": "evidence"}])
def test_a_choice_of_ngrams_beside_given_ones_is_refused(tmp_path, chosen):
    run = write_run_on_ngrams(tmp_path / "run", ["l été", "b"])
    with pytest.raises(SettingsError, match="has 2 n-grams of 1 to 2 words; expected no --ngrams and no"):
        prepared(tmp_path, "out", vocabulary=run, **chosen)


@pytest.mark.parametrize("lines", [["l été", "l été"], ["l été était"], ["l  été"], [""]])
def test_damaged_ngrams_of_a_run_are_refused(tmp_path, lines):
    run = write_run_on_ngrams(tmp_path / "run", lines)
    with pytest.raises(DataError, match="the n-grams of .* are damaged: expected each once, of 1 to 2"):
        prepared(tmp_path, "out", vocabulary=run)


@pytest.mark.parametrize(
    ("recorded", "message"),
    [
        ({"ngrams": 99}, "ngrams is 99, expected 1 to 5"),
        ({"ngrams": -1}, "ngrams is -1, expected 1 to 5"),
        ({"ngrams": "2"}, 'ngrams is "2", expected a whole number'),
        ({"ngrams": True}, "ngrams is true, expected a whole number"),
        ({"tokenizer": "spaces"}, "tokenizer is 'spaces', expected one of keras, unicode"),
    ],
)
def test_what_a_run_cannot_have_recorded_is_refused(tmp_path, recorded, message):
    run = write_run_on_ngrams(tmp_path / "run", ["a"])
    content = {"sha256": Vocabulary([b"a"]).sha256, **recorded}
    write_json(run / "config.json", {"vocabulary": content})
    with pytest.raises(DataError, match=message):
        load(run)


@pytest.mark.parametrize("damage", [
    lambda words: words.replace(b"a", b"q", 1),
    lambda words: b"\xef\xbb\xbf" + words,
    lambda words: b"".join(reversed(words.splitlines(keepends=True))),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["dataset", "features", "export"])
def test_damaged_words_of_a_dataset_a_run_or_an_export_are_refused(tmp_path, kind, damage):
    folder = tmp_path / "given"
    if kind in ("dataset", "features"):
        prepared(tmp_path, "given", ngrams=2 if kind == "features" else 1)
    else:
        write_run(folder)
    file = folder / ("features.txt" if kind == "features" else "vocabulary.txt")
    load(folder)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match="is damaged: its SHA-256 is not the one recorded beside it"):
        load(folder)
    if kind != "features":
        with pytest.raises(DataError, match="is damaged"):
            load(file)


def test_new_data_is_read_by_the_columns_of_the_run_whose_vocabulary_it_takes(tmp_path):
    rows = "".join(f"{nth},message {'ab'[nth % 2]} {nth},{'xy'[nth % 2]}\n" for nth in range(40))
    first = write(tmp_path / "first.csv", f"text,message,mood\n{rows}")  # the usual name is the number's
    options = ("--text-column", "message", "--label-column", "mood")
    assert not run_cli("prepare", "files", first, "--out", tmp_path / "first", *options).returncode
    dataset = Dataset(tmp_path / "first")
    run = RunDirectory(tmp_path / "run")
    config = run_config(dataset.labels)
    config["dataset"]["source"] = dataset.source
    run.create(config, VOCABULARY, overwrite=False)
    for given in (tmp_path / "first", run.path):
        out = tmp_path / f"new-{given.name}"
        result = run_cli("prepare", "files", first, "--out", out, "--vocabulary", given)
        assert not result.returncode, result.stderr
        assert Dataset(out).source["columns"] == dataset.source["columns"]
