"""Let each system call of a command that writes files fail, or kill the command there, and judge it.

Whatever the fault, there is one line of error with the documented exit code, nothing half made under a
final name, and the same command again, or the one that resumes, ends with the bits of an undisturbed one.
The commands run in forks of this process, which has imported TensorFlow but not used it.
"""

import argparse
import contextlib
import ctypes
import errno
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

from helpers import WORDS, handmade_reviews

from lowmem_sentiment.cli import main as run_command
from lowmem_sentiment.system.files import UNFINISHED

from .commands import COMMANDS, Arguments, Command, others

FAULTS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "kill": 0}
CODES = (0, 74, 75)  # ended all the same, cannot write, stopped and can be resumed
SECONDS = 600


@dataclass
class Answer:
    """What a command did."""

    code: int
    """Minus the signal's number where one ended it."""
    errors: str
    calls: int
    hit: str
    """The call that failed or killed, and its path; "" where there was none."""


class Injector:
    """Runs commands in forks in which system calls are counted, and one of them fails."""

    def __init__(self, folder: Path):
        self._library, self._folder = ctypes.CDLL(os.environ["LD_PRELOAD"]), folder
        self._counter = folder / "counter"

    def run(self, arguments: Arguments, case: Path, nth: int = 0, error: int = 0) -> Answer:
        """Run a command; its `nth` call below `case` ends with `error`, or is the last if that is 0."""
        self._counter.write_bytes(bytes(8192))
        with open(self._folder / "output", "wb") as output, open(self._folder / "errors", "wb") as errors:
            if not (child := os.fork()):
                os.dup2(output.fileno(), 1)
                os.dup2(errors.fileno(), 2)
                self._be(arguments, [str(case), str(self._counter), str(nth), str(error)])
            code = _wait(child)
        data = self._counter.read_bytes()
        hit = data[8:].split(b"\0", 1)[0].decode()
        return Answer(code, (self._folder / "errors").read_text(), struct.unpack_from("<q", data)[0], hit)

    def _be(self, arguments: Arguments, armed: list[str]) -> NoReturn:
        """Be the command, in the fork."""
        # Processes that it starts are armed by these.
        os.environ |= dict(
            zip(("FAULTS_BELOW", "FAULTS_FILE", "FAULTS_NTH", "FAULTS_ERRNO"), armed, strict=True)
        )
        directory, file, nth, error = armed
        code: Any = 1
        try:
            if self._library.faults_arm(directory.encode(), file.encode(), int(nth), int(error)):
                raise OSError("the calls cannot be counted")
            code = run_command(arguments)
        except SystemExit as stopped:
            code = stopped.code
        except BaseException:
            traceback.print_exc()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code if isinstance(code, int) else 1)


def _wait(child: int) -> int:
    until = time.monotonic() + SECONDS
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -signal.SIGALRM
        time.sleep(0.002)
    return os.waitstatus_to_exitcode(ended[1])


class Harness:
    """Whole inputs in a folder of their own, and the faults of each command."""

    def __init__(self, folder: Path):
        self._folder, self._whole = folder, folder / "whole"
        self._injector = Injector(folder)
        self._whole.mkdir()
        ranks, numbers = handmade_reviews(120)
        rows = (
            f"{' '.join(WORDS[rank - 1] for rank in review)},{('bad', 'good')[number]}\n"
            for review, number in zip(ranks, numbers, strict=True)
        )
        (self._whole / "reviews.csv").write_text("text,label\n" + "".join(rows))
        prepare, train = COMMANDS["prepare"].arguments, COMMANDS["train"].arguments
        self._make(prepare, "data")
        self._make(train, "run")
        # Killed in its second epoch, which has saved its state.
        calls = self._injector.run(self._filled(train), self._case(COMMANDS["train"])).calls
        answer = self._injector.run(self._filled(train), self._case(COMMANDS["train"]), calls * 2 // 3)
        assert answer.code == -signal.SIGKILL
        shutil.move(folder / "case" / "out", self._whole / "stopped")

    def _make(self, arguments: Arguments, name: str) -> None:
        self._case(COMMANDS["train"])
        self._expect_done(arguments)
        shutil.move(self._folder / "case" / "out", self._whole / name)

    def _filled(self, arguments: Arguments) -> Arguments:
        return tuple(part.format(case=self._folder / "case", whole=self._whole) for part in arguments)

    def _case(self, command: Command) -> Path:
        """Make the command's folder anew."""
        case = self._folder / "case"
        shutil.rmtree(case, ignore_errors=True)
        case.mkdir()
        if command.input:
            shutil.copytree(self._whole / command.input, case / "out")
        return case

    def _expect_done(self, arguments: Arguments) -> Answer:
        answer = self._injector.run(self._filled(arguments), self._folder / "case")
        if answer.code:
            raise SystemExit(f"{arguments} ends with {answer.code}: {answer.errors}")
        return answer

    def undisturbed(self, command: Command) -> tuple[int, dict[str, Any]]:
        """Return the number of a command's calls, and its results by name."""
        case = self._case(command)
        calls = self._expect_done(command.arguments).calls
        return calls, {name: read(case / name) for name, read in command.results.items()}

    def check(
        self, command: Command, nth: int, fault: str, expected: dict[str, Any]
    ) -> tuple[Answer, list[str]]:
        """Try one fault; return the disturbed command's answer, and what is wrong."""
        case = self._case(command)
        before = set(case.rglob(f"*{UNFINISHED}*"))  # what the kill left in a stopped run
        answer = self._injector.run(self._filled(command.arguments), case, nth, FAULTS[fault])
        wrong = _judge(answer, fault)
        differing = others(command, case, expected)
        if answer.code == 0 and answer.hit and differing:
            wrong.append(f"exit code 0 and another {differing}")
        if command.at_once:
            wrong += [f"{name} is half made" for name in differing if (case / name).exists()]
        if fault != "kill" and answer.code > 0 and not answer.hit.startswith(("unlink", "rmdir")):
            left = set(case.rglob(f"*{UNFINISHED}*")) - before
            wrong += [f"{path.name} is left" for path in left]
        resumed = command.resume and (case / "out" / "config.json").exists()
        again = self._injector.run(self._filled(command.resume if resumed else command.arguments), case)
        whole_before = again.code == 73 and command.at_once  # it ended after the last rename
        if again.code and not whole_before:
            wrong.append(f"the second call ends with {again.code}: {again.errors.strip()[-300:]}")
        elif differing := others(command, case, expected):
            wrong.append(f"the second call has another {differing}")
        elif not whole_before:
            wrong += [f"{path.name} is left for good" for path in case.rglob(f"*{UNFINISHED}*")]
        return answer, wrong


def _judge(answer: Answer, fault: str) -> list[str]:
    """Return what is wrong with the disturbed command's answer."""
    lines = answer.errors.splitlines()
    wrong = [line for line in lines if line.startswith(("Traceback", "Exception ignored"))]
    if not answer.hit:
        return [*wrong, "the fault was not met"]
    if fault == "kill":
        return wrong if answer.code in (0, -signal.SIGKILL) else [*wrong, f"exit code {answer.code}"]
    if answer.code == -signal.SIGSEGV and " out/tmp" in answer.hit:
        return wrong  # HDF5 crashes after some refused writes of Keras' file of weights; nothing is lost
    if answer.code not in CODES:
        wrong.append(f"exit code {answer.code}: {answer.errors.strip()[-300:]}")
    errors = [line for line in lines if line.startswith("lowmem-sentiment: error: ")]
    if answer.code in CODES[1:] and (len(errors) != 1 or errors[0] != lines[-1]):
        wrong.append(f"not one line of error: {answer.errors!r}")
    return wrong


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
    add("--call", type=int, metavar="N", help="only this one")
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


def main() -> int:
    """Try the faults that the arguments ask for; return 1 when something is wrong."""
    options = _parse()
    if "LD_PRELOAD" not in os.environ:
        with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
            environment = {**os.environ, "LD_PRELOAD": str(_compile(Path(temporary)))}
            command = [sys.executable, "-m", "faults", *sys.argv[1:]]
            return subprocess.run(command, env=environment, check=False).returncode
    names = options.commands or [name for name in COMMANDS if name != "tune"]  # hours
    importlib.import_module("lowmem_sentiment.training.train")  # TensorFlow, once
    tried, failed, start = 0, 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        harness = Harness(Path(temporary))
        for name in names:
            command = COMMANDS[name]
            calls, expected = harness.undisturbed(command)
            for fault in options.faults or FAULTS:
                codes = Counter[int]()
                for nth in _chosen(calls, command, options):
                    answer, wrong = harness.check(command, nth, fault, expected)
                    codes[answer.code] += 1
                    tried, failed = tried + 1, failed + bool(wrong)
                    for line in wrong:
                        where = f"--command {name!r} --fault {fault} --call {nth}"
                        print(f"{where} ({answer.hit}): {line}", flush=True)
                counts = ", ".join(f"{count} x {code}" for code, count in sorted(codes.items()))
                print(f"{name:20}{fault:8}{calls:6,} calls, exit codes: {counts}", flush=True)
        if options.keep:
            shutil.copytree(Path(temporary) / "case", options.keep)
    print(f"{tried:,} faults in {time.monotonic() - start:.0f} s, {failed:,} failed")
    return int(failed > 0)


def _chosen(calls: int, command: Command, options: argparse.Namespace) -> list[int]:
    """Return the numbers of the calls to disturb, of those from 1 to `calls`."""
    if options.call:
        return [options.call]
    if not options.spread:
        return list(range(1, calls + 1))
    count = min(-(-options.spread // 3) if command.tensorflow else options.spread, calls)
    return [1 + int((nth + 0.5) * calls / count) for nth in range(count)]


if __name__ == "__main__":
    sys.exit(main())
