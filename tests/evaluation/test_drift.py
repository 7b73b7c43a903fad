"""Later text beside the test split."""

import json
import shutil

import numpy as np
import pytest
from helpers import GOOD, PLAIN, run_cli, texts_of, write_noisy_reviews

from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.evaluation.drift import FILE, Profile, compare, record
from lowmem_sentiment.evaluation.predict import Predictor
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.system.errors import DataError
from lowmem_sentiment.text.encoders import TextEncoder
from lowmem_sentiment.text.vocabulary import Vocabulary


@pytest.fixture
def run(evaluated, tmp_path):
    shutil.copytree(evaluated[0].parent / "data", tmp_path / "data")
    return shutil.copytree(evaluated[0], tmp_path / "run")


def rows(path):
    return [line.split("\t") for line in path.read_text().splitlines()[1:]]


def test_texts_of_the_same_kind_are_not_warned_of_and_others_are(evaluated, tmp_path):
    run, texts = evaluated
    write_noisy_reviews(tmp_path / "alike.tsv", ["bad", "good"], 500, seed=2)
    alike = run_cli("evaluate", run, "--file", tmp_path / "alike.tsv")
    assert "later text" in alike.stdout and "known words 1.000 (test 1.000)" in alike.stdout
    assert "not like the test split" not in alike.stderr
    lines = [f"{label}\t{text} xyzzy\n" for label, text in rows(texts)[:200]]
    other = "".join(lines).replace(GOOD[0], GOOD[1])
    (tmp_path / "other.tsv").write_text("label\ttext\n" + other)
    done = run_cli("evaluate", run, "--file", tmp_path / "other.tsv", "--json")
    assert "warning: the texts are not like the test split: known words 0.8" in done.stderr
    drift = json.loads(done.stdout)["drift"]
    assert drift["known_words"]["differs"] and drift["labels"]["good"]["differs"]
    assert drift["texts"] == 200 and drift["known_ngrams"]["later"] < drift["known_ngrams"]["test"]
    answer = tmp_path / "drift.json"
    done = run_cli("predict", run, "--file", tmp_path / "other.tsv", "--drift", answer, "--csv")
    assert json.loads(answer.read_text()) == drift and drift["warning"] in done.stderr


def test_a_dataset_and_its_texts_have_the_same_profile(evaluated):
    run, _ = evaluated
    predictor = Predictor(run)
    profile = predictor.profile()
    tested = texts_of(Dataset(run.parent / "data"), "test")
    predictor.predict(tested, profile=profile)
    recorded = json.loads((run / FILE).read_text())
    assert recorded["texts"] == profile.texts == len(tested)
    assert recorded["sums"] == pytest.approx(profile.sums.tolist())
    assert recorded["squares"] == pytest.approx(profile.squares.tolist())
    assert not any(each.differs for each in compare(RunDirectory(run), profile).labels)


@pytest.mark.parametrize("ngrams", [None, 2])
def test_words_and_ngrams_are_counted_as_by_hand(ngrams):
    vocabulary = Vocabulary([b"good", b"film", *([b"good film"] if ngrams else [])])
    encode = TextEncoder(vocabulary, ngrams)
    for text, expected in (
        (b"good bad film", (3, 2)),
        (b"", (0, 0)),
        (b"film " * (1 << 19), (1 << 19,) * 2),
    ):
        counts = []
        encode.encode([text], counts)
        assert counts == [expected]
    profile, counts = Profile(["a", "b"], encode), []
    inputs = encode.encode([b"good film xyzzy"], counts)
    profile.add(counts, inputs, np.array([[0.25, 0.75]], np.float32))
    shares = [2 / 3] + [3 / 5] * bool(
        ngrams
    )  # three of the n-grams good, film, xyzzy, and two of two words
    assert profile.sums.tolist() == pytest.approx([*shares, 0.75, 0, 1])


def test_a_warning_without_a_cause_comes_in_one_of_a_hundred_files(tmp_path, evaluated):
    """Three quantities and three labels together; the test split is drawn anew each time, too."""
    generator, warned = np.random.default_rng(7), 0
    encoder = TextEncoder(Vocabulary([b"good"]), None)
    run = RunDirectory(shutil.copytree(evaluated[0], tmp_path / "run"))
    for _ in range(200):
        profiles = []
        for texts in (300, 200):
            profile = Profile(["a", "b", "c"], encoder)
            words = generator.poisson(12, texts) + 1
            known = generator.binomial(words, generator.beta(8, 2, texts))  # words of a text are alike
            probabilities = generator.dirichlet([1, 1, 1], texts)
            profile.add(list(zip(words, known, strict=True)), [], probabilities)
            profiles.append(profile)
        record(run, profiles[0], "", "")
        warned += compare(run, profiles[1]).warning() is not None
    assert warned <= 6


def test_a_record_that_is_damaged_is_refused_and_one_of_other_weights_is_not_used(run):
    path, profile = run / FILE, Predictor(run).profile()
    Predictor(run).predict([" ".join(PLAIN)] * 40, profile=profile)
    assert compare(RunDirectory(run), profile).texts == 40
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"texts": 1', b'"texts": 2'))
    with pytest.raises(DataError, match=r"profile\.json is damaged"):
        compare(RunDirectory(run), profile)
    path.write_bytes(whole)
    (run / "weights.npz").write_bytes(b"other")
    assert compare(RunDirectory(run), profile) is None


def test_a_mistake_is_traced_to_its_row_by_number_and_by_column(evaluated, tmp_path):
    run, texts = evaluated
    lines = [f"{label}\t{text}\tT-{nth}\n" for nth, (label, text) in enumerate(rows(texts)[:20])]
    lines[3] = "unknown\ta great film\tT-3\n"  # evaluate leaves it out, and counts it
    (tmp_path / "tickets.tsv").write_text("label\ttext\tid\n" + "".join(lines))
    out = tmp_path / "rows.jsonl"
    given = ["--file", tmp_path / "tickets.tsv", "--keep", "id"]
    assert run_cli("evaluate", run, *given, "--predictions", out).returncode == 0
    evaluated_rows = [json.loads(line) for line in out.read_text().splitlines()]
    predicted = run_cli("predict", run, *given, "--json").stdout.splitlines()
    by_number = {each["number"]: each for each in map(json.loads, predicted)}
    assert len(evaluated_rows) == 19 and len(by_number) == 20
    for each in evaluated_rows:
        assert each["kept"] == by_number[each["number"]]["kept"] == {"id": f"T-{each['number']}"}
        assert each["predicted"] == by_number[each["number"]]["label"]
    refused = run_cli("evaluate", run, "--keep", "id")
    assert refused.returncode == 2 and "--keep names columns of a --file" in refused.stderr
