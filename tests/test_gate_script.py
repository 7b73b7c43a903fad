import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import write_noisy_reviews

from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.training.train import train

SCRIPT = Path(__file__).parents[1] / "scripts" / "evaluate.sh"


@pytest.fixture
def gate(dataset, tmp_path):
    """Run the gate with this Python; with TRAINED, a copy of that run stands for what it trains."""
    scripts, bin_ = tmp_path / "scripts", tmp_path / "bin"
    (scripts / "server").mkdir(parents=True)
    bin_.mkdir()
    for name in ("evaluate.sh", "server/nightly.sh"):
        shutil.copy(SCRIPT.with_name("evaluate.sh").parent / name, scripts / name)
    (scripts / "environment.sh").write_text(
        f'set -euo pipefail\nsay() {{ echo "$*" >&2; }}\nexport PATH="{bin_}:$PATH"\n'
    )
    command = bin_ / "lowmem-sentiment"
    copy = 'if [ "$1" = train ] && [ -n "$TRAINED" ]; then exec cp -r "$TRAINED" "$4"; fi'
    command.write_text(f'#!/bin/sh\n{copy}\nexec {sys.executable} -m lowmem_sentiment "$@"\n')
    command.chmod(0o755)

    def run(*arguments: object, script: str = "evaluate.sh", **variables: str):
        begin = ["--gate"] if script == "evaluate.sh" else []
        return subprocess.run(
            ["bash", scripts / script, *begin, tmp_path / "live", *arguments],
            capture_output=True,
            text=True,
            timeout=600,
            env={**os.environ, "DATASET": str(dataset.directory), **variables},
        )

    return run


@pytest.mark.slow
def test_a_gate_promotes_what_is_no_worse_and_keeps_the_live_run_otherwise(
    gate, dataset, trained, tmp_path
):
    date = tmp_path / "bin" / "date"  # copies are made faster than a clock of seconds tells apart
    date.write_text("#!/bin/sh\necho 2026-01-01-$$\n")
    date.chmod(0o755)
    good = {"TRAINED": str(trained)}
    first = gate(**good)
    assert first.returncode == 0, first.stderr
    live = tmp_path / "live"
    promoted = live.resolve()
    assert live.is_symlink() and json.loads(first.stdout)["run"] == str(promoted)
    settings = TrainingSettings(epochs=1, hidden=(2,), dropout=(), learning_rate=1e-6, seed=3)
    train(dataset, tmp_path / "bad", settings)
    bad = gate(TRAINED=str(tmp_path / "bad"))
    assert bad.returncode == 3 and "is not promoted" in bad.stderr
    assert json.loads(bad.stdout)["baseline"]["significantly_worse"]
    assert live.resolve() == promoted
    again = gate(**good)
    assert again.returncode == 0 and live.resolve() != promoted
    best = tmp_path / "live.best"  # still the first: the second is not significantly better
    assert best.resolve() == promoted
    shutil.rmtree(promoted)
    gone = gate(**good)
    assert gone.returncode == 66 and f"{best} leads to {promoted.name}, which is gone" in gone.stderr


def test_a_crash_is_never_a_run_that_is_not_good_enough(gate, tmp_path):
    for command in ("exit 1", "case $1 in evaluate) exit 1 ;; esac", "kill -9 $$"):
        (tmp_path / "bin" / "lowmem-sentiment").write_text(f"#!/bin/sh\n{command}\n")
        crashed = gate()
        assert crashed.returncode not in (0, 3) and not (tmp_path / "live").exists(), crashed.stderr


@pytest.mark.slow
def test_nights_with_more_texts_each_prepare_train_and_promote(gate, tmp_path):
    def night(count: int, **variables: str):
        texts = tmp_path / "texts.tsv"
        write_noisy_reviews(texts, ["bad", "good"], count)
        variables = {
            "DATASET": str(tmp_path / "data"),
            "TRAIN": "--epochs 3 --learning-rate 0.001",
            **variables,
        }
        return gate(texts, script="server/nightly.sh", **variables)

    first = night(1_000, GATE="--margin 0.2")  # there is no live run yet
    assert first.returncode == 0, first.stderr
    live, best = tmp_path / "live", tmp_path / "live.best"
    promoted = live.resolve()
    old = tmp_path / "live-2020-01-01-000000"
    for directory in (old, promoted):
        directory.mkdir(exist_ok=True)
        os.utime(directory, (0, 0))
    second = night(1_200, GATE="--margin 0.2")
    assert second.returncode == 0, second.stderr
    assert live.resolve() != promoted == best.resolve() and not old.exists()
    refused = night(1_200, GATE="--margin 0.0001", TRAINED=str(live.resolve()))
    assert refused.returncode == 3 and "it may be 0.01% or more worse than" in refused.stderr
    assert json.loads(refused.stdout)["baseline"]["run"] == str(best)
    assert night(0).returncode == 65 and live.exists()  # a file without texts


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
