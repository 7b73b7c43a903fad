"""``state.npz``: all that a resumed run needs to end with the bits of an undisturbed one.

    metadata                    JSON: where training was, what was measured, under which conditions
    variable_0, variable_1 ...  the network's weights and dropout seeds, the optimizer's moments
                                and step, the metrics' sums

6 MB for the default network, three times its weights; written in some 20 ms.
"""

import contextlib
import io
import json
import os
import platform
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import keras
import numpy as np
import tensorflow as tf

from ..dataset.reader import Dataset
from ..runs.run_directory import RunDirectory
from ..system.errors import DataError
from ..system.files import replace_path

VERSION = 1


@dataclass
class Position:
    """Where training is, and what it measured on the way there."""

    epoch: int = 0
    """The epoch that is running, from 0."""
    step: int = 0
    """Steps done in it."""
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """What metrics.jsonl holds: a dict for each whole epoch."""
    seconds: list[float] = field(default_factory=list)
    """Training time of each epoch so far, the running one's last."""
    sums: dict[str, float] = field(default_factory=dict)
    """Each metric's running mean times reviews, for batch curves."""
    kept: dict[str, Any] = field(default_factory=dict)
    """What validation said of the epoch that is kept, for what is written at the end."""
    described: int = 0
    """The number of epochs that the curves' texts speak of."""
    event_files: dict[str, int] = field(default_factory=dict)
    """Bytes of each TensorBoard event file, by its path in the run directory."""


def conditions(dataset: Dataset) -> dict[str, str]:
    """Give what changes the bits of a result beside the settings."""
    return {
        "dataset": dataset.fingerprint,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "oneDNN": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1"),
        "processor": _processor(),
    }


def _processor() -> str:
    """Name the instruction set that decides in which order sums are taken."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                known = ("avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_tile")
                return " ".join(sorted(set(known) & set(line.split())))
    return platform.machine()


def variables(network: keras.Model) -> list:
    """Give everything that training changes, each once, in a fixed order.

    The optimizer's and the metrics' variables are made here if they do not exist yet.
    """
    network.optimizer.build(network.trainable_variables)
    unbuilt = [metric for metric in network.metrics if not getattr(metric, "built", True)]
    for metric in unbuilt:
        metric.update_state(np.zeros(1, np.int64), np.zeros((1, network.output_shape[-1]), np.float32))
    if unbuilt:
        network.reset_metrics()
    every = [*network.variables, *network.optimizer.variables, *network.metrics_variables]
    return list({id(variable): variable for variable in every}.values())


def save(run: RunDirectory, network: keras.Model, position: Position, conditions: dict) -> None:
    """Write state.npz; the one before it stays as state.previous.npz. Raises OutputError."""
    saved = variables(network)
    with replace_path(run.state_file) as temporary:
        # One array at a time: together they are three times the weights.
        _write(temporary, position, conditions, len(saved), (each.numpy() for each in saved))
        if run.state_file.exists():
            # A kill between this rename and the next leaves the previous state under its own name.
            os.replace(run.state_file, run.previous_state_file)


def _write(
    file: str | Path | BinaryIO,
    position: Position,
    conditions: dict[str, str],
    count: int,
    arrays: Iterable[np.ndarray],
) -> None:
    metadata = {
        "version": VERSION,
        "position": asdict(position),
        "conditions": conditions,
        "variables": count,
    }
    with zipfile.ZipFile(file, "w") as archive:  # an .npz, as np.savez makes it
        _write_array(archive, "metadata", np.frombuffer(json.dumps(metadata).encode(), np.uint8))
        for nth, array in enumerate(arrays):
            _write_array(archive, f"variable_{nth}", array)


def _write_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


@dataclass
class State:
    """A state that was read: assign it with `restore`."""

    position: Position
    conditions: dict[str, str]
    arrays: list[np.ndarray]

    def restore(self, network: keras.Model) -> None:
        """Set the network's, the optimizer's and the metrics' variables; DataError if they differ."""
        targets = variables(network)
        shapes = [tuple(target.shape) for target in targets]
        if shapes != [array.shape for array in self.arrays]:
            raise DataError(
                "the state is of another network: its variables have other shapes; resume with the "
                "network it was trained with"
            )
        for target, array in zip(targets, self.arrays, strict=True):
            target.assign(array)

    def to_bytes(self) -> bytes:
        """Give what state.npz holds, for another process."""
        file = io.BytesIO()
        _write(file, self.position, self.conditions, len(self.arrays), self.arrays)
        return file.getvalue()

    @staticmethod
    def from_bytes(content: bytes) -> "State":
        """Read what `to_bytes` gave."""
        return _read(io.BytesIO(content))


def load(run: RunDirectory) -> tuple[State | None, list[str]]:
    """Give the newest whole state (None where there is none) and what was wrong with newer ones.

    Raises DataError when there are states, and all are damaged.
    """
    complaints = []
    present = [path for path in (run.state_file, run.previous_state_file) if path.exists()]
    for path in present:
        try:
            return _read(path), complaints
        except DataError as error:
            complaints.append(str(error))
    if present:
        raise DataError(f"{'; '.join(complaints)}; start over with --overwrite")
    return None, complaints


def _read(path: Path | BinaryIO) -> State:
    try:
        with np.load(path, allow_pickle=False) as arrays:  # each array's CRC-32 is checked
            metadata = json.loads(arrays["metadata"].tobytes())
            if metadata["version"] != VERSION:
                raise DataError(f"{path} has version {metadata['version']}, expected {VERSION}")
            values = [arrays[f"variable_{nth}"] for nth in range(metadata["variables"])]
        return State(Position(**metadata["position"]), metadata["conditions"], values)
    except DataError:
        raise
    except Exception as error:  # zipfile, zlib, NumPy and json raise a dozen kinds
        raise DataError(f"{path} is damaged ({error})") from error
