"""Cases of every kind, and that the fuzzer sees what it looks for."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from helpers import PATIENCE

from fuzz.fuzzer import MEMORY, Answer, complaint
from fuzz.kinds import Kind
from fuzz.mutations import mutate

CASES = 200

GOOD = Answer(0, "answer", "", "", 0)
KIND = Kind("file", (("verify",),), same="result")


@pytest.mark.slow
def test_damaged_files_end_in_one_line_and_a_code(trained):
    """In a process of its own: without TensorFlow in it, memory can be limited."""
    command = [sys.executable, "-m", "fuzz", "--cases", str(CASES), "--run", str(trained)]
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths}
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=3 * PATIENCE
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, code=None, raised="Traceback\nKeyError: 'x'"),
        replace(GOOD, code=70),
        replace(GOOD, code=65, errors="Traceback (most recent call last):\n"),
        replace(GOOD, code=65, errors="lowmem-sentiment: error: a\x1b[2J\n"),
        replace(GOOD, memory=MEMORY + 1),
        replace(GOOD, output="another"),
    ],
)
def test_what_no_user_should_see_is_a_failure(bad):
    assert complaint(KIND, ("verify",), GOOD, "answer", "answer") is None
    assert complaint(KIND, ("verify",), bad, bad.output, "answer")


def test_a_case_is_made_from_its_seed_alone():
    data = bytes(range(256)) * 4
    cases = [mutate(Random(f"0/kind/{number}"), data) for number in range(50)]
    assert cases == [mutate(Random(f"0/kind/{number}"), data) for number in range(50)]
    assert data not in cases and len(set(cases)) > 40
