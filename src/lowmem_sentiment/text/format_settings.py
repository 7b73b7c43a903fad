"""How labelled texts, and texts to predict, stand in files."""

import codecs
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from ..system.errors import SettingsError
from ..system.settings import check_each

FORMATS = ("csv", "tsv", "jsonl", "fasttext", "tar")

TEXT_NAMES = ("text", "review", "sentence", "content", "comment", "body")

LABEL_NAMES = ("label", "sentiment", "class", "category", "rating", "stars")

ERRORS = ("strict", "replace")


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
        check_each(
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
