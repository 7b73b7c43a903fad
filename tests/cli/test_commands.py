import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from helpers import run_cli

from lowmem_sentiment.cli import main


def one_line(result, code):
    """Give the only line of an error, having checked the exit code and that nothing else was said."""
    assert result.returncode == code, result.stderr
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("lowmem-sentiment: error: ")
    return lines[0]


def test_a_whole_course_in_json(imdb_files, tmp_path):
    npz, _ = imdb_files
    data, run = tmp_path / "data" / "imdb", tmp_path / "runs" / "first"
    prepared = run_cli("prepare", "imdb", "--npz", npz, "--out", data, "--json")
    assert json.loads(prepared.stdout)["splits"]["test"]["reviews"] == 40
    trained = run_cli(
        "train", data, "--run", run, "--epochs", 3, "--batch-size", 8, "--hidden", "8,4",
        "--learning-rate", 0.02, "--json",
    )  # fmt: skip
    summary = json.loads(trained.stdout)
    evaluated = run_cli("evaluate", run, "--data", data, "--json", "--fail-under", "accuracy=0.5")
    evaluation = json.loads(evaluated.stdout)
    assert evaluation["accuracy"] == pytest.approx(summary["val_accuracy"])
    assert (prepared.stderr, trained.stderr, evaluated.stderr) == ("", "", "")
    missed = run_cli("evaluate", run, "--json", "--fail-under", "loss=0", "--fail-under", "accuracy=1.5")
    assert missed.returncode == 1
    assert json.loads(missed.stdout)["accuracy"] == evaluation["accuracy"]
    assert re.search(r"loss is .* above 0.0; accuracy is .* below 1.5", missed.stderr)


def test_answers_for_a_person(imdb_files, trained, dataset, tmp_path, capsys):
    assert main(["prepare", "imdb", "--npz", str(imdb_files[0]), "--out", str(tmp_path / "d")]) == 0
    assert "160 train, 40 test" in capsys.readouterr().out
    run = shutil.copytree(trained, tmp_path / "run")
    assert main(["evaluate", str(run), "--data", str(dataset.directory)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"accuracy +[01]\.\d{4}", out)
    assert re.search(r"negative +\d+ +\d+", out)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("train {none} --run {out}", 66, "is no dataset directory; make one"),
        ("train {empty} --run {out}", 65, "holds no dataset"),
        ("train {data} --run {run}", 73, "holds a finished run; train it on with --resume"),
        ("train {data} --run {file}", 73, "is a file"),
        ("train {data} --run {out} --epochs 0", 2, "epochs is 0, expected 1 or more"),
        ("train {data} --run {out} --num-words 3", 2, "num_words is 3, expected 4 to 26"),
        ("train {data} --run {out} --num-words 99", 2, "num_words is 99, expected 4 to 26"),
        ("evaluate {none}", 66, "is no run directory"),
        ("evaluate {run} --data {none}", 66, "is no dataset directory"),
        ("evaluate {run} --fail-under speed=1", 2, "no metric 'speed', expected one of loss"),
        ("prepare imdb --out {data} --npz {none}", 73, "exists and is not empty"),
        ("prepare imdb --out {out} --npz {none}", 66, "is missing; expected Keras' imdb.npz"),
        ("prepare imdb --out {out} --npz {file}", 65, "is no .npz file"),
        ("tensorboard {none}", 66, "holds no run"),
        ("tensorboard {empty}", 66, "holds no run"),
    ],
)
def test_a_mistake_is_one_line_and_its_exit_code(
    arguments, code, message, dataset, trained, tmp_path, tmp_path_factory, capsys
):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("a file")
    (tmp_path / "imdb_word_index.json").write_text("{}")
    paths = {name: tmp_path / name for name in ("none", "empty", "file", "out")}
    run = shutil.copytree(trained, tmp_path_factory.mktemp("copy") / "run")
    paths |= {"data": dataset.directory, "run": run}
    before = sorted(tmp_path.rglob("*"))
    assert main(arguments.format(**paths).split()) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_mistake_is_told_without_tensorflow_being_imported(tmp_path):
    code = """
import sys
from lowmem_sentiment.cli import main
codes = [main(["train", "none", "--run", "r"]), main(["evaluate", "none"])]
assert codes == [66, 66] and "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True)


@pytest.mark.parametrize(
    "arguments",
    [[], ["fly"], ["train"], ["train", "d"], ["train", "d", "--run", "r", "--epochs", "two"],
     ["evaluate", "r", "--fail-under", "accuracy"], ["prepare", "imdb", "--split", "half"]],
)  # fmt: skip
def test_wrong_arguments_exit_with_two(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_help_shows_every_default(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--help"])
    assert stopped.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    for shown in ("(default: 2)", "(default: 32)", "(default: 50,50,50)", "(default: 0.3,0.2)",
                  "of weights, order and dropout (default: 0)"):  # fmt: skip
        assert shown in out
    assert "None" not in out


def test_every_exit_code_is_in_the_help(capsys):
    from lowmem_sentiment.system import errors

    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    codes = {kind.exit_code for kind in errors.LowmemError.__subclasses__()}
    assert {int(code) for code in re.findall(r"(?:^|  )(\d+)  \S", out, re.M)} == codes | {0, 130}


def test_ctrl_c_is_one_line(monkeypatch, imdb_files, tmp_path, capsys):
    from lowmem_sentiment.dataset import preparation

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(preparation.DatasetWriter, "write", interrupt)
    command = ["prepare", "imdb", "--npz", str(imdb_files[0]), "--out", str(tmp_path / "out")]
    assert main(command) == 130
    assert capsys.readouterr().err == "lowmem-sentiment: stopped\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="a small tmpfs can be mounted by root only")
def test_a_full_disk_is_one_line_and_leaves_no_dataset(imdb_files, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        result = run_cli("prepare", "imdb", "--npz", imdb_files[0], "--out", small / "data")
        assert "No space left on device" in one_line(result, 74)
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_pipe_that_is_closed_is_no_error(trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    command = f"{sys.executable} -m lowmem_sentiment evaluate {run} --json | true"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert result.stderr == ""
