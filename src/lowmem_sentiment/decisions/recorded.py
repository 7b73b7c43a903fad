"""The threshold, temperature and limits for abstaining that evaluations recorded with a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from ..model.decision import Decision, rescaled
from ..runs.run_directory import RunDirectory
from ..system.errors import DataError, InputMissing, SettingsError, quoted
from .abstention import Abstention
from .calibration import Calibration
from .records import read_record
from .settings import DecisionSettings
from .thresholds import ChosenThreshold

Choice = ChosenThreshold | Calibration | Abstention

Chosen = TypeVar("Chosen", ChosenThreshold, Calibration, Abstention)


def recorded(run: RunDirectory, kind: type[Chosen]) -> Chosen:
    """Return the choice of a kind that is recorded with a run.

    Raises InputMissing if there is none, DataError if it is damaged or was chosen for other weights.
    """
    if found := read_record(run, kind):
        return found
    path, choose = run.path / kind.FILE, f"lowmem-sentiment evaluate {quoted(run.path)} {kind.OPTION}"
    if path.exists():
        raise DataError(
            f"{path} was chosen for other weights than the run has now; choose it again: {choose}"
        )
    raise InputMissing(f"{run.path} has no {kind.FILE}; choose it: {choose}")


def find(run: RunDirectory, kind: type[Chosen], chosen: Sequence[Choice] = ()) -> Chosen:
    """Return the choice of a kind in `chosen`, or else the `recorded` one."""
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
