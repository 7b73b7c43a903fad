"""Let each system call of a command that writes files fail, or kill the command there, and judge it.

The commands run in forks of this process; before those that need TensorFlow, it imports that.
"""

import argparse
import contextlib
import ctypes
import errno
import gc
import importlib
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from lowmem_sentiment.cli import main as run_command
from lowmem_sentiment.system.files import UNFINISHED

from .commands import COMMANDS, Arguments, Command, Trial, judge, left

FAULTS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "kill": 0}
CODES = (0, 74, 75)  # ended all the same, cannot write, stopped and can be resumed
SECONDS = 600
_COUNTER = struct.Struct("q256s")  # as in inject.c


@dataclass
class Answer:
    """The result of a command."""

    code: int
    """Minus the signal's number where one ended it."""
    errors: str
    calls: int
    hit: str
    """The call that failed or killed, and its path; empty if there was none."""
    left: list[str]
    """The processes that it left."""


class Faults(Trial):
    """Runs commands in forks in which system calls are counted, and one of them fails."""

    def __init__(self, folder: Path):
        super().__init__(folder / "trial", 120)
        self._library, self._folder = ctypes.CDLL(os.environ["LD_PRELOAD"]), folder
        self.make_inputs()
        # Killed in its second epoch, which has saved its state.
        self.fresh(COMMANDS["train"])
        assert self.run(COMMANDS["train"].arguments, self.calls * 2 // 3).code == -signal.SIGKILL
        shutil.move(self.case / "out", self.whole / "stopped")

    def run(self, arguments: Arguments, armed: int = 0, error: int = 0) -> Answer:
        """Run a command; its call number `armed` below its folder fails with `error`, or kills if 0."""
        counter, files = self._folder / "counter", [self._folder / name for name in ("output", "errors")]
        counter.write_bytes(bytes(_COUNTER.size))
        with open(files[0], "wb") as output, open(files[1], "wb") as errors:
            if not (child := os.fork()):
                os.dup2(output.fileno(), 1)
                os.dup2(errors.fileno(), 2)
                self._be(arguments, self.case, counter, armed, error)
            code = _wait(child)
        calls, hit = _COUNTER.unpack(counter.read_bytes())
        return Answer(code, files[1].read_text(), calls, hit.split(b"\0", 1)[0].decode(), left(child))

    def call(self, arguments: Arguments) -> tuple[int, str]:
        answer = self.run(arguments)
        self.calls = answer.calls
        return answer.code, answer.errors

    def _be(self, arguments: Arguments, *armed: Path | int) -> NoReturn:
        """Be the command, in the fork."""
        below, file, call, error = map(str, armed)
        # Processes that it starts are armed by these.
        os.environ |= {
            "FAULTS_BELOW": below, "FAULTS_FILE": file, "FAULTS_CALL": call, "FAULTS_ERRNO": error,
        }  # fmt: skip
        os.setpgid(0, 0)
        code: Any = 1
        try:
            if self._library.faults_arm(
                below.encode(), file.encode(), ctypes.c_long(int(call)), int(error)
            ):
                raise OSError("the calls cannot be counted")
            code = run_command(self.filled(arguments))
        except SystemExit as stopped:
            code = stopped.code
        except BaseException:
            traceback.print_exc()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code if isinstance(code, int) else 1)

    def check(
        self, command: Command, call: int, fault: str, expected: dict[str, Any]
    ) -> tuple[Answer, list[str]]:
        """Try a fault at a call; return the disturbed command's answer, and what is wrong."""
        case = self.fresh(command)
        before = set(case.rglob(f"*{UNFINISHED}*"))  # what the kill left in a stopped run
        answer = self.run(command.arguments, call, FAULTS[fault])
        codes = (0, -signal.SIGKILL) if fault == "kill" else CODES
        wrong = judge(answer.code, answer.errors, (*codes, 1) if command.processes else codes)
        if answer.code > 1 and not answer.errors.splitlines()[-1].startswith("lowmem-sentiment: error: "):
            wrong.append(f"the error is not the last line: {answer.errors!r}")
        if not answer.hit:
            wrong.append("the fault was not met")
        if answer.code > 0 and not answer.hit.startswith(("unlink", "rmdir")):
            wrong += [f"{path.name} is left" for path in set(case.rglob(f"*{UNFINISHED}*")) - before]
        return answer, wrong + answer.left + self.judge_files(command, answer.code, expected)


def _wait(child: int) -> int:
    """Return a process's exit code."""
    until = time.monotonic() + SECONDS
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > until:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -signal.SIGALRM
        time.sleep(0.001)
    return os.waitstatus_to_exitcode(ended[1])


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="fuzz.sh --faults", description="Let system calls fail, or kill there, and see what is left."
    )
    add = parser.add_argument
    add("--command", dest="commands", action="append", choices=COMMANDS, help="may be repeated")
    add("--fault", dest="faults", action="append", choices=FAULTS, help="may be repeated")
    add(
        "--spread",
        type=int,
        metavar="N",
        help="only N calls of each command, a third as many where it takes TensorFlow",
    )
    add("--call", dest="calls", type=int, action="append", metavar="N", help="only this; may be repeated")
    add("--keep", type=Path, metavar="DIR", help="leave the last case's files there")
    return parser.parse_args()


def _compile(folder: Path) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        sys.exit("no C compiler is here: install one (Debian: apt-get install gcc)")
    library = folder / "inject.so"
    source = Path(__file__).with_name("inject.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def _import_tensorflow() -> None:
    """Import it once for all forks; from then on no command starts processes of its own."""
    importlib.import_module("lowmem_sentiment.training.train")
    # A third less time per training; the files are written alike.
    importlib.import_module("tensorflow").config.run_functions_eagerly(True)
    gc.collect()
    gc.freeze()  # no collection in a fork copies the pages of all that was imported


def main() -> int:
    """Try the faults that the arguments ask for; return 1 when something is wrong."""
    options = _parse()
    tried = failed = 0
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        if "LD_PRELOAD" not in os.environ:
            environment = {**os.environ, "LD_PRELOAD": str(_compile(Path(temporary)))}
            command = [sys.executable, "-m", "faults", *sys.argv[1:]]
            return subprocess.run(command, env=environment, check=False).returncode
        trial = Faults(Path(temporary))
        for name in options.commands or [name for name in COMMANDS if name != "tune"]:  # hours
            command = COMMANDS[name]
            if command.tensorflow:
                _import_tensorflow()
            expected = trial.undisturbed(command)
            calls = trial.calls
            for fault in options.faults or FAULTS:
                codes = Counter[int]()
                for call in _chosen(calls, command, options):
                    answer, wrong = trial.check(command, call, fault, expected)
                    codes[answer.code] += 1
                    failed += bool(wrong)
                    for line in wrong:
                        which = f"--command {name!r} --fault {fault} --call {call}"
                        print(f"{which} ({answer.hit}): {line}", flush=True)
                counts = ", ".join(f"{count} x {code}" for code, count in sorted(codes.items()))
                print(f"{name:20}{fault:8}{codes.total():6,} tried, exit codes: {counts}", flush=True)
                tried += codes.total()
        if options.keep:
            shutil.copytree(trial.case, options.keep)
    print(f"{tried:,} faults, {failed:,} failed")
    return int(failed > 0)


def _chosen(calls: int, command: Command, options: argparse.Namespace) -> list[int]:
    """Return the numbers of the calls to disturb, of those from 1 to `calls`."""
    if options.calls:
        return list(options.calls)
    if not options.spread:
        return list(range(1, calls + 1))
    count = min(-(-options.spread // 3) if command.tensorflow else options.spread, calls)
    return [1 + int((nth + 0.5) * calls / count) for nth in range(count)]


if __name__ == "__main__":
    sys.exit(main())
