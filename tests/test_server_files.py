"""The files that the guide to servers tells people to copy."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import wait_for

SERVER = Path(__file__).parents[1] / "scripts" / "server"


@pytest.mark.slow
def test_the_services_command_trains_resumes_and_repeats_the_result(dataset, tmp_path):
    """Stopped by SIGTERM it ends with 75, which the unit restarts; started again it ends the run."""
    command = tmp_path / "lowmem-sentiment"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m lowmem_sentiment "$@"\n')
    command.chmod(0o755)
    run = tmp_path / "run"
    options = {
        "env": {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }

    def start(*more):
        script = [SERVER / "resume-or-train.sh", dataset.directory, run, "--batch-size", "8", *more]
        return subprocess.Popen(script, **options)

    with start("--epochs", "100000") as process:
        wait_for((run / "state.npz").exists, process)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=600)
    assert process.returncode == 75, errors
    done = len((run / "metrics.jsonl").read_text().splitlines())
    for _ in range(2):
        with start("--epochs", str(done + 1)) as process:
            out, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
        assert json.loads(out)["epochs"] == done + 1


def test_the_unit_is_one_that_systemd_accepts(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    text = (SERVER / "lowmem-sentiment.service").read_text()
    unit = tmp_path / "lowmem-sentiment.service"
    unit.write_text(
        text.replace(
            "/srv/sentiment/lowmem-sentiment/scripts/server/resume-or-train.sh", "/bin/true"
        ).replace("User=sentiment\n", "")
    )
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "lowmem-sentiment.service" not in done.stderr
