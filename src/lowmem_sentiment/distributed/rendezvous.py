"""Find the workers or GPUs to train on: wait for every worker, then start TensorFlow's server."""

import contextlib
import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator

from ..model.tensorflow import tf
from ..system.errors import SettingsError, Unavailable
from ..system.signals import ended_by_interrupts
from ..training.single_process import SingleProcess
from .strategy import DistributedStrategy
from .tf_config import VARIABLE, Cluster

_GREETING = b"lowmem-sentiment worker "

_GRPC = (
    b"\x04"  # byte 3 of a gRPC server's first message, an HTTP/2 SETTINGS frame (RFC 9113, section 4.1)
)


def find_strategy(
    cluster: Cluster | None, timeout: float, report: Callable[[str], None]
) -> SingleProcess:
    """Return the strategy over TF_CONFIG's workers, or over this machine's GPUs, or one process."""
    if cluster:
        return join(cluster, timeout, report)
    if (gpus := len(tf.config.list_physical_devices("GPU"))) > 1:
        # Named, as it would otherwise look for workers in a TF_CONFIG of one.
        devices = [f"GPU:{nth}" for nth in range(gpus)]
        return DistributedStrategy(tf.distribute.MirroredStrategy(devices))
    return SingleProcess()


def join(cluster: Cluster, timeout: float, report: Callable[[str], None]) -> DistributedStrategy:
    """Return the strategy over `cluster` once all workers answer.

    Raises Unavailable, with the addresses that do not answer, after `timeout` seconds.
    """
    wait_for_workers(cluster, timeout, report)
    # TensorFlow's constructor blocks Python while it waits for the others: if one is lost in that moment,
    # only the kernel can end the process.
    with ended_by_interrupts(max(1, int(timeout))):
        try:
            return DistributedStrategy(tf.distribute.MultiWorkerMirroredStrategy(), cluster)
        except (tf.errors.OpError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise Unavailable(f"the workers do not come together: {reason}") from error


def wait_for_workers(cluster: Cluster, timeout: float, report: Callable[[str], None]) -> None:
    """Wait until every worker answers at its address.

    TensorFlow waits for its peers in one call that never times out and blocks Python's signals and
    threads. Therefore each worker first sends a greeting at its own address and waits, in Python, until
    each other worker's greeting, or TensorFlow's server, answers.

    Raises Unavailable, with the addresses, after `timeout` seconds, and SettingsError for a worker with a
    different index.
    """
    with _greeting(cluster):
        missing = [index for index in range(len(cluster.workers)) if index != cluster.index]
        until, report_at = time.monotonic() + timeout, time.monotonic() + min(5, timeout / 2)
        while missing := [index for index in missing if not _answers(cluster, index)]:
            names = ", ".join(map(cluster.name, missing))
            if time.monotonic() > until:
                raise Unavailable(
                    f"{names} did not answer within {timeout:g} s (--cluster-timeout); start the same "
                    "command on every worker"
                )
            if time.monotonic() > report_at:
                report(f"waiting for {names}")
                report_at = until
            time.sleep(0.1)


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens only at the address in TF_CONFIG.

    If the name is not an address of this machine, such as a load balancer's, it listens at all of the
    machine's addresses, as TensorFlow's server will.
    """
    try:
        try:
            [(family, *_, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            return socket.create_server(address[:2], family=family)
        except OSError as error:
            if not isinstance(error, socket.gaierror) and error.errno != errno.EADDRNOTAVAIL:
                raise
        return socket.create_server(("", port))
    except OSError as error:
        raise Unavailable(
            f"port {port}, this worker's own in {VARIABLE}, cannot be opened: {error.strerror}"
        ) from error


@contextlib.contextmanager
def _greeting(cluster: Cluster) -> Iterator[None]:
    """Greet, at this worker's address, whoever connects while the block runs."""
    listener = _listen(*_host_and_port(cluster.workers[cluster.index]))

    def greet() -> None:
        with contextlib.suppress(OSError):  # the end of `listener`
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):  # whoever it was has gone
                    connection.sendall(_GREETING + b"%d\n" % cluster.index)

    thread = threading.Thread(target=greet, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # or `accept` goes on
        thread.join()
        listener.close()


def _answers(cluster: Cluster, index: int) -> bool:
    address = cluster.workers[index]
    try:
        with socket.create_connection(_host_and_port(address), timeout=1) as connection:
            heard = connection.recv(64)
    except OSError:  # refused, no such host yet (Kubernetes makes names as pods start), no way there
        return False
    if heard.startswith(_GREETING) and heard != _GREETING + b"%d\n" % index:
        theirs = heard[len(_GREETING) :].decode(errors="replace").strip()
        time.sleep(1)  # so that the other worker gets this one's greeting and fails too
        raise SettingsError(
            f"{VARIABLE}: {address} is worker {index} here, but says that it is worker {theirs}; "
            "expected the same cluster on every worker, and a different task.index on each"
        )
    return heard.startswith(_GREETING) or heard[3:4] == _GRPC
