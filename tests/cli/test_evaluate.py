import csv
import io
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from lowmem_sentiment.cli import evaluation_lines, main, output
from lowmem_sentiment.monitoring.terminal_text import text_width
from lowmem_sentiment.runs.configuration import TrainingSettings


@pytest.fixture(scope="module")
def untrained(dataset, tmp_path_factory):
    """A run that has learnt next to nothing."""
    from lowmem_sentiment.training.train import train

    run = tmp_path_factory.mktemp("untrained") / "run"
    train(dataset, run, TrainingSettings(epochs=1, hidden=(2,), dropout=(), learning_rate=1e-6, seed=3))
    return run


@pytest.fixture
def runs(trained, untrained, tmp_path):
    """Copies of a good run and a bad one."""
    return [str(shutil.copytree(run, tmp_path / n)) for n, run in (("good", trained), ("bad", untrained))]


@pytest.mark.slow
def test_a_worse_run_fails_its_gate_and_an_equal_one_does_not(runs, capsys):
    good, bad = runs
    assert main(["evaluate", bad, "--baseline", good, "--json"]) == 1
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert report["baseline"]["run"] == good and report["baseline"]["significantly_worse"]
    assert report["failed"] == [f"significantly worse than {good}"]
    assert f"error: significantly worse than {good}" in printed.err
    assert main(["evaluate", good, "--baseline", good]) == 0
    assert main(["evaluate", good, "--baseline", bad]) == 0
    assert f"{good} against {bad}: significantly better: +" in capsys.readouterr().out


def test_a_labels_limit_decides_the_exit_code(runs, capsys):
    assert main(["evaluate", runs[0], "--fail-under", "recall:positive=0.5"]) == 0
    assert main(["evaluate", runs[1], "--fail-under", "precision:positive=1"]) == 1
    assert "precision:positive is " in capsys.readouterr().err
    assert main(["evaluate", *runs, "--fail-under", "accuracy=0.9"]) == 1
    assert f"{runs[1]}: accuracy is " in capsys.readouterr().err


def test_a_typo_is_an_error_before_anything_runs(runs, capsys):
    command = ["evaluate", runs[0], "--fail-under", "recall:positiv=0.5"]
    assert main([*command, "--predictions", "p.csv"]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "no metric 'recall:positiv', expected one of loss," in printed.err


def test_several_runs_and_datasets_are_a_table_in_every_form(runs, dataset, capsys):
    command = ["evaluate", *runs, "--data", str(dataset.directory), "--split", "train"]
    assert main([*command, "--json"]) == 0
    reports = list(map(json.loads, capsys.readouterr().out.splitlines()))
    assert [report["run"] for report in reports] == runs
    assert main([*command, "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    for row, report in zip(rows, reports, strict=True):
        assert (row["run"], row["split"], row["reviews"]) == (report["run"], "train", "160")
        assert float(row["f1"]) == pytest.approx(report["f1"], abs=1e-6)
    assert main([*command, "--markdown"]) == 0
    first, line, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("| run | data | split |") and set(line) <= set("| -") and len(rest) == 2
    assert [report.get("baseline", {}).get("run") for report in reports] == [None, runs[0]]
    assert reports[1]["failed"] == []  # only --baseline is a gate
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("160 of the train split")
    assert any(line.split() == ["hidden", "8,4", "2"] for line in lines)
    low, high = reports[0]["intervals"]["accuracy"]
    assert any(line.split()[:3] == [f"{low:.4f}", "to", f"{high:.4f}"] for line in lines)
    assert lines[-1].startswith(f"{runs[1]} against {runs[0]}: significantly worse: -")


def test_a_run_may_stand_after_the_datasets(runs, dataset, capsys):
    assert main(["evaluate", "--data", str(dataset.directory), runs[0], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == runs[0]
    assert main(["evaluate", "--data", str(dataset.directory)]) == 2
    assert "no run was given" in capsys.readouterr().err


def test_every_prediction_is_written_and_the_surest_mistakes_are_shown(runs, tmp_path, capsys):
    for name in ("p.csv", "p.jsonl"):
        path = tmp_path / name
        assert main(["evaluate", runs[1], "--predictions", str(path), "--mistakes", "3", "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        if name == "p.csv":
            with open(path, newline="") as file:
                rows = list(csv.DictReader(file))
            surest = [max(float(row[f"probability:{each}"]) for each in report["labels"]) for row in rows]
        else:
            rows = list(map(json.loads, path.read_text().splitlines()))
            surest = [max(row["probabilities"].values()) for row in rows]
        assert [int(row["number"]) for row in rows] == list(range(40))
        right = sum(row["label"] == row["predicted"] for row in rows)
        assert right / 40 == report["accuracy"]
        wrong = [n for n in range(40) if rows[n]["label"] != rows[n]["predicted"]]
        wrong.sort(key=lambda n: -surest[n])
        assert [mistake["number"] for mistake in report["mistakes"]] == wrong[:3]
        assert all(mistake["text"] for mistake in report["mistakes"])
    assert main(["evaluate", *runs, "--predictions", str(path)]) == 2
    assert main(["evaluate", runs[0], "--predictions", "p.txt"]) == 2
    assert main(["evaluate", runs[0], "--mistakes", "2"]) == 0


def test_a_report_says_what_it_was_made_of(runs, dataset):
    assert main(["evaluate", runs[0]]) == 0
    with open(f"{runs[0]}/evaluation.json") as file:
        report = json.load(file)
    assert report["fingerprint"] == dataset.fingerprint and report["split"] == "test"
    assert report["threshold"] == 0.5 and {"lowmem-sentiment", "numpy"} <= report["versions"].keys()
    assert report["time"].endswith("+00:00")


def test_metrics_of_a_run_that_cannot_be_written_are_printed_first(runs, monkeypatch, capsys):
    from lowmem_sentiment.runs import run_directory
    from lowmem_sentiment.system.errors import OutputError

    def refuse(*_):
        raise OutputError(f"cannot write {runs[0]}/evaluation.json: Read-only file system")

    monkeypatch.setattr(run_directory, "write_json", refuse)
    assert main(["evaluate", runs[0], "--json"]) == 74
    printed = capsys.readouterr()
    assert json.loads(printed.out)["reviews"] == 40
    assert "error: cannot write" in printed.err
    assert main(["evaluate", runs[0], "--fail-under", "loss=0"]) == 1
    assert "warning: cannot write" in capsys.readouterr().err


def test_a_check_counts_and_the_result_is_saved_when_nobody_reads_the_answer(runs):
    command = [sys.executable, "-m", "lowmem_sentiment", "evaluate", runs[0]]
    command += ["--fail-under", "loss=0"]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=600)
    finally:
        os.close(writer)
    assert done.returncode == 1 and "error: loss is " in done.stderr
    with open(f"{runs[0]}/evaluation.json") as file:
        assert json.load(file)["reviews"] == 40


def evaluation_of(matrix, labels=None):
    """Return what the printed lines need of an evaluation with these counts."""
    from lowmem_sentiment.evaluation.results import Evaluation
    from lowmem_sentiment.evaluation.scoring import Tally

    counts = np.array(matrix, np.uint32)
    tally = Tally(labels or [f"label {nth}" for nth in range(len(counts))])
    tally.counts += counts
    metrics, by_label = tally.metrics()
    ends = {label: {name: [0.0, 1.0] for name in ("precision", "recall", "f1")} for label in by_label}
    about = "run", "data", None, None, "", tally.reviews, tally.labels
    return Evaluation(*about, metrics, by_label, counts, {}, ends, {}, "")


def test_labels_that_are_hardly_found_are_one_note_with_advice_that_fits():
    rare = evaluation_of([[300, 0, 0], [15, 5, 0], [1, 29, 0]], ["usual", "rare", "never"])
    (note,) = [line for line in evaluation_lines._notes(rare) if "found" in line]
    assert note.startswith("note: of 2 labels less than 30% of the reviews are found (never 0%, rare ")
    assert "--class-weight balanced" in note
    matrix = [[30, 0, 0, 0], [0, 30, 0, 0], [25, 0, 5, 0], [0, 0, 0, 30]]
    (note,) = evaluation_lines._notes(evaluation_of(matrix))
    assert "--class-weight" not in note and "--mistakes" in note


def test_a_label_is_one_row_and_what_is_undefined_is_a_dash(monkeypatch):
    evaluation = evaluation_of([[9, 0, 0], [1, 0, 0], [0, 0, 0]])
    monkeypatch.setenv("COLUMNS", "60")
    head, first, never, absent, legend = evaluation_lines._label_lines(evaluation)
    assert head.split() == ["label", "reviews", "precision", "recall", "f1"]
    assert first.split() == ["label", "0", "9", "0.9000", "1.0000", "0.9474"]
    assert never.split() == ["label", "1", "1", "-", "0.0000", "0.0000"]
    assert absent.split() == ["label", "2", "0", "-", "-", "-"]
    assert legend.startswith("-: never predicted")
    monkeypatch.setenv("COLUMNS", "80")
    assert "0.9000 (.000-1.00)" in evaluation_lines._label_lines(evaluation)[1]


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("count", [2, 10, 150])
def test_the_answer_fits_the_terminal(monkeypatch, width, count):
    names = ("差评：送餐太慢了", "مُمتاز", "👨\u200d👩\u200d👧", "a long label " * 80)
    labels = [f"{nth} {names[nth % 4]}" for nth in range(count)]
    evaluation = evaluation_of(np.eye(count, k=1) * 40 + 3, labels)
    monkeypatch.setenv("COLUMNS", str(width))
    lines = output.for_people(evaluation_lines.evaluation_lines(evaluation)).splitlines()
    assert max(map(text_width, lines)) <= width
    assert len(lines) < 25 + 2 * count + 20
    matrix = any(line.startswith("confusion matrix") for line in lines)
    assert matrix == (count == 2 or count == 10)


def test_a_model_that_predicts_one_label_is_noted():
    (note,) = evaluation_lines._notes(evaluation_of([[30, 0], [10, 0]], ["good", "bad"]))[1:]
    assert note.startswith("note: accuracy 0.7500 is no better than always answering 'good', 0.7500")
    assert "train with --recipe ngrams, unless the run did" in note
    assert "nothing else is predicted" in note


def test_unknown_labels_are_named_and_escaped(runs, tmp_path, capsys):
    path = tmp_path / "new.jsonl"
    path.write_text('{"text": "great", "label": "positive"}\n{"text": "a", "label": "b\\u001b[2J"}\n')
    assert main(["evaluate", runs[0], "--file", str(path)]) == 0
    assert "1 review with the label 'b\\x1b[2J'" in capsys.readouterr().err


def test_evaluation_imports_no_tensorflow(runs, tmp_path):
    path = tmp_path / "new.jsonl"
    path.write_text('{"text": "great", "label": "positive"}\n')
    calls = [
        ["evaluate", runs[0], "--baseline", runs[1], "--mistakes", "2"],
        ["evaluate", runs[0], "--file", str(path)],
        ["evaluate", *runs],
    ]
    code = (
        "import sys\n"
        "from lowmem_sentiment import cli\n"
        f"for call in {calls!r}: assert cli.main(call) == 0\n"
        "assert not {'tensorflow', 'keras', 'tensorboard'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600, stdout=subprocess.DEVNULL)
