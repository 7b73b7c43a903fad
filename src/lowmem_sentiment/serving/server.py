"""Run the application by waitress, in this process."""

import json
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from waitress import wasyncore
from waitress.server import create_server

from ..system.memory import limit_heaps, return_large_blocks
from .application import RUNNING, Application
from .settings import ServingSettings

FINISH = 10.0
"""Seconds that requests under way may take after SIGTERM."""

MAX_CONNECTIONS = 1_000


def log_line(event: dict[str, Any]) -> None:
    """Write an event to standard error, a line of JSON."""
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    sys.stderr.write(json.dumps({"time": now, **event}) + "\n")
    sys.stderr.flush()


def run_in_process(application: Application, listening: socket.socket, settings: ServingSettings) -> None:
    """Answer requests until SIGTERM or Ctrl-C, then finish those under way; SIGHUP reloads the run."""
    received: set[int] = set()  # a handler may come anywhere, and so takes no lock
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: received.add(number))

    def go_on() -> bool:
        if signal.SIGHUP in received or application.model.has_changed():
            received.discard(signal.SIGHUP)
            application.model.replace_in_background()
        return not received

    serve(application, listening, settings, go_on)


def serve(
    application: Application,
    listening: socket.socket,
    settings: ServingSettings,
    go_on: Callable[[], bool],
) -> None:
    """Answer requests while `go_on()`, called once a second or more often, returns true.

    waitress reads requests in one thread and hands over complete ones, so a slow client delays nobody.
    Each waiting request has its own thread.
    """
    # It prints a traceback for each client that leaves; the application logs its own failures.
    logging.getLogger("waitress").setLevel(logging.CRITICAL)
    # Each of 70 threads could have its own heap: 40 MB more after 16 models.
    limit_heaps(1)
    return_large_blocks()
    channels: dict[int, Any] = {}
    server = create_server(
        application,
        map=channels,
        sockets=[listening],
        threads=RUNNING + settings.max_waiting + 2,  # two to say that the server is busy, or well
        connection_limit=MAX_CONNECTIONS,
        channel_timeout=settings.read_timeout,
        cleanup_interval=1,
        # The application answers larger ones in JSON; this is what is buffered (on disk) at most.
        max_request_body_size=4 * settings.max_body,
        max_request_header_size=32 << 10,
        asyncore_use_poll=True,
        ident="lowmem-sentiment",
    )

    def turn(timeout: float) -> None:
        wasyncore.loop(timeout=timeout, use_poll=True, map=channels, count=1)

    while go_on():
        turn(1.0)
    server.accepting = False
    listening.close()
    deadline = time.monotonic() + FINISH
    while time.monotonic() < deadline and any(map(_is_busy, list(channels.values()))):
        turn(0.05)


def _is_busy(channel: Any) -> bool:
    """Whether a connection has a request under way, an answer that is not sent, or was just opened."""
    under_way = getattr(channel, "requests", None) or getattr(channel, "total_outbufs_len", 0)
    return bool(under_way or time.time() - getattr(channel, "last_activity", 0) < 1)
