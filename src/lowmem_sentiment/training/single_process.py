"""Where a model is trained: one process on TensorFlow's default device.

Training calls only these methods. `distributed.strategy` implements them for several processes or
devices.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from ..model.tensorflow import keras, tf
from .step import Execute, Step, compile_execution

Result = TypeVar("Result")


class SingleProcess:
    """One worker with one replica of the model."""

    worker, workers, replicas = 0, 1, 1
    share: tuple[int, int] | None = None
    """The part of each batch that `batches` yields, (worker, workers); None: whole batches."""

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run directory."""
        return self.worker == 0

    def build(self, build_model: Callable[[], keras.Model]) -> keras.Model:
        """Return the compiled model of `build_model`, with its variables placed for this strategy."""
        return build_model()

    def vary_dropout_seeds(self, model: keras.Model) -> None:
        """Make the replicas of a model that has the chief's seeds draw different dropout masks."""

    def compile_execution(
        self, model: keras.Model, step: Step, batches: tf.data.Dataset | None = None
    ) -> Execute:
        """Return a function that runs several steps on every replica in one call.

        A single process traces it now if `batches` are given, otherwise in the first call.
        """
        eagerly, with_xla = model.run_eagerly, model.jit_compile
        return compile_execution(step, batches, run_eagerly=eagerly, jit_compile=with_xla)

    def agree_on(self, stop: threading.Event) -> threading.Event:
        """Return the event that is set on all workers after the same step, when `stop` is set on one."""
        return stop

    def all_reduce(self, array: np.ndarray) -> np.ndarray:
        """Return the sum over all workers of an int32 array that has the same shape on each."""
        return array

    def broadcast(self, call: Callable[[], Result]) -> Result:
        """Return the chief's result of `call` on each worker, or raise its exception."""
        return call()

    def require_same(self, values: dict[str, Any]) -> None:
        """Raise SettingsError or DataError unless all workers have the same values."""

    @contextlib.contextmanager
    def translate_worker_loss(self) -> Iterator[None]:
        """Raise Resumable when the block fails because a worker is lost."""
        yield
