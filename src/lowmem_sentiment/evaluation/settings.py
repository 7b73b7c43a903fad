"""The settings of evaluate, with defaults, help and ranges."""

from dataclasses import dataclass

from ..decisions.settings import PROMOTE, DecisionSettings
from ..system.errors import SettingsError
from ..system.settings import setting
from ..text.reader_settings import BAD_ROWS

EVALUATED_SPLITS = ("test", "train", "validation")


@dataclass(frozen=True)
class EvaluationSettings(DecisionSettings):
    """How runs are evaluated."""

    split: str = setting("test", "which reviews of the dataset", choices=EVALUATED_SPLITS)
    choose_threshold: str | None = setting(
        None,
        "choose the threshold on the validation split, by f1, precision=P or recall=P of the second "
        "label, and record it with the run, for predict --threshold run",
        metavar="RULE",
    )
    abstain: str | None = setting(
        None,
        "give no label where the model is not sure enough, and report the error among the texts that get "
        "one. error=E: choose the limits on the validation split (give prepare and train "
        "--validation-split) so that it stays below E with 95 % certainty, and record them with the run, "
        "for predict --abstain run; run: by the recorded limits",
        metavar="error=E|run",
    )
    calibrate: bool = setting(
        False,
        "fit a temperature on the validation split, as --abstain does, so that about 80 % of the answers "
        "with probability 0.8 are right, and record it with the run, for predict --calibrated run; "
        "report how reliable the probabilities are before and after",
    )
    metric: str | None = setting(
        None,
        "the metric that decides whether a run is significantly worse than another, with an interval of "
        "the difference by a paired bootstrap: accuracy, auc, f1, macro_f1, macro_precision, "
        "macro_recall, or precision, recall or f1 of a label, such as recall:LABEL (default: accuracy, "
        "by the exact McNemar test)",
        metavar="METRIC",
    )
    alpha: float = setting(
        0.05,
        "significance level of the paired test: a difference is significant if its two-sided p-value is "
        "at most SHARE, or its interval of 1 - SHARE does not contain 0",
        metavar="SHARE",
        above=0,
        below=1,
    )
    promote: str | None = setting(
        None,
        "what --baseline requires. better: the run is significantly better; not-worse: it is less than "
        "--margin worse, by the lower end of the interval of the difference (default: it is not "
        "significantly worse, which lets many small losses add up)",
        choices=PROMOTE,
    )
    margin: float | None = setting(
        None,
        "how much accuracy, or of the metric of --metric, --promote not-worse may give up (default: "
        "0.005; with fewer than 9,400 reviews as much as lets 4 of 5 equally good runs pass, such as "
        "0.011 with 2,000 and 0.022 with 500)",
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
        if self.choose_threshold is not None and self.abstain is not None:
            raise SettingsError("choose_threshold and abstain were given; expected one of them")
        if self.calibrate and self.calibrated:
            raise SettingsError("calibrate and calibrated were given; expected one of them")
        super().__post_init__()
