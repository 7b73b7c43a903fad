"""One training on several machines or GPUs, on TensorFlow's own engine, `tf.distribute`.

`DistributedStrategy` has the methods of `training.single_process.SingleProcess`, and the training loop is
the same. Each worker gets its own share of each batch, and runs the model's own step on every replica
with `strategy.run`. (Keras' `fit` fails under `MultiWorkerMirroredStrategy`, keras-team/keras#20585, from
Keras 3 in TensorFlow 2.16 on: it makes a tensor of a batch that is spread over replicas.
`tests/distributed/test_workers.py` fails when Keras is mended.)

Variables of the model and the optimizer are the strategy's (mirrored). Those of the metrics are plain
ones: each worker adds its share, and after each execution all hold the sum over all workers, so logs,
early stopping and the saved state are those of one machine, on each.
"""

import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from ..model.keras_model import compile_model
from ..model.optimizer import FusedAdam
from ..system.errors import DataError, Resumable, SettingsError, Unavailable
from ..system.signals import ended_by_interrupts
from ..training.execution import Execute, Executed, Step
from ..training.single_process import SingleProcess
from .collectives import Collectives
from .rendezvous import wait_for_workers
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


class ShareAdam(FusedAdam):
    """Adam that scales a replica's loss by its share of the batch.

    Keras takes each replica's mean loss over the number of replicas, which is right where all have the
    same number of reviews.
    """

    loss_share: Any = 1.0
    """While a step is traced: replicas * reviews of this one / reviews in the batch."""

    def scale_loss(self, loss):
        """Return the loss whose gradients, added up over the replicas, are those of the whole batch."""
        return super().scale_loss(loss) * self.loss_share


class DistributedStrategy(SingleProcess):
    """Training over all replicas of a strategy: a replica each GPU, or each worker without one."""

    def __init__(self, strategy: tf.distribute.Strategy, cluster: Cluster | None = None):
        self.strategy, self._cluster = strategy, cluster
        self.worker = cluster.index if cluster else 0
        self.workers = len(cluster.workers) if cluster else 1
        self.replicas = strategy.num_replicas_in_sync
        self.share = (self.worker, self.workers)
        self._collectives = Collectives(strategy, self.worker, self.workers)
        self._stop, self._agreed = threading.Event(), threading.Event()

    def build(self, build_model: Callable[[], keras.Model]) -> keras.Model:
        with self.strategy.scope():
            model = build_model()
            optimizer = ShareAdam.from_config(model.optimizer.get_config())
            optimizer.build(model.trainable_variables)
        compile_model(model, optimizer=optimizer)  # outside the scope: the metrics' variables are plain
        return model

    def vary_dropout_seeds(self, model: keras.Model) -> None:
        states = [each for each in model.variables if each.path.endswith("seed_generator_state")]

        def shift() -> None:
            nth = tf.distribute.get_replica_context().replica_id_in_sync_group
            for state in states:
                offset = tf.cast(nth, tf.int64) * _SEED_STRIDE
                state.assign(state.value + tf.cast(tf.stack([offset, 0]), state.value.dtype))

        tf.function(lambda: self.strategy.run(shift))()

    def compile_execution(self, model: keras.Model, step: Step) -> Execute:
        def step_of_replica(batch: Any, reviews_in_batch: tf.Tensor) -> None:
            batch = self._of_replica(batch)
            here = tf.cast(tf.size(batch[1]) * self.replicas, tf.float32)
            model.optimizer.loss_share = here / tf.cast(reviews_in_batch, tf.float32)
            step(batch)

        @tf.function
        def execute(iterator, steps, stop):
            sums = model.metrics_variables
            if not self.is_chief:  # what there is to add to is the chief's to add
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
        """Return the part of this worker's share that a replica takes, in a replica's context."""
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
        return self._collectives.all_reduce(array)

    def broadcast(self, call: Callable[[], Result]) -> Result:
        return self._collectives.broadcast(call)

    def require_same(self, values: dict[str, Any]) -> None:
        gathered = self._collectives.all_gather(json.dumps(values).encode())
        chief, *others = map(json.loads, gathered)
        for index, theirs in enumerate(others, 1):
            for name, expected in chief.items():
                if theirs.get(name) != expected:
                    kind = DataError if name == "dataset" else SettingsError
                    raise kind(
                        f"{self._name(index)} has another {name}: {theirs.get(name)}, the chief has "
                        f"{expected}; start the same command on every worker, with the same data"
                    )

    def _name(self, index: int) -> str:
        return self._cluster.name(index) if self._cluster else f"worker {index}"

    @contextlib.contextmanager
    def translate_worker_loss(self) -> Iterator[None]:
        try:
            yield
        except _WORKER_LOST as error:
            # An error is passed on from worker to worker: the one that it began with comes first. The
            # chief's coordination service, in which every worker has a heartbeat, names none.
            named = re.search(r"CoordinationService|task:(\d+)", error.message)
            if self.workers == 1 or not named:
                raise
            index = int(named[1] or 0)
            name = self._name(index) if index != self.worker else "a worker"
            raise Resumable(
                f"{name} is lost: killed, frozen, or not to be reached; the last saved state stays; "
                "resume with the same command on every worker"
            ) from error

    def resume_command(self, dataset: object, run: object) -> str:
        if self.workers == 1:
            return super().resume_command(dataset, run)
        return "resume with the same command on every worker"


def find_strategy(
    cluster: Cluster | None, timeout: float, report: Callable[[str], None]
) -> SingleProcess:
    """Return the strategy over TF_CONFIG's workers, or over this machine's GPUs, or one process."""
    if cluster:
        return join(cluster, timeout, report)
    if (gpus := len(tf.config.list_physical_devices("GPU"))) > 1:
        # Named, or it would look for workers in a TF_CONFIG of one.
        devices = [f"GPU:{nth}" for nth in range(gpus)]
        return DistributedStrategy(tf.distribute.MirroredStrategy(devices))
    return SingleProcess()


def join(cluster: Cluster, timeout: float, report: Callable[[str], None]) -> DistributedStrategy:
    """Return the strategy over `cluster`, when all workers are there.

    Raises Unavailable, with the addresses that do not answer, after `timeout` seconds.
    """
    with wait_for_workers(cluster, timeout, report), _ended_by_signals(timeout):
        try:
            return DistributedStrategy(tf.distribute.MultiWorkerMirroredStrategy(), cluster)
        except (tf.errors.OpError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise Unavailable(f"the workers do not come together: {reason}") from error


@contextlib.contextmanager
def _ended_by_signals(timeout: float) -> Iterator[None]:
    """Let Ctrl-C end the block, and SIGALRM if a worker dies just before it; main thread only.

    TensorFlow's constructor keeps Python from running anything while it waits for the others, and
    takes SIGTERM for itself: only what the kernel does by itself can end it, and only another process
    (10 MB, gone when the block ends) can say why.
    """
    seconds = max(1, int(timeout))
    line = (
        f"lowmem-sentiment: error: a worker was lost just after it had answered; no answer from it for "
        f"{seconds} s (--cluster-timeout); resume with the same command on every worker\n"
    )
    wait_and_report = (
        "import select, sys; end, *_ = select.select([sys.stdin], [], [], float(sys.argv[1])); "
        "end or sys.stderr.write(sys.argv[2])"
    )
    command = [sys.executable, "-I", "-S", "-c", wait_and_report, str(seconds - 0.5), line]
    # Leaving the block closes the process's input.
    with subprocess.Popen(command, stdin=subprocess.PIPE), ended_by_interrupts(seconds):
        yield
