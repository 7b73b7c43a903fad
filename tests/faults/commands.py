"""Commands that write files: how they are called, called again, and what they leave in the end."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verify_resume import digests

Arguments = tuple[str, ...]

_SMALL = (
    "--epochs",
    "2",
    "--batch-size",
    "16",
    "--hidden",
    "6,4",
    "--validation-split",
    "0.25",
    "--keep-best",
)
_TRAIN = (*_SMALL, "--save-every", "4", "--json")
_RESUME = ("train", "{whole}/data", "--resume", "{case}/out", *_TRAIN)
_FILES = ("prepare", "files", "{whole}/reviews.csv", "--out", "{case}/out", "--workers", "1", "--json")
_EXPORT = ("export", "{whole}/run", "--out", "{case}/out", "--json", "--format")


def _bytes(case: Path) -> Any:
    """Return every file with its bytes."""
    files = sorted(path for path in case.rglob("*") if path.is_file())
    return {str(path.relative_to(case)): path.read_bytes() for path in files}


def _names(case: Path) -> Any:
    """Return the names of the files: some formats hold the time, or paths in an order of their own."""
    return list(_bytes(case))


def _run(case: Path) -> Any:
    """Return the digests of a run that has ended, and the names of its files."""
    return digests(case / "out"), (case / "out" / "summary.json").exists()


def _evaluation(case: Path) -> Any:
    """Return what was measured, and the file of predictions."""
    found = json.loads((case / "out" / "evaluation.json").read_bytes())
    return found["metrics"], (case / "predictions.csv").read_bytes()


def _threshold(case: Path) -> Any:
    return (case / "out" / "threshold.json").read_bytes()


def _search(case: Path) -> Any:
    return digests(case / "out" / "winner")


@dataclass(frozen=True)
class Command:
    """One command in a folder of its own, {case}; what it only reads is in {whole}."""

    arguments: Arguments
    result: Callable[[Path], Any]
    """Returns what must be the same whenever the command ends well, at once or at the second call."""
    resume: Arguments = ()
    """The second call, where the first has left a run with its config.json."""
    input: str = ""
    """A directory in {whole} that is copied to {case}/out before."""
    whole: tuple[str, ...] = ()
    """Names in {case} that are there whole or not at all."""
    tensorflow: bool = False


COMMANDS = {
    "prepare": Command(_FILES, _bytes, whole=("out",)),
    "prepare n-grams": Command((*_FILES, "--ngrams", "2"), _bytes, whole=("out",)),
    "explore": Command(("explore", "{whole}/data", "--tensorboard", "{case}/out", "--json"), _names),
    "evaluate": Command(
        ("evaluate", "{case}/out", "--data", "{whole}/data", "--predictions", "{case}/predictions.csv",
         "--json"),
        _evaluation, input="run", whole=("predictions.csv",),
    ),
    "threshold": Command(
        ("evaluate", "{case}/out", "--data", "{whole}/data", "--choose-threshold", "recall=0.5",
         "--json"),
        _threshold, input="run",
    ),
    "export weights": Command((*_EXPORT, "weights"), _bytes, whole=("out",)),
    "export saved-model": Command((*_EXPORT, "saved-model"), _names, whole=("out",), tensorflow=True),
    "export keras": Command((*_EXPORT, "keras"), _names, whole=("out",), tensorflow=True),
    "train": Command(
        ("train", "{whole}/data", "--run", "{case}/out", *_TRAIN), _run, _RESUME, tensorflow=True
    ),
    "resume": Command(_RESUME, _run, _RESUME, input="stopped", tensorflow=True),
    "tune": Command(
        ("tune", "{whole}/data", "--out", "{case}/out", "--runs", "2", "--seed", "3"),
        _search, tensorflow=True,
    ),
}  # fmt: skip
