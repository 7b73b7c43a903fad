"""How to read files of texts: the settings that `prepare files`, `evaluate` and `predict` share."""

import codecs
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..system.errors import SettingsError
from ..system.settings import Reader, Settings, setting

FORMATS = ("csv", "tsv", "jsonl", "fasttext", "text", "tar", "zip", "parquet", "sqlite")

TEXT_NAMES = ("text", "review", "sentence", "content", "comment", "body")

LABEL_NAMES = ("label", "sentiment", "class", "category", "rating", "stars")

ERRORS = ("strict", "replace", "ignore")

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")

_SUFFIXES = {
    **{f".{name}": name for name in ("csv", "tsv", "jsonl", "tar", "zip", "parquet", "sqlite")},
    **dict.fromkeys((".ndjson", ".json"), "jsonl"),
    **dict.fromkeys((".tgz", ".tbz2", ".txz"), "tar"),
    **dict.fromkeys((".db", ".sqlite3"), "sqlite"),
}


@dataclass(frozen=True)
class ReaderSettings(Settings):
    """How to read files of texts."""

    format: str | None = setting(
        None,
        f"format of the files: {', '.join(FORMATS)}; auto: by their names and first bytes; jsonl is JSON "
        "Lines or a JSON array (default: auto)",
        metavar="FORMAT",
        choices=("auto", *FORMATS),
    )
    text_column: str | None = setting(
        None,
        "column of the text, by name, or by number from 1; in JSON a field, or a nested one as "
        "review.text. Several, as title,body, are joined by a space "
        f"(default: the first of {', '.join(TEXT_NAMES)})",
        metavar="COLUMN[,...]",
    )
    label_column: str | None = setting(
        None,
        f"column or field of the label (default: the first of {', '.join(LABEL_NAMES)})",
        metavar="COLUMN",
    )
    table: str | None = setting(None, "table of an SQLite file with several tables", metavar="NAME")
    query: str | None = setting(None, "SELECT that yields the rows of an SQLite file", metavar="SQL")
    file_names: str = setting(
        "*.txt", "names of the files that are texts, in folders and archives", metavar="PATTERN"
    )
    label_folder: int | None = setting(
        None,
        "in folders and archives with folders of folders, which folder is the label. 1: the folder of"
        " the text; 2: the folder above it",
        at_least=1,
    )
    header: bool = setting(False, "the first row is a header although the columns are given by number")
    quotes: bool = setting(True, "quotes in CSV and TSV are characters like any other")
    delimiter: str | None = setting(
        None,
        "one ASCII character between the columns of CSV and TSV (default: a comma, semicolon or "
        "tab for CSV, by the first row; a tab for TSV)",
        metavar="CHARACTER",
    )
    encoding: str = setting("utf-8", "encoding of the texts, as Python names it", metavar="NAME")
    errors: str = setting(
        "strict",
        "for bytes that are not in the encoding, NUL and half surrogates. strict: an error; replace: "
        "U+FFFD; ignore: left out",
        choices=ERRORS,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.format == "auto":
            object.__setattr__(self, "format", None)
        if self.encoding_name == "unknown":
            raise SettingsError(
                f"encoding is {self.encoding!r}, expected one that Python knows: utf-8, cp1252, ..."
            )
        mark = "," if self.delimiter is None else self.delimiter
        if len(mark) != 1 or not mark.isascii() or mark.isalnum() or mark in '"\r\n\0':
            raise SettingsError(
                f"delimiter is {self.delimiter!r}, expected one ASCII character, but no letter, "
                "digit, quote or line end"
            )
        if self.table is not None and self.query is not None:
            raise SettingsError("table and query were given; expected one of them")

    @property
    def encoding_name(self) -> str:
        """Python's own name of the encoding ("unknown": it has none for text of that name)."""
        try:
            encoded = "a".encode(self.encoding)  # refuses codecs that are not for text, like "hex"
            decoder = codecs.getincrementaldecoder(self.encoding)("backslashreplace")
            decoder.decode(encoded + b"\xff\xff", final=True)  # refuses "idna"
            return codecs.lookup(self.encoding).name
        except (LookupError, ValueError):
            return "unknown"


def read_bad_rows(text: str) -> int:
    """Read the number of bad rows to skip: a whole number, or "all"; ValueError for anything else."""
    return sys.maxsize if text.strip() == "all" else int(text)


BAD_ROWS: Reader = read_bad_rows, "a whole number, 0 or more, or all"


class WantedFields(NamedTuple):
    """Which columns of CSV and TSV, or fields of JSON Lines, a caller takes from a file."""

    text_names: tuple[str, ...] = TEXT_NAMES
    """The usual names of the text column, the likeliest first."""
    labelled: bool = True
    """False: no label is looked for."""
    label_names: tuple[str, ...] = LABEL_NAMES
    """The usual names of the label column."""
    keep: tuple[str, ...] = ()
    """The columns whose values are kept."""


USUAL_FIELDS = WantedFields()
"""A text and a label under one of their usual names."""


def _ignore(*_: Any) -> None:
    pass


@dataclass(frozen=True)
class Reading:
    """The arguments of a reader besides the file."""

    settings: ReaderSettings = field(default_factory=ReaderSettings)
    fields: WantedFields = USUAL_FIELDS
    as_they_come: bool = False
    """Never wait for a sample of the first rows."""
    warn: Callable[[str], object] = _ignore
    """Receives a line for each thing that may not be as the user meant it."""
    report_columns: Callable[[str, dict[str, Any]], object] = _ignore
    """Receives the name of each file with columns, and which were read (`Columns.described`)."""

    def found(self, name: str, columns: dict[str, Any]) -> None:
        """Report a file's columns, and warn if they are not those of the data before it."""
        chosen, wanted = self.settings, self.fields
        for kind, choice, names, usual in (
            ("text", chosen.text_column, wanted.text_names, TEXT_NAMES),
            ("label", chosen.label_column, wanted.label_names, LABEL_NAMES),
        ):
            column = columns[kind]
            if choice is None and names != usual and column and column.lower() != names[0].lower():
                self.warn(
                    f"{name} has no {kind} column {names[0]!r}, which the run's data has; {column!r} is "
                    f"read instead (--{kind}-column chooses another)"
                )
        self.report_columns(name, columns)


def format_by_name(path: str) -> str | None:
    """Return the format that a file's suffix names, ignoring a compression's suffix; None if unknown.

    >>> format_by_name("reviews.csv.gz")
    'csv'
    """
    return _SUFFIXES.get(os.path.splitext(without_compression(path))[1])


def without_compression(path: str) -> str:
    """Return a path in lower case, without the suffix of a compression."""
    path = path.lower()
    root, suffix = os.path.splitext(path)
    return root if suffix in COMPRESSED else path
