"""Run a command in its own process, and measure its time and memory."""

import argparse
import contextlib
import datetime
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lowmem_sentiment.system.memory import sizes

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "scripts" / "results"
COMMAND = (sys.executable, "-m", "lowmem_sentiment")
INTERVAL = 0.05  # seconds between two looks at a command's memory

OWN_PACKAGES = ("tensorflow", "keras", "numpy")
PEER_PACKAGES = ("torch", "scikit-learn", "scipy", "fasttext-community", "vowpalwabbit")


class Measured(NamedTuple):
    """The result and cost of one command."""

    exit_code: int
    """Minus the signal's number if one ended it."""
    output: str
    """Its standard output."""
    errors: str
    """The end of its standard error."""
    seconds: float
    cpu_seconds: float
    """Of all its processes: other work on the machine disturbs it less than `seconds`."""
    peak_resident_bytes: int
    """Of its largest process, as the kernel counted it (`ru_maxrss`), or of all its processes together
    if that is more (proportional: a page that n processes share counts 1/n in each)."""
    peak_anonymous_bytes: int
    """Bytes of all its processes together that the kernel cannot reclaim."""
    timed_out: bool

    def costs(self) -> dict[str, float]:
        """Return its cost, without its output."""
        names = ("seconds", "cpu_seconds", "peak_resident_bytes", "peak_anonymous_bytes")
        return {name: getattr(self, name) for name in names}


def measure(command: Sequence[object], *, timeout: float | None = None, check: bool = True) -> Measured:
    """Run a command with this checkout's software on its path, and measure it.

    It gets its own session, which is killed after `timeout` seconds. With `check`, a command that fails
    ends the benchmark with the end of its standard error.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        begun = time.monotonic()
        process = subprocess.Popen(
            list(map(str, command)), stdout=output, stderr=errors, env=environment, start_new_session=True
        )
        with _watching(process.pid) as peaks, _ending(process.pid, timeout) as ended:
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        measured = Measured(
            process.returncode,
            output.read().decode(),
            errors.read().decode(errors="replace")[-2000:],
            seconds,
            usage.ru_utime + usage.ru_stime,
            max(usage.ru_maxrss * 1024, peaks["proportional"]),
            peaks["anonymous"],
            ended.is_set(),
        )
    if check and measured.exit_code:
        what = " ".join(Path(str(part)).name for part in command[:3])
        sys.exit(f"{what} ended with {measured.exit_code}: {measured.errors.strip()[-500:]}")
    return measured


@contextlib.contextmanager
def _watching(pid: int):
    """Yield the peaks of a command's memory, in bytes, which are updated while the block runs."""
    peaks = {"anonymous": 0, "proportional": 0}
    done = threading.Event()

    def look() -> None:
        while not done.wait(INTERVAL):
            family = _family(pid)
            anonymous = sum(sizes(f"/proc/{each}/status").get("RssAnon", 0) for each in family)
            peaks["anonymous"] = max(peaks["anonymous"], anonymous)
            # Walking the page table of 10 GB takes 50 ms, and of one process the kernel knows the peak.
            if len(family) > 1:
                together = sum(sizes(f"/proc/{each}/smaps_rollup").get("Pss", 0) for each in family)
                peaks["proportional"] = max(peaks["proportional"], together)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peaks
    finally:
        done.set()
        thread.join()


@contextlib.contextmanager
def _ending(pid: int, timeout: float | None):
    """Kill a session that does not end in time, and set the event that is yielded."""
    ended = threading.Event()

    def kill() -> None:
        ended.set()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    timer = threading.Timer(timeout or 0, kill)
    if timeout:
        timer.start()
    try:
        yield ended
    except BaseException:
        kill()
        raise
    finally:
        timer.cancel()


def _family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found = [pid]
    for parent in found:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                found += map(int, Path(f"/proc/{parent}/task/{task}/children").read_text().split())
        except OSError:  # it has ended
            continue
    return found


def disk_bytes(directory: Path) -> int:
    """Return the bytes of all files below a directory."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def spread(values: Iterable[float]) -> dict[str, float]:
    """Return the median and the range of some runs."""
    values = list(values)
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def circumstances() -> dict[str, Any]:
    """Return where and when figures were measured: date, machine, versions."""
    return {
        "date": datetime.date.today().isoformat(),
        "machine": {
            "processors": len(os.sched_getaffinity(0)),
            "model": _processor(),
            "memory_bytes": sizes("/proc/meminfo").get("MemTotal", 0),
            "kernel": platform.release(),
        },
        "versions": {"python": platform.python_version(), **versions(sys.executable, OWN_PACKAGES)},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def versions(python: str, packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of the `packages` installed for the interpreter `python`."""
    code = (
        "import importlib.metadata, json, sys\n"
        "found = {each.name.lower(): each.version for each in importlib.metadata.distributions()}\n"
        "print(json.dumps({name: found[name] for name in sys.argv[1:] if name in found}))"
    )
    found = subprocess.run([python, "-c", code, *packages], capture_output=True, text=True, check=True)
    return json.loads(found.stdout)


def add_peers_option(parser: argparse.ArgumentParser) -> None:
    """Add --peers, the interpreter that runs other software."""
    parser.add_argument(
        "--peers",
        default=sys.executable,
        metavar="PYTHON",
        help="interpreter of an environment with the extra `benchmark`, better not the one that runs "
        "this: if scikit-learn is installed, Keras imports it (100 MB, 0.7 s)",
    )


def tell(line: str) -> None:
    """Report progress on standard error."""
    print(f"benchmark: {line}", file=sys.stderr, flush=True)
