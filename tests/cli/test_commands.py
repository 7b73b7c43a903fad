import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from helpers import run_cli

from lowmem_sentiment.cli import command_line, main, output
from lowmem_sentiment.cli import predict as cli_predict
from lowmem_sentiment.cli import train as cli_train
from lowmem_sentiment.evaluation.predict import Effect, Prediction
from lowmem_sentiment.monitoring.terminal_text import columns, table
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.runs.run_directory import RunDirectory


def one_line(result, code):
    """Return the only line of an error; check the exit code and that it is alone."""
    assert result.returncode == code, result.stderr
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("lowmem-sentiment: error: ")
    return lines[0]


@pytest.mark.slow
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
    assert (prepared.stderr, evaluated.stderr) == ("", "")
    warning, *lines = trained.stderr.splitlines()
    assert "warning: the test split has 40 reviews: metrics on so few" in warning
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    number = r"\d\.\d{3}"
    measured = "  ".join(f"{name} {number}" for name in ("loss", "accuracy", "val_loss", "val_accuracy"))
    line = rf"epoch \d/3  {measured}  \d+\.\d s"
    assert all(re.fullmatch(line, each) for each in lines)
    missed = run_cli("evaluate", run, "--json", "--fail-under", "loss=0", "--fail-under", "brier=0")
    assert missed.returncode == 1
    assert json.loads(missed.stdout)["accuracy"] == evaluation["accuracy"]
    assert re.search(r"loss is .* above 0.0; brier is .* above 0.0", missed.stderr)


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
        ("trian", 2, "did you mean 'train'?"),
        *((name, 2, f"command {name} is gone, use {new};") for name, new in command_line.GONE.items()),
        ("train {none} --run {out}", 66, "is not a dataset directory; make one"),
        ("train {empty} --run {out}", 65, "holds no dataset"),
        ("train {data} --run {run}", 73, "holds a finished run; train it on with --resume"),
        ("train {data} --run {file}", 73, "is a file"),
        ("train --run {out}", 2, "no dataset is given, expected one: lowmem-sentiment train DATASET"),
        ("train {data} --runn {out}", 2, "unrecognized arguments: --runn; did you mean '--run'?"),
        ("train {data} --run {out} --epoch\x1bs 3", 2, r"error: unrecognized arguments: --epoch\x1bs"),
        ("train {data} --run {out} --gpu", 2, "CUDA_VISIBLE_DEVICES"),
        ("train {data} --run {out} --optimizer lazyadam", 2, "did you mean 'lazy-adam'?"),
        ("train {data} --run {out} --epochs 0", 2, "epochs is 0, expected 1 or more"),
        ("train {data} --run {out} --epochs two", 2, "1 or more; see lowmem-sentiment train --help"),
        (
            "train {data} --run {out} --hidden 50,",
            2,
            "hidden is '50,', expected whole numbers, ",
        ),
        ("train {data} --run {out} --num-words 3", 2, "num_words is 3, expected 4 to 26"),
        ("train {data} --run {out} --num-words 99", 2, "num_words is 99, expected 4 to 26"),
        ("train {data} --run {out} --window-bytes 12X", 2, "window_bytes is '12X', expected a size"),
        ("train {data} --run {out} --memory-limit 0", 2, "memory_limit is '0', expected a size above 0"),
        (
            "train {data} --run {out} --save-every soon",
            2,
            "save_every is 'soon', expected steps (500)",
        ),
        ("export {run} --out {out} --format h5", 2, "format is 'h5', expected one of saved-model"),
        ("evaluate {none}", 66, "is not a run directory"),
        ("evaluate {run}/..", 66, "the runs in it: "),
        ("evaluate {run}s", 66, "did you mean 'run'?"),
        ("predict {run}s text", 66, "did you mean 'run'?"),
        ("explore {data}s", 66, "did you mean "),
        ("evaluate {run} --data {none}", 66, "is not a dataset directory"),
        ("evaluate {run} --fail-under speed=1", 2, "no metric 'speed', expected one of loss"),
        ("evaluate {run} --fail-under loss", 2, "fail_under is 'loss', expected METRIC=NUMBER"),
        ("prepare imbd", 2, "did you mean 'imdb'?"),
        ("prepare reviews.csv", 2, "lowmem-sentiment prepare files PATH"),
        ("prepare imdb --out {data} --npz {none}", 73, "exists and is not empty"),
        ("prepare imdb --out {out} --npz {none}", 66, "is missing; expected Keras' imdb.npz"),
        ("prepare imdb --out {out} --npz {file}", 65, "is not an .npz file"),
        ("prepare files {csv} --label Stars --out {out}", 2, "a column is named by --label-column"),
        ("prepare files {csv} --label-column Stars --out {out}", 65, "did you mean 'stars'?"),
        ("prepare files {csv} --out {out} --label-map b", 2, "label_map is 'b', expected OLD=NEW,..."),
        (
            "prepare files {csv} --out {out} --skip-bad-rows x",
            2,
            "skip_bad_rows is 'x', expected a ",
        ),
        ("predict {run} --csv --keep WRONG --file {csv}", 65, "no column is named WRONG"),
        ("predict {run} a --words -1", 2, "words is -1, expected 0 or more"),
        ("curves {run} --chart epoch_los", 2, "did you mean 'epoch_loss'?"),
        ("tune {data} --out {run}/.. --grid epochs=1", 73, "belongs to no search"),
        ("tensorboard {none}", 66, "is not a run directory"),
        ("tensorboard {empty}", 66, "holds no run"),
        ("tensorboard {run} --port x", 2, "port is 'x', expected a whole number, 0 to 65,535"),
        ("tensorboard {run} --port 65536", 2, "port is 65536, expected 0 to 65,535"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_mends_it_and_its_exit_code(
    arguments, code, message, dataset, trained, tmp_path, tmp_path_factory, capsys
):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("a file")
    (tmp_path / "some.csv").write_text("review,stars\ngood,1\nbad,0\n")
    (tmp_path / "imdb_word_index.json").write_text("{}")
    paths = {name: tmp_path / name for name in ("none", "empty", "file", "out")}
    run = shutil.copytree(trained, tmp_path_factory.mktemp("copy") / "run")
    (run.parent / "notes").touch()
    paths |= {"data": dataset.directory, "run": run, "csv": tmp_path / "some.csv"}
    before = sorted(tmp_path.rglob("*"))
    try:
        ended = main(arguments.format(**paths).split())
    except SystemExit as stopped:  # by argparse
        ended = stopped.code
    captured = capsys.readouterr()
    assert (ended, captured.out) == (code, "")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("prepare files {proj}/reviews.csv --out {proj} --test-fraction 0.5", "holds the input"),
        ("prepare files {proj} --out {proj}", "is the input"),
        ("prepare files {proj}/reviews.csv --out {link}", "holds the input"),
        ("prepare files {data} --out {proj}", "is not a dataset"),
        ("prepare files {data} --out .", "is the working directory"),
        ("prepare files {data} --out {run}", "is not a dataset"),
        ("prepare imdb --out {run} --npz {proj}/reviews.csv", "is not a dataset"),
        ("export {run} --out {run} --format weights", "is the input"),
        ("export {run} --out {run}/.. --format weights", "holds the input"),
        ("export {run} --out {run}/tensorboard --format weights", "lies within the input"),
        ("export {run} --out {proj} --format weights", "is not an export"),
        ("export {run} --out {data} --format weights", "is not an export"),
        ("train {data} --run {data}", "is the input"),
        ("train {data} --run {proj}", "is not a run"),
        ("train {data} --run .", "is the working directory"),
    ],
)
def test_nothing_but_its_own_kind_is_overwritten(
    arguments, reason, dataset, trained, tmp_path, monkeypatch, capsys
):
    (tmp_path / "proj").mkdir()
    (tmp_path / "proj" / "reviews.csv").write_text("text,label\n" + "good,1\nbad,0\n" * 20)
    run, data = tmp_path / "all" / "run", tmp_path / "all" / "data"
    shutil.copytree(trained, run)
    shutil.copytree(dataset.directory, data)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")

    def everything():
        files = (path for path in tmp_path.rglob("*") if path.is_file())
        return {path: path.read_bytes() for path in files}

    before = everything()
    (link := tmp_path / "link").symlink_to(tmp_path / "proj")
    arguments = arguments.format(proj=tmp_path / "proj", link=link, run=run, data=data).split()
    assert main([*arguments, "--overwrite"]) == 73
    captured = capsys.readouterr()
    assert reason in captured.err
    assert captured.err.count("\n") == 1
    assert everything() == before


def test_what_is_overwritten_is_reported(trained, tmp_path, capsys):
    for report in ("", "lowmem-sentiment: replaced the export "):
        out = str(tmp_path / "out")
        assert main(["export", str(trained), "--format", "weights", "--out", out, "--overwrite"]) == 0
        assert capsys.readouterr().err == (f"{report}{out}\n" if report else "")
    assert main(["predict", out, "great"]) == 0


@pytest.mark.slow
def test_the_second_of_two_prepares_is_refused_in_one_line(tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\n" + "".join(f"film {nth},{nth % 2}\n" for nth in range(200_000)))
    command = [sys.executable, "-m", "lowmem_sentiment", "prepare", "files", str(rows)]
    command += ["--out", str(tmp_path / "data")]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, **options) for _ in range(2)]
    ended = [(process.communicate()[1], process.returncode) for process in both]
    assert sorted(code for _, code in ended) == [0, 73]
    (error,) = (error for error, code in ended if code)
    assert error.count("\n") == 1
    assert run_cli("explore", tmp_path / "data").returncode == 0


def test_a_package_that_is_not_installed_is_one_line(trained, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert main(["tensorboard", str(trained)]) == 69
    [line] = capsys.readouterr().err.splitlines()
    assert "tensorboard" in line and "which this command needs" in line


@pytest.mark.parametrize(("command", "kilobytes"), [("predict", 150_000), ("evaluate", 150_000),
                                                    ("train", 1_000_000)])  # fmt: skip
def test_too_few_addresses_are_one_line(command, kilobytes, trained):
    """OpenBLAS and LLVM would end the process, without a line or with code 1."""
    arguments = {"train": ["--resume", trained, "--epochs", 9], "predict": [trained, "good"]}
    given = " ".join(map(str, arguments.get(command, [trained])))
    shell = f"ulimit -v {kilobytes}; exec {sys.executable} -m lowmem_sentiment {command} {given}"
    result = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert "out of memory: this process may not use" in one_line(result, 71)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (MemoryError(), 71, "out of memory"),
        (ImportError("libx.so: failed to map segment from shared object"), 71, "out of memory"),
        (OSError(12, "Cannot allocate memory"), 71, "out of memory"),
        (PermissionError(13, "Permission denied", "a/b"), 66, "cannot open a/b: Permission denied"),
        (OSError(24, "Too many open files", "a/b"), 74, "the system refused: a/b: Too many open files"),
    ],
)
def test_what_the_system_refuses_anywhere_is_one_line(error, code, message, capsys):
    def refused(options, bar):
        raise error

    assert command_line.run(argparse.Namespace(command=refused)) == code
    assert message in capsys.readouterr().err


def test_what_train_refuses_or_finds_done_is_said_without_tensorflow(dataset, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    train = ["train", str(dataset.directory), "--run"]
    calls = {
        ("train", "none", "--run", "r"): 66,
        ("evaluate", "none"): 66,
        (*train, str(run)): 73,
        (*train, "new", "--from", str(run), "--hidden", "7"): 2,
        ("train", "--resume", str(run)): 0,
    }
    code = f"""
import sys
from lowmem_sentiment.cli import main
for arguments, code in {calls!r}.items():
    assert main(arguments) == code, arguments
assert "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, stdout=subprocess.DEVNULL)


def test_without_a_command_the_commands_are_listed(capsys):
    with pytest.raises(SystemExit, match="2"):
        main([])
    shown = capsys.readouterr().err
    assert all(f"\n    {name} " in shown or f"\n    {name}\n" in shown for name in command_line.COMMANDS)


def test_help_shows_every_default(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--help"])
    assert stopped.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    for shown in ("(default: 2)", "(default: 32)", "(default: 50,50,50)", "(default: 0.3,0.2)",
                  "seed for weights, order and dropout (default: 0)"):  # fmt: skip
        assert shown in out
    assert "None" not in out


def test_a_run_from_another_takes_over_its_settings_but_those_given(
    dataset, trained, tmp_path, monkeypatch
):
    usual = RunDirectory(trained).settings()
    parent = replace(
        usual, optimizer="lazy-adam", learning_rate_schedule="linear", class_weight="balanced",
        best_by="loss", dropout=(0.1,),
    )  # fmt: skip
    monkeypatch.setattr(RunDirectory, "settings", lambda self: parent)
    command = ["train", str(dataset.directory), "--run", str(tmp_path / "run"), "--from", str(trained)]
    settings = cli_train._settings(command_line.parse([*command, "--batch-size", "7"]), dataset)
    assert (settings.batch_size, settings.seed) == (7, TrainingSettings.seed)
    for name in {*cli_train._OF_PARENT} - {"batch_size"}:
        assert getattr(settings, name) == getattr(parent, name) != getattr(TrainingSettings, name)


def test_every_exit_code_is_in_the_help(capsys):
    from lowmem_sentiment.system import errors

    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    codes = {kind.exit_code for kind in errors.LowmemError.__subclasses__()}
    assert {int(code) for code in re.findall(r"(?:^| ) (\d+)  +\S", out, re.M)} == codes | {0, 70, 130}


def test_ctrl_c_is_one_line(monkeypatch, imdb_files, tmp_path, capsys):
    from lowmem_sentiment.dataset.writer import DatasetWriter

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(DatasetWriter, "write", interrupt)
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


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("--help | true", 0),
        ("train --help | true", 0),
        ("--help > /dev/full", 74),
        ("predict {run} great | true", 0),
        ("predict {run} great > /dev/full", 74),
        ("predict {run} great >&-", 0),
        ("evaluate {run} --json | true", 0),
        ("evaluate {run} --fail-under loss=0 | true", 1),
        ("explore none | true", 66),
        ("explore none 2> /dev/full", 66),
        ("explore none 2>&-", 66),
        ("explore none >&- 2>&-", 66),
        ("trian 2> /dev/full", 2),
    ],
)
def test_no_closed_pipe_or_full_disk_hides_the_exit_code(command, code, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    shell = f"{sys.executable} -m lowmem_sentiment {command.format(run=run)}; exit ${{PIPESTATUS[0]}}"
    user = {name: os.environ[name] for name in ("HOME", "PATH")}  # PYTHONUNBUFFERED would hide it
    done = subprocess.run(
        ["bash", "-c", shell], env=user, stderr=subprocess.PIPE, text=True, timeout=600, check=False
    )
    assert done.returncode == code
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_predict_stops_when_nobody_reads_its_answers(trained):
    shell = f"yes great | {sys.executable} -m lowmem_sentiment predict {trained} | head -1"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=600, check=True)
    assert done.stdout.count("\n") == 1 and done.stderr == ""


FORGED = "bad\x1b[2J\nlowmem-sentiment: error: forged"


def test_what_came_from_data_cannot_clear_the_terminal_nor_forge_a_line(capsys):
    options = argparse.Namespace(json=False)
    output.answer(options, {}, lambda: [FORGED, *table({FORGED: FORGED}, 1000)])
    output.answer(options, {}, lambda: columns([["", FORGED], [FORGED, "1"]], 80))
    prediction = Prediction(FORGED, 0.9, {FORGED: 0.9, "b": 0.1, "c": 0.0}, [Effect(FORGED, 1.0)])
    output.answer(options, {}, lambda: cli_predict._prediction_lines(prediction, colour=False))
    output.report(FORGED)
    captured = capsys.readouterr()
    lines = (captured.out + captured.err).splitlines()
    assert len(lines) == 8
    assert all(line.isprintable() and not line.startswith("lowmem-sentiment: error") for line in lines)


def test_json_is_exact_as_it_is(capsys):
    output.answer(argparse.Namespace(json=True), {"label": FORGED}, list)
    assert json.loads(capsys.readouterr().out) == {"label": FORGED}


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.05, 0.2, 1.0])
def test_ctrl_c_at_any_moment_of_the_start_is_one_line(dataset, tmp_path, seconds):
    """From the moment when `main` has begun: until then Python prints a traceback of its own."""
    arguments = ["train", str(dataset.directory), "--run", str(tmp_path / "run"), "--epochs", "500"]
    code = "from lowmem_sentiment.cli import main; print(flush=True); raise SystemExit(main())"
    command = [sys.executable, "-c", code, *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=600)
    assert process.returncode in (130, 75), errors
    *others, line = errors.splitlines()  # on a fast machine the run has begun
    assert line == "lowmem-sentiment: stopped" or "error: stopped at" in line, errors
    assert all(each.startswith(("lowmem-sentiment: warning: ", "epoch ")) for each in others), errors
    assert sum("warning: " in each for each in others) <= 1, errors


def test_an_ascii_locale_prints_what_it_can(tmp_path):
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = run_cli("explore", tmp_path / "é", env=environment)
    assert result.returncode == 66
    assert result.stderr.count("\n") == 1 and "is not a dataset directory" in result.stderr


def test_ctrl_c_while_the_commands_are_imported_is_one_line():
    code = """
import os, signal, sys
class Interrupt:  # at the first import of NumPy, which makes an ImportError of it
    def find_spec(self, name, *_):
        if name == "numpy" and self in sys.meta_path:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
from lowmem_sentiment.cli import main
sys.exit(main(["predict", "none", "a"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "lowmem-sentiment: stopped\n")


@pytest.mark.parametrize("command", command_line.COMMANDS)
def test_the_help_of_a_command_imports_neither_numpy_nor_what_the_command_runs(command):
    code = f"""
import sys
from lowmem_sentiment.cli import main
try:
    main([{command!r}, "--help"])
except SystemExit:
    assert not {{"numpy", "multiprocessing", "lowmem_sentiment.dataset.reader"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(len(line) < 80 for line in done.stdout.splitlines())


@pytest.mark.parametrize("command", ["", "prepare files", *command_line.COMMANDS])
@pytest.mark.parametrize("width", [60, 80])
def test_help_fits_the_terminal(command, width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    with pytest.raises(SystemExit, match="0"):
        main([*command.split(), "--help"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= width


def test_resuming_a_finished_run_says_that_nothing_was_done(trained, dataset, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    result = run_cli("train", dataset.directory, "--resume", run)
    assert f"{run} is finished, and nothing was done; --epochs N trains it further" in result.stderr
    assert "test accuracy" in result.stdout


@pytest.mark.parametrize(
    "command",
    [
        "evaluate {run} --predictions {file}",
        "evaluate {run} --file {file} --predictions {file}",
        "evaluate {run} --html {file}",
        "predict {run} good --drift {file}",
        "curves {run} --csv {file}",
        "tune {run}/no-dataset --out {run}/out --csv {file}",
    ],
)
def test_no_output_replaces_a_file_of_other_content(trained, tmp_path, command, capsys):
    run, mine = shutil.copytree(trained, tmp_path / "run"), tmp_path / "tickets.csv"
    mine.write_text("number,text,label\n1,good film,positive\n")
    before = mine.read_bytes()
    assert main(command.format(run=run, file=mine).split()) == 73
    assert f"{mine} exists, and is not" in capsys.readouterr().err
    assert mine.read_bytes() == before
    again = "predictions.csv" if "--predictions" in command else "out"
    if command.startswith(("evaluate", "curves")) and "--file" not in command:
        for _ in range(2):  # what the command wrote is replaced
            assert main(command.format(run=run, file=tmp_path / again).split()) == 0
