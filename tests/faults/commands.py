"""Commands that write files: how they are called, called again, and what they leave in the end."""

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verify_resume import digests

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


def others(command: Command, case: Path, expected: dict[str, Any]) -> list[str]:
    """Return the names of a command's results that are not there, or not what is expected."""
    names = []
    for name, read in command.results.items():
        try:
            same = read(case / name) == expected[name]
        except Exception:  # of the readers' own: what is half made
            same = False
        if not same:
            names.append(name)
    return names


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
