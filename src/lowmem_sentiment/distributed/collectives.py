"""What workers exchange: sums, and the bytes of the chief or of each of them.

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

Result = TypeVar("Result")


class Collectives:
    """One worker's end. All workers must call the same methods in the same order."""

    def __init__(self, strategy: tf.distribute.Strategy, worker: int, workers: int):
        self._strategy, self._worker, self._workers = strategy, worker, workers

    def all_reduce(self, array: np.ndarray) -> np.ndarray:
        """Return the sum over all workers of an int32 array that has the same shape on each."""
        if self._workers == 1:
            return array
        return _sum(self._strategy, tf.constant(array, tf.int32)).numpy()

    def all_gather(self, content: bytes) -> list[bytes]:
        """Return the bytes of each worker, in the order of workers."""
        return self._rows(content, self._worker, self._workers)

    def broadcast(self, call: Callable[[], Result]) -> Result:
        """Return, on each worker, what `call` returns on the chief; raise the LowmemError that it raises.

        It returns a State, or what JSON can hold.
        """
        result: Any = None
        content = b""
        if self._worker == 0:
            try:
                result = call()
                content = _encode(result)
            except LowmemError as error:
                result = error
                content = b"E" + json.dumps([type(error).__name__, str(error)]).encode()
        [content] = self._rows(content, 0, 1)
        if self._worker:
            result = _decode(content)
        if isinstance(result, LowmemError):
            raise result
        return result

    def _rows(self, content: bytes, row: int, rows: int) -> list[bytes]:
        lengths = np.zeros(rows, np.int32)
        lengths[row] = len(content)
        lengths = self.all_reduce(lengths)
        words = np.zeros((rows, -(-int(lengths.max()) // 4)), np.int32)
        words[row].view(np.uint8)[: len(content)] = np.frombuffer(content, np.uint8)
        words = self.all_reduce(words)
        return [each.tobytes()[:length] for each, length in zip(words, lengths, strict=True)]


@tf.function(reduce_retracing=True)
def _sum(strategy, array):
    return strategy.reduce("SUM", array, axis=None)


def _encode(result: Any) -> bytes:
    if isinstance(result, State):
        return b"S" + result.to_bytes()
    return b"J" + json.dumps(result).encode()


def _decode(content: bytes) -> Any:
    kind, content = content[:1], content[1:]
    if kind == b"S":
        return State.from_bytes(content)
    result = json.loads(content)
    return getattr(errors, result[0])(result[1]) if kind == b"E" else result
