import csv
import json
import shutil

import pytest
from helpers import run_cli

from lowmem_sentiment.cli import main
from lowmem_sentiment.monitoring.event_reader import Curve, choose, read_curves
from lowmem_sentiment.monitoring.terminal_chart import draw
from lowmem_sentiment.system.errors import InputMissing, SettingsError


def test_curves_are_read_back_as_they_were_written(trained):
    curves = {(curve.part, curve.tag): curve for curve in read_curves(trained)}
    epochs = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    for part, prefix in (("train", ""), ("validation", "val_")):
        for name in ("accuracy", "loss"):
            curve = curves[part, f"{name}/epoch"]
            assert curve.steps == [20, 40, 60]
            assert curve.values == pytest.approx([epoch[prefix + name] for epoch in epochs])
    assert curves["", "result/accuracy"].values == pytest.approx([epochs[-1]["val_accuracy"]])
    assert all(value > 0 for value in curves["train", "process/reviews_per_second"].values)


def test_a_chart_holds_every_curve_within_its_frame():
    curves = [
        Curve("one", "train", "loss", [1, 50, 100], [5.0, float("nan"), 1.0]),
        Curve("one", "validation", "loss", [100], [3.0]),
        Curve("two", "train", "loss", [50], [9.0]),
    ]
    lines = draw(curves, 40, 9)
    assert lines[0] == "loss" and "9 ┤" in lines[1] and "1 ┤" in lines[9]
    assert lines[1].strip() == "9 ┤" + " " * 19 + "b"
    assert lines[7].endswith("A") and lines[9].endswith("a")
    assert lines[-3:] == ["a one train 1", "A one validation 3", "b two train 9"]
    assert all(len(line) <= 11 + 40 + 6 for line in lines)


def test_flat_and_single_points_are_drawn():
    assert "7 ┤" in draw([Curve("one", "", "tag", [5], [7.0])], 10, 3)[1]
    draw([Curve("one", "", "tag", [5, 6], [float("nan")] * 2)], 10, 3)


def test_an_unknown_chart_and_a_run_without_curves_are_told(trained, tmp_path):
    with pytest.raises(SettingsError, match="no curve 'x', expected one of accuracy/batch"):
        choose(read_curves(trained), ["x"])
    with pytest.raises(InputMissing, match="holds no curves"):
        read_curves(tmp_path)


def test_two_runs_in_the_terminal_in_csv_and_in_json(trained, tmp_path, capsys):
    other = shutil.copytree(trained, tmp_path / "other")
    runs = [str(trained), str(other)]
    assert main(["curves", *runs]) == 0
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line.endswith("h") and " " not in line] == [
        "accuracy/batch", "loss/batch", "accuracy/epoch", "loss/epoch"
    ]  # fmt: skip
    assert f"B {other} validation" in out
    assert main(["curves", *runs, "--csv", str(tmp_path / "out.csv"), "--chart", "loss/epoch"]) == 0
    assert capsys.readouterr().out == ""
    with open(tmp_path / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["20", "40", "60"] * 4
    assert main(["curves", runs[0], "--json"]) == 0
    curves = json.loads(capsys.readouterr().out)["curves"]
    assert {curve["tag"] for curve in curves} >= {"process/resident_MB", "validation/auc"}


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
