import contextlib
import csv
import json
import re
import shutil

import pytest
from helpers import run_cli

from lowmem_sentiment.cli import main
from lowmem_sentiment.monitoring.event_reader import choose, read_curves
from lowmem_sentiment.monitoring.event_writer import EventWriter, scalars
from lowmem_sentiment.system.errors import InputMissing, SettingsError


def test_curves_are_read_back_as_they_were_written(trained):
    curves = {(curve.part, curve.tag): curve for curve in read_curves(trained)}
    epochs = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    for name in ("accuracy", "loss"):
        for part, prefix in (("train", ""), ("validation", "val_")):
            curve = curves[part, f"per_epoch/{name}"]
            assert curve.steps == [20, 40, 60]
            assert curve.values == pytest.approx([epoch[prefix + name] for epoch in epochs])
        assert curves["validation", f"epoch_{name}"].values == curves["validation", curve.tag].values
    result = curves["result_test", "epoch_accuracy"]
    assert (result.steps, result.values) == ([60], [pytest.approx(epochs[-1]["val_accuracy"])])
    gap = [epoch["val_loss"] - epoch["loss"] for epoch in epochs]
    assert curves["validation", "per_epoch/generalization_gap"].values == pytest.approx(gap)
    assert all(value > 0 for value in curves["train", "process/reviews_per_second"].values)


def test_an_unknown_chart_and_a_run_without_curves_are_told(trained, tmp_path):
    with pytest.raises(SettingsError, match="no curve 'x', expected one of epoch_accuracy"):
        choose(read_curves(trained), ["x"])
    shutil.copytree(trained, tmp_path / "run")
    with pytest.raises(InputMissing, match="holds no run: .*; the runs in it: .*/run"):
        read_curves(tmp_path)
    shutil.rmtree(tmp_path / "run" / "tensorboard" / "validation")
    for file in (tmp_path / "run" / "tensorboard").iterdir():
        file.unlink()
    with pytest.raises(InputMissing, match="holds no curves"):
        read_curves(tmp_path / "run")


def test_two_runs_in_the_terminal_in_csv_and_in_json(trained, tmp_path, capsys):
    other = shutil.copytree(trained, tmp_path / "other")
    runs = [str(trained), str(other)]
    assert main(["curves", *runs]) == 0
    out = capsys.readouterr().out
    titles = [line for line in out.splitlines() if line.startswith("epoch_")]
    assert titles == ["epoch_loss", "epoch_accuracy"]
    assert "B" in out and re.search(r"\nb  \S+/other +\d", out)
    assert main(["curves", *runs, "--csv", str(tmp_path / "out.csv"), "--chart", "per_epoch/loss"]) == 0
    assert capsys.readouterr().out == ""
    with open(tmp_path / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["20", "40", "60"] * 4
    assert main(["curves", runs[0], "--json"]) == 0
    curves = json.loads(capsys.readouterr().out)["curves"]
    assert {curve["tag"] for curve in curves} >= {"process/resident_MB", "validation/auc"}


def write_three_points(directory):
    writer = EventWriter(directory)
    for step in range(3):
        writer.write("train", step, scalars({"epoch_loss": step / 2}))
    writer.flush()
    (path,) = (directory / "train").iterdir()
    return path


def test_a_damaged_record_is_named_and_the_points_after_it_are_read(tmp_path):
    path = write_three_points(tmp_path / "tensorboard")
    content = bytearray(path.read_bytes())
    content[content.index(b"epoch_loss")] ^= 1
    path.write_bytes(content)
    warnings = []
    (curve,) = read_curves(tmp_path, warnings.append)
    assert curve.steps == [1, 2]
    (warning,) = warnings
    assert "is damaged at byte 40: a record has a wrong checksum; it is left out" in warning


@pytest.mark.parametrize("cut", [1, 4, 13, 60])
def test_a_file_that_is_cut_is_named(tmp_path, cut):
    path = write_three_points(tmp_path / "tensorboard")
    path.write_bytes(path.read_bytes()[:-cut])
    warnings = []
    (curve,) = read_curves(tmp_path, warnings.append)
    assert curve.steps == [0, 1]
    assert "a record is cut short; nothing after it can be read" in warnings[0]


def test_an_empty_file_is_named(tmp_path):
    path = write_three_points(tmp_path / "tensorboard")
    path.write_bytes(b"")
    warnings = []
    with pytest.raises(InputMissing, match="holds no curves"):
        read_curves(tmp_path, warnings.append)
    assert warnings == [f"{path} is damaged: it is empty, expected the events of a run"]


def test_no_flipped_bit_changes_a_curve_in_silence(tmp_path):
    path = write_three_points(tmp_path / "tensorboard")
    whole = path.read_bytes()
    for at in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        warnings = []
        with contextlib.suppress(InputMissing):  # nothing can be read after the first record's length
            read_curves(tmp_path, warnings.append)
        assert warnings


def test_they_are_drawn_in_little_memory(trained):
    code = (
        "import sys; from lowmem_sentiment.cli import main; "
        "from lowmem_sentiment.system.memory import MB, peak_resident; "
        "main(['curves', sys.argv[1]]); print(peak_resident() / MB)"
    )
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", code, str(trained)], capture_output=True, text=True)
    assert float(done.stdout.splitlines()[-1]) < 100
    assert run_cli("curves", trained, "--chart", "all").returncode == 0
