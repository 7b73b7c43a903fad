"""One training on several machines or GPUs, on TensorFlow's own engine, `tf.distribute`.

`DistributedStrategy` has the methods of `training.single_process.SingleProcess`, and the training loop is
the same. Each worker gets its own share of each batch, and runs the model's own step on every replica
with `strategy.run`. (Keras' `fit` fails under `MultiWorkerMirroredStrategy`, keras-team/keras#20585, from
Keras 3 in TensorFlow 2.16 on: it makes a tensor of a batch that is spread over replicas.)

Variables of the model and the optimizer are mirrored. The metrics' variables are plain: each worker adds
its share, and after each execution all hold the sum over all workers, so logs, early stopping and the
saved state are the same as on one machine.
"""

import contextlib
import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from ..model.keras_model import compile_model
from ..model.tensorflow import keras, tf
from ..system import errors
from ..system.errors import DataError, LowmemError, Resumable, SettingsError
from ..training.checkpoint import State, read_state
from ..training.single_process import SingleProcess
from ..training.step import Execute, Executed, Step
from .tf_config import Cluster

Result = TypeVar("Result")

# A replica's dropout seeds are the chief's plus a multiple of this, so that masks differ.
_SEED_STRIDE = 1_000_000_007

_WORKER_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)


class DistributedStrategy(SingleProcess):
    """Training over all replicas of a strategy: one per GPU, or per worker without one."""

    def __init__(self, strategy: tf.distribute.Strategy, cluster: Cluster | None = None):
        self.strategy, self._cluster = strategy, cluster
        self.worker = cluster.index if cluster else 0
        self.workers = len(cluster.workers) if cluster else 1
        self.replicas = strategy.num_replicas_in_sync
        self.share = (self.worker, self.workers)
        self._stop, self._agreed = threading.Event(), threading.Event()

    def build(self, build_model: Callable[[], keras.Model]) -> keras.Model:
        with self.strategy.scope():
            model = build_model()
            model.optimizer.build(model.trainable_variables)
        # Outside the scope: the metrics' variables are plain.
        compile_model(model, optimizer=model.optimizer)
        return model

    def vary_dropout_seeds(self, model: keras.Model) -> None:
        states = [each for each in model.variables if each.path.endswith("seed_generator_state")]

        def shift() -> None:
            nth = tf.distribute.get_replica_context().replica_id_in_sync_group
            for state in states:
                offset = tf.cast(nth, tf.int64) * _SEED_STRIDE
                state.assign(state.value + tf.cast(tf.stack([offset, 0]), state.value.dtype))

        tf.function(lambda: self.strategy.run(shift))()

    def compile_execution(
        self, model: keras.Model, step: Step, batches: tf.data.Dataset | None = None
    ) -> Execute:
        def step_of_replica(batch: Any, reviews_in_batch: tf.Tensor) -> None:
            batch = self._of_replica(batch)
            here = tf.cast(tf.size(batch[1]) * self.replicas, tf.float32)
            share = here / tf.cast(reviews_in_batch, tf.float32)
            # Keras divides each replica's mean loss by the number of replicas, as if all had as many
            # reviews: scaled, the gradients add up to the whole batch's.
            model.optimizer.scale_loss = lambda loss: loss * share
            step(batch)

        @tf.function
        def execute(iterator, steps, stop):
            sums = model.metrics_variables
            if not self.is_chief:  # only the chief adds the sums so far
                for variable in sums:
                    variable.assign(tf.zeros_like(variable))
            for _ in tf.range(steps):
                self.strategy.run(step_of_replica, args=next(iterator))
            if self.workers > 1:
                for variable in sums:
                    variable.assign(self.strategy.reduce("SUM", variable + 0, axis=None))
                stop = self.strategy.reduce("SUM", stop, axis=None)
            return model.get_metrics_result(), stop

        def execute_steps(iterator: tf.data.Iterator, steps: int) -> Executed:
            stop = tf.constant(int(self._stop.is_set()))
            logs, stops = execute(iterator, tf.constant(steps), stop)
            if stops:
                self._agreed.set()
            return Executed(logs, None)

        return execute_steps

    def _of_replica(self, batch: Any) -> Any:
        """Return a replica's part of this worker's share, in the replica's context."""
        local = self.replicas // self.workers
        if local == 1:
            return batch
        nth = tf.distribute.get_replica_context().replica_id_in_sync_group % local
        with tf.device("CPU:0"):  # the rows of the others need not go to this GPU
            reviews = tf.size(batch[1])
            first, last = reviews * nth // local, reviews * (nth + 1) // local
            return tuple(part[first:last] for part in batch)

    def agree_on(self, stop: threading.Event) -> threading.Event:
        self._stop = stop
        return self._agreed

    def all_reduce(self, array: np.ndarray) -> np.ndarray:
        if self.workers == 1:
            return array
        return _sum(self.strategy, tf.constant(array, tf.int32)).numpy()

    def broadcast(self, call: Callable[[], Result]) -> Result:
        """Return the chief's result of `call` on each worker, or raise its LowmemError.

        The result is a State or JSON.
        """
        result: Any = None
        content = b""
        if self.is_chief:
            try:
                result = call()
                if isinstance(result, State):
                    content = b"S" + result.file.read_bytes()
                else:
                    content = b"J" + json.dumps(result).encode()
            except LowmemError as error:
                content = b"E" + json.dumps([type(error).__name__, str(error)]).encode()
        [content] = self._gather(content, 0, 1)
        kind, content = content[:1], content[1:]
        if kind == b"E":
            name, message = json.loads(content)
            raise getattr(errors, name)(message)
        if kind == b"S" and not self.is_chief:
            result = read_state(io.BytesIO(content), "the chief's state")
        elif not self.is_chief:
            result = json.loads(content)
        return result

    def require_same(self, values: dict[str, Any]) -> None:
        gathered = self._gather(json.dumps(values).encode(), self.worker, self.workers)
        chief, *others = map(json.loads, gathered)
        for index, theirs in enumerate(others, 1):
            for name, expected in chief.items():
                if theirs.get(name) != expected:
                    kind = DataError if name == "dataset" else SettingsError
                    raise kind(
                        f"{self._name(index)} has a different {name}: {theirs.get(name)}, the chief has "
                        f"{expected}; start the same command on every worker, with the same data"
                    )

    def _gather(self, content: bytes, row: int, rows: int) -> list[bytes]:
        """Return `rows` contents, this worker's in its `row`; a worker beyond them sends nothing.

        Everything is sent as the sum of an int32 array to which all but one worker add zeros: no float is
        rounded, and all workers have this operation in any case.
        """
        content = content if row == self.worker else b""
        lengths = np.zeros(rows, np.int32)
        lengths[row] = len(content)
        lengths = self.all_reduce(lengths)
        words = np.zeros((rows, -(-int(lengths.max()) // 4)), np.int32)
        words[row].view(np.uint8)[: len(content)] = np.frombuffer(content, np.uint8)
        words = self.all_reduce(words)
        return [each.tobytes()[:length] for each, length in zip(words, lengths, strict=True)]

    def _name(self, index: int) -> str:
        return self._cluster.name(index) if self._cluster else f"worker {index}"

    @contextlib.contextmanager
    def translate_worker_loss(self) -> Iterator[None]:
        try:
            yield
        except _WORKER_LOST as error:
            # An error is passed from worker to worker: the original one comes first. The
            # chief's coordination service, in which every worker has a heartbeat, names none.
            named = re.search(r"CoordinationService|task:(\d+)", error.message)
            if self.workers == 1 or not named:
                raise
            index = int(named[1] or 0)
            name = self._name(index) if index != self.worker else "a worker"
            raise Resumable(
                f"{name} is lost: killed, frozen, or unreachable; the last saved state stays; "
                "resume with the same command on every worker"
            ) from error


@tf.function(reduce_retracing=True)
def _sum(strategy, array):
    return strategy.reduce("SUM", array, axis=None)
