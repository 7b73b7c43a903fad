"""``tune.json``: the results of a search so far, written after each run, so that it can be resumed.

A search is a function of these results and its settings: a resumed search repeats its brackets, and
trains only runs that are not in the file.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ..system.errors import OutputExists
from ..system.schema import check_format, parse, read_json, write_json
from .settings import TuneSettings

FILE, FORMAT, VERSION = "tune.json", "lowmem-sentiment tune", 1

State = TypeVar("State", bound="SavedState")


@dataclass
class SavedState:
    """Results so far, in a file with a format, a version and a checksum."""

    kind: ClassVar[tuple[str, str]]
    """The file's name and format."""
    what: ClassVar[str]
    may_change: ClassVar[tuple[str, ...]]
    """Settings that may change when it is resumed."""
    former_keys: ClassVar[tuple[str, ...]] = ("checksum",)  # which `read_json` has checked

    format: str
    version: int
    fingerprint: str
    """The dataset's."""
    settings: TuneSettings

    @classmethod
    def open(
        cls: type[State], out: Path, settings: TuneSettings, fingerprint: str, **first: Any
    ) -> State:
        """Return the state in the folder `out`, or a new one with the fields `first`.

        Raises OutputExists for a state with other settings or data, DataError for a damaged file.
        """
        path, kind = out / cls.kind[0], cls.kind[1]
        if not os.path.lexists(path):
            return cls(kind, VERSION, fingerprint, settings, **first)
        content = read_json(path)
        check_format(content, str(path), kind, VERSION)
        state = parse(cls, content, str(path))
        theirs, mine = asdict(state.settings), asdict(settings)
        changed = [name for name in mine if name not in cls.may_change and theirs[name] != mine[name]]
        changed += ["dataset"] * (state.fingerprint != fingerprint)
        if not state.resume(settings, changed):
            raise OutputExists(
                f"{out} holds {cls.what} with a different {', '.join(changed)}; choose another --out, or "
                "resume that one with the same settings"
            )
        return state

    def resume(self, settings: TuneSettings, changed: Sequence[str]) -> bool:
        """Take new settings, and return whether the results serve although those in `changed` differ."""
        self.settings = settings
        return not changed

    def write(self, out: Path) -> None:
        """Write the file atomically."""
        write_json(out / self.kind[0], asdict(self))


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

    kind, what = (FILE, FORMAT), "a search"
    may_change = ("minutes", "runs", "prefer")  # a longer search begins like a shorter one

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

    def resume(self, settings: TuneSettings, changed: Sequence[str]) -> bool:
        """Also serve a different grid on the same data: finished runs are measured again.

        Failed runs are tried again if nothing depends on the failures: in a grid, or if all failed.
        """
        grids = bool(self.settings.grid and settings.grid)
        same = super().resume(settings, changed)
        if grids or not self.measured():
            self.results = self.measured() if same else []
        return same or (grids and "dataset" not in changed)
