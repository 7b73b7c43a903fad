"""The settings of evaluate, with defaults, help and ranges."""

from dataclasses import dataclass

from ..system.errors import SettingsError
from ..system.settings import Settings, setting
from ..text.reader_settings import BAD_ROWS

EVALUATED_SPLITS = ("test", "train", "validation")

BETTER, NOT_WORSE = PROMOTE = ("better", "not-worse")
"""What a run must be shown to be, compared with a baseline, to be promoted."""

RECORDED = "run"
"""The threshold recorded with a run (`thresholds.recorded_threshold`)."""


def probability_or_run(text: str) -> float | str:
    """Read a threshold: a number, or "run" for the one recorded with the run."""
    return text if text == RECORDED else float(text)


@dataclass(frozen=True)
class EvaluationSettings(Settings):
    """How runs are evaluated."""

    split: str = setting("test", "which reviews of the dataset", choices=EVALUATED_SPLITS)
    threshold: float | str | None = setting(
        None,
        "with two labels, predict the second when its probability is above P (default: 0.5); run: above "
        "the threshold recorded with the run",
        metavar="P",
        read=(probability_or_run, "a number, 0 to 1, or run"),
    )
    choose_threshold: str | None = setting(
        None,
        "choose the threshold on the validation split, by f1, precision=P or recall=P of the second "
        "label, and record it with the run, for predict --threshold run",
        metavar="RULE",
    )
    alpha: float = setting(
        0.05,
        "significance level of the paired test: a difference whose two-sided p-value is at most SHARE is "
        "significant",
        metavar="SHARE",
        above=0,
        below=1,
    )
    promote: str | None = setting(
        None,
        "what --baseline demands: that a run is significantly better, or not-worse: that it is less than "
        "--margin worse, by the lower end of the interval of the difference (default: not significantly "
        "worse, which many small losses pass)",
        choices=PROMOTE,
    )
    margin: float = setting(
        0.005,
        "how much accuracy --promote not-worse may give up",
        metavar="SHARE",
        above=0,
        below=1,
    )
    skip_bad_rows: int = setting(
        0,
        "skip bad rows of up to N lines in --file, or all of them",
        metavar="N",
        at_least=0,
        read=BAD_ROWS,
    )
    mistakes: int = setting(
        0,
        "show the N mistakes that the model is surest of, as text; reviews are counted from 0, as by "
        "explore --show",
        at_least=0,
    )

    explained: int = 0
    """The number of surest mistakes to explain by their words, for a report."""

    def __post_init__(self) -> None:
        if self.threshold is not None and self.choose_threshold is not None:
            raise SettingsError("threshold and choose_threshold were given; expected one of them")
        if isinstance(self.threshold, str) and self.threshold != RECORDED:
            raise SettingsError(f"threshold is {self.threshold!r}, expected 0 to 1, or {RECORDED!r}")
        super().__post_init__()
