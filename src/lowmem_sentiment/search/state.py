"""``tune.json``: the results of a search so far, written after each run, so that it can be resumed.

A search is a function of these results and its settings: a resumed search repeats its brackets, and
trains only runs that are not in the file.
"""

import os
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar, TypeVar

from ..system.errors import OutputExists
from ..system.schema import check_format, parse, read_json, write_json
from .settings import TuneSettings

FILE, FORMAT, VERSION = "tune.json", "lowmem-sentiment tune", 1

_MAY_CHANGE = ("minutes", "runs", "prefer")
"""Settings that may change when a search is resumed: a longer search begins like a shorter one."""

State = TypeVar("State", bound="SavedState")


@dataclass
class SavedState:
    """Results so far, in a file with a format, a version and a checksum."""

    former_keys: ClassVar[tuple[str, ...]] = ("checksum",)  # which `read_json` has checked

    format: str
    version: int
    fingerprint: str
    """The dataset's."""
    settings: TuneSettings

    def changed(self, settings: TuneSettings, fingerprint: str, may_change: Collection[str]) -> list[str]:
        """Return the names of settings that differ, and "dataset" if the data does."""
        theirs, mine = asdict(self.settings), asdict(settings)
        names = [name for name in mine if name not in may_change and theirs[name] != mine[name]]
        return names + ["dataset"] * (self.fingerprint != fingerprint)

    def write(self, path: Path) -> None:
        """Write the file atomically."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls: type[State], path: Path, kind: str, version: int) -> State | None:
        """Return the state in a file, None without one; DataError for a damaged file."""
        if not os.path.lexists(path):
            return None
        content = read_json(path)
        check_format(content, str(path), kind, version)
        return parse(cls, content, str(path))


@dataclass(frozen=True)
class Result:
    """A candidate, trained up to some epochs and measured on the validation split."""

    candidate: int
    """The number of the candidate; in a grid, of the run."""
    epochs: int
    error: str | None = None
    """Why it has no value."""
    kept_epoch: int = 0
    """The epoch whose weights were kept and measured, if it was not the last."""
    value: float = 0.0
    """The search's metric."""
    standard_error: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    """Accuracy, loss and macro F1, whatever the metric is."""
    epoch_seconds: float = 0.0
    """Mean time of this training's epochs, without the epochs of an earlier rung."""
    start_seconds: float = 0.0
    """The process's time besides its epochs: start, validation, saving."""
    peak_resident_bytes: int = 0


@dataclass
class TuneState(SavedState):
    """A search so far."""

    memory_bytes: int
    """The memory that a run may take: the given limit, or the free memory when the search began."""
    seconds: float = 0.0
    """Spent until the file was written."""
    brackets: list[int] = field(default_factory=list)
    """How many candidates each bracket has."""
    results: list[Result] = field(default_factory=list)
    """In the order in which they were measured."""

    def find(self, candidate: int, epochs: int) -> Result | None:
        """Return a candidate's result after some epochs; None if it was not trained so far."""
        wanted = candidate, epochs
        return next((each for each in self.results if (each.candidate, each.epochs) == wanted), None)

    def measured(self) -> list[Result]:
        """Return the results that have a value."""
        return [result for result in self.results if result.error is None]

    def epochs_before(self, candidate: int, epochs: int) -> int:
        """Return how many epochs a candidate had been trained for when it was to go up to `epochs`."""
        earlier = (each.epochs for each in self.measured() if each.candidate == candidate)
        return max((each for each in earlier if each < epochs), default=0)


def open_state(out: Path, settings: TuneSettings, fingerprint: str, memory_bytes: int) -> TuneState:
    """Return the state of the search in `out`, or a new one.

    Failed runs are tried again if nothing depends on the failures: in a grid, or if every run failed.
    Raises OutputExists for a search with other settings or data, DataError for a damaged file.
    """
    state = TuneState.read(out / FILE, FORMAT, VERSION)
    if not state:
        return TuneState(FORMAT, VERSION, fingerprint, settings, memory_bytes)
    changed = state.changed(settings, fingerprint, _MAY_CHANGE)
    grids = bool(state.settings.grid and settings.grid)
    if changed and (not grids or "dataset" in changed):
        raise OutputExists(
            f"{out} holds a search with a different {', '.join(changed)}; choose another --out, or "
            "resume that one with the same settings"
        )
    state.settings = settings
    if grids:  # finished runs are found by their names, and measured again
        state.results = [] if changed else state.measured()
    elif not state.measured():
        state.results = []
    return state
