"""A spread of the faults that `scripts/fuzz.sh --faults` tries all of."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import PATIENCE

from .commands import COMMANDS
from .surroundings import SCARCITIES, ScarceTrial

PROJECT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_call_that_fails_or_kills_leaves_nothing_half_made_and_the_next_try_works():
    if not (shutil.which("cc") or shutil.which("gcc")):
        pytest.skip("no C compiler is here to make what lets system calls fail: apt-get install gcc")
    paths = os.pathsep.join([str(PROJECT / "tests"), str(PROJECT / "scripts")])
    # EIO takes the same way as ENOSPC, and every export that of the weights; the script tries them all.
    command = [sys.executable, "-m", "faults", "--spread", "3", "--fault", "ENOSPC", "--fault", "kill"]
    for name in COMMANDS.keys() - {"export saved-model", "export keras", "tune"}:
        command += ["--command", name]
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3 * PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "scarce", ["8 open files", "120 MB of addresses", "20 kB in a file", "umask 077"]
)
def test_too_little_of_something_ends_in_one_line_and_the_next_try_works(scarce, tmp_path):
    trial = ScarceTrial(tmp_path / "trial", 400)
    command = COMMANDS["prepare"]
    expected = trial.undisturbed(command)
    code, wrong = trial.starve(command, SCARCITIES[scarce], expected)
    assert not wrong
    assert (code == 0) == SCARCITIES[scarce].ends_well
