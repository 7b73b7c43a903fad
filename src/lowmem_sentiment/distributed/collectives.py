"""What workers tell each other: sums, and what the chief or each of them has to say.

Everything travels as the sum of an int32 array, to which all but one worker add zeros: no float is
rounded, and it is the one operation that all workers have in any case.
"""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from ..system import errors
from ..system.errors import LowmemError
from ..training.checkpoint import State

Told = TypeVar("Told")


class Exchange:
    """One worker's end. All workers must call the same methods in the same order."""

    def __init__(self, strategy: tf.distribute.Strategy, worker: int, workers: int):
        self._strategy, self._worker, self._workers = strategy, worker, workers

    def sum(self, array: np.ndarray) -> np.ndarray:
        """Give the sum over all workers of an int32 array that has the same shape on each."""
        return array if self._workers == 1 else _sum(self._strategy, tf.constant(array, tf.int32)).numpy()

    def all_gather(self, content: bytes) -> list[bytes]:
        """Give what each worker says, in the order of workers."""
        return self._rows(content, self._worker, self._workers)

    def broadcast(self, call: Callable[[], Told]) -> Told:
        """Give, on each worker, what `call` gives on the chief; raise the LowmemError that it raises.

        It gives a State, or what JSON can hold.
        """
        told, content = None, b""
        if self._worker == 0:
            try:
                told = call()
                content = _encode(told)
            except LowmemError as error:
                told = error
                content = b"E" + json.dumps([type(error).__name__, str(error)]).encode()
        [content] = self._rows(content, 0, 1)
        if self._worker:
            told = _decode(content)
        if isinstance(told, LowmemError):
            raise told
        return told

    def _rows(self, content: bytes, row: int, rows: int) -> list[bytes]:
        lengths = np.zeros(rows, np.int32)
        lengths[row] = len(content)
        lengths = self.sum(lengths)
        words = np.zeros((rows, -(-int(lengths.max()) // 4)), np.int32)
        words[row].view(np.uint8)[: len(content)] = np.frombuffer(content, np.uint8)
        words = self.sum(words)
        return [each.tobytes()[:length] for each, length in zip(words, lengths, strict=True)]


@tf.function(reduce_retracing=True)
def _sum(strategy, array):
    return strategy.reduce("SUM", array, axis=None)


def _encode(told: Any) -> bytes:
    return b"S" + told.to_bytes() if isinstance(told, State) else b"J" + json.dumps(told).encode()


def _decode(content: bytes) -> Any:
    kind, content = content[:1], content[1:]
    if kind == b"S":
        return State.from_bytes(content)
    told = json.loads(content)
    return getattr(errors, told[0])(told[1]) if kind == b"E" else told
