"""A spread of the faults that `scripts/fuzz.sh --faults` tries all of."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import PATIENCE

PROJECT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_call_that_fails_or_kills_leaves_nothing_half_made_and_the_next_try_works():
    if not (shutil.which("cc") or shutil.which("gcc")):
        pytest.skip("no C compiler is here to make what lets system calls fail: apt-get install gcc")
    paths = os.pathsep.join([str(PROJECT / "tests"), str(PROJECT / "scripts")])
    command = [sys.executable, "-m", "faults", "--spread", "3"]
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3 * PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
