"""Which machines train together: `TF_CONFIG`, TensorFlow's own convention, read and checked.

    {"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, "task": {"type": "worker", "index": 0}}

Kubernetes and Slurm launchers set it. TensorFlow takes a wrong one as it is and waits for ever.
"""

import json
import os
from dataclasses import dataclass
from typing import Any

from ..system.errors import SettingsError

VARIABLE = "TF_CONFIG"

_JOBS = ("chief", "worker")  # in TensorFlow's order


@dataclass(frozen=True)
class Cluster:
    """The workers that train together, and which of them this process is."""

    workers: tuple[str, ...]
    """The address of each, HOST:PORT; the first is the chief, which writes the run directory."""
    index: int

    def name(self, index: int) -> str:
        """Return how a message names a worker."""
        return f"worker {index} ({self.workers[index]})"


def find_cluster() -> Cluster | None:
    """Return the cluster that TF_CONFIG names; None where it is not set, or names one worker."""
    text = os.environ.get(VARIABLE, "")
    cluster = parse(text) if text.strip() else None
    return cluster if cluster and len(cluster.workers) > 1 else None


def without_cluster() -> dict[str, str]:
    """Return the environment for a process that trains by itself."""
    return {name: value for name, value in os.environ.items() if name != VARIABLE}


def parse(text: str) -> Cluster:
    """Read a TF_CONFIG; SettingsError that names the field which is wrong.

    >>> parse('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}')
    Cluster(workers=('a:1', 'b:1'), index=1)
    """
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise SettingsError(f"{VARIABLE} is no JSON ({error}): {text[:80]!r}") from None
    jobs = _field(config, "", "cluster", dict, 'an object such as {"worker": ["HOST:PORT", ...]}')
    for job in jobs:
        _require(job in _JOBS, f"cluster.{job}", jobs[job], "no jobs but chief and worker")
    workers = [address for job in _JOBS if job in jobs for address in _addresses(jobs, job)]
    _require(bool(workers), "cluster", jobs, "a worker or more")
    for nth, address in enumerate(workers):
        _require(address not in workers[:nth], "cluster", address, "each address once")
    task = _field(config, "", "task", dict, 'an object such as {"type": "worker", "index": 0}')
    job = _field(task, "task.", "type", str, f"one of {', '.join(jobs)}")
    _require(job in jobs, "task.type", job, f"one of {', '.join(jobs)}")
    index = _field(task, "task.", "index", (int, str), "a number from 0")
    number = int(index) if str(index).isascii() and str(index).isdigit() else -1
    last = len(jobs[job]) - 1
    _require(0 <= number <= last, "task.index", index, f"0 to {last}, as cluster.{job} has addresses")
    chiefs = 1 if job == "worker" and "chief" in jobs else 0
    return Cluster(tuple(workers), chiefs + number)


def _require(holds: bool, field: str, value: Any, expected: str) -> None:
    if not holds:
        raise SettingsError(f"{VARIABLE}: {field} is {value!r}, expected {expected}")


def _field(holder: Any, prefix: str, name: str, kind: Any, expected: str) -> Any:
    _require(isinstance(holder, dict), prefix.rstrip(".") or "it", holder, "an object")
    value = holder.get(name)
    _require(isinstance(value, kind) and not isinstance(value, bool), prefix + name, value, expected)
    return value


def _addresses(jobs: dict[str, Any], job: str) -> list[str]:
    addresses = _field(jobs, "cluster.", job, list, 'a list of addresses ["HOST:PORT", ...]')
    for nth, address in enumerate(addresses):
        host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
        is_port = port.isascii() and port.isdigit() and 0 < int(port) < 65536
        _require(bool(host) and is_port, f"cluster.{job}[{nth}]", address, "HOST:PORT")
    _require(job != "chief" or len(addresses) == 1, "cluster.chief", addresses, "one address")
    return addresses
