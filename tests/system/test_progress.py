import io

import pytest

from lowmem_sentiment.system.progress import Bar, as_progress


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def drive(bar, clock, total=1_250, remaining=2_500, seconds=10.0):
    for done in range(50, total + 1, 50):
        clock.now += seconds * 50 / total
        bar("epoch 1/2", done, total, "loss 0.3271", remaining=remaining - done)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_bar_fits_the_width_and_says_the_time_left(monkeypatch, clock, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    drive(Bar(stream, clock), clock)
    drawn = stream.getvalue().split("\r\x1b[K")[1:]
    assert len(drawn) > 5
    assert max(map(len, drawn)) < columns
    assert all(" left" in line and "epoch 1/2" in line and "%" in line for line in drawn)
    if columns >= 80:
        assert all("loss 0.3271" in line and " steps" in line for line in drawn)


def test_the_time_left_is_that_of_the_whole_run(monkeypatch, clock):
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    drive(Bar(stream, clock), clock)
    assert stream.getvalue().endswith("0:10 left")  # an epoch of 10 s is done, another follows


def test_the_time_left_does_not_grow_between_two_reports(monkeypatch, clock):
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    bar = Bar(stream, clock)
    bar("tune", 0, 4, unit="runs")
    clock.now = 10
    bar("tune", 1, 4, unit="runs")
    for _ in range(50):
        clock.now += 0.5
        bar("tune", 1, 4, unit="runs")
    lines = stream.getvalue().split("\r\x1b[K")[1:]
    left = [int(line.split()[-2].split(":")[1]) for line in lines if " left" in line]
    assert left[0] == 30 and left == sorted(left, reverse=True)
    assert not any("0/s" in line for line in lines) and all("/4 runs" in line for line in lines)


def test_a_terminal_without_the_signs_gets_others(monkeypatch, clock):
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    stream.encoding = "ascii"
    drive(Bar(stream, clock), clock)
    assert "#" in stream.getvalue() and stream.getvalue().isascii()


def test_without_a_terminal_a_plain_line_is_written_now_and_then(clock):
    stream = io.StringIO()
    bar = Bar(stream, clock)
    drive(bar, clock, seconds=1.9)
    assert stream.getvalue() == ""  # over in less than two seconds
    drive(Bar(stream, clock), clock, seconds=40)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4 and all(line.startswith("lowmem-sentiment: epoch 1/2  ") for line in lines)
    assert not {"\r", "\x1b", "━"} & set(stream.getvalue())


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
def test_a_line_stays_with_and_without_a_terminal(monkeypatch, clock, stream):
    monkeypatch.setenv("COLUMNS", "80")
    bar = Bar(stream, clock)
    drive(bar, clock)
    bar.line("epoch 1/2  loss 0.327")
    assert stream.getvalue().split("\x1b[K")[-1].splitlines()[-1] == "epoch 1/2  loss 0.327"


def test_a_phase_is_drawn_at_once_on_a_terminal_alone(monkeypatch, clock):
    monkeypatch.setenv("COLUMNS", "40")
    for stream, expected in ((Terminal(), "\r\x1b[Kimporting TensorFlow ..."), (io.StringIO(), "")):
        Bar(stream, clock).phase("importing TensorFlow")
        assert stream.getvalue() == expected


def test_a_plain_function_of_four_arguments_will_do_as_progress():
    reports = []
    progress = as_progress(lambda what, done, total, note: reports.append((what, done, total, note)))
    progress.line("a line")
    progress.phase("a phase")
    progress("epoch 1/2", 1, 2, remaining=3)
    assert reports == [("epoch 1/2", 1, 2, "")]
    assert as_progress(progress) is progress


def test_a_line_goes_on_below_between_its_parts_where_the_terminal_is_narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    stream = Terminal()
    Bar(stream).line("epoch 1/2  loss 0.327  accuracy 0.861  val_loss 0.268  1.2 s")
    assert stream.getvalue().splitlines() == [
        "epoch 1/2  loss 0.327", "  accuracy 0.861", "  val_loss 0.268  1.2 s"
    ]  # fmt: skip
