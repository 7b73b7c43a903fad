"""What evaluations chose for a run, each in a file beside its weights and with their digest.

threshold.json    the probability above which the second of two labels is predicted
calibration.json  the temperature
abstention.json   the least confidence and number of known words of a text that gets a label
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

from ..model.decision import Decision, rescaled
from ..runs.run_directory import RunDirectory
from ..system.errors import DataError, InputMissing, SettingsError
from ..system.files import sha256
from ..system.schema import parse, read_json, write_json
from .abstention import Abstention
from .calibration import Calibration
from .settings import DecisionSettings
from .thresholds import ChosenThreshold

VERSION = 1

Choice = ChosenThreshold | Calibration | Abstention

Chosen = TypeVar("Chosen", ChosenThreshold, Calibration, Abstention)

_HOW = {
    ChosenThreshold: "--choose-threshold f1",
    Calibration: "--calibrate",
    Abstention: "--abstain error=0.05",
}


@dataclass(frozen=True)
class _Header:
    """What every file has beside what was chosen."""

    ignores_unknown_keys: ClassVar[bool] = True

    version: int
    weights_sha256: str
    """The SHA-256 of the model file that it was chosen for."""


def model_digest(run: RunDirectory) -> str:
    """Return the SHA-256 of the run's model file."""
    return sha256(run.weights_file if run.weights_file.exists() else run.model_file)


def record(run: RunDirectory, chosen: Choice) -> None:
    """Write what was chosen to its file in the run."""
    content = {"version": VERSION, **asdict(chosen), "weights_sha256": model_digest(run)}
    write_json(run.path / chosen.FILE, content)


def recorded(run: RunDirectory, kind: type[Chosen]) -> Chosen:
    """Return what is recorded with a run.

    Raises InputMissing if there is none, DataError if it is damaged or was chosen for other weights.
    """
    path = run.path / kind.FILE
    if not path.exists():
        raise InputMissing(
            f"{run.path} has no {kind.FILE}; choose it: lowmem-sentiment evaluate {run.path} {_HOW[kind]}"
        )
    content = read_json(path)
    header, chosen = parse(_Header, content, str(path)), parse(kind, content, str(path))
    if header.version != VERSION:
        raise DataError(f"{path} has version {header.version}, expected version {VERSION}")
    if header.weights_sha256 != model_digest(run):
        raise DataError(
            f"{path} was chosen for other weights than the run has now; choose it again: "
            f"lowmem-sentiment evaluate {run.path} {chosen.option}"
        )
    return chosen


def find(run: RunDirectory, kind: type[Chosen], chosen: Sequence[Choice] = ()) -> Chosen:
    """Return the one of this kind in `chosen`, or else what is `recorded` with a run."""
    return next((each for each in chosen if isinstance(each, kind)), None) or recorded(run, kind)


def decision(
    run: str | Path, settings: DecisionSettings, labels: Sequence[str], chosen: Sequence[Choice] = ()
) -> Decision:
    """Return how the probabilities of a run with these labels become answers.

    `chosen` replaces what is recorded.

    A number as the threshold is compared with the probabilities that are shown, and so, with a
    temperature, with corrected ones; the recorded one was chosen without, and is translated.

    Raises SettingsError for a threshold unless there are two labels, and as `recorded`.
    """
    directory = RunDirectory(run)
    temperature = find(directory, Calibration, chosen).temperature if settings.calibrated else 1.0
    threshold = settings.threshold
    if isinstance(threshold, str):
        threshold = rescaled(find(directory, ChosenThreshold, chosen).threshold, temperature)
    check_threshold(threshold, labels)
    if not settings.abstain:
        return Decision(threshold, temperature)
    limits = find(directory, Abstention, chosen)
    known, per_word = limits.least_known, limits.least_per_word
    return Decision(threshold, temperature, limits.least_log_odds, known, per_word)


def check_threshold(threshold: float | None, labels: Sequence[str]) -> None:
    """Raise SettingsError for a threshold outside 0 to 1, or unless there are two labels."""
    if threshold is not None and len(labels) != 2:
        raise SettingsError(f"a threshold is for two labels; these are {', '.join(labels)}")
    if threshold is not None and not 0 <= threshold <= 1:
        raise SettingsError(f"threshold is {threshold}, expected 0 to 1")
