"""Labelled text of the user's own, in any of the usual forms, compressed or not."""

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..system.errors import DataError, InputMissing, SettingsError, printable
from ..text.opening import STDIN, opened, unpacked
from ..text.reader_settings import (
    COMPRESSED,
    FORMATS,
    USUAL_FIELDS,
    WantedFields,
    format_by_name,
)
from ..text.readers.folders import folder_blocks
from ..text.readers.formats import blocks_in
from ..text.rows import Block
from ..text.tokenizer_names import UNICODE
from .chunks import Chunk, LabelledBlock, ReviewRules
from .settings import FilesSettings


class _File(NamedTuple):
    """A file or folder to read."""

    path: str
    split: str | None = None
    label: str | None = None
    """Of all its texts, one a line; None: the file says it."""


class FilesSource:
    """Files, folders, globs or "-" (standard input), read once, in the order given.

    ``FILE=LABEL`` is a file with one text per line, all of one label; so are the files of `labelled`.
    """

    tokenizer = UNICODE
    """The usual one: people's own text is in any language."""

    def __init__(
        self,
        paths: Sequence[str | Path],
        settings: FilesSettings | None = None,
        *,
        labelled: Sequence[tuple[str, str | Path]] = (),
        fields: WantedFields = USUAL_FIELDS,
        warn: Callable[[str], None] = lambda line: None,
    ):
        """Find every file; InputMissing when one is not there, SettingsError for an unclear format.

        `labelled` are pairs of label and file; `fields` are the usual names of columns or fields, where
        the settings name none; `warn` gets a line for what may not be as it was meant.
        """
        self._settings, self._fields, self._warn = settings or FilesSettings(), fields, warn
        self._files = _expand(paths) + [
            found._replace(label=label) for label, path in labelled for found in _expand([path])
        ]
        if not self._files:
            raise SettingsError("there are no files; expected a PATH, FILE=LABEL, or --label LABEL FILE")
        if self._settings.test:
            test = [file._replace(split="test") for file in _expand(self._settings.test)]
            _refuse_shared(self._files, test)
            self._files = [file._replace(split="train") for file in self._files] + test
        for file in self._files:
            if not os.path.isdir(file.path):
                self._format(file)
        if [file.path for file in self._files].count(STDIN) > 1:
            raise SettingsError("standard input can be read once; '-' was given twice")
        sizes = [os.path.getsize(path) if os.path.isfile(path) else 0 for path, *_ in self._files]
        self._size = sum(sizes) if all(sizes) else None
        self._read = 0
        self._columns: dict[str, Any] | None = None
        self.inputs = [file.path for file in self._files if file.path != STDIN]
        self.labels = list(self._settings.labels) or None
        first = self._files[0].path
        self.name = "stdin" if first == STDIN else _text(Path(os.path.abspath(first)).name.split(".")[0])

    def describe(self) -> dict[str, Any]:
        names = ["standard input" if path == STDIN else _text(path) for path, *_ in self._files]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return {
            "description": ", ".join(names[:3]) + more,
            "kind": "files",
            "files": [
                {"path": _text(path), "split": split} | ({} if label is None else {"label": label})
                for path, split, label in self._files
            ],
            **self._settings.describe(),
            **({} if self._columns is None else {"columns": self._columns}),
        }

    def chunks(self) -> Iterator[Chunk]:
        rules = ReviewRules(
            self._settings.test_fraction, self._settings.label_map, self.stratified is not None
        )
        for file in self._files:
            empty = True
            for block in self._blocks(file):
                empty = False
                yield LabelledBlock(block, rules, file.split, file.label)
            if empty:
                shown = "standard input" if file.path == STDIN else printable(file.path, 1_000)
                raise DataError(f"{shown} holds no reviews; expected some in each file and folder")

    @property
    def stratified(self) -> tuple[float, int] | None:
        """The share of each label to test on, and a seed; None where the texts' hashes decide."""
        settings = self._settings
        return (settings.test_fraction, settings.seed) if settings.split == "stratified" else None

    def share(self) -> float | None:
        return self._read / self._size if self._size else None

    def _format(self, file: _File) -> str:
        if file.label is not None:
            if self._settings.format not in (None, "text"):
                raise SettingsError(
                    f"{printable(f'{file.path}={file.label}', 1_000)} has one text per line, but "
                    f"--format is {self._settings.format}; expected no --format"
                )
            return "text"
        if self._settings.format == "text":
            shown = printable(file.path, 1_000)
            raise SettingsError(
                f"the texts of {shown} have no label; give it as {shown}=LABEL or --label LABEL FILE"
            )
        if self._settings.format:
            return self._settings.format
        kind = format_by_name(file.path)
        if kind is None and _without_compression(file.path).endswith(".txt"):
            kind = "fasttext"
        if kind is None:
            shown = "standard input" if file.path == STDIN else printable(file.path, 1_000)
            raise SettingsError(
                f"the format of {shown} is not known from its name; say which: --format "
                f"{' | '.join(each for each in FORMATS if each != 'text')}, or {shown}=LABEL for a text "
                "a line"
            )
        return kind

    def _blocks(self, file: _File) -> Iterator[Block]:
        if os.path.isdir(file.path):
            yield from folder_blocks(Path(file.path), self._settings, self._settings.follow_links)
            return
        before = self._read
        with opened(file.path) as (raw, name):
            stream = unpacked(raw, name)
            blocks = blocks_in(
                stream,
                name,
                self._format(file),
                self._settings,
                fields=self._fields,
                warn=self._warn,
                report_columns=self._note_columns,
            )
            for block in blocks:
                self._read = before + (raw.tell() if self._size else 0)
                yield block
        self._read = before + (os.path.getsize(file.path) if self._size else 0)

    def _note_columns(self, columns: dict[str, Any]) -> None:
        self._columns = self._columns or columns  # the first file's


def _text(path: str) -> str:
    """Return a path as text that JSON can hold, whatever the locale."""
    return os.fsencode(path).decode("utf-8", "replace")


def _without_compression(path: str) -> str:
    name = path.lower()
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    return name


def _expand(paths: Sequence[str | Path]) -> list[_File]:
    """Return the files with globs filled in; InputMissing for what is not there."""
    found: list[_File] = []
    for path in map(str, paths):
        if path == STDIN or os.path.exists(path):
            found.append(_File(path))
            continue
        matches = [_File(match) for match in sorted(glob.glob(path, recursive=True))]
        if not matches and "=" in path:
            pattern, _, label = path.rpartition("=")
            if pattern == STDIN or os.path.exists(pattern):
                matches = [_File(pattern)]
            else:
                matches = [_File(match) for match in sorted(glob.glob(pattern, recursive=True))]
            if not label.strip() or any(os.path.isdir(match.path) for match in matches):
                raise SettingsError(
                    f"{printable(path, 1_000)}: expected FILE=LABEL, a file with one text per line"
                )
            matches = [match._replace(label=label.strip()) for match in matches]
        if not matches:
            raise InputMissing(
                f"{printable(path, 1_000)} is missing; expected a file, a folder, a glob, "
                "FILE=LABEL, or '-'"
            )
        found += matches
    return found


def _refuse_shared(train: list[_File], test: list[_File]) -> None:
    """Raise SettingsError for a file that is to be trained on and tested with."""

    def identity(path: str) -> tuple[int, int] | str:
        return path if path == STDIN else (os.stat(path).st_dev, os.stat(path).st_ino)

    trained = {identity(file.path) for file in train}
    for file in test:
        if identity(file.path) in trained:
            raise SettingsError(
                f"{printable(file.path, 1_000)} is given for training and as --test too; expected others"
            )
