"""Ctrl-C that is neither lost nor a traceback."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


class Interrupts:
    """Remember Ctrl-C while a block runs, and hold it back where it would be lost.

    Python swallows an exception in what runs around a fork (`os.register_at_fork`) and in callbacks of
    weak references, of which a pool of processes has several: a KeyboardInterrupt that came there was
    printed as "Exception ignored in", and the command ran on. A worker that does not ignore SIGINT yet
    prints a traceback. Some imports turn it into an ImportError. A handler of the caller's own is left
    alone.
    """

    def __init__(self) -> None:
        self._came = self._deferring = False

    def __enter__(self) -> "Interrupts":
        is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        self._ours = is_default and threading.current_thread() is threading.main_thread()
        if self._ours:
            signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: Any) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _handle(self, number: int, frame: Any) -> None:
        self._came = True
        if not self._deferring:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Raise KeyboardInterrupt after the block, where it came in the block or was swallowed before."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
        self.check()

    def check(self) -> None:
        """Raise the KeyboardInterrupt that came, wherever it was swallowed."""
        if self._came:
            raise KeyboardInterrupt
