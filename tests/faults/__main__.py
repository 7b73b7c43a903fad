"""Let each system call of a command that writes files fail, or kill the command there, and judge it.

Whatever the fault, there is one line of error with the documented exit code, nothing half made under a
final name, and the same command again, or the one that resumes, ends with the bits of an undisturbed one.
The commands run in forks of this process; before those that need TensorFlow, it imports that.
"""

import argparse
import contextlib
import ctypes
import errno
import functools
import gc
import hashlib
import importlib
import itertools
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from helpers import WORDS, handmade_reviews

from lowmem_sentiment.cli import main as run_command
from lowmem_sentiment.system.files import UNFINISHED

from .commands import COMMANDS, Arguments, Command, left, others

FAULTS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "kill": 0}
COPY = "copy"
"""Another fault: go on with a copy of the files before a call, which is what a kill there leaves."""
CODES = (0, 74, 75)  # ended all the same, cannot write, stopped and can be resumed
SECONDS = 600
_HITS, _CALLS = 64, 1 << 16
_HEAD = struct.Struct(f"<qq{256 * _HITS}s")  # as in inject.c


@dataclass
class Answer:
    """The result of a command."""

    code: int
    """Minus the signal's number where one ended it."""
    errors: str
    calls: int
    hits: dict[int, str]
    """The calls that failed or killed, by number, and their paths."""
    left: list[str]
    """The processes that it left."""


class Injector:
    """Runs commands in forks in which system calls are counted, and one of them fails."""

    def __init__(self, folder: Path):
        self._library, self._folder = ctypes.CDLL(os.environ["LD_PRELOAD"]), folder
        self._counter = folder / "counter"

    def run(
        self,
        arguments: Arguments,
        case: Path,
        armed: Sequence[int] = (),
        error: int = 0,
        stopped: Callable[[int, str], None] = lambda nth, hit: None,
    ) -> Answer:
        """Run a command; the calls below `case` with the numbers `armed` end with `error`.

        If that is 0, the first of them kills the command; if -1, `stopped` is called before each.
        """
        flags = np.zeros(_CALLS, np.uint8)
        flags[list(armed)] = 1
        self._counter.write_bytes(bytes(_HEAD.size) + flags.tobytes())
        with open(self._folder / "output", "wb") as output, open(self._folder / "errors", "wb") as errors:
            if not (child := os.fork()):
                os.dup2(output.fileno(), 1)
                os.dup2(errors.fileno(), 2)
                self._be(arguments, [str(case), str(self._counter), str(error)])
            while (code := _wait(child)) is None:
                stopped(*list(self._hits().items())[-1])
                os.kill(child, signal.SIGCONT)
        errors, (calls, *_) = (self._folder / "errors").read_text(), self._counted()
        return Answer(code, errors, calls, self._hits(), left(child))

    def _counted(self) -> tuple[int, int, bytes]:
        """Return the number of calls, of hits, and the ring of the latter's names."""
        return _HEAD.unpack_from(self._counter.read_bytes())

    def _hits(self) -> dict[int, str]:
        """Return the last of the calls that were hit."""
        _, count, ring = self._counted()
        flags = np.frombuffer(self._counter.read_bytes(), np.uint8, offset=_HEAD.size)
        numbers = np.flatnonzero(flags == 2).tolist()[-_HITS:]
        places = [nth % _HITS for nth in range(count - len(numbers), count)]
        names = [ring[256 * nth : 256 * (nth + 1)].split(b"\0", 1)[0].decode() for nth in places]
        return dict(zip(numbers, names, strict=True))

    def _be(self, arguments: Arguments, armed: list[str]) -> NoReturn:
        """Be the command, in the fork."""
        # Processes that it starts are armed by these.
        os.environ |= dict(zip(("FAULTS_BELOW", "FAULTS_FILE", "FAULTS_ERRNO"), armed, strict=True))
        directory, file, error = armed
        os.setpgid(0, 0)
        code: Any = 1
        try:
            if self._library.faults_arm(directory.encode(), file.encode(), int(error)):
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


def _wait(child: int) -> int | None:
    """Return a process's exit code; None if it was stopped."""
    until = time.monotonic() + SECONDS
    while not (ended := os.waitpid(child, os.WNOHANG | os.WUNTRACED))[0]:
        if time.monotonic() > until:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -signal.SIGALRM
        time.sleep(0.001)
    return None if os.WIFSTOPPED(ended[1]) else os.waitstatus_to_exitcode(ended[1])


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
        for name in ("reviews.csv", "more.csv"):
            lines = itertools.islice(rows, 60)
            (self._whole / name).write_text("text,label\n" + "".join(lines))
        prepare, train = COMMANDS["prepare"].arguments, COMMANDS["train"].arguments
        self._make(prepare, "data")
        self._make(train, "run")
        # Killed in its second epoch, which has saved its state.
        calls = self._injector.run(self._filled(train), self._case(COMMANDS["train"])).calls
        answer = self._injector.run(self._filled(train), self._case(COMMANDS["train"]), [calls * 2 // 3])
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
        self, command: Command, armed: Sequence[int], fault: str, expected: dict[str, Any]
    ) -> tuple[Answer, list[str]]:
        """Try a fault at some calls; return the disturbed command's answer, and what is wrong."""
        case = self._case(command)
        before = set(case.rglob(f"*{UNFINISHED}*"))  # what the kill left in a stopped run
        answer = self._injector.run(self._filled(command.arguments), case, armed, FAULTS[fault])
        wrong = _judge(answer, fault, command) + answer.left
        differing = others(command, case, expected)
        if answer.code == 0 and answer.hits and differing:
            wrong.append(f"exit code 0 and another {differing}")
        if command.at_once:
            wrong += [f"{name} is half made" for name in differing if (case / name).exists()]
        removing = any(hit.startswith(("unlink", "rmdir")) for hit in answer.hits.values())
        if fault != "kill" and answer.code > 0 and not removing:
            new = set(case.rglob(f"*{UNFINISHED}*")) - before
            wrong += [f"{path.name} is left" for path in new]
        if answer.code == 0 and not differing:
            return answer, wrong
        return answer, wrong + self._repeat(command, expected)

    def _repeat(self, command: Command, expected: dict[str, Any]) -> list[str]:
        """Run a disturbed command again, or the one that resumes; return what is wrong."""
        case = self._folder / "case"
        resumed = command.resume and (case / "out" / "config.json").exists()
        again = self._injector.run(self._filled(command.resume if resumed else command.arguments), case)
        differing = others(command, case, expected)
        if again.code == 73 and command.at_once and not differing:
            return []  # it ended after the last rename
        if again.code:
            return [f"the second call ends with {again.code}: {again.errors.strip()[-300:]}"]
        if differing:
            return [f"the second call has another {differing}"]
        return [
            f"{path.name} is left for good" for path in case.rglob("*") if _TEMPORARY.search(path.name)
        ]

    def copies(
        self, command: Command, expected: dict[str, Any], known: Callable[[int], bool]
    ) -> Iterator[tuple[Answer, list[str]]]:
        """Run a command, and go on with a copy of its files from before each call that is not `known`.

        Copies that differ only in files with temporary names, which nothing reads, are tried once.
        """
        case, copies = self._case(command), self._folder / "copies"
        states: dict[bytes, list[tuple[int, str]]] = {}

        def copy(nth: int, hit: str) -> None:
            if known(nth):
                return
            places = states.setdefault(_state(case), [])
            if not places:
                shutil.copytree(case, copies / str(nth))
            places.append((nth, hit))

        self._injector.run(self._filled(command.arguments), case, range(1, _CALLS), -1, stopped=copy)
        for places in states.values():
            shutil.rmtree(case)
            shutil.move(copies / str(places[0][0]), case)
            differing = others(command, case, expected)
            wrong = [f"{name} is half made" for name in differing if (case / name).exists()]
            wrong = (wrong if command.at_once else []) + self._repeat(command, expected)
            yield Answer(-signal.SIGKILL, "", 0, dict(places), []), wrong


_TEMPORARY = re.compile(rf"\.[0-9a-f]{{8}}{UNFINISHED}|^tmp\w{{8}}$")


def _state(directory: Path) -> bytes:
    """Return a digest of a directory, without the numbers and contents of temporary files."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        content = path.read_bytes() if path.is_file() and not _TEMPORARY.search(path.name) else b""
        digest.update(repr((_TEMPORARY.sub("", name), content)).encode())
    return digest.digest()


def _judge(answer: Answer, fault: str, command: Command) -> list[str]:
    """Return what is wrong with the disturbed command's answer."""
    lines = answer.errors.splitlines()
    wrong = [line for line in lines if line.startswith(("Traceback", "Exception ignored"))]
    if not answer.hits:
        return [*wrong, "the fault was not met"]
    if fault == "kill" and answer.code in (0, -signal.SIGKILL):
        return wrong
    if command.processes and answer.code == 1:  # of a search some runs failed
        return wrong
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
    add("--fault", dest="faults", action="append", choices=[*FAULTS, COPY], help="may be repeated")
    add(
        "--spread",
        type=int,
        metavar="N",
        help="only N calls of each command, a third as many where it takes TensorFlow",
    )
    add("--call", dest="calls", type=int, action="append", metavar="N", help="only this; may be repeated")
    add("--together", type=int, default=1, metavar="N", help="let N calls fail in one run (default: 1)")
    add("--log", type=Path, metavar="FILE", help="append what was tried, and do not try it again")
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


@dataclass(frozen=True)
class Outcome:
    """One fault that was tried, as a line of the log."""

    command: str
    fault: str
    call: int
    hit: str
    code: int
    wrong: list[str]


class Log:
    """The outcomes of this and earlier calls of the harness with the same --log."""

    def __init__(self, file: Path | None):
        lines = file.read_text().splitlines() if file and file.exists() else []
        self._file = file
        self._outcomes = {(each.command, each.fault, each.call): each for each in map(_outcome, lines)}

    def has(self, command: str, fault: str, call: int) -> bool:
        """Return whether a fault was tried."""
        return (command, fault, call) in self._outcomes

    def add(self, command: str, fault: str, answer: Answer, wrong: list[str]) -> None:
        """Add the calls of one try, and print what is wrong."""
        for call, hit in answer.hits.items():
            outcome = Outcome(command, fault, call, hit, answer.code, wrong)
            self._outcomes[command, fault, call] = outcome
            if self._file:
                with open(self._file, "a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(outcome)) + "\n")
        where = "".join(f" --call {call}" for call in answer.hits)
        for line in wrong:
            names = ", ".join(answer.hits.values())
            print(f"--command {command!r} --fault {fault}{where} ({names}): {line}", flush=True)

    def report(self) -> int:
        """Print the exit codes of each command and fault; return the number of faults that failed."""
        kinds: dict[tuple[str, str], Counter[int]] = {}
        for outcome in self._outcomes.values():
            kinds.setdefault((outcome.command, outcome.fault), Counter())[outcome.code] += 1
        for (command, fault), codes in kinds.items():
            counts = ", ".join(f"{count} x {code}" for code, count in sorted(codes.items()))
            print(f"{command:20}{fault:8}{codes.total():6,} tried, exit codes: {counts}")
        failed = sum(bool(outcome.wrong) for outcome in self._outcomes.values())
        print(f"{len(self._outcomes):,} faults, {failed:,} failed")
        return failed


def _outcome(line: str) -> Outcome:
    return Outcome(**json.loads(line))


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
    if "LD_PRELOAD" not in os.environ:
        with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
            environment = {**os.environ, "LD_PRELOAD": str(_compile(Path(temporary)))}
            command = [sys.executable, "-m", "faults", *sys.argv[1:]]
            return subprocess.run(command, env=environment, check=False).returncode
    log = Log(options.log)
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        harness = Harness(Path(temporary))
        for name in options.commands or [name for name in COMMANDS if name != "tune"]:  # hours
            command = COMMANDS[name]
            if command.tensorflow:
                _import_tensorflow()
            calls, expected = harness.undisturbed(command)
            for fault in options.faults or FAULTS:
                if fault == COPY:
                    known = functools.partial(log.has, name, fault)
                    for tried in harness.copies(command, expected, known):
                        log.add(name, fault, *tried)
                    continue
                chosen = _chosen(calls, command, options)
                while todo := [nth for nth in chosen if not log.has(name, fault, nth)]:
                    armed = todo[:: -(-len(todo) // options.together)]
                    answer, wrong = harness.check(command, armed, fault, expected)
                    answer.hits.setdefault(armed[0], "not met")
                    log.add(name, fault, answer, wrong)
        if options.keep:
            shutil.copytree(Path(temporary) / "case", options.keep)
    return int(log.report() > 0)


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
