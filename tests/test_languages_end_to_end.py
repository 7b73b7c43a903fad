"""Languages other than English from files to serving: the same words wherever they are read."""

import json

import numpy as np
import pytest
from helpers import run_cli

from lowmem_sentiment.cli import main
from lowmem_sentiment.dataset.reader import Dataset

SENTENCES = {
    "L’ÉTÉ était «ÉPATANT» — qu’il revienne…": ("good", "l été était épatant qu il revienne"),
    "“Ennuyeux”, aujourd'hui; j’ai dormi à l'École": (
        "bad",
        "ennuyeux aujourd'hui j ai dormi à l école",
    ),
    "„Großartig!“ – ÜBERRASCHEND schön, geht’s": ("good", "großartig überraschend schön geht's"),
    "Öde und LANGWEILIG—schade für die »Größen«": ("bad", "öde und langweilig schade für die größen"),
    "Ωραία ΤΑΙΝΊΑ· «μου άρεσε» πολύ": ("good", "ωραία ταινία μου άρεσε πολύ"),
    "ΧΆΛΙΑ, βαρετή; δεν αξίζει…": ("bad", "χάλια βαρετή δεν αξίζει"),
    "«Отличный» ФИЛЬМ — всё понравилось!": ("good", "отличный фильм всё понравилось"),
    "Скучно… ЁЛКИ, кто-то „уснул“": ("bad", "скучно ёлки кто то уснул"),
}
"""Label and words of each sentence, as a person would split it."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return a dataset of each sentence eight times, each with a number, from two files of lines."""
    folder = tmp_path_factory.mktemp("languages")
    for label in ("good", "bad"):
        of_label = [text for text, (theirs, _) in SENTENCES.items() if theirs == label]
        lines = [f"{text} {nth}" for text in of_label for nth in range(8)]
        (folder / f"{label}.txt").write_text("\n".join(lines), encoding="utf-8")
    files = [f"{folder / label}.txt={label}" for label in ("good", "bad")]
    options = ["--recipe", "tutorial", "--split", "stratified", "--out", str(folder / "data")]
    assert main(["prepare", "files", *files, *options]) == 0
    return folder / "data"


def test_explore_shows_the_words_as_a_person_would_split_them(data, capsys):
    shown, labels = set(), Dataset(data).labels
    for nth in range(Dataset(data).num_reviews("train")):
        assert main(["explore", str(data), "--show", str(nth), "--split", "train", "--json"]) == 0
        review = json.loads(capsys.readouterr().out)
        shown.add((labels[review["label"]], review["text"].removeprefix("# ").rsplit(" ", 1)[0]))
    assert shown == set(SENTENCES.values())


@pytest.mark.slow
def test_predict_and_the_saved_model_read_the_words_that_the_model_was_trained_on(data, tmp_path):
    import tensorflow as tf

    run, model = tmp_path / "run", tmp_path / "model" / "1"
    options = ("--epochs", 20, "--batch-size", 4, "--hidden", 8, "--dropout", "", "--learning-rate", 0.02)
    assert run_cli("train", data, "--run", run, *options).returncode == 0
    assert main(["export", str(run), "--out", str(model)]) == 0
    # as they were trained on; in one case, which no word depends on; with other quotes and dashes
    texts = [*SENTENCES, *(text.lower() for text in SENTENCES)]
    texts += [text.translate(str.maketrans("’“”„«»»—–", '\'\'"""<> -')) for text in SENTENCES]
    predicted = run_cli("predict", run, *texts, "--json")
    answers = [json.loads(line) for line in predicted.stdout.splitlines()]
    assert [answer["label"] for answer in answers] == 3 * [label for label, _ in SENTENCES.values()]
    signature = tf.saved_model.load(model).signatures["serving_default"]
    outputs = signature(texts=tf.constant(texts))
    labels = [label.decode() for label in outputs["label"].numpy()]
    assert labels == [answer["label"] for answer in answers]
    expected = [[answer["probabilities"][label] for label in ("bad", "good")] for answer in answers]
    np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-5)
    variants = np.array(expected).reshape(3, len(SENTENCES), 2)
    np.testing.assert_array_equal(variants, np.broadcast_to(variants[0], variants.shape))
