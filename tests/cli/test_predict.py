"""`predict` reads files as `prepare` does, and answers as lines, JSON or CSV."""

import csv
import io
import json

import pytest
from helpers import run_cli, write_run

from lowmem_sentiment.cli import main
from lowmem_sentiment.cli import predict as cli_predict
from lowmem_sentiment.evaluation.predict import Prediction, predict

TEXTS = ["a great film", "dull, dull", "worst mess"]


@pytest.fixture
def run(tmp_path):
    return str(write_run(tmp_path / "run").path)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "r.csv"
    rows = (f'{nth},"{text}"\n' for nth, text in enumerate(TEXTS, 10))
    path.write_text("id,text\n" + "".join(rows))
    return str(path)


def test_csv_answers_have_the_kept_columns_and_each_probability(run, table, capsys):
    assert main(["predict", run, "--file", table, "--csv", "--keep", "id"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == [
        "number", "id", "label", "probability", "known", "probability:negative", "probability:positive",
    ]  # fmt: skip
    for nth, (row, expected) in enumerate(zip(rows[1:], predict(run, TEXTS), strict=True)):
        assert row[:3] == [str(nth), str(nth + 10), expected.label]
        assert row.pop(4) == str(expected.known).lower()
        assert [float(cell) for cell in row[3:]] == [
            expected.probability, *expected.probabilities.values(),
        ]  # fmt: skip


def test_a_kept_cell_that_a_spreadsheet_takes_for_a_formula_is_not_changed(run, tmp_path, capsys):
    path, cells = tmp_path / "r.csv", ["=1+1", "+1", "-1", "@a"]
    path.write_text("id,text\n" + "".join(f"{cell},good\n" for cell in cells))
    assert main(["predict", run, "--file", str(path), "--csv", "--keep", "id"]) == 0
    assert [row[1] for row in csv.reader(io.StringIO(capsys.readouterr().out))] == ["id", *cells]


def test_kept_fields_of_json_lines_keep_their_types(run, tmp_path, capsys):
    path = tmp_path / "r.jsonl"
    path.write_text(
        '{"text": "great", "id": 7, "user": "é"}\n{"text": "dull", "id": null, "user": "b"}\n'
    )
    assert main(["predict", run, "--file", str(path), "--json", "--keep", "id", "user"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["kept"] for answer in answers] == [{"id": 7, "user": "é"}, {"id": None, "user": "b"}]
    assert main(["predict", run, "--file", str(path), "--keep", "id"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["7", "null"]


@pytest.mark.parametrize(
    ("options", "code", "error"),
    [
        (["--keep", "no"], 65, "r.csv:1: no column is named no; the first row has 'id', 'text'"),
        (["--keep", "id", "--format", "text"], 2, "has no columns to keep: it is read as text"),
        (["--csv", "--explain"], 2, "--explain has no columns in CSV"),
        (["--csv", "--json"], 2, "not allowed with"),
        (["--skip-bad-rows", "x"], 2, "skip_bad_rows is 'x', expected a whole number, 0 or more"),
    ],
)
def test_what_cannot_be_kept_or_combined_is_refused(run, table, capsys, options, code, error):
    try:
        got = main(["predict", run, "--file", table, *options])
    except SystemExit as exit_:  # argparse
        got = exit_.code
    assert got == code
    assert error in capsys.readouterr().err


def test_texts_as_arguments_have_no_columns_to_keep(run, capsys):
    assert main(["predict", run, "great", "--keep", "id"]) == 2
    assert "texts were given, and --keep names columns" in capsys.readouterr().err


def test_bad_rows_are_skipped_and_reported_up_to_a_number_of_lines(run, table, capsys):
    with open(table, "a") as file:
        file.write('13\n14,great\n"15\n",too,many\n16,dull\n')
    command = ["predict", run, "--file", table, "--csv", "--keep", "id"]
    assert main([*command, "--skip-bad-rows", "all"]) == 0
    answers, errors = capsys.readouterr()
    assert [line.split(",")[1] for line in answers.splitlines()] == ["id", "10", "11", "12", "14", "16"]
    assert f"skipped: {table}:5: has 1 column, expected 2" in errors
    assert "r.csv:7: has 3 columns" in errors and "takes up 2 lines" in errors
    assert main([*command, "--skip-bad-rows", "2"]) == 65
    assert "it is one too many for --skip-bad-rows 2" in capsys.readouterr().err
    assert main([*command]) == 65


def test_a_large_file_is_answered_in_order_and_up_to_its_first_bad_row(run, tmp_path):
    texts = [f"{nth} {('great', 'dull')[nth % 2]} " + "so " * 200 for nth in range(3_000)]
    path = tmp_path / "r.csv"
    path.write_text("text,id\n" + "".join(f"{text},{nth}\n" for nth, text in enumerate(texts)) + "bad\n")
    done = run_cli("predict", run, "--file", path, "--json", "--workers", "2", own_process=True)
    assert done.returncode == 65
    assert "r.csv:3002: has 1 column, expected 2" in done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer.pop("number") for answer in answers] == list(range(3_000))
    assert answers == [answer.to_json() for answer in predict(run, texts)]


def test_format_auto_is_by_the_name(run, table, capsys):
    assert main(["predict", run, "--file", table, "--format", "auto"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(TEXTS)


@pytest.mark.slow
def test_the_text_column_of_the_dataset_is_looked_for_first(tmp_path, capsys):
    from lowmem_sentiment.preparation.prepare import prepare
    from lowmem_sentiment.runs.configuration import TrainingSettings
    from lowmem_sentiment.sources.files import FilesSource
    from lowmem_sentiment.training.train import train

    path = tmp_path / "r.csv"
    words = ("great", "dull")
    path.write_text("Review,label\n" + "".join(f"{words[n % 2]} {n},{n % 2}\n" for n in range(60)))
    dataset = prepare(FilesSource([path]), tmp_path / "data")
    run = tmp_path / "run"
    train(dataset, run, TrainingSettings(epochs=1, batch_size=8, hidden=(4,)))
    path.write_text("text,Review\nnothing of it,great 2\n")
    assert main(["predict", str(run), "--file", str(path), "--json"]) == 0
    assert main(["predict", str(run), "great 2", "--json"]) == 0
    assert main(["predict", str(run), "nothing of it", "--json"]) == 0
    by_file, by_text, other = capsys.readouterr().out.splitlines()
    assert by_file == by_text != other


def test_of_many_labels_the_likeliest_are_shown():
    probabilities = {f"label {nth}": (nth + 1) / 100 for nth in range(13)}
    prediction = Prediction("label 12", 0.13, probabilities)
    (line,) = cli_predict._prediction_lines(prediction, colour=False)
    assert line.startswith("label 12  0.1300  (label 11 0.1200, label 10 0.1100, ")
    assert line.endswith("label 7 0.0800 and 7 more)")
