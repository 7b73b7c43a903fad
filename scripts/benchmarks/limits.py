"""The smallest memory limit in which `prepare` and `train` complete, and how much longer they take.

Each run is in its own memory cgroup, with the page cache dropped first: the pages of TensorFlow's
library are read from the disk again and count against the limit, as on a small server just started.
"""

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lowmem_sentiment.system.memory import MB

from . import contenders
from .measuring import disk_bytes, measure, tell

SIZES = (1_024, 512, 448, 384, 352, 320, 288, 256)
BEARABLE = 1.5  # times the unlimited time
PATIENCE = 6  # times the unlimited time, then it is killed: it reads the same pages again and again


class Hierarchy:
    """The tree of memory cgroups (kernel documentation: cgroup-v1/memory, or cgroup-v2)."""

    def __init__(self, root: Path, version: int):
        self.root, self.version = root, version

    @contextlib.contextmanager
    def group(self, limit: int) -> Iterator[Path]:
        """Make a cgroup of `limit` bytes, without swap, while the block runs."""
        if self.version == 2:
            (self.root / "cgroup.subtree_control").write_text("+memory")
        group = self.root / f"lowmem-sentiment-benchmark-{os.getpid()}"
        group.mkdir()
        names = {
            1: ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
            2: ("memory.max", "memory.swap.max"),
        }[self.version]
        try:
            (group / names[0]).write_text(str(limit))
            if (group / names[1]).exists():  # version 1 limits memory and swap together
                (group / names[1]).write_text(str(limit if self.version == 1 else 0))
            yield group
        finally:
            group.rmdir()


def find_hierarchy(mounts: Path = Path("/proc/self/mounts")) -> Hierarchy | None:
    """Return the mounted memory hierarchy; None if there is none."""
    try:
        lines = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return None
    for _, root, kind, options, *_ in lines:
        if kind == "cgroup" and "memory" in options.split(","):
            return Hierarchy(Path(root), 1)
        controllers = Path(root) / "cgroup.controllers"
        if kind == "cgroup2" and controllers.exists() and "memory" in controllers.read_text().split():
            return Hierarchy(Path(root), 2)
    return None


def reason_to_skip(hierarchy: Hierarchy | None) -> str | None:
    """Return why limits cannot be measured here; None if they can."""
    if os.geteuid() != 0:
        return "a memory cgroup and an empty page cache need root"
    if hierarchy is None:
        return "no memory cgroup hierarchy is mounted"
    if others := _others_with_tensorflow():
        return (
            f"{others} other processes have TensorFlow's library in memory, whose pages would not count"
        )
    try:
        with hierarchy.group(1 << 30):
            return None
    except OSError as error:
        return f"no memory cgroup can be made in {hierarchy.root} ({error.strerror})"


def _others_with_tensorflow() -> int:
    """Count processes that map TensorFlow's library: its pages stay cached, charged to them."""
    found = 0
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            found += "libtensorflow_cc" in maps.read_text()
    return found


def _drop_page_cache() -> None:
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--runs", type=int, default=3, metavar="N", help="how many times each size, in turn")
    add("--sizes", type=int, nargs="+", default=SIZES, metavar="MB", help="limits, of 10^6 bytes each")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure each limit, and return what limits.json holds."""
    hierarchy = find_hierarchy()
    reason = reason_to_skip(hierarchy)
    if reason or hierarchy is None:
        sys.exit(f"benchmark: limits are skipped: {reason}")
    sizes = sorted(options.sizes, reverse=True)
    runs: dict[int | None, list[dict]] = {size: [] for size in (None, *sizes)}
    for number in range(options.runs):
        for size, records in runs.items():
            if any(not record["completed"] for record in records):
                break  # it does not in less memory either
            unlimited = runs[None][-1]["seconds"] if runs[None] else None
            records.append(_measure(hierarchy, size, options.directory, unlimited))
            told = records[-1].get("ended", f"{records[-1]['seconds']:.1f} s")
            tell(f"{number + 1}/{options.runs} limit {size or 'none'}: {told}")
            if not records[-1]["completed"]:
                break
    return {
        "cgroup_version": hierarchy.version,
        "runs": options.runs,
        "bearable": BEARABLE,
        "rows": summarise(runs),
    }


def _measure(
    hierarchy: Hierarchy, size: int | None, directory: Path | None, unlimited: float | None
) -> dict[str, Any]:
    """Return the cost of `prepare` and `train` within `size` MB (None: without a limit)."""
    ours = next(each for each in contenders.CONTENDERS if each.name == contenders.OURS)
    record: dict[str, Any] = {"completed": True, "seconds": 0.0, "phases": {}}
    with contextlib.ExitStack() as stack:
        work = stack.enter_context(tempfile.TemporaryDirectory(dir=directory))
        group = stack.enter_context(hierarchy.group(size * MB)) if size else None
        _drop_page_cache()
        for phase, command in ours.phases.items():
            filled = [part.format(work=work, seed=0) for part in command]
            if group:  # the shell puts itself into the cgroup, then becomes the command
                enter = f'echo $$ > "{group}/cgroup.procs" && exec "$@"'
                filled = ["sh", "-c", enter, "sh", *filled]
            left = unlimited and PATIENCE * unlimited - record["seconds"]
            measured = measure(filled, timeout=left, check=False)
            record["seconds"] += measured.seconds
            record["phases"][phase] = measured.costs()
            if measured.exit_code:
                record["completed"] = False
                record["ended"] = _cause(phase, measured)
                break
        record["disk_bytes"] = disk_bytes(Path(work))
    return record


def _cause(phase: str, measured: Any) -> str:
    if measured.timed_out:
        return f"{phase}: not over after {PATIENCE} times the unlimited time"
    if measured.exit_code == -9:
        return f"{phase}: killed by the kernel, out of memory"
    return f"{phase}: exit code {measured.exit_code}: {measured.errors.strip().splitlines()[-1:]}"


def summarise(runs: dict[int | None, list[dict]]) -> list[dict[str, Any]]:
    """Return whether all runs of each limit completed, and their median time and its ratio."""
    unlimited = statistics.median(record["seconds"] for record in runs[None])
    rows = []
    for size, records in runs.items():
        if not records:  # it did not complete in more
            continue
        completed = all(record["completed"] for record in records)
        seconds = statistics.median(record["seconds"] for record in records) if completed else None
        rows.append(
            {
                "limit_bytes": size and size * MB,
                "completed": completed,
                "seconds": seconds,
                "ratio": seconds and seconds / unlimited,
                "ended": next((record["ended"] for record in records if "ended" in record), None),
                "runs": records,
            }
        )
    return rows


def least_bearable(result: dict[str, Any]) -> int | None:
    """Return the smallest limit in bytes from which on all limits complete within the bearable time."""
    least = None
    for row in result["rows"]:
        if row["limit_bytes"] is None:
            continue
        if not row["completed"] or row["ratio"] > result["bearable"]:
            break
        least = row["limit_bytes"]
    return least
