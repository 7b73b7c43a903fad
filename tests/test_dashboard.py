import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from conftest import run_cli


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
