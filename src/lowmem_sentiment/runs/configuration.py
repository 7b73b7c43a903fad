"""The settings of a training run, checked when they are built; defaults are declared only here."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from ..system.errors import SettingsError
from ..system.settings import SIZE, Settings, plain, setting
from ..text.vocabulary import DEFAULT_NUM_WORDS, MIN_NUM_WORDS

if TYPE_CHECKING:  # NumPy comes with it, and help does without
    from ..dataset.reader import Dataset

OPTIMIZERS = ("adam", "lazy-adam")

LEARNING_RATE_SCHEDULES = ("constant", "linear")

CLASS_WEIGHTS = ("none", "balanced")

BEST_BY = ("accuracy", "loss", "f1")


@dataclass(frozen=True)
class TrainingSettings(Settings):
    """The settings that, with the dataset, decide the result of a training run.

    The defaults are the tutorial's, except for batches of 32 reviews (Keras' default) instead of 500.

    Each field is an option of `train` (`batch_size` is ``--batch-size``), and is described by its help.
    If `num_words` is None, it is 10,000, or all words if there are fewer; `window_bytes` is in bytes on
    disk. Raises SettingsError for a value out of its range, with the range.
    """

    epochs: int = setting(2, "passes over the training reviews", at_least=1)
    batch_size: int = setting(32, "reviews per step", at_least=1)
    num_words: int | None = setting(  # its range is the dataset's: `num_words_for`
        None,
        "ids below N are known words or n-grams, the first by rank, as in Keras "
        f"(default: {DEFAULT_NUM_WORDS}, or all if there are fewer)",
    )
    learning_rate: float = setting(
        0.001, "Adam's learning rate", metavar="RATE", above=0, below=float("inf")
    )
    learning_rate_schedule: str = setting(
        "constant",
        "linear: the learning rate falls to zero over all steps of the run",
        choices=LEARNING_RATE_SCHEDULES,
    )
    optimizer: str = setting(
        "adam",
        "lazy-adam: a word's weights move only in steps in which it occurs, so that steps do not take "
        "longer with more words",
        choices=OPTIMIZERS,
    )
    hidden: tuple[int, ...] = setting(
        (50, 50, 50), "units of each hidden layer", metavar="N,N,...", at_least=1
    )
    dropout: tuple[float, ...] = setting(
        (0.3, 0.2),
        "dropout rates after the first, second, ... hidden layer",
        metavar="P,P,...",
        at_least=0,
        below=1,
    )
    seed: int = setting(0, "seed for weights, order and dropout", at_least=0, at_most=(1 << 31) - 1)
    validation_split: float = setting(
        0.0,
        "validate on this share of the training reviews and leave the test split alone; 0: validate on "
        "the test split, as the tutorial does",
        metavar="SHARE",
        at_least=0,
        below=1,
    )
    class_weight: str = setting(
        "none",
        "balanced: every label has the same weight in the loss, however few its reviews; rare labels are "
        "found more often, and accuracy falls (on one set of five labels F1 rose from 0.30 to 0.39, and "
        "accuracy fell from 0.67 to 0.53)",
        choices=CLASS_WEIGHTS,
    )
    """"balanced": a review's weight in the loss is (reviews / labels) / reviews of its label."""
    # Bytes on disk; in memory about 1.7 times as many. IMDb's training split (16 MB) fits, so it is
    # shuffled as a whole; larger data is shuffled window by window.
    window_bytes: int = setting(
        32 << 20,
        "records that are shuffled together; a smaller window takes less memory, and shuffles larger "
        "data less well (default: 32Mi)",
        metavar="SIZE",
        read=SIZE,
        at_least=1,
    )
    # Each takes 0.25 MB for 32 reviews and 10,000 words: its rows cover only the batch's own words.
    prefetch: int = setting(2, "batches prepared in advance; changes no result", at_least=1)
    early_stopping: int = setting(
        0, "stop after N epochs without a better one; 0: train all epochs", at_least=0
    )
    keep_best: bool = setting(False, "keep the model of the best epoch instead of the last")
    best_by: str = setting(
        "accuracy",
        "the validation metric for --early-stopping and --keep-best; f1: the mean F1 of the labels, in "
        "which a rare label counts as much as a frequent one",
        metavar="METRIC",
        choices=BEST_BY,
    )
    histograms: bool = setting(
        False, "write histograms of the weights for TensorBoard after each epoch; changes no result"
    )

    former_keys = ("projector",)
    """Settings of earlier versions, which are ignored."""

    def __post_init__(self) -> None:
        if self.dropout == TrainingSettings.dropout:  # fewer layers take fewer of the default rates
            object.__setattr__(self, "dropout", self.dropout[: len(self.hidden)])
        super().__post_init__()
        if len(self.dropout) > len(self.hidden):
            raise SettingsError(
                f"dropout is {','.join(map(str, self.dropout))}, expected at most one rate for each of "
                f"the {len(self.hidden)} hidden layers"
            )
        chosen = [name for name in ("early_stopping", "keep_best") if getattr(self, name)]
        if chosen and not self.validation_split:
            raise SettingsError(
                f"{chosen[0]} needs a validation_split: an epoch chosen by the test split makes the test "
                "accuracy look better than it is; expected one above 0, such as 0.1"
            )

    def options(self, default: TrainingSettings | None = None) -> list[str]:
        """Return the options of `train` that choose these settings, where it would take `default`.

        >>> TrainingSettings(epochs=3, hidden=(8, 4)).options()
        ['--epochs', '3', '--hidden', '8,4']
        """
        options, default = [], default or TrainingSettings()
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if value == getattr(default, name):
                continue
            options.append(f"--{name.replace('_', '-')}")
            if value is not True:
                options.append(plain(value))
        return options

    @property
    def validated_on(self) -> str:
        """The split that validation reads: "validation", or "test" without a validation split."""
        return "validation" if self.validation_split else "test"

    def num_words_for(self, dataset: Dataset) -> int:
        """Return `num_words`, checked against the dataset's vocabulary."""
        if self.num_words is None:
            return min(DEFAULT_NUM_WORDS, dataset.num_inputs)
        if not MIN_NUM_WORDS <= self.num_words <= dataset.num_inputs:
            what = "n-grams" if dataset.features else "words"
            raise SettingsError(
                f"num_words is {self.num_words:,}, expected {MIN_NUM_WORDS} to "
                f"{dataset.num_inputs:,} (the ids of the {dataset.num_inputs - MIN_NUM_WORDS:,} {what} "
                f"in {dataset.directory})"
            )
        return self.num_words


@dataclass(frozen=True)
class SaveEvery:
    """How often a training run saves its state within an epoch: by steps or by time."""

    steps: int | None = None
    seconds: float | None = 30.0

    @classmethod
    def parse(cls, text: str) -> SaveEvery:
        """Read "500" (steps) or "30s" (seconds); ValueError for anything else."""
        number = text.removesuffix("s")
        every = cls(None, float(number)) if number != text else cls(int(number), None)
        if not 0 < (every.steps or every.seconds or 0) < float("inf"):
            raise ValueError(text)
        return every
