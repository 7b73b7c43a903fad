"""One training on several machines or GPUs, on TensorFlow's own engine, `tf.distribute`.

Keras' `fit` fails under `MultiWorkerMirroredStrategy` (keras-team/keras#20585, from Keras 3 in
TensorFlow 2.16 on; seen on TensorFlow 2.21 with Keras 3.15): it makes a tensor of a batch that is
spread over replicas, to call the network symbolically. Here `fit` is told of no strategy and is
given this worker's own share of each batch; what it runs, `train_function` and `test_function`, are
set on the network, where Keras would make its own, and do the same step on every replica with
`strategy.run`. `tests/test_distribution.py` tells when Keras is mended.

Variables of the network and the optimizer are the strategy's (mirrored). Those of the metrics are
plain ones: each worker adds its share, and after each execution all hold the sum over all workers,
so logs, early stopping and the saved state are those of one machine, on each.
"""

import contextlib
import json
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import keras
import tensorflow as tf

from ..model.keras_model import compile_model
from ..runs.run_directory import NoRunDirectory, RunDirectory
from ..system.errors import DataError, Resumable, SettingsError, Unavailable
from ..training.checkpoint import variables
from ..training.strategy import SingleProcess
from ..training.validation_metrics import Validation
from .collectives import Exchange
from .rendezvous import wait_for_workers
from .tf_config import Cluster

Told = TypeVar("Told")

# A replica's dropout seeds are the chief's plus a multiple of this, so that masks differ.
_SEED_STRIDE = 1_000_000_007

_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)


class Distribution(SingleProcess):
    """Training over all replicas of a strategy: a replica each GPU, or each worker without one."""

    def __init__(self, strategy: tf.distribute.Strategy, cluster: Cluster | None = None):
        self.strategy, self._cluster = strategy, cluster
        self.worker = cluster.index if cluster else 0
        self.workers = len(cluster.workers) if cluster else 1
        self.replicas = strategy.num_replicas_in_sync
        self.exchange = Exchange(strategy, self.worker, self.workers)
        self._stop, self._agreed = threading.Event(), threading.Event()

    def run_directory(self, path: str | Path) -> RunDirectory:
        return RunDirectory(path) if self.is_chief else NoRunDirectory(path)

    def conditions(self) -> dict[str, str]:
        return {"workers": str(self.workers), "replicas": str(self.replicas)}

    def batch_options(self) -> dict[str, Any]:
        return {"share": (self.worker, self.workers)}

    def build(self, build_model: Callable[[], keras.Model]) -> keras.Model:
        with self.strategy.scope():
            network = build_model()
            network.optimizer.build(network.trainable_variables)
        network._distribute_strategy = None  # as far as `fit` knows
        compile_model(network, optimizer=network.optimizer)
        variables(network)  # makes the metrics' variables: here, outside the strategy, plain ones
        return network

    def broadcast(self, call: Callable[[], Told]) -> Told:
        return self.exchange.broadcast(call)

    def require_same(self, conditions: dict[str, str], settings: dict[str, Any]) -> None:
        told = {name: conditions[name] for name in ("dataset", "tensorflow", "keras")} | settings
        chief, *others = map(json.loads, self.exchange.all_gather(json.dumps(told).encode()))
        for index, theirs in enumerate(others, 1):
            for name, expected in chief.items():
                if name != "prefetch" and theirs.get(name) != expected:
                    kind = DataError if name == "dataset" else SettingsError
                    raise kind(
                        f"{self._cluster.name(index)} has another {name}: {theirs.get(name)}, the chief "
                        f"has {expected}; start the same command on every worker, with the same data"
                    )

    def stopped_by(self, stop: threading.Event) -> threading.Event:
        self._stop = stop
        return self._agreed

    @contextlib.contextmanager
    def translate_worker_loss(self) -> Iterator[None]:
        try:
            yield
        except _LOST as error:
            # An error is passed on from worker to worker: the one that it began with comes first. The
            # chief's coordination service, in which every worker has a heartbeat, names none.
            named = re.search(r"CoordinationService|task:(\d+)", error.message)
            if self.workers == 1 or not named:
                raise
            index = int(named[1] or 0)
            name = self._cluster.name(index) if index != self.worker else "a worker"
            raise Resumable(
                f"{name} is lost: killed, frozen, or not to be reached; the last saved state stays; go "
                "on with the same command on every worker"
            ) from error

    def going_on(self, dataset: Path, run: RunDirectory) -> str:
        if self.workers == 1:
            return super().going_on(dataset, run)
        return "go on with the same command on every worker"

    # --- the step ---

    def class_weight(self, weights: dict[int, float] | None) -> dict[int, float] | None:
        return None  # `fit` would take them for weights of something else: the step has them

    @contextlib.contextmanager
    def training(self, network: keras.Model, class_weight: dict[int, float] | None) -> Iterator[None]:
        optimizer, scale = network.optimizer, network.optimizer.scale_loss
        share = 1.0  # while a step is traced: replicas * reviews here / reviews in the batch

        def step(kind: str) -> Callable:
            def of_replica(data, reviews_in_batch):
                nonlocal share
                data = self._of_replica(data)
                if class_weight and kind == "train_step":
                    weights = tf.constant([class_weight[label] for label in sorted(class_weight)])
                    data = (*data, tf.gather(weights, data[1]))
                here = tf.cast(tf.size(data[1]) * self.replicas, tf.float32)
                share = here / tf.cast(reviews_in_batch, tf.float32)
                getattr(network, kind)(data)

            return of_replica

        # Keras gives each replica's mean loss, over the number of replicas: right where all have the
        # same number of reviews.
        optimizer.scale_loss = lambda loss: scale(loss) * share
        network.train_function = self._function(network, step("train_step"))
        network.test_function = self._function(network, step("test_step"))
        try:
            yield
        finally:
            del optimizer.scale_loss
            network.train_function = network.test_function = None

    def _of_replica(self, data: Any) -> Any:
        """Give the part of this worker's share that a replica takes, in a replica's context."""
        local = self.replicas // self.workers
        if local == 1:
            return data
        nth = tf.distribute.get_replica_context().replica_id_in_sync_group % local
        with tf.device("CPU:0"):  # the rows of the others need not go to this GPU
            reviews = tf.size(data[1])
            first, last = reviews * nth // local, reviews * (nth + 1) // local
            return tuple(part[first:last] for part in data)

    def _function(self, network: keras.Model, step: Callable) -> Callable:
        """Give what `fit` calls with its iterator, for up to `steps_per_execution` steps."""
        strategy = self.strategy

        @tf.function
        def execute(iterator, stop):
            sums = network.metrics_variables
            if not self.is_chief:  # what there is to add to is the chief's to add
                for variable in sums:
                    variable.assign(tf.zeros_like(variable))
            for _ in tf.range(network.steps_per_execution):
                batch = iterator.get_next_as_optional()
                if batch.has_value():
                    strategy.run(step, args=batch.get_value())
            if self.workers > 1:
                for variable in sums:
                    variable.assign(strategy.reduce("SUM", variable + 0, axis=None))
                stop = strategy.reduce("SUM", stop, axis=None)
            return network.get_metrics_result(), stop

        def function(iterator):
            logs, stops = execute(iterator, tf.constant(int(self._stop.is_set())))
            if stops:
                self._agreed.set()
            return logs

        return function

    def callbacks(self, validation: Validation) -> list[keras.callbacks.Callback]:
        return [_Together(self, validation)]

    def shift_seeds(self, network: keras.Model) -> None:
        """Let each replica draw dropout masks of its own; for a network that has the chief's seeds."""
        states = [each for each in network.variables if each.path.endswith("seed_generator_state")]

        def shift():
            nth = tf.distribute.get_replica_context().replica_id_in_sync_group
            for state in states:
                offset = tf.cast(nth, tf.int64) * _SEED_STRIDE
                state.assign(state.value + tf.cast(tf.stack([offset, 0]), state.value.dtype))

        tf.function(lambda: self.strategy.run(shift))()


class _Together(keras.callbacks.Callback):
    """Give replicas their own dropout seeds, and validation the counts of all workers."""

    def __init__(self, distribution: Distribution, validation: Validation):
        super().__init__()
        self._distribution, self._validation, self._shifted = distribution, validation, False

    def on_epoch_begin(self, epoch, logs=None):
        if not self._shifted:  # after a state was restored: it has the chief's seeds
            self._distribution.shift_seeds(self.model)
            self._shifted = True

    def on_test_begin(self, logs=None):
        self._validation.reset()

    def on_test_end(self, logs=None):
        together = self._distribution
        self._validation.combine(together.exchange.sum, together.worker, together.workers)


def join(cluster: Cluster, timeout: float, report: Callable[[str], None]) -> Distribution:
    """Give the distribution over `cluster`, when all workers are there.

    Raises Unavailable, with the addresses that do not answer, after `timeout` seconds.
    """
    with wait_for_workers(cluster, timeout, report), _ended_by_signals(timeout):
        try:
            return Distribution(tf.distribute.MultiWorkerMirroredStrategy(), cluster)
        except (tf.errors.OpError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise Unavailable(f"the workers do not come together: {reason}") from error


@contextlib.contextmanager
def _ended_by_signals(timeout: float) -> Iterator[None]:
    """Let Ctrl-C end the block, and SIGALRM if a worker dies just before it; main thread only.

    TensorFlow's constructor keeps Python from running anything while it waits for the others, and
    takes SIGTERM for itself: only what the kernel does by itself can end it.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.alarm(max(1, int(timeout)))
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGINT, before)


def find_distribution(
    cluster: Cluster | None, timeout: float, report: Callable[[str], None]
) -> SingleProcess:
    """Give the distribution over TF_CONFIG's workers, or over this machine's GPUs, or none."""
    if cluster:
        return join(cluster, timeout, report)
    if (gpus := len(tf.config.list_physical_devices("GPU"))) > 1:
        # Named, or it would look for workers in a TF_CONFIG of one.
        return Distribution(tf.distribute.MirroredStrategy([f"GPU:{nth}" for nth in range(gpus)]))
    return SingleProcess()
