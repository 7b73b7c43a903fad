import csv
import json
import math
import threading

import numpy as np
import pytest
from helpers import run_cli, write_noisy_reviews

from lowmem_sentiment.cli import tune as cli_tune
from lowmem_sentiment.evaluation.intervals import wilson
from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.preparation.settings import PreparationSettings
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.search import cross_validation
from lowmem_sentiment.search.cross_validation import (
    FILE,
    FORMAT,
    METRICS,
    SHARES,
    FoldResult,
    _State,
    cross_validate,
    estimate,
)
from lowmem_sentiment.search.fold_data import Folds, FoldSource, preparation_settings
from lowmem_sentiment.search.processes import Trainer
from lowmem_sentiment.search.settings import TuneSettings
from lowmem_sentiment.sources.files import FilesSource
from lowmem_sentiment.sources.settings import FilesSettings
from lowmem_sentiment.system.errors import CheckFailed, OutputExists, Resumable, SettingsError

GRID = ("epochs=1", "hidden=2")


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """A dataset of n-grams with three labels, 40 texts twice, and a word in a single text."""
    folder = tmp_path_factory.mktemp("noisy")
    write_noisy_reviews(folder / "texts.tsv", ["a", "b", "c"], 400)
    lines = (folder / "texts.tsv").read_text().splitlines()
    lines += [f"{line} again" for line in lines[1:41] for _ in range(2)]
    (folder / "texts.tsv").write_text("\n".join([*lines, "a\tthe xyzzy film"]))
    (folder / "test.tsv").write_text("\n".join(lines[:40]))
    source = FilesSource([folder / "texts.tsv"], FilesSettings(test=(str(folder / "test.tsv"),)))
    return prepare(source, folder / "data")


def texts_of(dataset, split):
    """Return the words and the label of each review."""
    words = dataset.vocabulary()
    return [
        (words.decode(ids[1:].tolist()), label)
        for block in dataset.read(split)
        for ids, label in zip(block.split(), block.labels.tolist(), strict=True)
    ]


def test_folds_have_each_labels_share_and_equal_texts_together(noisy):
    folds, texts = Folds(noisy, 4, seed=0), texts_of(noisy, "train")
    counts = np.zeros((4, 3), int)
    np.add.at(counts, (folds.numbers, [label for _, label in texts]), 1)
    assert (counts.max(axis=0) - counts.min(axis=0)).max() <= 12  # by the texts that are there twice
    by_text = {}
    for (text, _), fold in zip(texts, folds.numbers.tolist(), strict=True):
        assert by_text.setdefault(text, fold) == fold
    assert (Folds(noisy, 4, seed=1).numbers != folds.numbers).any()
    for share in (0.1, 0.5):
        assert np.mean(folds.joins <= share) == pytest.approx(share, abs=0.03)


def test_the_others_of_a_fold_are_prepared_without_knowing_it(noisy, tmp_path):
    folds, whole = Folds(noisy, 3, seed=0), texts_of(noisy, "train")
    (number,) = (nth for nth, (text, _) in enumerate(whole) if "xyzzy" in text)
    tested = []
    for fold in range(3):
        source = FoldSource(noisy, folds, fold)
        data = prepare(source, tmp_path / str(fold), preparation_settings(noisy))
        assert texts_of(data, "test") == [whole[nth] for nth in np.flatnonzero(folds.numbers == fold)]
        assert not set(texts_of(data, "test")) & set(texts_of(data, "train"))
        known = b"xyzzy" in data.input_vocabulary().words
        assert known == (folds.numbers[number] != fold)
        assert data.features.ngrams == noisy.features.ngrams and data.labels == noisy.labels
        tested += texts_of(data, "test")
    assert sorted(tested) == sorted(whole)


def test_estimates_are_corrected_for_the_overlap():
    found = estimate([0.8, 0.9, 0.85], tested=100, trained=200)
    assert found.mean == pytest.approx(0.85) and found.deviation == pytest.approx(0.05)
    half = 4.303 * 0.05 * math.sqrt(1 / 3 + 1 / 2)
    assert half > 0.15 and found.interval == pytest.approx([0.85 - half, 1])  # no accuracy is above 1
    loss = estimate([0.8, 0.1, 0.3], tested=100, trained=200, limits=(0, math.inf)).interval
    assert loss[0] == 0 and loss[1] > 1


def test_equally_good_folds_have_an_interval_of_as_many_reviews(noisy, tmp_path):
    """Two folds may agree by chance, and all may be right on every review of a few."""
    found = [FoldResult(share, fold, 40 if share == 1 else 28, 20, dict.fromkeys(METRICS, 1.0))
             for share in (1.0, *SHARES) for fold in range(3)]  # fmt: skip
    settings = TuneSettings(folds=3, learning_curve=True)
    _State(FORMAT, 1, noisy.fingerprint, settings, found).write(tmp_path)
    result = cross_validate(noisy, tmp_path, settings)
    for name in ("accuracy", "macro_f1"):
        estimated = result.points[-1].metrics[name]
        assert estimated.deviation == 0 and estimated.interval == pytest.approx(wilson(60, 60))
    assert result.gain.mean == 0 and result.gain.interval == pytest.approx([-0.0316, 0.0316], abs=1e-3)
    agreeing = estimate([0.9, 0.9], 50, 50, at_least=wilson(90, 100))
    assert agreeing.interval == wilson(90, 100)


def test_what_is_no_cross_validation_is_refused(noisy, trained, tmp_path):
    for options, message in (
        ({"minutes": 3}, "folds are trained whole; expected no minutes"),
        ({"grid": ("epochs=1,2",)}, "expected one value of epochs"),
        ({"grid": ("early_stopping=2",)}, "would choose by the fold that is tested"),
        ({"folds": 1}, "folds is 1, expected 2 to 20"),
        ({"folds": None, "learning_curve": True}, "expected both: --folds 5"),
    ):
        with pytest.raises(SettingsError, match=message):
            TuneSettings(**{"folds": 3, **options})
    with pytest.raises(OutputExists, match="holds a run"):
        cross_validate(noisy, trained, TuneSettings(folds=3))


def test_folds_that_too_few_texts_fill_are_refused_before_anything_is_trained(tmp_path):
    write_noisy_reviews(tmp_path / "few.tsv", ["a", "b"], 6)
    few = prepare(FilesSource([tmp_path / "few.tsv"], FilesSettings(seed=1)), tmp_path / "data")
    for options, message in (
        ({"folds": 20}, "folds is 20, but the training texts fill only"),
        ({"folds": 2, "learning_curve": True}, "leave nothing to train on"),
    ):
        with pytest.raises(SettingsError, match=message):
            cross_validate(few, tmp_path / "out", TuneSettings(**options))
    assert not (tmp_path / "out" / FILE).exists()


@pytest.fixture
def in_this_process(monkeypatch):
    """Train in this process, which has TensorFlow; return the names of what was trained."""
    from lowmem_sentiment.training.train import train

    names = []

    def run(self, trainings, **options):
        for each in trainings:
            train(each.dataset, each.directory.path, each.settings)
            names.append(each.directory.path.name)

    monkeypatch.setattr(Trainer, "run", run)
    return names


@pytest.mark.slow
def test_every_review_is_predicted_once_by_a_model_without_it(noisy, in_this_process, tmp_path):
    out, settings = tmp_path / "out", TuneSettings(folds=2, grid=GRID)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Resumable, match="stopped before a run"):
        cross_validate(noisy, out, settings, stop=stop)
    result = cross_validate(noisy, out, settings)
    assert in_this_process == ["fold-1-of-2", "fold-2-of-2"]
    assert sorted(each.name for each in out.iterdir()) == ["folds.json", "predictions.csv"]
    rows = list(csv.DictReader((out / "predictions.csv").open()))
    labels = [noisy.labels[label] for _, label in texts_of(noisy, "train")]
    assert [row["number"] for row in rows] == [str(nth) for nth in range(len(labels))]
    assert [row["label"] for row in rows] == labels
    right = [row["label"] == row["predicted"] for row in rows]
    numbers = Folds(noisy, 2, seed=0).numbers
    of_folds = [np.mean([right[nth] for nth in np.flatnonzero(numbers == fold)]) for fold in (0, 1)]
    assert result.points[-1].metrics["accuracy"].mean == pytest.approx(np.mean(of_folds))
    assert cross_validate(noisy, out, settings).to_json() == result.to_json()  # nothing is left to train
    assert len(in_this_process) == 2
    with pytest.raises(OutputExists, match="holds folds with a different seed"):
        cross_validate(noisy, out, TuneSettings(folds=2, grid=GRID, seed=1))


@pytest.mark.slow
def test_a_learning_curve_goes_on_from_the_folds_and_is_drawn(
    noisy, in_this_process, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    monkeypatch.setattr(cross_validation, "SHARES", (0.1, 0.5))
    cross_validate(noisy.directory, out, TuneSettings(folds=2, grid=GRID))
    result = cross_validate(noisy, out, TuneSettings(folds=2, grid=GRID, learning_curve=True))
    assert len(in_this_process) == 2 + 2 * 2 and "fold-1-of-2,share=0.1" in in_this_process
    reviews = [point.reviews for point in result.points]
    assert reviews == sorted(reviews) and len(reviews) == 3 and result.gain is not None
    json.dumps(result.to_json())
    lines = "\n".join(cli_tune._fold_lines(result))
    assert "reviews" in lines and "more data" in lines and "●" in lines
    assert f"{reviews[0]:,}" in lines and "2, n-grams chosen anew for each" in lines


@pytest.mark.slow
def test_folds_that_were_stopped_while_they_trained_are_resumed(dataset, tmp_path, monkeypatch):
    from lowmem_sentiment.training.train import train

    def run(self, trainings, **options):
        for each in trainings:
            resume, stop = each.directory.config_file.exists(), threading.Event()
            if not resume:
                stop.set()
            train(each.dataset, each.directory.path, each.settings, resume=resume, stop=stop)

    monkeypatch.setattr(Trainer, "run", run)
    settings = TuneSettings(folds=2, grid=("epochs=2", "hidden=2"))
    for _ in range(2):
        with pytest.raises(Resumable):
            cross_validate(dataset, tmp_path / "out", settings)
    result = cross_validate(dataset, tmp_path / "out", settings)
    assert sorted(each.fold for each in result.results) == [0, 1]


def test_a_fold_that_fails_is_named_and_tried_again(noisy, tmp_path, monkeypatch):
    def run(self, trainings, **options):
        for each in trainings:
            each.error = "no memory"

    monkeypatch.setattr(Trainer, "run", run)
    with pytest.raises(CheckFailed, match="2 runs failed: no memory; the same command tries again"):
        cross_validate(noisy, tmp_path / "out", TuneSettings(folds=2))
    assert json.loads((tmp_path / "out" / FILE).read_text())["results"] == []


@pytest.mark.slow
def test_the_command_trains_folds_in_processes(forked_trainings, noisy, tmp_path):
    arguments = ["tune", noisy.directory, "--out", tmp_path / "out", "--folds", "2", "--grid", *GRID]
    done = run_cli(*arguments, "--json", "--memory-limit", "4G")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["points"][0]["metrics"]["accuracy"]["mean"] > 0.3
    assert not any(RunDirectory(each).config_file.exists() for each in (tmp_path / "out").iterdir())
    refused = run_cli(*arguments, "--csv", tmp_path / "table.csv")
    assert refused.returncode == 2 and "--csv is the table of a search" in refused.stderr


def test_a_fold_is_prepared_as_its_dataset_was(dataset, noisy, tmp_path):
    source = FoldSource(dataset, Folds(dataset, 2, seed=0), 0)
    words = prepare(source, tmp_path / "words", preparation_settings(dataset))
    assert words.features is None and words.recipe == "tutorial"
    assert words.num_reviews("train") + words.num_reviews("test") == dataset.num_reviews("train")
    write_noisy_reviews(tmp_path / "later.tsv", ["a", "b", "c"], 200, seed=2)
    texts = FilesSource([tmp_path / "later.tsv"], FilesSettings())
    given = prepare(texts, tmp_path / "given", PreparationSettings(vocabulary=noisy.directory))
    source = FoldSource(given, Folds(given, 2, seed=0), 0)
    fold = prepare(source, tmp_path / "fold", preparation_settings(given))
    assert fold.input_vocabulary().words == noisy.input_vocabulary().words  # nothing of it is chosen here
