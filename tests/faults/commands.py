"""Commands that write files: how they are called, called again, and what they leave in the end.

Whatever disturbs one, there is one line of error with the documented exit code, nothing half made under a
final name, no process left, and the same command again, or the one that resumes, ends with the bits of an
undisturbed one.
"""

import contextlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers import handmade_texts
from verify_resume import digests

from lowmem_sentiment.system.files import UNFINISHED

Arguments = tuple[str, ...]

_TRAIN = (
    "--epochs", "2", "--batch-size", "16", "--hidden", "4", "--validation-split", "0.25", "--keep-best",
    "--save-every", "4", "--json",
)  # fmt: skip
_RESUME = ("train", "{whole}/data", "--resume", "{case}/out", *_TRAIN)
_FILES = (
    "prepare", "files", "{whole}/reviews.csv", "{whole}/more.csv", "--out", "{case}/out", "--json",
    "--workers",
)  # fmt: skip
_EVALUATE = ("evaluate", "{case}/out", "--data", "{whole}/data", "--json")
_EXPORT = ("export", "{whole}/run", "--out", "{case}/out", "--json", "--format")


def _bytes(directory: Path) -> dict[str, bytes]:
    """Return every file's bytes."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def _names(directory: Path) -> list[str]:
    """Return the names of the files: some formats hold the time, or parts in an order of their own."""
    return list(_bytes(directory))


def _sizes(directory: Path) -> list[int]:
    """Return the sizes of the files that hold something: the names of event files hold the time."""
    return sorted(len(content) for content in _bytes(directory).values() if content)


def _metrics(evaluation: Path) -> dict[str, Any]:
    found = json.loads(evaluation.read_bytes())
    return {name: found[name] for name in ("accuracy", "loss", "intervals")}


def _run(run: Path) -> tuple[dict[str, str], bool]:
    """Return the digests of a run, and whether it has ended."""
    return digests(run), (run / "summary.json").exists()


@dataclass(frozen=True)
class Command:
    """One command in a folder of its own, {case}; what it only reads is in {whole}."""

    arguments: Arguments
    results: Mapping[str, Callable[[Path], Any]]
    """Names in {case}, and what of each must be the same whenever the command has ended well."""
    at_once: bool = True
    """Whether the results are there whole or not at all."""
    resume: Arguments = ()
    """The second call, where the first has left a run with its config.json."""
    input: str = ""
    """A directory in {whole} that is copied to {case}/out before."""
    tensorflow: bool = False
    processes: bool = False
    """Whether a fault may hit a process that it started; it then ends with 1."""


COMMANDS = {
    "prepare": Command((*_FILES, "1"), {"out": _bytes}),
    "prepare n-grams": Command((*_FILES, "1", "--ngrams", "3"), {"out": _bytes}),
    "prepare in two": Command((*_FILES, "2"), {"out": _bytes}),
    "explore": Command(
        ("explore", "{whole}/data", "--tensorboard", "{case}/out"), {"out": _sizes}, at_once=False
    ),
    "evaluate": Command(
        (*_EVALUATE, "--predictions", "{case}/predictions.csv"),
        {"predictions.csv": Path.read_bytes, "out/evaluation.json": _metrics},
        input="run",
    ),
    "threshold": Command(
        (*_EVALUATE, "--choose-threshold", "recall=0.5"),
        {"out/threshold.json": Path.read_bytes},
        input="run",
    ),
    "export weights": Command((*_EXPORT, "weights"), {"out": _bytes}),
    "export saved-model": Command((*_EXPORT, "saved-model"), {"out": _names}, tensorflow=True),
    "export keras": Command((*_EXPORT, "keras"), {"out": _names}, tensorflow=True),
    "train": Command(
        ("train", "{whole}/data", "--run", "{case}/out", *_TRAIN),
        {"out": _run},
        at_once=False,
        resume=_RESUME,
        tensorflow=True,
    ),
    "resume": Command(
        _RESUME, {"out": _run}, at_once=False, resume=_RESUME, input="stopped", tensorflow=True
    ),
    "tune": Command(
        ("tune", "{whole}/data", "--out", "{case}/out", "--grid", "epochs=1", "hidden=4"),
        {"out/winner": digests},
        at_once=False,
        tensorflow=True,
        processes=True,
    ),
}


class Trial:
    """Whole inputs in a folder of their own, and a command's folder that is made anew."""

    def __init__(self, folder: Path, reviews: int):
        self.whole, self.case = folder / "whole", folder / "case"
        self.whole.mkdir(parents=True)
        rows = [f"{text},{label}\n" for text, label in handmade_texts(reviews)]
        for name, part in (("reviews.csv", rows[: reviews // 2]), ("more.csv", rows[reviews // 2 :])):
            (self.whole / name).write_text("text,label\n" + "".join(part))

    def call(self, arguments: Arguments) -> tuple[int, str]:
        """Run a command undisturbed; return its exit code and errors."""
        raise NotImplementedError

    def filled(self, arguments: Arguments) -> Arguments:
        return tuple(part.format(case=self.case, whole=self.whole) for part in arguments)

    def make_inputs(self) -> None:
        """Make the dataset and the run that the commands read."""
        for name, made in (("prepare", "data"), ("train", "run")):
            self.undisturbed(COMMANDS[name])
            shutil.move(self.case / "out", self.whole / made)

    def fresh(self, command: Command) -> Path:
        """Make the command's folder anew."""
        if self.case.is_mount():
            subprocess.run(["umount", str(self.case)], check=True)
        shutil.rmtree(self.case, ignore_errors=True)
        self.case.mkdir()
        if command.input:
            shutil.copytree(self.whole / command.input, self.case / "out")
        for path in [self.case, *self.case.rglob("*")]:
            path.chmod(0o777)
        return self.case

    def undisturbed(self, command: Command) -> dict[str, Any]:
        """Return a command's results by name."""
        case = self.fresh(command)
        code, errors = self.call(command.arguments)
        if code:
            raise SystemExit(f"{command.arguments} ends with {code}: {errors}")
        return {name: read(case / name) for name, read in command.results.items()}

    def judge_files(self, command: Command, code: int, expected: dict[str, Any]) -> list[str]:
        """Return what is wrong with what a disturbed command left, and with its next call."""
        differing, wrong = self._differing(command, expected), []
        if code == 0 and differing:
            wrong.append(f"exit code 0 and another {differing}")
        if command.at_once:
            wrong += [f"{name} is half made" for name in differing if (self.case / name).exists()]
        return wrong if code == 0 and not differing else wrong + self._repeat(command, expected)

    def _repeat(self, command: Command, expected: dict[str, Any]) -> list[str]:
        """Run a disturbed command again, or the one that resumes; return what is wrong."""
        resumed = command.resume and (self.case / "out" / "config.json").exists()
        code, errors = self.call(command.resume if resumed else command.arguments)
        differing = self._differing(command, expected)
        if code == 73 and command.at_once and not differing:
            return []  # the disturbed one ended after its last rename
        if code:
            return [f"the second call ends with {code}: {errors.strip()[-300:]}"]
        if differing:
            return [f"the second call has another {differing}"]
        left_over = (path for path in self.case.rglob("*") if _TEMPORARY.search(path.name))
        return [f"{path.name} is left for good" for path in left_over]

    def _differing(self, command: Command, expected: dict[str, Any]) -> list[str]:
        """Return the names of a command's results that are not there, or not what is expected."""
        names = []
        for name, read in command.results.items():
            try:
                same = read(self.case / name) == expected[name]
            except Exception:  # of the readers' own: what is half made
                same = False
            if not same:
                names.append(name)
        return names


_TEMPORARY = re.compile(rf"\.[0-9a-f]{{8}}{UNFINISHED}|^tmp\w{{8}}$")


def judge(code: int, errors: str, codes: tuple[int, ...]) -> list[str]:
    """Return what is wrong with a disturbed command's exit code and errors."""
    lines, seen = errors.splitlines(), ("Traceback", "Exception ignored", "Fatal Python")
    wrong = [line for line in lines if line.startswith(seen)]
    if code not in codes:
        wrong.append(f"exit code {code}: {errors.strip()[-400:]}")
    ours = [line for line in lines if line.startswith("lowmem-sentiment: error: ")]
    if 0 < code < 128 and len(ours) != 1:
        wrong.append(f"not one line of error: {errors[-400:]!r}")
    return wrong


def left(group: int, case: Path | None = None) -> list[str]:
    """Return the processes of a group, or with `case` in their arguments, that do not end in time."""
    until = time.monotonic() + 10
    while (found := _processes(group, case)) and time.monotonic() < until:
        time.sleep(0.02)
    return [f"process {number} is left" for number in found]


def _processes(group: int, case: Path | None) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            named = case and f"{case}/".encode() in (process / "cmdline").read_bytes()
            if (int(fields[2]) == group or named) and fields[0] != "Z":
                found.append(process.name)
    return found
