"""Run one function over many items in several processes, with the results in order."""

import concurrent.futures
import contextlib
import ctypes
import gc
import itertools
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from .errors import Unavailable

Item, Result = TypeVar("Item"), TypeVar("Result")

_AHEAD = 2  # items a worker that are read, at work, or done and not yet taken

_PR_SET_PDEATHSIG = 1  # prctl(2)

_function: Callable[[Any], Any]


def available() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yield `function(item)` of each item, in the items' order, from `workers` processes.

    At most two items a worker are in memory at a time. The workers are forks: they share what is
    in memory already, `function` needs no pickling, and no start-up is paid (spawned ones would
    import NumPy, 0.15 s each, and run the user's main module again). A fork of a process with
    threads or TensorFlow in it may hang, so there, and for fewer than two items, all is done in
    this process. Raises Unavailable when a worker is killed.
    """
    items = iter(items)
    first = list(itertools.islice(items, 2))
    items = itertools.chain(first, items)
    if workers < 2 or len(first) < 2 or not _may_fork():
        yield from map(function, items)
        return
    with _Interrupts() as interrupts:
        yield from _from_pool(function, items, workers, interrupts)


def _from_pool(
    function: Callable[[Item], Result], items: Iterator[Item], workers: int, interrupts: "_Interrupts"
) -> Iterator[Result]:
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, multiprocessing.get_context("fork"), _begin, (function, os.getpid())
    )
    waiting: deque[concurrent.futures.Future] = deque()
    try:
        for item in items:
            with interrupts.deferred():
                waiting.append(pool.submit(_run, item))
            del item
            if len(waiting) > _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            interrupts.check()
            yield waiting.popleft().result()
        interrupts.check()
    except BrokenProcessPool as error:
        raise Unavailable(
            "a worker process was killed (out of memory?); try --workers 1, which needs less"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Interrupts:
    """Ctrl-C that is neither lost nor answered by a worker, while processes are forked.

    Python swallows an exception in what runs around a fork (`os.register_at_fork`) and in callbacks of
    weak references, of which the pool has several: a KeyboardInterrupt that came there was printed as
    "Exception ignored in" and the command ran on. And a worker that is not yet deaf to SIGINT prints a
    traceback. So the handler remembers that it was called, and raises nothing while a process is forked.
    A handler of the caller's own stays as it is.
    """

    def __init__(self) -> None:
        self._came = self._deferring = False

    def __enter__(self) -> "_Interrupts":
        self._ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
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


def _may_fork() -> bool:
    return (
        "fork" in multiprocessing.get_all_start_methods()
        and threading.active_count() == 1
        and "tensorflow" not in sys.modules
    )


def _begin(function: Callable[[Any], Any], parent: int) -> None:
    """Make a worker leave Ctrl-C to its parent, and end with it however that ends."""
    global _function
    _function = function
    gc.disable()  # no cycles are made here; looking for them is 5 % of the time
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def _run(item: Any) -> Any:
    return _function(item)
