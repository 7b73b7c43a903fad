"""Ctrl-C, SIGTERM and SIGHUP: the one place that installs handlers for them."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

_PR_SET_PDEATHSIG = 1  # prctl(2)


class Interrupts:
    """Remember Ctrl-C while a block runs, and hold it back where it would be lost.

    Python swallows exceptions in functions that run around a fork (`os.register_at_fork`) and in weak
    reference callbacks; a pool of processes has several of both, and each import one of the second. There
    a KeyboardInterrupt is printed as "Exception ignored in", and the command runs on: the signal is sent
    again instead. A worker that does not yet ignore SIGINT prints a traceback, and some imports turn it
    into an ImportError; half of TensorFlow's happens in C++, which does so or swallows it. So
    KeyboardInterrupt is raised at the end of the block, whatever became of it before. A handler set by
    the caller is left alone, and only the main thread gets signals.
    """

    def __init__(self) -> None:
        self._came = self._deferring = False

    def __enter__(self) -> "Interrupts":
        self._before = signal.getsignal(signal.SIGINT)
        own = isinstance(getattr(self._before, "__self__", None), Interrupts)
        known = own or self._before is signal.default_int_handler
        self._ours = known and threading.current_thread() is threading.main_thread()
        if self._ours:
            signal.signal(signal.SIGINT, self._handle)
            self._report, sys.unraisablehook = sys.unraisablehook, self._send_again
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, self._before)
            sys.unraisablehook = self._report
        if kind is not GeneratorExit:  # nobody could catch what is raised while a generator is closed
            self.check()

    def _handle(self, number: int, frame: Any) -> None:
        self._came = True
        if not self._deferring:
            raise KeyboardInterrupt

    def _send_again(self, swallowed: Any) -> None:
        if not issubclass(swallowed.exc_type, KeyboardInterrupt):
            self._report(swallowed)
            return
        main = threading.main_thread().ident  # once it has left the function that swallows exceptions
        threading.Timer(0.01, signal.pthread_kill, (main, signal.SIGINT)).start()

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Raise KeyboardInterrupt after the block if it came in the block or was swallowed before."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
        self.check()

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C came, even if the exception was swallowed."""
        if self._came:
            raise KeyboardInterrupt from None


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM, Ctrl-C or a closed terminal sets; a second signal ends the process."""
    stop, signals = threading.Event(), [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as under nohup
        signals.append(signal.SIGHUP)

    def handle(number: int, frame: Any) -> None:
        stop.set()
        for each in signals:
            signal.signal(each, signal.SIG_DFL)

    before = [signal.signal(each, handle) for each in signals]
    try:
        yield stop
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)


@contextlib.contextmanager
def ended_by_interrupts(seconds: int) -> Iterator[None]:
    """Let the kernel end the process at Ctrl-C, or by SIGALRM after some seconds, while the block runs.

    For a call during which Python cannot run signal handlers. Main thread only.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGINT, before)


def leave_signals_to(parent: int) -> None:
    """Make this child process ignore Ctrl-C and a closed terminal, and end when `parent` ends."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        import ctypes  # 2 ms, and every command imports this module

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
