"""N-grams from preparing to serving: what every part reads of a text is the same."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers import handmade_texts, random_texts, write_imdb

from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.evaluation.evaluate import evaluate, evaluate_runs
from lowmem_sentiment.evaluation.predict import Predictor, predict
from lowmem_sentiment.model.export import export
from lowmem_sentiment.model.numpy_model import NumpyModel
from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.preparation.settings import PreparationSettings
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.runs.memory_plan import count_parameters, plan
from lowmem_sentiment.runs.recipes import settings_by_recipe
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.sources.files import FilesSource
from lowmem_sentiment.sources.keras_datasets import ImdbSource
from lowmem_sentiment.system.errors import DataError, SettingsError
from lowmem_sentiment.training.train import train

SETTINGS = TrainingSettings(epochs=3, batch_size=8, hidden=(8, 4), learning_rate=0.02)

SCALED = PreparationSettings(recipe="ngrams", ngrams=3, max_features=150)


@pytest.fixture(scope="module")
def ngram_dataset(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("imdb")
    source = ImdbSource(*write_imdb(folder))
    settings = PreparationSettings(ngrams=3, max_features=150)
    return prepare(source, folder / "data", settings, shard_bytes=4_000)


@pytest.fixture(scope="module")
def run(ngram_dataset, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "ngrams"
    summary = train(ngram_dataset, path, replace(SETTINGS, num_words=120))
    assert summary.metrics["val_accuracy"] > 0.9
    return path


@pytest.fixture(scope="module")
def words(imdb_files, tmp_path_factory) -> Dataset:
    """The same reviews without n-grams."""
    return prepare(ImdbSource(*imdb_files), tmp_path_factory.mktemp("words") / "data")


@pytest.fixture(scope="module")
def of_words(words, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "of_words"
    train(words, path, replace(SETTINGS, num_words=20, epochs=1))
    return path


def hard_texts() -> list[bytes]:
    texts = [text.encode() for text in random_texts(1_000)]
    texts += [b"the film was" + bytes([byte]) + b"great a film" for byte in range(256)]
    return [
        *texts,
        b"",
        b" ",
        b"the",
        b"\xff\xfe",
        b"great \xc3 film",
        b"a\x00b the film",
        b"THE the\nFilm",
    ]


@pytest.mark.slow
def test_prepare_and_predict_find_the_same_features_in_the_same_texts(tmp_path):
    texts = [text for text in random_texts(400, seed=5) if text.strip(" \t")]
    lines = [
        json.dumps({"text": text, "label": "ab"[nth % 2], "split": ""}) for nth, text in enumerate(texts)
    ]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines) + "\n")
    from lowmem_sentiment.sources.settings import FilesSettings

    source = FilesSource([str(tmp_path / "texts.jsonl")], FilesSettings(test_fraction=0.3))
    dataset = prepare(source, tmp_path / "data", PreparationSettings(ngrams=3, workers=1))
    run = tmp_path / "run"
    train(dataset, run, replace(SETTINGS, epochs=1, num_words=dataset.num_inputs))
    encoder, expected = Predictor(run)._encoder, []
    for split in ("train", "test"):
        words = dataset.vocabulary()
        for tokens, features in zip(dataset.read(split), dataset.read(split, "features"), strict=True):
            decoded = [words.decode(ids[1:]).encode() for ids in tokens.split()]
            found = encoder.encode(decoded)
            assert [ids.tolist() for ids in found] == [ids.tolist() for ids in features.split()]
            expected += [tuple(ids.tolist()) for ids in features.split()]
    # and in the texts themselves, whatever stands between their words
    found = encoder.encode([text.encode() for text in texts])
    assert sorted(tuple(ids.tolist()) for ids in found) == sorted(expected)


def test_training_reads_features_as_columns_and_leaves_out_those_of_lower_rank(ngram_dataset):
    from lowmem_sentiment.training.input_pipeline import batches

    rows = np.concatenate(
        [x.numpy() for x, _ in batches(ngram_dataset, "test", TrainingSettings(num_words=50))]
    )
    reviews = [ids for block in ngram_dataset.read("test", "features") for ids in block.split()]
    expected = np.zeros_like(rows)
    for row, ids in zip(expected, reviews, strict=True):
        row[ids[ids < 50]] = 1
    np.testing.assert_array_equal(rows, expected)


@pytest.mark.slow
def test_a_run_holds_the_ngrams_that_its_columns_are(ngram_dataset, run):
    assert RunDirectory(run).ngrams() == 3
    assert RunDirectory(run).vocabulary().words == ngram_dataset.input_vocabulary().words[:116]
    assert count_parameters(SETTINGS, 120, 2) < plan(ngram_dataset, replace(SETTINGS, num_words=120)).disk


@pytest.mark.slow
def test_evaluation_and_comparison_score_the_features(ngram_dataset, run, tmp_path):
    import keras

    from lowmem_sentiment.training.input_pipeline import batches

    report = evaluate(run)
    model = keras.models.load_model(run / "model.keras")
    ((rows, labels),) = batches(ngram_dataset, "test", TrainingSettings(num_words=120, batch_size=40))
    right = (model.predict(rows, verbose=0)[:, 0] > 0.5) == labels.numpy()
    assert report.accuracy == pytest.approx(right.mean())
    other = tmp_path / "other"
    train(ngram_dataset, other, replace(SETTINGS, num_words=60, epochs=1))
    (comparison,) = evaluate_runs([run, other])
    assert [each.reviews for each in comparison.evaluations] == [40, 40]


@pytest.mark.slow
def test_every_file_of_a_run_on_scaled_ngrams_predicts_the_same(tmp_path):
    import tensorflow as tf

    source = ImdbSource(*write_imdb(tmp_path))
    dataset = prepare(source, tmp_path / "data", SCALED)
    run = RunDirectory(tmp_path / "run")
    train(dataset, run.path, replace(settings_by_recipe(dataset), epochs=2, num_words=120))
    kernel = NumpyModel.load(run).kernels[0]
    assert kernel.dtype == np.float16
    from lowmem_sentiment.model.keras_model import load_model

    for_keras = load_model(run).layers[0].kernel.numpy()
    assert for_keras.dtype == np.float32 and (for_keras == kernel).all()
    with np.load(run.state_file) as state:  # further training starts from what training reached
        unrounded = state["variable_0"]
    assert (unrounded != kernel).any() and (unrounded.astype(np.float16) == kernel).all()
    texts = hard_texts()
    served = tf.saved_model.load(export(run.path, tmp_path / "export")).signatures["serving_default"]
    assert served(texts=tf.constant([], tf.string))["label"].shape == [0]
    found = served(texts=tf.constant(texts))["probabilities"].numpy()
    np.testing.assert_allclose(Predictor(run.path).probabilities(texts), found, atol=1e-6)


@pytest.mark.slow
def test_words_and_ngrams_are_not_mixed_up(ngram_dataset, run, words, of_words, tmp_path):
    with pytest.raises(DataError, match=r"was prepared for words, .* was trained on n-grams"):
        evaluate(run, words)
    with pytest.raises(DataError, match=r"was prepared for n-grams, .* was trained on words"):
        train(
            ngram_dataset,
            tmp_path / "child",
            replace(SETTINGS, num_words=20),
            start_from=of_words,
        )


@pytest.mark.slow
def test_a_run_on_words_is_compared_with_one_on_ngrams_on_the_same_reviews(
    ngram_dataset, run, words, of_words
):
    alone = [evaluate(of_words, words), evaluate(run)]
    for runs, expected in (([of_words, run], alone), ([run, of_words], alone[::-1])):
        (compared,) = evaluate_runs(runs)
        for together, by_itself in zip(compared.evaluations, expected, strict=True):
            assert together.dataset == str(ngram_dataset.directory)
            assert together.accuracy == by_itself.accuracy
            assert together.loss == pytest.approx(by_itself.loss)
    assert evaluate(of_words, ngram_dataset).accuracy == alone[0].accuracy
    for candidate, live in ((of_words, run), (run, of_words)):
        (comparison,) = evaluate_runs([candidate], baseline=live)
        (report,) = comparison.evaluations
        assert report.dataset == str(ngram_dataset.directory)
        assert report.baseline.accuracy == evaluate(live, ngram_dataset).accuracy


def test_explanations_leave_out_a_word_with_every_ngram_that_it_is_in(run):
    text = "the film was great"
    (prediction,) = predict(run, [text], explain=True)
    predictor = Predictor(run)
    names = [
        predictor._vocabulary.words[id_ - 4].decode()
        for id_ in predictor._encoder.encode([text.encode()])[0]
    ]
    effects = {effect.word: effect for effect in prediction.effects}
    assert set(effects) == set(names) | {word for name in names for word in name.split()}
    for word, effect in effects.items():
        assert set(effect.ngrams) == {name for name in names if f" {word} " in f" {name} "}
    assert effects["great"].to_json()["ngrams"]
    # leaving out every n-gram with "great" is the text in which an unknown word stands for it
    (without,) = predictor.probabilities([text.replace("great", "xyzzy")])
    (whole,) = predictor.probabilities([text])

    def odds(probabilities):
        chosen = probabilities[predictor.labels.index(prediction.label)]
        return np.log(chosen / (1 - chosen))

    assert effects["great"].effect == pytest.approx(odds(whole) - odds(without), abs=1e-4)


def test_tensorboard_shows_what_ngrams_do_in_the_reviews_that_are_most_wrong(ngram_dataset, run):
    from lowmem_sentiment.model.metrics import Mistake
    from lowmem_sentiment.model.numpy_model import NumpyModel
    from lowmem_sentiment.monitoring.text_summaries import describe_most_wrong

    directory = RunDirectory(run)
    shown = describe_most_wrong(
        NumpyModel.load(directory), ngram_dataset, SETTINGS, [Mistake(3, 1, 0.9)], directory.vocabulary()
    )
    ids, _ = ngram_dataset.pick("test", [3])[3]
    words = ngram_dataset.vocabulary().decode(ids[1:])
    assert shown.splitlines()[-1].replace("*", "") == f"> {words}"
    assert "**" in shown.splitlines()[-1]


@pytest.mark.slow
def test_a_run_on_ngrams_is_trained_on_with_new_texts(ngram_dataset, run, tmp_path):
    texts = handmade_texts(80, ("negative", "positive"), seed=9)
    lines = [f"__label__{label} {text}" for text, label in texts]
    (tmp_path / "new.txt").write_text("\n".join(lines))
    settings = PreparationSettings(vocabulary=run, workers=1)
    new = prepare(FilesSource([tmp_path / "new.txt"]), tmp_path / "new", settings)
    assert new.input_vocabulary().words == RunDirectory(run).vocabulary().words
    same = replace(SETTINGS, epochs=1, num_words=120)
    child, alone = tmp_path / "child", tmp_path / "alone"
    summary = train(new, child, same, start_from=run)
    assert summary.metrics["loss"] < train(new, alone, same).metrics["loss"] / 2
    assert evaluate(child, ngram_dataset).accuracy > 0.9


def test_a_recipe_takes_no_more_features_than_there_are(ngram_dataset):
    settings = settings_by_recipe(ngram_dataset, "ngrams")
    assert settings.num_words == settings.num_words_for(ngram_dataset) == ngram_dataset.num_inputs
    with pytest.raises(SettingsError, match="recipe is 'deep', expected one of tutorial, ngrams"):
        settings_by_recipe(ngram_dataset, "deep")


def test_a_damaged_feature_list_is_reported_with_its_record(ngram_dataset):
    from lowmem_sentiment.dataset import records
    from lowmem_sentiment.dataset.records import Bounds, decode

    path = ngram_dataset.paths("test")[0]
    with open(path, "rb") as file:
        [(numbers, block)] = records.read(file, "shard")
    with pytest.raises(DataError, match=r"record \d+: a feature id is \d+, expected"):
        decode(block, "shard", numbers, Bounds(5, 2), "features")
