"""The memory that this process uses and may use, in bytes.

There are two figures, which mean different things on a small server: the resident set includes library
pages that the kernel can drop and read again (350 MB of TensorFlow's); anonymous memory cannot be given
to another process (`proc(5)`: VmRSS, VmHWM, RssAnon).
"""

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from .errors import OutOfMemory

MB = 1_000_000


def sizes(path: str | Path) -> dict[str, int]:
    """Return the "Name: N kB" lines of a /proc file in bytes; nothing on a system without it."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return {}
    fields = (line.split() for line in lines if line.endswith(" kB"))
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in fields}


def peak_resident() -> int:
    """Return this process's peak resident set in bytes (0: unknown)."""
    return sizes("/proc/self/status").get("VmHWM", 0)


def resident_and_anonymous() -> tuple[int, int]:
    """Return both in bytes (0: unknown): 12 microseconds, a third of what /proc/self/status takes."""
    try:
        with open("/proc/self/statm", "rb") as file:
            _, pages, of_files, *_ = map(int, file.read().split())  # `proc(5)`
    except OSError:
        return 0, 0
    size = os.sysconf("SC_PAGE_SIZE")
    return pages * size, (pages - of_files) * size


def anonymous() -> int:
    """Return the bytes of this process that the kernel cannot reclaim, now (0: unknown)."""
    return resident_and_anonymous()[1]


def trim_heap() -> None:
    """Let glibc return freed memory to the kernel (`malloc_trim(3)`): 2 to 4 ms.

    Otherwise a shuffle window that is not used any more, 27 MB for IMDb, still counts.
    """
    _call_glibc("malloc_trim", 0)


def return_large_blocks() -> None:
    """Let glibc return each block of 64 KiB or more to the kernel when it is freed (`mallopt(3)`).

    Its own threshold rises to the largest block freed so far, and smaller blocks stay in the heap: 15 MB
    in a server with 6 MB answers.
    """
    _call_glibc("mallopt", _M_MMAP_THRESHOLD, 64 << 10)


def limit_heaps(count: int) -> None:
    """Let glibc's threads share `count` heaps: each heap keeps some freed memory."""
    _call_glibc("mallopt", _M_ARENA_MAX, count)


def require_addresses(size: int) -> None:
    """Raise OutOfMemory if this process may not use `size` more bytes of address space (`ulimit -v`).

    OpenBLAS and LLVM end the process, with code 1 or a core dump, when they get none.
    """
    import mmap

    try:
        # Read-only pages do not count as memory, so only the limit on addresses can refuse them.
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        mmap.mmap(-1, size, flags=flags, prot=mmap.PROT_READ).close()
    except OSError as error:
        raise OutOfMemory(
            f"out of memory: this process may not use {size // MB:,} MB more of addresses; expected a "
            "higher limit (ulimit -v)"
        ) from error


def require_threads(count: int) -> None:
    """Raise OutOfMemory if this process may not start `count` threads (`ulimit -u`, a container's limit).

    With fewer than they want, TensorFlow dumps core, and a pool of processes waits forever.
    """
    tried, enough = [], threading.Event()
    try:
        for _ in range(count):
            tried.append(threading.Thread(target=enough.wait, daemon=True))
            tried[-1].start()
    except RuntimeError as error:
        raise OutOfMemory(
            f"the system refused thread {len(tried)} of the {count} that are needed; expected a "
            "higher limit (ulimit -u, or the container's limit on processes)"
        ) from error
    finally:
        enough.set()
        for thread in tried:
            if thread.ident:
                thread.join()


_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8


def _call_glibc(name: str, *arguments: int) -> None:
    import ctypes  # 2 ms, and every command imports this module

    with contextlib.suppress(OSError, AttributeError):  # another C library
        getattr(ctypes.CDLL(None), name)(*arguments)


class Limit(NamedTuple):
    """The memory that this process may use, and where the limit comes from."""

    bytes: int
    source: str
    cgroup: Path | None = None
    """The directory of the memory cgroup, for a cgroup's limit."""

    def used(self) -> int:
        """Return the bytes that count against it and cannot be reclaimed."""
        return anonymous() if self.cgroup is None else _cgroup_anonymous(self.cgroup)


def find_limit() -> Limit:
    """Return the least of the memory that is free and the limits of the cgroups this process is in."""
    free = Limit(sizes("/proc/meminfo").get("MemAvailable", 1 << 62) + anonymous(), "free memory")
    return min([free, *_cgroup_limits()], key=lambda limit: limit.bytes)


def container() -> tuple[int, int] | None:
    """Return the bytes that cannot be reclaimed in the memory cgroup, and its limit; None: no limit."""
    limit = _container_limit()
    return (limit.used(), limit.bytes) if limit else None


@functools.cache
def _container_limit() -> Limit | None:
    return min(_cgroup_limits(), key=lambda limit: limit.bytes, default=None)


def _cgroup_limits(proc: Path = Path("/proc/self")) -> Iterator[Limit]:
    """Yield the limit of this process's memory cgroup and of each one above it.

    Version 2 has one tree and `memory.max`; version 1 has a tree only for memory and
    `memory.limit_in_bytes`, nearly 2**63 without a limit (kernel documentation, admin-guide/cgroup-v2 and
    cgroup-v1/memory).
    """
    try:
        mounts = [line.split() for line in (proc / "mountinfo").read_text().splitlines()]
        groups = [line.split(":", 2) for line in (proc / "cgroup").read_text().splitlines()]
    except OSError:
        return
    for words in mounts:
        kind, options = words[words.index("-") + 1], words[-1].split(",")
        second = kind == "cgroup2"
        if not second and not (kind == "cgroup" and "memory" in options):
            continue
        root, mount = words[3], Path(words[4])
        for _, controllers, path in groups:
            if controllers == "" if second else "memory" in controllers.split(","):
                # In a container the mount shows a part of the tree, from `root` on.
                inside = mount / os.path.relpath(path, root) if path.startswith(root) else mount
                group = inside if inside.is_dir() else mount
                yield from _limits(group, mount, "memory.max" if second else "memory.limit_in_bytes")


def _limits(group: Path, mount: Path, file: str) -> Iterator[Limit]:
    """Yield the limits from a cgroup's directory up to where its tree is mounted."""
    for directory in (group, *group.parents):
        with contextlib.suppress(OSError, ValueError):
            limit = int((directory / file).read_text())  # version 2 says "max" for none
            if limit < 1 << 60:
                yield Limit(limit, f"cgroup {directory}", directory)
        if directory == mount:
            break


def _cgroup_anonymous(directory: Path) -> int:
    """Return the bytes of a memory cgroup that are neither page cache nor otherwise reclaimable."""
    try:
        words = (line.split() for line in (directory / "memory.stat").read_text().splitlines())
        stat = {name: int(value) for name, value in words}
    except (OSError, ValueError):
        return anonymous()
    return stat["total_rss"] if "total_rss" in stat else stat.get("anon", 0) + stat.get("shmem", 0)


class Watch:
    """Measure this process's memory every 20 ms, in a thread, while a `with` block runs.

    Keeps the peak of anonymous memory, which the kernel does not. `alarm` is called once, with the
    reason, when 92 % of `limit` are used.
    """

    INTERVAL = 0.02  # seconds
    ALARM = 0.92

    def __init__(self, limit: Limit | None = None, alarm: Callable[[str], None] = lambda what: None):
        self.peak_anonymous = 0
        self._limit, self._alarm = limit, alarm
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> "Watch":
        self._measure()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._measure()

    def _measure(self) -> None:
        self.peak_anonymous = max(self.peak_anonymous, anonymous())

    def _watch(self) -> None:
        limit = self._limit
        while not self._end.wait(self.INTERVAL):
            self._measure()
            if limit and (used := limit.used()) >= self.ALARM * limit.bytes:
                self._alarm(
                    f"{used / MB:.0f} MB of the {limit.bytes / MB:.0f} MB of {limit.source} are used"
                )
                limit = None
