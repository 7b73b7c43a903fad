"""The user's own labelled texts, in any of the usual formats, compressed or not."""

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..system.errors import DataError, InputMissing, SettingsError, printable, quoted
from ..text.opening import STDIN, Input, opened
from ..text.reader_settings import (
    FORMATS,
    LABEL_NAMES,
    TEXT_NAMES,
    USUAL_FIELDS,
    Reading,
    WantedFields,
    format_by_name,
    without_compression,
)
from ..text.readers.folders import folder_blocks
from ..text.readers.formats import blocks_in
from ..text.rows import BadRow, Block, ParsedRows
from ..text.vocabulary import UNICODE
from .chunks import Chunk, LabelledBlock, ReviewRules
from .settings import FilesSettings


class _File(NamedTuple):
    """A file or folder to read."""

    path: str
    split: str | None = None
    label: str | None = None
    """The label of all its texts, one per line; None: the file has labels."""

    @property
    def shown(self) -> str:
        """Its name in messages."""
        return "standard input" if self.path == STDIN else printable(self.path, 1_000)


class FilesSource:
    """Files, folders, globs or "-" (standard input), read once, in the order given.

    ``FILE=LABEL`` is a file with one text per line and the same label for all, like those in `labelled`.
    """

    tokenizer = UNICODE
    """The default: users' texts are in any language."""

    def __init__(
        self,
        paths: Sequence[str | Path],
        settings: FilesSettings | None = None,
        *,
        labelled: Sequence[tuple[str, str | Path]] = (),
        fields: WantedFields = USUAL_FIELDS,
        warn: Callable[[str], None] = lambda line: None,
    ):
        """Find every file; InputMissing if one is missing, SettingsError for an unclear format.

        `labelled` are pairs of label and file; `fields` are the usual names of columns or fields, for
        settings that name none; `warn` receives a line for each possible mistake.
        """
        self._settings, self._warn = settings or FilesSettings(), warn
        self._reading = Reading(self._settings, fields, warn=warn, report_columns=self._note_columns)
        files = _expand(paths) + [
            found._replace(label=label) for label, path in labelled for found in _expand([path])
        ]
        if not files:
            raise SettingsError("there are no files; expected a PATH, FILE=LABEL, or --label LABEL FILE")
        given = {"test": self._settings.test, "validation": self._settings.validation}
        if given["test"]:
            files = [file._replace(split="train") for file in files]
        for split, names in given.items():
            files += [file._replace(split=split) for file in _expand(names)]
        self._files = _each_once(files, warn)
        for file in self._files:
            if os.path.isfile(file.path):
                with opened(file.path) as found:
                    self._format(file, found)
            elif not os.path.isdir(file.path):  # standard input or a pipe: it can be opened once
                self._format(file)
        sizes = [os.path.getsize(path) if os.path.isfile(path) else 0 for path, *_ in self._files]
        self._size = sum(sizes) if all(sizes) else None
        self._read = 0
        self._columns: dict[str, dict[str, Any]] = {}
        self.inputs = [file.path for file in self._files if file.path != STDIN]
        self.labels = list(self._settings.labels) or None
        first = self._files[0].path
        self.name = "stdin" if first == STDIN else _text(Path(os.path.abspath(first)).name.split(".")[0])

    def describe(self) -> dict[str, Any]:
        names = ["standard input" if path == STDIN else _text(path) for path, *_ in self._files]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        content = {
            "description": ", ".join(names[:3]) + more,
            "kind": "files",
            "files": [
                {"path": _text(path), "split": split} | ({} if label is None else {"label": label})
                for path, split, label in self._files
            ],
            **self._settings.describe(),
        }
        if self._columns:
            first, *others = self._columns.values()
            content["columns"] = first
            if others:
                content["columns_by_file"] = self._columns
        return content

    def chunks(self) -> Iterator[Chunk]:
        settings = self._settings
        rules = ReviewRules(
            settings.test_fraction, settings.label_map, self.stratified is not None,
            settings.normalise_labels,
        )  # fmt: skip
        for file in self._files:
            empty = True
            for block in self._blocks(file):
                empty = False
                yield LabelledBlock(block, rules, file.split, file.label)
            if empty:
                if len(self._files) == 1:
                    raise DataError(f"{file.shown} holds no reviews")
                bad = BadRow(file.shown, "holds no reviews; expected some in each file and folder")
                yield LabelledBlock(ParsedRows([bad]), rules)

    @property
    def stratified(self) -> tuple[float, int] | None:
        """The share of each label to test on, and a seed; None if the texts' hashes decide."""
        settings = self._settings
        return (settings.test_fraction, settings.seed) if settings.split == "stratified" else None

    def share(self) -> float | None:
        return self._read / self._size if self._size else None

    def _format(self, file: _File, found: Input | None = None) -> str:
        """Return a file's format, by its bytes if it is open; SettingsError if none is known."""
        given, shown = self._settings.format, file.shown
        labelled = f"{'/dev/stdin' if file.path == STDIN else quoted(shown)}=LABEL"
        if file.label is not None:
            if given not in (None, "text"):
                raise SettingsError(
                    f"{printable(f'{file.path}={file.label}', 1_000)} has one text per line, but "
                    f"--format is {given}; expected no --format"
                )
            return "text"
        format = found.format(self._settings) if found else given or format_by_name(file.path)
        if given == "text":
            raise SettingsError(f"the texts of {shown} have no label; give it with {labelled}")
        if format:
            return format
        if without_compression(file.path).endswith(".txt"):
            return "fasttext"
        formats = " | ".join(each for each in FORMATS if each != "text")
        raise SettingsError(
            f"the format of {shown} is not known from its name; say which: --format {formats}, or "
            f"{labelled} for one text per line"
        )

    def _blocks(self, file: _File) -> Iterator[Block]:
        if os.path.isdir(file.path):
            yield from folder_blocks(Path(file.path), self._reading, self._settings.follow_links)
            return
        before, size = self._read, 0
        with opened(file.path) as found:
            if self._size:
                size = os.fstat(found.packed.fileno()).st_size
            for block in blocks_in(found, self._format(file, found), self._reading):
                self._read = before + (found.packed.tell() if size else 0)
                yield block
        self._read = before + size

    def _note_columns(self, name: str, columns: dict[str, Any]) -> None:
        """Record the first file's columns, and columns that differ, with a warning."""
        first = next(iter(self._columns.values()), columns)
        if not self._columns or (columns != first and len(self._columns) < _MAX_COLUMNS):
            self._columns[name] = columns
        if columns != first and len(self._columns) <= _WARNINGS:
            self._warn(f"{name} has other columns than the files before: {described(columns)}")


def recorded_fields(source: dict[str, Any]) -> WantedFields:
    """Return the columns that `describe` recorded, before the usual ones."""
    columns = source.get("columns")  # of tables
    if not isinstance(columns, dict):
        columns = {"text": source.get("text_column"), "label": source.get("label_column")}

    def names_of(kind: str, usual: tuple[str, ...]) -> tuple[str, ...]:
        column = columns.get(kind)
        if isinstance(column, str) and not column.replace(",", "").isdecimal():
            return column, *usual
        return usual  # a number says nothing about other files

    return WantedFields(names_of("text", TEXT_NAMES), label_names=names_of("label", LABEL_NAMES))


_GIVEN_SPLITS = ("test", "validation")

_MAX_COLUMNS, _WARNINGS = 100, 10  # files whose columns are recorded, and warned of


def described(columns: dict[str, Any]) -> str:
    """Describe which columns were read."""
    label = f", label: {printable(columns['label'])}" if columns["label"] else ""
    others = f"; not read: {printable(', '.join(columns['others']))}" if columns["others"] else ""
    return f"text: {printable(columns['text'])}{label}{others}"


def _each_once(files: list[_File], warn: Callable[[str], None]) -> list[_File]:
    """Return the files without repetitions; SettingsError for one with two labels or splits."""
    found: dict[tuple[int, int] | str, _File] = {}
    for file in files:
        identity: tuple[int, int] | str = file.path
        if file.path != STDIN and os.path.exists(file.path):
            status = os.stat(file.path)
            identity = status.st_dev, status.st_ino
        first = found.setdefault(identity, file)
        if first is file:
            continue
        if first.split != file.split:
            before = f"as --{first.split}" if first.split in _GIVEN_SPLITS else "for training"
            raise SettingsError(
                f"{file.shown} is given {before} and as --{file.split} too; expected different files"
            )
        if first.label != file.label:
            raise SettingsError(f"{file.shown} is given with two labels; expected one of them")
        warn(f"{file.shown} is given twice, and is read once")
    return list(found.values())


def _text(path: str) -> str:
    """Return a path as text that JSON can hold, whatever the locale."""
    return os.fsencode(path).decode("utf-8", "replace")


def _expand(paths: Sequence[str | Path]) -> list[_File]:
    """Return the files, with globs expanded; InputMissing for a missing one."""
    found: list[_File] = []
    for path in map(str, paths):
        matches, label = _matches(path), None
        if not matches and "=" in path:
            pattern, _, label = path.rpartition("=")
            label, matches = label.strip(), _matches(pattern)
            if not label or any(map(os.path.isdir, matches)):
                raise SettingsError(
                    f"{printable(path, 1_000)}: expected FILE=LABEL, a file with one text per line"
                )
        if not matches:
            raise InputMissing(
                f"{printable(path, 1_000)} is missing; expected a file, a folder, a glob, "
                "FILE=LABEL, or '-'"
            )
        found += [_File(match, label=label) for match in matches]
    return found


def _matches(pattern: str) -> list[str]:
    """Return the path itself if it exists, or the paths that a glob matches."""
    if pattern == STDIN or os.path.exists(pattern):
        return [pattern]
    return sorted(glob.glob(pattern, recursive=True))
