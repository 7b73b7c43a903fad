"""Run one function over many items in several processes, with the results in order."""

import concurrent.futures
import gc
import itertools
import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from .errors import Unavailable
from .memory import require_threads
from .signals import Interrupts, leave_signals_to

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 2  # items per worker that are read, in work, or done but not yet taken

_function: Callable[[Any], Any]


def available() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yield `function(item)` for each item, in the items' order, from `workers` processes.

    At most two items per worker are in memory at a time. The workers are forks: they share this process's
    memory, need no pickled `function`, and start at once (spawned workers would import NumPy, 0.15 s
    each, and run the user's main module again). A fork of a process that has threads or TensorFlow may
    hang, so such a process does all the work itself, as for a single item. Raises Unavailable when a
    worker is killed, and OutOfMemory when the system refuses so many.
    """
    items = iter(items)
    first = list(itertools.islice(items, 2))
    items = itertools.chain(first, items)
    if workers < 2 or len(first) < 2 or not _may_fork():
        yield from map(function, items)
        return
    require_threads(workers + 2)  # with the two of the pool
    with Interrupts() as interrupts:
        yield from _from_pool(function, items, workers, interrupts)


def _from_pool(
    function: Callable[[Item], Result], items: Iterator[Item], workers: int, interrupts: Interrupts
) -> Iterator[Result]:
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, multiprocessing.get_context("fork"), _begin, (function, os.getpid())
    )
    waiting: deque[concurrent.futures.Future[Any]] = deque()
    others = set(multiprocessing.active_children())
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
    except BrokenProcessPool as error:
        raise Unavailable(
            "a worker process was killed (out of memory?); try --workers 1, which needs less"
        ) from error
    finally:
        try:
            pool.shutdown(wait=True, cancel_futures=True)
        finally:
            # A pool that could not start all its workers, or its thread, forgets them, and Python would
            # wait for them at its exit.
            for process in set(multiprocessing.active_children()) - others:
                process.kill()


def _may_fork() -> bool:
    return (
        "fork" in multiprocessing.get_all_start_methods()
        and threading.active_count() == 1
        and "tensorflow" not in sys.modules
    )


def _begin(function: Callable[[Any], Any], parent: int) -> None:
    """Make a worker leave Ctrl-C to its parent, and end when the parent ends."""
    global _function
    _function = function
    gc.disable()  # there are no reference cycles; looking for them takes 5 % of the time
    leave_signals_to(parent)


def _run(item: Any) -> Any:
    return _function(item)
