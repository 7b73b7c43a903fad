"""Run a command on damaged files within limits, and judge what it did.

A failure is: an exception other than the command line's own errors, an exit code that does not speak of
the input, an error that is not one printable line, more time or memory than the limits, and an answer
with exit code 0 that differs though a checksum covers the bytes.
"""

import contextlib
import faulthandler
import importlib
import io
import resource
import shutil
import signal
import traceback
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from lowmem_sentiment.cli import main as run_command
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.system.memory import peak_resident, sizes

from .kinds import KINDS, Command, Kind, result_of, write_examples, write_results

SECONDS = 100
MEMORY = 512 << 20
CODES = (0, 2, 65, 66)  # done, settings that the input does not have, damaged data, missing


class Hang(BaseException):
    """The time limit: no handler of errors may take it for one."""


@dataclass
class Answer:
    """The result of a command."""

    code: int | None
    output: str
    errors: str
    raised: str
    """A traceback; empty where there was none."""
    memory: int
    """Bytes of resident memory that were taken meanwhile."""


def _hang(*_: Any) -> None:
    raise Hang(f"not done in {SECONDS} s")


def run(arguments: list[str]) -> Answer:
    """Run one command in this process within the limits."""
    output = io.TextIOWrapper(io.BytesIO(), "utf-8")
    errors = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")  # as Python's own is
    code, raised = None, ""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts anew: proc(5)
    before = sizes("/proc/self/status")
    resource.setrlimit(resource.RLIMIT_AS, (before["VmSize"] + MEMORY, resource.RLIM_INFINITY))
    faulthandler.dump_traceback_later(3 * SECONDS, exit=True)  # where no signal is handled
    signal.signal(signal.SIGALRM, _hang)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = run_command(arguments)
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else 1
    except (Exception, Hang):
        raised = traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    texts = []
    for stream in (output, errors):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    return Answer(code, *texts, raised, peak_resident() - before["VmRSS"])


def complaint(kind: Kind, command: Command, answer: Answer, result: Any, expected: Any) -> str | None:
    """Return what is wrong with an answer; None when nothing is."""
    if answer.raised:
        return answer.raised.strip().splitlines()[-1]
    if answer.code not in (*CODES, *kind.codes):
        return f"exit code {answer.code}: {answer.errors.strip()}"
    if answer.memory > MEMORY:
        return f"{answer.memory / 1e6:.0f} MB"
    lines = answer.errors.removesuffix("\n").split("\n") if answer.errors else []
    ours = ("lowmem-sentiment: ", "epoch ")
    if any(not line.startswith(ours) or not line.isprintable() for line in lines):
        return f"an error that is not one printable line: {answer.errors!r}"
    if answer.code or kind.same == "nothing" or result == expected:
        return None
    if kind.same == "result or warning" and lines:
        return None
    if kind.same == "count" and _reviews(result) == _reviews(expected):
        return None
    return "exit code 0 and another result"


def _reviews(result: Any) -> int:
    return sum(split["reviews"] for split in result[1].values())


class Fuzzer:
    """Whole examples in a folder of their own, and the cases made of them."""

    def __init__(self, folder: Path, trained: Path, seed: int):
        self._folder, self._seed = folder, seed
        self._whole = folder / "whole"
        self._whole.mkdir()
        with contextlib.redirect_stdout(io.StringIO()):
            write_examples(self._whole)
            shutil.copytree(trained, self._whole / "run")
            write_results(self._whole)
        self._trained_on = RunDirectory(trained).config()["dataset"]["path"]
        self._expected: dict[tuple[str, Command], Any] = {}

    def expect(self, name: str) -> None:
        """Run a kind's commands on the whole files, which must do."""
        if KINDS[name].tensorflow:
            importlib.import_module("lowmem_sentiment.training.train")  # without the limit of memory
        for command in KINDS[name].commands:
            case, target = self._copy(KINDS[name], Random(0))
            answer, result = self._run(case, target, command)
            stops = command[0] == "train" and "0" in command
            if answer.raised or answer.code != (2 if stops else KINDS[name].codes[0]):
                raise SystemExit(f"{name}: {command} fails on the whole file: {answer}")
            self._expected[name, command] = result

    def check(self, name: str, number: int) -> tuple[str | None, Answer]:
        """Run one case; return what is wrong (None: nothing) and the answer."""
        random, kind = Random(f"{self._seed}/{name}/{number}"), KINDS[name]
        case, target = self._copy(kind, random)
        command = kind.commands[random.randrange(len(kind.commands))]
        kind.change(random, target)
        answer, result = self._run(case, target, command)
        return complaint(kind, command, answer, result, self._expected[name, command]), answer

    def _copy(self, kind: Kind, random: Random) -> tuple[Path, Path]:
        """Make a folder with a copy of everything; return it and the file to damage."""
        case = self._folder / "case"
        shutil.rmtree(case, ignore_errors=True)
        shutil.copytree(self._whole, case)
        return case, random.choice(sorted(case.glob(kind.target)))

    def _run(self, case: Path, target: Path, command: Command) -> tuple[Answer, Any]:
        paths = {"case": case, "target": target, "out": case / "out"}
        paths |= {
            "data": self._whole / "data",
            "run": self._whole / "run",
            "trained_on": self._trained_on,
        }
        answer = run([part.format(**paths) for part in command])
        result = result_of(command, answer.output, case / "out") if answer.code == 0 else None
        return answer, result
