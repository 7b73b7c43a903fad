import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from helpers import run_cli


@pytest.fixture
def board(trained):
    """Our TensorBoard on the handmade run: its address and its process."""
    command = [sys.executable, "-u", "-m", "lowmem_sentiment", "tensorboard", str(trained), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stderr.readline()
        yield re.search(r"http://\S+", line)[0], process
    finally:
        process.kill()
        process.wait()


def test_it_says_its_address_serves_the_curves_and_stays_small(board):
    address, process = board
    with urllib.request.urlopen(f"{address}data/plugin/timeseries/tags", timeout=30) as answer:
        tags = json.load(answer)
    shown = {tag for run in tags["scalars"]["runTagInfo"].values() for tag in run}
    assert "loss/epoch" in shown
    with open(f"/proc/{process.pid}/status") as status:
        peak = int(re.search(r"VmHWM:\s+(\d+)", status.read())[1]) / 1024
    assert peak < 150  # 586 MB with TensorFlow


def wait_until_loaded(address):
    """TensorBoard answers before it has read the event files."""
    deadline = time.monotonic() + 30
    while len(json.loads(get(address, "text/tags"))) < 2:
        assert time.monotonic() < deadline, "the event files were not read within 30 s"
        time.sleep(0.1)


def get(address, path, **query):
    url = f"{address}data/plugin/{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


def test_no_tab_is_empty(board):
    address, _ = board
    wait_until_loaded(address)
    train, validation = "tensorboard/train", "tensorboard/validation"

    for name in ("accuracy/epoch", "loss/epoch"):
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
    assert tags == {train: ["run", "data", "network"], "tensorboard": ["most wrong"]}
    ((told),) = json.loads(get(address, "text/text", run=train, tag="network"))
    assert "<td>hidden_1</td>" in told["text"]

    question = json.dumps(
        {"experimentName": "", "allowedStatuses": ["STATUS_SUCCESS"], "colParams": [
            {"metric": {"group": "", "tag": "result/accuracy"}}, {"hparam": "learning_rate"}
        ], "startIndex": 0, "sliceSize": 100}
    ).encode()  # fmt: skip
    url, head = f"{address}data/plugin/hparams/session_groups", {"Content-Type": "application/json"}
    request = urllib.request.Request(url, question, head)
    with urllib.request.urlopen(request, timeout=30) as answer:
        (row,) = json.load(answer)["sessionGroups"]
    assert row["hparams"]["learning_rate"] == 0.02 and row["hparams"]["hidden"] == "8,4"
    values = {metric["name"]["tag"]: metric["value"] for metric in row["metricValues"]}
    assert values["result/accuracy"] > 0.9 and values["process/peak_resident_MB"] > 100


@pytest.mark.slow
@pytest.mark.parametrize("tab", ["timeseries", "images", "text", "pr_curves", "hparams"])
def test_a_browser_draws_each_tab(board, tab, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no Chromium is here to draw it: apt-get install chromium")
    address, _ = board
    wait_until_loaded(address)
    picture = tmp_path / f"{tab}.png"
    script = Path(__file__).parents[2] / "scripts" / "screenshot.sh"
    subprocess.run([script, f"{address}#{tab}", picture], check=True, timeout=120, capture_output=True)
    from PIL import Image

    colours = {colour for _, colour in Image.open(picture).convert("RGB").getcolors(1 << 24)}
    assert len(colours) > 500 and (245, 124, 0) in colours  # TensorBoard's orange; not a blank page


def test_ctrl_c_ends_it_with_one_line(board):
    _, process = board
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
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
