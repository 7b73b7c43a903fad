"""Read and check `TF_CONFIG`, TensorFlow's convention for machines that train together.

    {"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, "task": {"type": "worker", "index": 0}}

Kubernetes and Slurm launchers set it. TensorFlow does not check it, and waits forever for a wrong one.
"""

import json
import os
from dataclasses import dataclass
from typing import Any

from ..system import schema
from ..system.errors import DataError, SettingsError

VARIABLE = "TF_CONFIG"

_JOBS = ("chief", "worker")  # in TensorFlow's order


@dataclass(frozen=True)
class _Task:
    type: str
    index: int | str
    """Some launchers write it as text."""

    ignores_unknown_keys = True


@dataclass(frozen=True)
class _Config:
    cluster: dict[str, list[str]]
    """The addresses of each job."""
    task: _Task

    ignores_unknown_keys = True


@dataclass(frozen=True)
class Cluster:
    """The workers that train together, and which of them this process is."""

    workers: tuple[str, ...]
    """The address of each, HOST:PORT; the first is the chief, which writes the run directory."""
    index: int

    def name(self, index: int) -> str:
        """Return a worker's name for messages."""
        return f"worker {index} ({self.workers[index]})"


def find_cluster() -> Cluster | None:
    """Return the cluster in TF_CONFIG; None if it is not set, or has one worker."""
    text = os.environ.get(VARIABLE, "")
    cluster = parse(text) if text.strip() else None
    return cluster if cluster and len(cluster.workers) > 1 else None


def without_cluster() -> dict[str, str]:
    """Return the environment for a process that trains by itself."""
    return {name: value for name, value in os.environ.items() if name != VARIABLE}


def parse(text: str) -> Cluster:
    """Read a TF_CONFIG; raise SettingsError that names the wrong field.

    >>> parse('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}')
    Cluster(workers=('a:1', 'b:1'), index=1)
    """
    try:
        config = schema.parse(_Config, json.loads(text), VARIABLE)
    except json.JSONDecodeError as error:
        raise SettingsError(f"{VARIABLE} is not JSON ({error}): {text[:80]!r}") from None
    except DataError as error:
        raise SettingsError(str(error)) from None
    jobs, task = config.cluster, config.task
    _require(set(jobs) <= set(_JOBS), "cluster", [*jobs], "only the jobs chief and worker")
    _require(len(jobs.get("chief", "1")) == 1, "cluster.chief", jobs.get("chief"), "one address")
    workers = [address for job in _JOBS for address in jobs.get(job, ())]
    _require(bool(workers), "cluster", jobs, "at least one worker")
    for nth, address in enumerate(workers):
        host, _, port = address.rpartition(":")
        is_port = port.isascii() and port.isdigit() and 0 < int(port) < 65536
        _require(bool(host) and is_port, "an address in cluster", address, "HOST:PORT")
        _require(address not in workers[:nth], "cluster", address, "each address once")
    _require(task.type in jobs, "task.type", task.type, f"one of {', '.join(jobs)}")
    index, last = str(task.index), len(jobs[task.type]) - 1
    number = int(index) if index.isascii() and index.isdigit() else -1
    _require(0 <= number <= last, "task.index", task.index, f"0 to {last}, one per address of its job")
    return Cluster(tuple(workers), workers.index(jobs[task.type][number]))


def _require(holds: bool, field: str, value: Any, expected: str) -> None:
    if not holds:
        raise SettingsError(f"{VARIABLE}: {field} is {value!r}, expected {expected}")
