"""Training by one process: the interface that `distributed` implements for several."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import keras

from ..runs.run_directory import RunDirectory
from .validation_metrics import Validation

Told = TypeVar("Told")


class SingleProcess:
    """One process on TensorFlow's default device."""

    worker, workers, replicas = 0, 1, 1

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run directory."""
        return self.worker == 0

    def run_directory(self, path: str | Path) -> RunDirectory:
        """Give the run directory, or for a worker that writes none, what stands for it."""
        return RunDirectory(path)

    def conditions(self) -> dict[str, str]:
        """Give what changes the bits of a result beside the settings."""
        return {}

    def batch_options(self) -> dict[str, Any]:
        """Give what `batches` is told."""
        return {}

    def build(self, build_model: Callable[[], keras.Model]) -> keras.Model:
        """Give the network that is made by `build_model`."""
        return build_model()

    def broadcast(self, call: Callable[[], Told]) -> Told:
        """Give, on each worker, what `call` gives on the chief; raise what it raises there."""
        return call()

    def require_same(self, conditions: dict[str, str], settings: dict[str, Any]) -> None:
        """Raise DataError or SettingsError unless all workers have the same dataset and settings."""

    def stopped_by(self, stop: threading.Event) -> threading.Event:
        """Give the event that is set, on all workers at the same step, when `stop` is set on one."""
        return stop

    @contextlib.contextmanager
    def training(self, network: keras.Model, class_weight: dict[int, float] | None) -> Iterator[None]:
        """Train and test `network` over all replicas while the block runs."""
        yield

    def class_weight(self, weights: dict[int, float] | None) -> dict[int, float] | None:
        """Give the class weights that `fit` is told."""
        return weights

    def callbacks(self, validation: Validation) -> list[keras.callbacks.Callback]:
        """Give what stands between the restoring of a state and the tracking of its position."""
        return []

    @contextlib.contextmanager
    def translate_worker_loss(self) -> Iterator[None]:
        """Raise Resumable when the block fails because a worker is lost."""
        yield

    def going_on(self, dataset: Path, run: RunDirectory) -> str:
        """Give the command that resumes."""
        return f"go on with: lowmem-sentiment train {dataset} --resume {run.path}"
