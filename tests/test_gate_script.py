import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "evaluate.sh"


@pytest.fixture
def gate(dataset, tmp_path):
    """Run the gate with this Python in place of an environment of its own."""
    scripts, bin_ = tmp_path / "scripts", tmp_path / "bin"
    scripts.mkdir()
    bin_.mkdir()
    (scripts / "evaluate.sh").write_text(SCRIPT.read_text())
    (scripts / "environment.sh").write_text(
        f'set -euo pipefail\nsay() {{ echo "$*" >&2; }}\nexport PATH="{bin_}:$PATH"\n'
    )
    command = bin_ / "lowmem-sentiment"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m lowmem_sentiment "$@"\n')
    command.chmod(0o755)

    def run(*arguments: str, options: str = "") -> subprocess.CompletedProcess:
        return subprocess.run(
            ["bash", scripts / "evaluate.sh", "--gate", tmp_path / "live", *arguments],
            capture_output=True,
            text=True,
            timeout=600,
            env={**os.environ, "DATASET": str(dataset.directory), "GATE": options},
        )

    return run


@pytest.mark.slow
def test_a_gate_promotes_what_is_no_worse_and_keeps_the_live_run_otherwise(gate, tmp_path):
    good = ["--hidden", "8,4", "--epochs", "3", "--batch-size", "8", "--learning-rate", "0.02"]
    first = gate(*good)
    assert first.returncode == 0, first.stderr
    live = tmp_path / "live"
    promoted = live.resolve()
    assert live.is_symlink() and json.loads(first.stdout)["run"] == str(promoted)
    bad = gate(*["--hidden", "2,2", "--epochs", "1", "--learning-rate", "1e-6"])
    assert bad.returncode == 1 and "is not promoted" in bad.stderr
    assert json.loads(bad.stdout)["baseline"]["significantly_worse"]
    assert live.resolve() == promoted
    again = gate(*good)
    assert again.returncode == 0 and live.resolve() != promoted


def test_a_gate_replaces_no_directory(gate, tmp_path):
    (tmp_path / "live").mkdir()
    refused = gate()
    assert refused.returncode == 2 and "expected the name of a symbolic link" in refused.stderr


def test_an_environment_that_others_made_is_used_as_it_is(tmp_path):
    scripts, bin_ = tmp_path / "scripts", tmp_path / ".venv" / "bin"
    scripts.mkdir()
    bin_.mkdir(parents=True)
    environment = SCRIPT.with_name("environment.sh").read_text()
    (scripts / "environment.sh").write_text(environment)
    command = bin_ / "lowmem-sentiment"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    code = f"source {scripts / 'environment.sh'}; command -v lowmem-sentiment"
    options = {"capture_output": True, "text": True, "env": {"PATH": "/usr/bin:/bin"}}
    done = subprocess.run(["bash", "-c", code], **options, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{command}\n", "")
    # the tests need more than what is there, and so does one that these scripts began to make
    for begin, stamp in (("extra=test; ", False), ("", True)):
        if stamp:
            (tmp_path / ".venv" / "installed-test").touch()
        nothing = {**options, "env": {"PATH": "/usr/bin:/bin", "PYTHON": "/nowhere"}}
        done = subprocess.run(["bash", "-c", begin + code], **nothing, check=False)
        assert done.returncode == 69 and "no Python 3.10 to 3.13" in done.stderr
