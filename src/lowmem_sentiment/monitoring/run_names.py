"""The names of runs, the same in TensorBoard and in the terminal."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from .terminal_text import cut

LONGEST = 40
"""Columns of a name in TensorBoard's side bar."""


def find_runs(logdir: Path) -> set[Path]:
    """Return the run directories in a folder that have event files."""
    return {_run_of(file.parent) for file in logdir.rglob("*tfevents*")}


def run_names(logdir: str | Path) -> Callable[[str], str | None]:
    """Return a function from a directory of event files to its run's name, "X" or "X/validation".

    TensorBoard's name is "X/tensorboard/validation". Names of a grid's runs, such as
    "hidden=50-50,epochs=1,seed=0", lose the parts that all runs share when the server starts; long ones
    are cut in the middle. The function returns None for the validation of a search's candidate that was
    stopped after one epoch, which would be a stray dot in each chart.
    """
    logdir = Path(logdir)
    alike = _alike(run.name for run in find_runs(logdir))
    known: dict[str, Path] = {}

    def name_of(path: str) -> str | None:
        directory = Path(path)
        run = _run_of(directory)
        # Event files in `logdir` itself, or in a part of it, belong to a run with its name.
        inside = run != logdir and logdir in run.parents
        names = list(run.relative_to(logdir).parts) if inside else [Path(os.path.abspath(run)).name]
        names[-1] = _shorten(names[-1], alike)
        name = cut("/".join(names), LONGEST)
        if known.setdefault(name, run) != run:
            name = "/".join(names)
        part = [each for each in directory.relative_to(run).parts if each != "tensorboard"]
        if part == ["validation"] and _is_stopped_candidate(run):
            return None
        return "/".join([name, *part])

    return name_of


def _is_stopped_candidate(run: Path) -> bool:
    epochs = run / "metrics.jsonl"
    if not (run.parent / "tune.json").exists() or not epochs.exists() or not run.name.isdecimal():
        return False
    with open(epochs, "rb") as file:
        return len(file.readlines(1 << 16)) == 1


def short_names(runs: Sequence[str]) -> list[str]:
    """Return the runs' paths without the folders, and the parts of a grid's names, that all share.

    >>> short_names(["runs/epochs=1,seed=0", "runs/epochs=2,seed=0"])
    ['epochs=1', 'epochs=2']
    """
    paths = [Path(os.path.abspath(run)) for run in runs]
    shared = os.path.commonpath([path.parent for path in paths])
    alike = _alike(path.name for path in paths)
    return [str(path.with_name(_shorten(path.name, alike)).relative_to(shared)) for path in paths]


def _run_of(directory: Path) -> Path:
    """Return the run directory of a directory of event files: the one above `tensorboard/`."""
    for each in (directory, *directory.parents):
        if each.name == "tensorboard":
            return each.parent
    return directory


def _alike(names: Iterable[str]) -> set[str]:
    """Return the parts, such as "seed=0", that all names of a grid's runs have."""
    grid = {name for name in names if "=" in name}
    counts = Counter(part for name in grid for part in name.split(","))
    return {part for part, count in counts.items() if count == len(grid) > 1}


def _shorten(name: str, alike: set[str]) -> str:
    parts = [part for part in name.split(",") if part not in alike]
    if "=" not in name or not parts:
        return name
    lists = re.compile(r"^(hidden|dropout)=")  # whose parts a file name joins by "-"
    return " ".join(part.replace("-", ",") if lists.match(part) else part for part in parts)
