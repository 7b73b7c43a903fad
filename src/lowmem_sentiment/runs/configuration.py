"""The settings of a training run, checked when they are built; each default stands here alone."""

from dataclasses import dataclass

from ..dataset.reader import Dataset
from ..system.errors import SettingsError
from ..system.settings import check_each
from ..text.vocabulary import DEFAULT_NUM_WORDS, MIN_NUM_WORDS

CLASS_WEIGHTS = ("none", "balanced")

BEST_BY = ("accuracy", "loss")


@dataclass(frozen=True)
class TrainingSettings:
    """What decides the result of a training run, beside the dataset; defaults are the tutorial's."""

    epochs: int = 2
    batch_size: int = 32
    num_words: int | None = None
    """Ids below it are known; None: 10,000, or all where the vocabulary is smaller."""
    learning_rate: float = 0.001
    """Of Adam."""
    hidden: tuple[int, ...] = (50, 50, 50)
    """Units of each hidden layer."""
    dropout: tuple[float, ...] = (0.3, 0.2)
    """Rates after the first, second, ... hidden layer."""
    seed: int = 0
    validation_split: float = 0.0
    """Share of the training split to validate on; 0: validate on the test split."""
    window_bytes: int = 32 << 20
    """Records that are shuffled together, in bytes on disk; in memory some 1.7 times that. IMDb's
    training split (16 MB) fits, so its order is random as a whole; larger data is shuffled window
    by window."""
    prefetch: int = 2
    """Batches made ahead, 1.3 MB each at 32 x 10,000. Changes no result."""
    class_weight: str = "none"
    """"balanced": a label's reviews weigh in the loss by (reviews / labels) / reviews of the label."""
    early_stopping: int = 0
    """Epochs without a better one after which training ends; 0: train them all."""
    keep_best: bool = False
    """Whether the run's weights are the best epoch's, not the last's."""
    best_by: str = "accuracy"
    """What is best in validation: the most "accuracy", or the least "loss"."""
    histograms: bool = False
    """Whether TensorBoard gets histograms of the weights; changes no result."""

    def __post_init__(self) -> None:
        if self.dropout == TrainingSettings.dropout:  # fewer layers need fewer of the default rates
            object.__setattr__(self, "dropout", self.dropout[: len(self.hidden)])
        checks = {
            "epochs": (self.epochs >= 1, "1 or more"),
            "batch_size": (self.batch_size >= 1, "1 or more"),
            "learning_rate": (0 < self.learning_rate < float("inf"), "more than 0"),
            "hidden": (all(units >= 1 for units in self.hidden), "layer sizes of 1 or more"),
            "dropout": (
                all(0 <= rate < 1 for rate in self.dropout) and len(self.dropout) <= len(self.hidden),
                "rates from 0 to below 1, at most one a hidden layer",
            ),
            "seed": (0 <= self.seed < 1 << 31, "0 to 2,147,483,647"),
            "validation_split": (0 <= self.validation_split < 1, "0 to below 1"),
            "window_bytes": (self.window_bytes >= 1, "1 or more"),
            "prefetch": (self.prefetch >= 1, "1 or more"),
            "class_weight": (self.class_weight in CLASS_WEIGHTS, f"one of {', '.join(CLASS_WEIGHTS)}"),
            "early_stopping": (self.early_stopping >= 0, "0 or more"),
            "best_by": (self.best_by in BEST_BY, f"one of {', '.join(BEST_BY)}"),
        }
        check_each(self, checks)
        chosen = [name for name in ("early_stopping", "keep_best") if getattr(self, name)]
        if chosen and not self.validation_split:
            raise SettingsError(
                f"{chosen[0]} needs a validation_split: an epoch chosen by the test split makes the test "
                "accuracy look better than it is; expected one above 0, such as 0.1"
            )

    def options(self) -> list[str]:
        """Give the options of `train` that choose these settings.

        >>> TrainingSettings(epochs=3, hidden=(8, 4)).options()
        ['--epochs', '3', '--hidden', '8,4']
        """
        options = []
        for name, value in vars(self).items():
            if value == getattr(TrainingSettings, name):
                continue
            options.append(f"--{name.replace('_', '-')}")
            if value is not True:
                options.append(",".join(map(str, value)) if isinstance(value, tuple) else str(value))
        return options

    @property
    def validated_on(self) -> str:
        """The split that validation reads: "validation", or "test" without a validation split."""
        return "validation" if self.validation_split else "test"

    def num_words_for(self, dataset: Dataset) -> int:
        """Give `num_words`, checked against the dataset's vocabulary."""
        if self.num_words is None:
            return min(DEFAULT_NUM_WORDS, dataset.num_ids)
        if not MIN_NUM_WORDS <= self.num_words <= dataset.num_ids:
            raise SettingsError(
                f"num_words is {self.num_words:,}, expected {MIN_NUM_WORDS} to "
                f"{dataset.num_ids:,} (the ids of the {dataset.num_ids - MIN_NUM_WORDS:,} words "
                f"in {dataset.directory})"
            )
        return self.num_words


@dataclass(frozen=True)
class SaveEvery:
    """How often a training run saves its state, beside each epoch's end: by steps or by time."""

    steps: int | None = None
    seconds: float | None = 30.0

    @classmethod
    def parse(cls, text: str) -> "SaveEvery":
        """Read "500" (steps) or "30s" (seconds); SettingsError for anything else."""
        number = text.removesuffix("s")
        try:
            every = float(number) if number != text else int(number)
        except ValueError:
            every = 0
        if not 0 < every < float("inf"):
            raise SettingsError(f"save_every is {text!r}, expected steps (500) or seconds (30s)")
        return cls(None, every) if number != text else cls(every, None)
