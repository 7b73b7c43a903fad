"""What a user chooses, checked when it is built. Each default stands here and nowhere else."""

import codecs
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from .errors import SettingsError
from .shards import Dataset
from .vocabulary import MIN_NUM_WORDS

DEFAULT_NUM_WORDS = 10_000
FORMATS = ("csv", "tsv", "jsonl", "fasttext", "tar")
TEXT_NAMES = ("text", "review", "sentence", "content", "comment", "body")
LABEL_NAMES = ("label", "sentiment", "class", "category", "rating", "stars")
ERRORS = ("strict", "replace")
CLASS_WEIGHTS = ("none", "balanced")


def _check(settings: Any, checks: dict[str, tuple[bool, str]]) -> None:
    """Raise SettingsError for the first setting whose check does not hold, with what was expected."""
    for name, (holds, expected) in checks.items():
        if not holds:
            raise SettingsError(f"{name} is {getattr(settings, name)!r}, expected {expected}")


@dataclass(frozen=True)
class FilesSettings:
    """How to read labelled text files."""

    format: str | None = None
    """"csv", "tsv", "jsonl", "fasttext" or "tar"; None: by the file's name."""
    text_column: str | None = None
    """Name or number (from 1) of the column, or the JSON field; None: the usual names."""
    label_column: str | None = None
    header: bool = False
    """The first row is a header even though the columns are given by number."""
    quotes: bool = True
    """A field of CSV or TSV may be in quotes, and then hold separators and line ends."""
    test: tuple[str, ...] = ()
    """Files of the test split; all others are then of the training split."""
    test_fraction: float = 0.2
    """Share of the texts, chosen by their hash, for the test split where nothing else says it."""
    label_map: dict[str, str] = field(default_factory=dict)
    """New names of labels; "" leaves a label's reviews out."""
    labels: tuple[str, ...] = ()
    """The labels in order, after `label_map`; empty: those that are found, sorted."""
    errors: str = "strict"
    """Bytes that are not UTF-8: "strict" refuses the row, "replace" puts U+FFFD."""

    def __post_init__(self) -> None:
        _check(
            self,
            {
                "test_fraction": (0 <= self.test_fraction < 1, "0 to below 1"),
                "errors": (self.errors in ERRORS, f"one of {', '.join(ERRORS)}"),
                "format": (self.format in (None, *FORMATS), f"one of {', '.join(FORMATS)}"),
                "labels": (len(set(self.labels)) == len(self.labels), "each label once"),
            },
        )

    def describe(self) -> dict[str, Any]:
        """Give what the manifest records."""
        fraction = {} if self.test else {"test_fraction": self.test_fraction}
        return {**fraction, "label_map": self.label_map, "errors": self.errors}


@dataclass(frozen=True)
class SyntheticSettings:
    """How to make reviews by chance."""

    reviews: int
    seed: int = 0
    num_labels: int = 2
    leaning: float = 0.15
    """Share of the words that lean to the review's label."""
    test_fraction: float = 0.2

    def __post_init__(self) -> None:
        _check(
            self,
            {
                "reviews": (self.reviews >= 10, "10 or more"),
                "seed": (self.seed >= 0, "0 or more"),
                "num_labels": (2 <= self.num_labels <= 100, "2 to 100"),
                "leaning": (0 <= self.leaning <= 1, "0 to 1"),
                "test_fraction": (0 < self.test_fraction < 1, "above 0 and below 1"),
            },
        )

    def label_names(self) -> list[str]:
        """Give the labels."""
        if self.num_labels == 2:
            return ["negative", "positive"]
        return [f"label-{nth}" for nth in range(1, self.num_labels + 1)]


@dataclass(frozen=True)
class PreparationSettings:
    """How texts become a dataset; beside `workers`, each setting changes what is written."""

    vocabulary: Path | None = None
    """A vocabulary.txt to use; None: count the words of the training split."""
    vocabulary_memory: int = 256_000_000
    """Bytes for counting words. When they are full, the rarest are dropped (`counting.py`)."""
    min_count: int = 1
    max_vocabulary: int | None = None
    skip_bad_rows: int = 0
    workers: int | None = None
    """Processes; None: one a processor."""

    def __post_init__(self) -> None:
        _check(
            self,
            {
                "vocabulary_memory": (self.vocabulary_memory >= 1_000_000, "1 MB or more"),
                "min_count": (self.min_count >= 1, "1 or more"),
                "max_vocabulary": (self.max_vocabulary is None or self.max_vocabulary >= 1, "1 or more"),
                "skip_bad_rows": (self.skip_bad_rows >= 0, "0 or more"),
                "workers": (self.workers is None or self.workers >= 1, "1 or more"),
            },
        )


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
        _check(self, checks)
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


EXPORT_FORMATS = ("saved-model", "weights", "keras")

TEXT_FORMATS = ("auto", "text", "csv", "tsv", "jsonl")
TEXT_ERRORS = ("strict", "replace", "ignore")
_SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


@dataclass(frozen=True)
class TextSettings:
    """How texts stand in a file or stream."""

    format: str = "auto"
    """auto: by the file's name; a name that says nothing, and a stream, is a text a line."""
    text_column: str = "text"
    """Of CSV and TSV: a name in the first row, or a number from 1 where there is no header."""
    text_field: str = "text"
    """Of JSON Lines."""
    encoding: str = "utf-8"
    errors: str = "strict"
    """What to do with bytes that are not in the encoding: one of `TEXT_ERRORS`."""

    def __post_init__(self) -> None:
        try:
            "".encode(self.encoding)
        except LookupError:
            raise SettingsError(f"encoding is {self.encoding!r}, which Python does not know") from None
        for name, choices in (("format", TEXT_FORMATS), ("errors", TEXT_ERRORS)):
            if getattr(self, name) not in choices:
                raise SettingsError(
                    f"{name} is {getattr(self, name)!r}, expected one of {', '.join(choices)}"
                )
        if self.text_column_number == -1:
            raise SettingsError("text_column is 0, expected a name or a number from 1")

    def format_of(self, name: str) -> str:
        """Give the format of the file `name`."""
        if self.format != "auto":
            return self.format
        return _SUFFIXES.get(PurePath(name.removesuffix(".gz")).suffix.lower(), "text")

    @property
    def text_column_number(self) -> int | None:
        """The column counted from 0, when it was given as a number."""
        return int(self.text_column) - 1 if self.text_column.isdecimal() else None

    @property
    def is_ascii_based(self) -> bool:
        """Whether a line ends with the byte that ends it in ASCII."""
        return "\n".encode(self.encoding) == b"\n"

    @property
    def keeps_bytes(self) -> bool:
        """Whether text in this encoding is UTF-8 as it stands."""
        return codecs.lookup(self.encoding).name == "utf-8" and self.errors == "strict"
