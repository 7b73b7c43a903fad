import pytest

from lowmem_sentiment.cli import main
from lowmem_sentiment.monitoring.event_reader import Curve
from lowmem_sentiment.monitoring.terminal_chart import CHARACTERS, Style, draw, epoch_ends, legend


def test_a_chart_holds_every_curve_within_its_frame():
    curves = [
        Curve("runs/one", "train", "loss", [1, 50, 100], [5.0, float("nan"), 1.0]),
        Curve("runs/one", "validation", "loss", [100], [3.0]),
        Curve("runs/two", "train", "loss", [50], [9.0]),
    ]
    runs = ["runs/one", "runs/two"]
    lines = draw(curves, runs, Style(52, 9))
    assert lines[0] == "loss" and "9 ┤" in lines[1] and "1 ┤" in lines[9]
    assert lines[1].strip() == "9 ┤" + " " * 19 + "b"
    assert lines[7].endswith("A") and lines[9].endswith("a")
    shown = [line.split() for line in legend(curves, runs, Style(52))]
    assert shown == [["last", "values", "loss", "val_loss"], ["a", "one", "1", "3"], ["b", "two", "9"]]


def test_the_axis_counts_epochs_of_equal_length_and_otherwise_steps():
    train = Curve("a", "train", "loss", [10, 20, 30, 40], [4.0, 3.0, 2.0, 1.0])
    curves = [train, Curve("a", "validation", "loss", [20, 40], [3.0, 2.0])]
    style = Style(52, 4, epochs=epoch_ends(curves))
    assert draw(curves, ["a"], style)[-1].split() == ["epoch", "1", "2"]
    others = [*curves, Curve("b", "validation", "loss", [15, 30], [3.0, 2.0])]
    style = Style(52, 4, epochs=epoch_ends(others))
    assert draw(others, ["a", "b"], style)[-1].split() == ["step", "10", "40"]


def test_training_validation_and_result_differ_without_colour_and_hide_no_other():
    train = Curve("a", "train", "loss", [1, 9], [2.0, 2.0])
    points = [Curve("a", part, "loss", [9], [2.0]) for part in ("validation", "result_test")]
    title, row, *_ = draw([train, *points], ["a"], Style(80, 1))
    assert title == "loss  · train 2  ● validation 2  * result 2"
    assert {"·", "●", "*"} <= set(row)
    lines = draw([train, *points], ["a"], Style(80, 3, characters=CHARACTERS[1]))
    assert all(line.isascii() for line in lines)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_chart_fits_the_width(width):
    names = [f"runs/{'x' * 60},epochs={n}" for n in range(3)]
    curves = [Curve(name, "train", "loss", [1, 99], [2.0, 1.0]) for name in names]
    lines = [*draw(curves, names, Style(width)), *legend(curves, names, Style(width))]
    assert max(map(len, lines)) < width
    assert lines[-1].split()[1].endswith("epochs=2")  # what differs is not cut


def test_runs_that_meet_can_be_told_apart():
    curves = [Curve(name, "train", "loss", [1, 9], [2.0, 1.0]) for name in ("one", "two")]
    drawn = "".join(draw(curves, ["one", "two"], Style(40, 5))[1:6])
    assert drawn.count("a") > 5 and drawn.count("b") > 5
    assert "\x1b[36ma" in "".join(draw(curves, ["one", "two"], Style(40, 5, colour=True)))


def test_what_came_from_data_is_escaped_in_a_chart():
    runs = ["a\x1b[2J", "b"]
    curves = [Curve(run, "train", "loss\nlowmem-sentiment: error:", [1], [1.0]) for run in runs]
    lines = [*draw(curves, runs, Style(40, 5)), *legend(curves, runs, Style(40))]
    assert all(line.isprintable() for line in lines)


def test_flat_and_single_points_are_drawn():
    assert "7 ┤" in draw([Curve("one", "", "tag", [5], [7.0])], ["one"], Style(40, 3))[1]
    draw([Curve("one", "", "tag", [5, 6], [float("nan")] * 2)], ["one"], Style(40, 3))


@pytest.mark.parametrize(("columns", "lines"), [(40, 24), (80, 24), (200, 50)])
def test_the_charts_fit_the_terminal(trained, monkeypatch, capsys, columns, lines):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", str(lines))
    assert main(["curves", str(trained)]) == 0
    drawn = capsys.readouterr().out.splitlines()
    assert columns // 2 < max(map(len, drawn)) < columns
    assert len(drawn) <= lines
