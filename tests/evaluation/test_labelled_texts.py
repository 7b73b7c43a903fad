import csv
import json
import shutil
import tracemalloc

import pytest
from helpers import run_cli, texts_of

from lowmem_sentiment.evaluation import scored_runs
from lowmem_sentiment.evaluation.evaluate import evaluate, evaluate_runs
from lowmem_sentiment.evaluation.labelled_texts import (
    LabelledTexts,
    RecordedSource,
    TextFiles,
    recorded_source,
)
from lowmem_sentiment.evaluation.results import Evaluation
from lowmem_sentiment.evaluation.scoring import score
from lowmem_sentiment.evaluation.settings import EvaluationSettings
from lowmem_sentiment.model.numpy_model import load_with_vocabulary
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.sources.settings import FilesSettings
from lowmem_sentiment.system.errors import DataError, InputMissing, SettingsError
from lowmem_sentiment.text.encoders import TextEncoder
from lowmem_sentiment.text.reader_settings import USUAL_FIELDS


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def split_csv(dataset, tmp_path):
    """The test split as a CSV file of texts."""
    path = tmp_path / "test.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        labels = [dataset.labels[label] for block in dataset.read("test") for label in block.labels]
        writer.writerows(zip(texts_of(dataset, "test"), labels, strict=True))
    return path


def evaluate_file(run, path, settings: FilesSettings | None = None) -> Evaluation:
    files = TextFiles([str(path)], settings or FilesSettings())
    (comparison,) = evaluate_runs([run], files)
    (evaluation,) = comparison.evaluations
    return evaluation


def test_a_file_is_evaluated_as_the_dataset_that_is_made_of_it(run, dataset, split_csv):
    by_file, by_dataset = evaluate_file(run, split_csv), evaluate(run, dataset)
    assert (by_file.confusion_matrix == by_dataset.confusion_matrix).all()
    assert by_file.loss == pytest.approx(by_dataset.loss, abs=1e-6)
    assert by_file.reviews == 40 and by_file.dataset is None
    assert by_file.unknown_labels == {}
    assert by_file.fingerprint == evaluate_file(run, split_csv).fingerprint


def test_a_copied_model_is_all_that_a_file_is_evaluated_with(run, split_csv, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("weights.npz", "vocabulary.txt"):
        shutil.copyfile(run / name, bare / name)
    report = evaluate_file(bare, split_csv)
    assert report.reviews == 40


def test_unknown_labels_are_counted_and_labels_not_there_have_no_reviews(run, tmp_path):
    path = tmp_path / "new.jsonl"
    labels = ["positive", "spam", "positive", "ham", "spam"]
    path.write_text("".join(json.dumps({"text": "great", "label": label}) + "\n" for label in labels))
    report = evaluate_file(run, path)
    assert report.unknown_labels == {"spam": 2, "ham": 1} and report.reviews == 2
    assert report.by_label["negative"].reviews == 0
    report = evaluate_file(run, path, FilesSettings(label_map={"spam": "negative", "ham": ""}))
    assert report.unknown_labels == {} and report.by_label["negative"].reviews == 2
    path.write_text('{"text": "a", "label": "spam"}\n')
    with pytest.raises(DataError, match="its labels are spam; expected the labels negative, positive"):
        evaluate_file(run, path)


def test_labels_are_renamed_as_those_of_the_runs_data_were(run, tmp_path, monkeypatch):
    path = tmp_path / "new.csv"
    path.write_text("text,label\ngreat,5\nmess,1\nplot,3\n")
    names = {"1": "negative", "5": "positive", "3": "", "2": "negative"}
    monkeypatch.setattr(scored_runs, "recorded_source", lambda run: RecordedSource(USUAL_FIELDS, names))
    report = evaluate_file(run, path)
    assert report.reviews == 2 and report.label_map == names and not report.unknown_labels
    own = FilesSettings(label_map={"1": "positive", "3": ""})
    report = evaluate_file(run, path, own)
    assert report.unknown_labels == {"5": 1} and not report.label_map
    own = FilesSettings(label_map={"1": "x", "3": "y"})
    with pytest.raises(DataError, match=r"its labels are 5, x, y; .* \(--label-map OLD=NEW"):
        evaluate_file(run, path, own)
    # a name that is a label of the model may be either
    monkeypatch.setattr(
        scored_runs,
        "recorded_source",
        lambda run: RecordedSource(USUAL_FIELDS, {**names, "negative": "positive"}),
    )
    with pytest.raises(SettingsError, match=r"'negative' may mean two things; .* negative=negative,pos"):
        evaluate_file(run, path)
    same = {"5": "positive", "negative": "negative", "1": "negative", "3": ""}
    monkeypatch.setattr(scored_runs, "recorded_source", lambda run: RecordedSource(USUAL_FIELDS, same))
    assert evaluate_file(run, path).reviews == 2


def test_columns_and_labels_of_a_runs_data_are_those_of_later_text(run, tmp_path):
    run = RunDirectory(run)
    assert recorded_source(run) == RecordedSource(USUAL_FIELDS, {})
    config = run.config()
    config["dataset"]["source"] |= {"label_map": {"1": "negative"}, "text_column": "message"}
    run.write_json(run.config_file, {**config})
    fields, label_map, _ = recorded_source(run)
    assert label_map == {"1": "negative"}
    assert fields.text_names[:2] == ("message", "text") and fields.label_names[0] == "label"
    config["dataset"]["source"] |= {"columns": {"text": "message", "label": "mood", "others": ["2"]}}
    run.write_json(run.config_file, {**config})
    path = tmp_path / "new.csv"
    path.write_text("mood,message\n1,mess\npositive,great\n")
    report = evaluate_file(run.path, path)
    assert report.reviews == 2 and report.label_map == {"1": "negative"}
    path.write_text("title,Mood,body\n1,1,mess\n2,positive,great\n")
    said = run_cli("evaluate", run.path, "--file", path).stderr
    assert "new.csv has no text column 'message', which the run's data has; 'body' is read" in said
    assert "label column" not in said
    said = run_cli("predict", run.path, "--file", path).stderr
    assert "'body' is read instead (--text-column chooses another)" in said
    assert not run_cli("predict", run.path, "--file", path, "--text-column", "body").stderr
    assert recorded_source(RunDirectory(tmp_path)).fields == USUAL_FIELDS  # no run is there


def test_a_label_map_whose_name_no_review_has_is_refused(run, split_csv):
    result = run_cli("evaluate", run, "--file", split_csv, "--label-map", "positive=negative,postive=x")
    assert result.returncode == 65
    assert "--label-map names 'postive', but no review of " in result.stderr


def test_a_file_that_cannot_be_read_is_named(run, tmp_path):
    with pytest.raises(InputMissing, match="none.csv is missing"):
        evaluate_file(run, tmp_path / "none.csv")
    path = tmp_path / "bad.csv"
    path.write_text("text,label\ngood film,positive\n,positive\n")
    with pytest.raises(DataError, match=r"bad\.csv.*3.* has no text"):
        evaluate_file(run, path)
    with pytest.raises(SettingsError, match="files were given, and a split too"):
        evaluate_runs([run], TextFiles([str(path)]), EvaluationSettings(split="train"))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(run, tmp_path):
    model, vocabulary = load_with_vocabulary(RunDirectory(run))
    peaks = []
    for megabytes in (4, 16):
        path = tmp_path / f"{megabytes}.csv"
        row = "a great film " * 80 + ",positive\n"
        path.write_text("text,label\n" + row * (megabytes * 1_000_000 // len(row)))
        encoders, files = [TextEncoder(vocabulary, None)], TextFiles([str(path)])
        texts = LabelledTexts(files, model.labels, encoders, RecordedSource())
        tracemalloc.start()
        score([model], texts.batches())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
