import contextlib
import json
import math
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from helpers import PATIENCE, run_cli, wait_for

from lowmem_sentiment.monitoring import event_writer
from lowmem_sentiment.monitoring.event_reader import read_curves
from lowmem_sentiment.monitoring.event_writer import EventWriter
from lowmem_sentiment.monitoring.run_names import run_names
from lowmem_sentiment.monitoring.server import ONE_RUN, gate

# Eight runs take 96 MB on Python 3.11, and 106 on 3.13 with the NumPy that comes with it.
MOST_MEGABYTES = 100 if sys.version_info < (3, 12) else 110


@contextlib.contextmanager
def serving(logdir):
    """Run our TensorBoard while the block runs: yield its address and its process."""
    command = [sys.executable, "-u", "-m", "lowmem_sentiment", "tensorboard", str(logdir), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stderr.readline()
        yield re.search(r"http://\S+", line)[0], process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def board(trained):
    """Our TensorBoard on the handmade run: its address and its process."""
    with serving(trained) as started:
        yield started


def peak_megabytes(process):
    with open(f"/proc/{process.pid}/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+)", status.read())[1]) * 1024 / 1e6


def test_it_says_its_address_serves_the_curves_and_stays_small(board):
    address, process = board
    with urllib.request.urlopen(f"{address}data/plugin/timeseries/tags", timeout=600) as answer:
        tags = json.load(answer)
    shown = {tag for run in tags["scalars"]["runTagInfo"].values() for tag in run}
    assert {"epoch_loss", "per_epoch/loss"} <= shown
    assert peak_megabytes(process) < MOST_MEGABYTES  # 586 MB with TensorFlow


def wait_until_loaded(address, texts=3):
    """TensorBoard answers before it has read the event files."""
    # a run's texts are written last
    wait_for(lambda: sum(map(len, json.loads(get(address, "text/tags")).values())) >= texts)


def get(address, path, **query):
    url = f"{address}data/plugin/{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=600) as answer:
        return answer.read()


def test_no_tab_is_empty(board):
    address, _ = board
    wait_until_loaded(address)
    train, validation = "handmade", "handmade/validation"

    for name in ("per_epoch/accuracy", "per_epoch/loss"):
        for part in (train, validation):
            points = json.loads(get(address, "scalars/scalars", run=part, tag=name))
            assert [step for _, step, _ in points] == [20, 40, 60]
    tag = "validation/precision_recall/pr_curves"
    curves = json.loads(get(address, "pr_curves/pr_curves", run=validation, tag=tag))[validation]
    assert len(curves) == 3 and len(curves[0]["precision"]) > 50

    tag = "validation/confusion_matrix"
    images = json.loads(get(address, "images/images", run=validation, tag=tag, sample=0))
    image = get(address, f"images/individualImage?{images[-1]['query']}")
    assert image.startswith(b"\x89PNG")

    tags = json.loads(get(address, "text/tags"))
    assert {run: sorted(names) for run, names in tags.items()} == {
        train: ["1 result", "2 run", "3 most wrong"]
    }
    (description,) = json.loads(get(address, "text/text", run=train, tag="2 run"))
    assert "<td>hidden_1</td>" in description["text"]

    question = json.dumps(
        {"experimentName": "", "allowedStatuses": ["STATUS_SUCCESS"], "colParams": [
            {"metric": {"group": "", "tag": "result/test_accuracy"}}, {"hparam": "learning_rate"}
        ], "startIndex": 0, "sliceSize": 100}
    ).encode()  # fmt: skip
    url, head = f"{address}data/plugin/hparams/session_groups", {"Content-Type": "application/json"}
    request = urllib.request.Request(url, question, head)
    with urllib.request.urlopen(request, timeout=600) as answer:
        (row,) = json.load(answer)["sessionGroups"]
    assert row["hparams"]["learning_rate"] == 0.02 and row["hparams"]["hidden"] == "8,4"
    values = {metric["name"]["tag"]: metric["value"] for metric in row["metricValues"]}
    assert values["result/test_accuracy"] > 0.9 and values["result/peak_resident_MB"] > 100
    assert row["name"] == "handmade" and row["hparams"]["epochs"] == "3"


def test_the_first_page_leads_to_one_with_our_settings(board):
    address, _ = board
    with urllib.request.urlopen(address, timeout=600) as answer:
        page = answer.read().decode()
    query = urllib.parse.parse_qs(re.search(r'"\?([^"]*)"', page)[1])
    assert query["smoothing"] == ["0"] and query["runColorGroup"] == [ONE_RUN]
    pinned = [card["tag"] for card in json.loads(query["pinnedCards"][0])]
    assert pinned == ["epoch_loss", "epoch_accuracy"]
    assert '"ignoreOutliers": false' in page and '"autoReload": true' in page
    with urllib.request.urlopen(f"{address}?smoothing=0", timeout=600) as answer:
        assert b"<tb-webapp>" in answer.read()


def test_a_plugin_that_imports_tensorflow_is_not_there(board):
    address, process = board
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(address, "debugger-v2/source_files/list", run="x")
    assert peak_megabytes(process) < MOST_MEGABYTES


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:6006", 200), ("LOCALHOST", 200), ("127.0.0.1:1", 200), ("[::1]:6006", 200),
        ("192.0.2.7", 200), (socket.gethostname(), 200), ("board.example:80", 200), ("", 403),
        ("evil.example", 403), ("localhost.evil.example:6006", 403), ("127.0.0.1.evil.example", 403),
    ],
)  # fmt: skip
def test_a_request_for_another_server_is_refused(host, status):
    """As a page of another site makes it, whose name leads to this machine (DNS rebinding)."""
    answers = []
    application = gate(lambda environment, start: [b"ours"], 1, "board.example")
    environment = {"HTTP_HOST": host, "PATH_INFO": "/", "REQUEST_METHOD": "GET"}
    application(environment, lambda line, headers: answers.append(int(line.split()[0])))
    assert answers == [status]


def test_pictures_in_texts_are_not_fetched(tmp_path):
    writer = EventWriter(tmp_path / "run" / "tensorboard")
    writer.write("", 1, [event_writer.text("run", "![x](http://192.0.2.7/x.png) *words*")])
    writer.flush()
    with serving(tmp_path) as (address, _):
        wait_until_loaded(address, 1)
        (text,) = json.loads(get(address, "text/text", run="run", tag="run"))
    assert "<em>words</em>" in text["text"] and "<img" not in text["text"]


def names_in(tmp_path, *runs):
    for run in runs:
        (tmp_path / run / "tensorboard" / "validation").mkdir(parents=True)
        (tmp_path / run / "tensorboard" / "validation" / "events.out.tfevents.1").touch()
    name_of = run_names(tmp_path)
    return [name_of(str(tmp_path / run / "tensorboard" / "validation")) for run in runs]


def test_a_run_is_one_name_with_its_parts_under_it(tmp_path):
    assert names_in(tmp_path, "a", "b/c") == ["a/validation", "b/c/validation"]
    (tmp_path / "tensorboard").mkdir()
    name_of = run_names(tmp_path / "a")
    assert name_of(str(tmp_path / "a" / "tensorboard")) == "a"
    assert name_of(str(tmp_path / "a" / "tensorboard")) == "a"


def test_long_names_are_cut_and_stay_different(tmp_path):
    names = names_in(tmp_path, *(f"{'long ' * 20}{letter}{' name' * 20}" for letter in "ab"))
    assert len(set(names)) == 2 and min(map(len, names)) < 60


def test_a_stopped_candidate_of_a_search_leaves_no_stray_dots(tmp_path):
    for run, epochs in (("001", 1), ("002", 2)):
        (tmp_path / run).mkdir()
        (tmp_path / run / "metrics.jsonl").write_text("{}\n" * epochs)
    (tmp_path / "tune.json").touch()
    assert names_in(tmp_path, "001", "002", "winner") == [None, "002/validation", "winner/validation"]


def test_the_names_of_a_sweep_are_cut_where_they_are_alike(tmp_path):
    runs = [f"hidden={hidden},epochs=2,learning_rate=1e-05,seed=0" for hidden in ("50-50", "32")]
    assert names_in(tmp_path, *runs) == ["hidden=50,50/validation", "hidden=32/validation"]


@pytest.mark.slow
def test_with_eight_runs_it_stays_small(trained, tmp_path):
    for nth in range(8):
        shutil.copytree(trained, tmp_path / f"run{nth}")
    with serving(tmp_path) as (address, process):
        wait_until_loaded(address, 24)
        for path in 3 * ("", "?smoothing=0", "index.js", "data/plugin/timeseries/tags"):
            with urllib.request.urlopen(f"{address}{path}", timeout=600) as answer:
                answer.read()
        assert peak_megabytes(process) < MOST_MEGABYTES


def take(page, file):
    if not (shutil.which("chromium") or shutil.which("google-chrome")):
        pytest.skip("no Chromium is here to draw it: apt-get install chromium")
    script = Path(__file__).parents[2] / "scripts" / "screenshot.sh"
    subprocess.run([script, page, file], check=True, timeout=600, capture_output=True)


@pytest.mark.slow
@pytest.mark.parametrize("tab", ["images", "text", "pr_curves", "hparams"])
def test_a_browser_draws_each_tab(board, tab, tmp_path):
    address, _ = board
    wait_until_loaded(address)
    picture = tmp_path / f"{tab}.png"
    take(f"{address}#{tab}", picture)
    from PIL import Image

    colours = {colour for _, colour in Image.open(picture).convert("RGB").getcolors(1 << 24)}
    assert len(colours) > 500 and (245, 124, 0) in colours  # TensorBoard's orange; not a blank page


def write_curves(run, epochs):
    """Write event files of a run with these validation losses: the training loss falls on.

    The figures are those of the default model on IMDb.
    """
    writer, steps = EventWriter(run / "tensorboard"), 1250
    for nth in range(25 * len(epochs)):
        loss = 0.6 * (nth + 1) ** -0.5 + epochs[-1] / 10 + 0.02 * math.sin(nth)
        values = {"epoch_loss": loss, "epoch_accuracy": 0.98 - loss / 2}
        writer.write("", (nth + 1) * steps // 25, event_writer.scalars(values))
    for epoch, loss in enumerate(epochs, 1):
        values = {"epoch_loss": loss, "epoch_accuracy": 0.95 - loss / 6}
        writer.write("validation", epoch * steps, event_writer.scalars(values))
    writer.write("", steps, [event_writer.text("1 result", "as good as it gets")])
    writer.flush()


def two_epochs(folder):
    write_curves(folder / "default", (0.275, 0.267))


def six_epochs_that_overfit(folder):
    write_curves(folder / "overfit", (0.275, 0.267, 0.315, 0.357, 0.403, 0.421))


def a_sweep_of_four(folder):
    for hidden in ("32-32", "50-50-50"):
        for rate in (0.001, 0.0005):
            write_curves(folder / f"hidden={hidden},learning_rate={rate},seed=0", (0.280, 300 * rate))


def extent(chart, axis):
    """Return what the two ends of a chart's axis stand for, from its ticks' places and numbers."""
    place, end = ("x", "x2") if axis == "x" else ("y", "y2")
    grid = re.search(r"<line-chart-grid-view.*?</line-chart-grid-view>", chart, re.S)[0]
    size = max(float(number) for number in re.findall(rf' {end}="([\d.]+)"', grid))
    ticks = re.search(rf'<line-chart-axis[^>]* axis="{axis}".*?</line-chart-axis>', chart, re.S)[0]
    found = re.findall(rf'<text[^>]* {place}="([\d.]+)"[^>]*> *([-\d.,e]+) *</text>', ticks)
    (at, value), *_, (at_end, value_end) = ((float(x), float(n.replace(",", ""))) for x, n in found)
    scale = (value_end - value) / (at_end - at)
    return sorted([value - at * scale, value + (size - at) * scale])


def lines_of(chart):
    """Return the number of lines that are drawn in a chart, each of two points or more."""
    return len(re.findall(r' d="M[\d.]+,[\d.]+L', chart))


@pytest.mark.slow
@pytest.mark.parametrize("write", [two_epochs, six_epochs_that_overfit, a_sweep_of_four])
def test_the_first_charts_span_their_data(write, tmp_path):
    runs = tmp_path / "runs"
    write(runs)
    tags, charts, count = ("epoch_loss", "epoch_accuracy"), [], len(list(runs.iterdir()))
    with serving(runs) as (address, _):
        wait_until_loaded(address, count)
        for _ in range(8):  # on a busy machine the page is written before it is drawn
            take(address, tmp_path / "page.html")
            charts = (tmp_path / "page.html").read_text().split("<line-chart ")[1:3]
            if [lines_of(chart) for chart in charts] == [2 * count] * 2:
                break
    assert [lines_of(chart) for chart in charts] == [2 * count] * 2
    curves = [curve for run in runs.iterdir() for curve in read_curves(run)]
    for tag, chart in zip(tags, charts, strict=True):
        drawn = [curve for curve in curves if curve.tag == tag]
        assert {curve.part for curve in drawn} == {"train", "validation"}
        for axis, numbers in (("x", "steps"), ("y", "values")):
            low, high = extent(chart, axis)
            data = [number for curve in drawn for number in getattr(curve, numbers)]
            slack = (high - low) / 100  # a tick's number is rounded
            assert low - slack <= min(data) and max(data) <= high + slack
            assert high - low < 2 * (max(data) - min(data))  # and does not lose them in a corner


@pytest.mark.slow
def test_ctrl_c_ends_it_with_one_line(trained):
    with serving(trained) as (_, process):
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        assert process.stderr.read() == "lowmem-sentiment: stopped\n"


def test_a_taken_port_is_told(trained):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run_cli("tensorboard", trained, "--port", port)
    assert result.returncode == 69
    assert result.stderr.count("\n") == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use; try --port" in result.stderr
