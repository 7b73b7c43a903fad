"""What a user chooses, checked when it is built. Each default stands here and nowhere else."""

import codecs
from dataclasses import dataclass
from pathlib import PurePath

from .errors import SettingsError
from .shards import Dataset
from .vocabulary import MIN_NUM_WORDS

DEFAULT_NUM_WORDS = 10_000


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

    def __post_init__(self) -> None:
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
        }
        for name, (holds, expected) in checks.items():
            if not holds:
                raise SettingsError(f"{name} is {getattr(self, name)!r}, expected {expected}")

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
