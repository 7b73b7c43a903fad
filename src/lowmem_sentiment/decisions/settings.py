"""The settings that turn probabilities into answers, for every command that predicts."""

from dataclasses import dataclass

from ..system.errors import SettingsError
from ..system.settings import Settings, setting

RECORDED = "run"
"""Stands for the values recorded with the run (`decisions.recorded`)."""

BETTER, NOT_WORSE = PROMOTE = ("better", "not-worse")
"""A run is promoted if it is shown to be this, compared with a baseline."""


def probability_or_run(text: str) -> float | str:
    """Read a threshold: a number, or "run" for the one recorded with the run."""
    return text if text == RECORDED else float(text)


@dataclass(frozen=True)
class DecisionSettings(Settings):
    """How to turn probabilities into answers; "run" stands for the value recorded with the run."""

    threshold: float | str | None = setting(
        None,
        "with two labels, predict the second when its probability is above P (default: 0.5); run: above "
        "the threshold that evaluate --choose-threshold recorded with the run",
        metavar="P",
        read=(probability_or_run, "a number, 0 to 1, or run"),
    )
    abstain: str | None = setting(
        None,
        "give no label to texts that the model is not sure about, or knows too few words of, by the "
        "limits that evaluate --abstain recorded with the run",
        choices=(RECORDED,),
    )
    calibrated: str | None = setting(
        None,
        "correct the probabilities by the temperature that evaluate --calibrate recorded with the run; "
        "labels stay the same",
        choices=(RECORDED,),
    )

    def __post_init__(self) -> None:
        if isinstance(self.threshold, str) and self.threshold != RECORDED:
            raise SettingsError(f"threshold is {self.threshold!r}, expected 0 to 1, or {RECORDED!r}")
        if self.threshold is not None and self.abstain is not None:
            raise SettingsError(
                "threshold and abstain were given; expected one of them: the limits for abstaining are "
                "chosen for the most probable label"
            )
        super().__post_init__()
