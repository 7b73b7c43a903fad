"""TensorBoard on a server too small for it."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

from ..system.errors import InputMissing, Unavailable
from ..system.workarounds import without_tensorflow


def serve(logdir: str | Path, host: str, port: int, report: Callable[[str], None]) -> None:
    """Run TensorBoard until the process is interrupted; `report` is told its address.

    Raises InputMissing when `logdir` holds no run, Unavailable when the port is taken.
    """
    logdir = Path(logdir)
    if not any(logdir.rglob("*tfevents*")):
        raise InputMissing(f"{logdir} holds no run (no event files); train one, or name its folder")
    _require_port(host, port)
    without_tensorflow()
    from tensorboard import default, program

    board = program.TensorBoard(default.get_plugins())
    # The fast loader is a second process, and prints a note; our event files are small.
    board.configure(logdir=str(logdir), host=host, port=port, load_fast="false")
    report(f"TensorBoard shows {logdir} at {board.launch()} (Ctrl-C stops it)")
    threading.Event().wait()


def _require_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise Unavailable(f"cannot listen on {host}:{port}: {reason}; try --port") from error
