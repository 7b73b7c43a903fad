"""Run the commands that write files where something is scarce, and judge what they say and leave.

A full disk, a limit on open files, memory or processes, no shared memory, a read-only place, a strict
umask, no home, and signals at several moments. Needs root: mounts are made in a namespace of their own.
"""

import argparse
import contextlib
import functools
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .commands import COMMANDS, Arguments, Command, Trial, judge, left

CODES = (0, 69, 71, 73, 74, 75)
_INSIDE = "FAULTS_INSIDE"  # set in the namespace of mounts
# Whom the limit on processes and threads applies to, but who may still read everything.
ANOTHER_USER = ("setpriv", "--ruid", "65534", "--bounding-set", "-sys_resource,-sys_admin")


@dataclass(frozen=True)
class Scarcity:
    """The resource that is scarce while the command runs."""

    limit: Callable[[], None] | None = None
    """Called in the command's process before it begins."""
    place: Callable[[Path], contextlib.AbstractContextManager[None]] | None = None
    """Changes the case's folder, and mends it."""
    environment: tuple[tuple[str, str], ...] = ()
    prefix: tuple[str, ...] = ()
    ends_well: bool = False


@dataclass(frozen=True)
class Signals:
    """The signals that a process gets, 0.2 s apart."""

    numbers: tuple[signal.Signals, ...]
    codes: tuple[int, ...]
    """The exit codes that are right for it, besides 0."""
    whole_group: bool = True
    """Whether the processes that it started get them too, as from a terminal."""


SIGNALS = {
    "SIGTERM": Signals((signal.SIGTERM,), (75, 143, -signal.SIGTERM), whole_group=False),
    "SIGHUP": Signals((signal.SIGHUP,), (75, 129, -signal.SIGHUP)),
    "Ctrl-C": Signals((signal.SIGINT,), (75, 130, -signal.SIGINT)),
    "two Ctrl-C": Signals((signal.SIGINT, signal.SIGINT), (75, 130, -signal.SIGINT)),
    "Ctrl-Z and fg": Signals((signal.SIGTSTP, signal.SIGCONT), ()),
}


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


@contextlib.contextmanager
def _full_disk(kilobytes: int, case: Path) -> Iterator[None]:
    """Hold the case's files on a disk with `kilobytes` to spare, which has room again afterwards."""
    kept = case.with_name("kept")
    shutil.copytree(case, kept)
    _mount("-t", "tmpfs", "-o", "size=2g", "tmpfs", str(case))
    shutil.copytree(kept, case, dirs_exist_ok=True)
    shutil.rmtree(kept)
    used = int(subprocess.check_output(["du", "-sk", case]).split()[0])
    _mount("-o", f"remount,size={used + kilobytes}k", str(case))
    yield
    _mount("-o", "remount,size=2g", str(case))


@contextlib.contextmanager
def _read_only(case: Path) -> Iterator[None]:
    _mount("--bind", str(case), str(case))
    _mount("-o", "remount,ro,bind", str(case))
    yield
    subprocess.run(["umount", str(case)], check=True)


@contextlib.contextmanager
def _no_shared_memory(_: Path) -> Iterator[None]:
    _mount("-t", "tmpfs", "-o", "ro,size=4k", "tmpfs", "/dev/shm")
    yield
    subprocess.run(["umount", "/dev/shm"], check=True)


def _limit(what: int, number: int) -> None:
    resource.setrlimit(what, (number, number))


SCARCITIES = {
    **{
        f"{kilobytes} kB of disk": Scarcity(place=functools.partial(_full_disk, kilobytes))
        for kilobytes in (16, 32, 64, 128, 256, 1024, 5120)
    },
    **{
        f"{number} open files": Scarcity(functools.partial(_limit, resource.RLIMIT_NOFILE, number))
        for number in (8, 12, 16, 24, 32, 64)
    },
    **{
        f"{megabytes} MB of addresses": Scarcity(
            functools.partial(_limit, resource.RLIMIT_AS, megabytes << 20)
        )
        for megabytes in (60, 120, 250, 500, 1000, 2000, 3000)
    },
    **{
        f"{number} processes": Scarcity(
            functools.partial(_limit, resource.RLIMIT_NPROC, number), prefix=ANOTHER_USER
        )
        for number in (1, 2, 4, 8, 16)
    },
    "1 MB in a file": Scarcity(functools.partial(_limit, resource.RLIMIT_FSIZE, 1 << 20)),
    "20 kB in a file": Scarcity(functools.partial(_limit, resource.RLIMIT_FSIZE, 20_000)),
    "read-only": Scarcity(place=_read_only),
    "no shared memory": Scarcity(place=_no_shared_memory, ends_well=True),
    "umask 077": Scarcity(lambda: os.umask(0o77) and None, ends_well=True),
    "no home": Scarcity(environment=(("HOME", "/nonexistent"),), ends_well=True),
    "no temporary directory": Scarcity(environment=(("TMPDIR", "/nonexistent"),), ends_well=True),
}


class ScarceTrial(Trial):
    """Starts the commands as processes, and disturbs them."""

    def call(self, arguments: Arguments) -> tuple[int, str]:
        child = self.start(arguments)
        _, errors = child.communicate()
        return child.returncode, errors

    def start(self, arguments: Arguments, scarcity: Scarcity = Scarcity()) -> subprocess.Popen[str]:
        """Start a command as a user's shell does, in a process group of its own."""

        def begin() -> None:
            os.setpgid(0, 0)
            for number in (signal.SIGINT, signal.SIGHUP):  # which nohup and "&" ignore
                signal.signal(number, signal.SIG_DFL)
            if scarcity.limit:
                scarcity.limit()

        # Where files may not grow, Python would leave its own bytecode cut off.
        python = {"PYTHONDONTWRITEBYTECODE": "1"} if scarcity.limit else {}
        return subprocess.Popen(
            [*scarcity.prefix, sys.executable, "-m", "lowmem_sentiment", *self.filled(arguments)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            preexec_fn=begin,
            env={**os.environ, **python, **dict(scarcity.environment)},
        )

    def starve(
        self, command: Command, scarcity: Scarcity, expected: dict[str, Any]
    ) -> tuple[int, list[str]]:
        """Run a command where something is scarce; return its exit code, and what is wrong."""
        case = self.fresh(command)
        place = scarcity.place(case) if scarcity.place else contextlib.nullcontext()
        with place:
            child = self.start(command.arguments, scarcity)
            _, errors = child.communicate()
        code = child.returncode
        codes = (*CODES, 1) if command.processes else CODES  # 1: of a search some runs failed
        wrong = judge(code, errors, (0,) if scarcity.ends_well else codes)
        return code, wrong + left(child.pid, case) + self.judge_files(command, code, expected)

    def interrupt(
        self, command: Command, signals: Signals, moment: float, expected: dict[str, Any]
    ) -> tuple[int, list[str]]:
        """Send a command signals `moment` seconds after its start; return its code and faults."""
        case = self.fresh(command)
        child = self.start(command.arguments)
        send = os.killpg if signals.whole_group else os.kill
        for number in signals.numbers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(moment)
            if child.returncode is None:
                send(child.pid, number)
            moment = 0.2
        _, errors = child.communicate()
        code, codes = child.returncode, (0, *signals.codes)
        started = "lowmem_sentiment" in errors or "lowmem-sentiment" in errors
        # Python itself has no answer to Ctrl-C before it runs its first module.
        wrong = judge(code, errors, codes) if started or code in codes else []
        return code, wrong + left(child.pid, case) + self.judge_files(command, code, expected)


def _cases(
    trial: ScarceTrial, command: Command, seconds: float, moments: int
) -> dict[str, Callable[[dict[str, Any]], tuple[int, list[str]]]]:
    """Return what to try of a command that takes some seconds, by what it is called."""
    cases = {
        scarce: functools.partial(trial.starve, command, scarcity)
        for scarce, scarcity in SCARCITIES.items()
    }
    for which, signals in SIGNALS.items():
        for moment in range(moments):
            after = (moment + 0.5) * seconds / moments
            case = functools.partial(trial.interrupt, command, signals, after)
            cases[f"{which} after {after:.2f} s"] = case
    return cases


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fuzz.sh --scarce", description=__doc__)
    add = parser.add_argument
    add("commands", nargs="*", choices=[*COMMANDS, []], metavar="COMMAND", help="default: all")
    only = 'only what has TEXT in its name, such as "open files"; may be repeated'
    add("--only", action="append", metavar="TEXT", help=only)
    add("--moments", type=int, default=8, metavar="N", help="at which each signal is sent (default: 8)")
    return parser.parse_args()


def main() -> int:
    """Try every scarcity and signal that the arguments ask for; return 1 if one failed."""
    options = _parse()
    if os.geteuid() or not shutil.which("unshare"):
        sys.exit("root and unshare (Debian: util-linux) are needed, for mounts of their own")
    if _INSIDE not in os.environ:
        os.environ[_INSIDE] = ""
        inside = ["unshare", "--mount", sys.executable, "-m", "faults.surroundings"]
        os.execvp("unshare", [*inside, *sys.argv[1:]])
    tried = failed = 0
    with tempfile.TemporaryDirectory(prefix="surroundings-") as temporary:
        os.chmod(temporary, 0o755)
        trial = ScarceTrial(Path(temporary) / "trial", 400)
        trial.make_inputs()
        for name in options.commands or COMMANDS:
            command = COMMANDS[name]
            if command.input == "stopped":
                continue
            begun = time.monotonic()
            expected = trial.undisturbed(command)
            seconds = time.monotonic() - begun
            for where, case in _cases(trial, command, seconds, options.moments).items():
                if options.only and not any(text in where for text in options.only):
                    continue
                code, wrong = case(expected)
                tried, failed = tried + 1, failed + bool(wrong)
                print(f"{name}, {where}: exit code {code}", *wrong, sep="\n    ", flush=True)
    print(f"{tried:,} tried, {failed:,} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
