"""The files for launchers make a TF_CONFIG that the command accepts."""

import os
import subprocess
import textwrap
from pathlib import Path

import pytest

from lowmem_sentiment.distributed.tf_config import Cluster, parse

LAUNCHERS = Path(__file__).parents[2] / "scripts" / "cluster"


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Put stand-ins for the launcher's programs, and for our own, on the path."""

    def write(**scripts):
        for name, script in scripts.items():
            file = tmp_path / name.replace("_", "-")
            file.write_text(f"#!/bin/sh\n{script}\n")
            file.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    write(lowmem_sentiment='printf "%s" "$TF_CONFIG"; echo "$@" >&2')
    return write


def run(command, **environment):
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )


@pytest.mark.parametrize("index", [0, 1])
def test_slurm_gives_each_task_its_index(programs, index):
    programs(scontrol="printf 'node1\\nnode2\\n'", srun='exec "$@"')
    done = run([LAUNCHERS / "slurm.sh"], SLURM_JOB_NODELIST="node[1-2]", SLURM_PROCID=str(index))
    assert parse(done.stdout) == Cluster(("node1:2222", "node2:2222"), index)
    assert done.stderr.startswith("train data/imdb --run")


@pytest.mark.parametrize("index", [0, 1])
def test_kubernetes_gives_each_pod_its_index(programs, index):
    manifest = (LAUNCHERS / "kubernetes.yaml").read_text()
    block = manifest.split("            - |\n")[1].split("          resources:")[0]
    done = run(["sh", "-c", textwrap.dedent(block)], JOB_COMPLETION_INDEX=str(index))
    workers = ("sentiment-0.sentiment:2222", "sentiment-1.sentiment:2222")
    assert parse(done.stdout) == Cluster(workers, index)
    assert done.stderr.startswith("train /data/imdb --run")


def test_the_manifest_is_yaml_of_a_service_and_a_job():
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    documents = list(yaml.safe_load_all((LAUNCHERS / "kubernetes.yaml").read_text()))
    assert [document["kind"] for document in documents] == ["Service", "Job"]
