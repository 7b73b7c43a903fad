"""A folder of texts by label, ``train/pos/0_9.txt``; archives hold texts in the same way.

The folder that holds a text is its label. A folder above it named train, test or validation (or as in
`_SPLITS`) is its split. Other files are passed over and counted: other names, hidden files, and texts
that are not in a label's folder, such as ``train/urls_pos.txt`` of IMDb's own tar.
"""

import errno
import fnmatch
import io
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ...system.errors import DataError, InputMissing, printable, quoted
from ..encoding import NotText, decoded_file
from ..opening import unpacked
from ..reader_settings import COMPRESSED, ReaderSettings, Reading, format_by_name, without_compression
from ..rows import BLOCK_BYTES, MAX_TEXT_BYTES, AnyRow, BadRow, Block, ParsedRows, PassedOver, Row

_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
}

_MAX_FOLDERS = 10_000  # that are remembered

_MAX_TABLES = 5  # that are advised

HIDDEN = "hidden"

LINK = "is a link, which is not followed (--follow-links follows it)"


class Found(NamedTuple):
    """Label and split of a text, from its path."""

    label: str
    split: str | None


class Folders:
    """Find label and split in the paths of a folder or archive, all by the same rule."""

    def __init__(self, name: str, settings: ReaderSettings):
        self._name, self._pattern = name, settings.file_names
        self._matches = re.compile(fnmatch.translate(self._pattern.lower())).match
        self._level, self._given = settings.label_folder or 1, settings.label_folder is not None
        self._first: list[str] | None = None
        self._in_split: tuple[bool, str] | None = None
        self._found: dict[tuple[str, ...], Found | str] = {}

    def find(self, parts: list[str]) -> Found | str:
        """Return label and split of a text at a path, or why it is passed over.

        Raises DataError if texts are at different depths, so that the label's folder is unclear.
        """
        *folders, name = parts
        if any(part.startswith((".", "__MACOSX")) for part in parts):
            return HIDDEN
        if not (self._matches(name.lower()) or self._matches(without_compression(name))):
            return f"not {printable(self._pattern, 60)}"
        if (found := self._found.get(key := tuple(folders))) is None:
            if len(self._found) > _MAX_FOLDERS:
                self._found.clear()
            found = self._found[key] = self._find_folder(folders, printable("/".join(parts), 200))
        return found

    def _find_folder(self, folders: list[str], path: str) -> Found | str:
        split, below = _split(folders)
        if len(below) < self._level:
            return "not in the folder of a label"
        self.split(folders, path)
        if not self._given:
            self._check_depth(path, below, split)
        return Found(below[-self._level], split)

    def split(self, folders: list[str], path: str) -> str | None:
        """Return the split that folders give; DataError if others gave one and these do not."""
        split, _ = _split(folders)
        if self._in_split is None:
            self._in_split = split is not None, path
        elif self._in_split[0] != (split is not None):
            inside, outside = (path, self._in_split[1]) if split else (self._in_split[1], path)
            raise DataError(
                f"{self._name}: {inside} stands in a split's folder and {outside} in none; expected all "
                "texts in train/, test/ and validation/, or none"
            )
        return split

    def _check_depth(self, path: str, below: list[str], split: str | None) -> None:
        above = below[: -self._level]
        if self._first is None:
            self._first = [] if split else above
        if above != self._first:
            second = f", --label-folder 2 reads {printable(below[-2], 60)}" if len(below) > 1 else ""
            raise DataError(
                f"{self._name}: texts stand in folders of folders, such as {path}; which folder is the "
                f"label? --label-folder 1 reads {printable(below[-1], 60)}{second}"
            )


def _split(folders: list[str]) -> tuple[str | None, list[str]]:
    """Return the split of the last folder named like one, and the folders below it."""
    for nth in reversed(range(len(folders))):
        if split := _SPLITS.get(folders[nth].lower()):
            return split, folders[nth + 1 :]
    return None, folders


@dataclass(frozen=True)
class FileBlock:
    """A block of paths; the files are read by the process that gets it."""

    root: str
    files: list[tuple[str, Found]]
    settings: ReaderSettings
    follow_links: bool

    def rows(self) -> Iterator[AnyRow]:
        for file, found in self.files:
            path = os.path.join(self.root, file)
            place = printable(path, 1_000)
            try:
                yield Row(self._text(path, place), found.label, place, found.split)
            except OSError as error:
                is_link = error.errno == errno.ELOOP and not self.follow_links
                yield BadRow(place, LINK if is_link else f"cannot be read: {error.strerror}")
            except NotText as error:
                yield BadRow(place, str(error))

    def _text(self, path: str, place: str) -> bytes:
        # opening a pipe without a writer would block forever
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags if self.follow_links else flags | os.O_NOFOLLOW)
        with open(descriptor, "rb") as opened:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise NotText("is not a regular file")
            return text_of(opened, place, status.st_size, self.settings)


def text_of(
    stream: io.RawIOBase | io.BufferedIOBase, place: str, size: int, settings: ReaderSettings
) -> bytes:
    """Return a file's text as checked UTF-8, decompressed by its name; NotText if it is not text."""
    if size <= MAX_TEXT_BYTES:
        packed = place.lower().endswith(COMPRESSED)
        data = unpacked(stream, place).read(MAX_TEXT_BYTES + 1) if packed else stream.read(size + 1)
        size = len(data)
    if size > MAX_TEXT_BYTES:
        raise NotText(f"has {size:,} bytes or more, expected {MAX_TEXT_BYTES:,} at most")
    return decoded_file(data, settings)


def folder_blocks(root: Path, reading: Reading, follow_links: bool = False) -> Iterator[Block]:
    """Yield the texts in a folder, sorted by path; DataError if there are none."""
    shown, settings = printable(root, 1_000), reading.settings
    rules = Folders(shown, settings)
    files: list[tuple[str, Found]] = []
    tables: set[str] = set()
    size = total = 0
    for folder, folders, names in _walk(root, follow_links):
        inside = os.path.relpath(folder, root)
        parts = [] if inside == os.curdir else inside.split(os.sep)
        paths = [] if follow_links else [os.path.join(folder, name) for name in folders]
        links = filter(os.path.islink, paths)
        passed: list[AnyRow] = [BadRow(printable(path, 1_000), LINK) for path in links]
        for name in sorted(names):
            found = rules.find([*parts, name])
            if isinstance(found, str):
                passed.append(PassedOver(printable(os.path.join(folder, name), 1_000), found))
                if found != HIDDEN and format_by_name(name) and len(tables) < _MAX_TABLES:
                    tables.add(_advised(shown, parts, name))
                continue
            total += 1
            files.append((os.path.join(inside, name), found))
            size += _size(os.path.join(folder, name))
            if size >= BLOCK_BYTES:
                yield FileBlock(str(root), files, settings, follow_links)
                files, size = [], 0
        if passed:
            yield ParsedRows(passed)
    if files:
        yield FileBlock(str(root), files, settings, follow_links)
    if not total:
        given = " ".join(sorted(tables, key=lambda each: each.startswith("--")))
        advice = f"; of tables, give the files themselves: {given}" if tables else ""
        raise DataError(no_texts(shown, settings) + advice)


def _advised(root: str, parts: list[str], name: str) -> str:
    """Return the arguments that read a table in a folder and those like it, in their split."""
    split, below = _split(parts)
    above = parts[: len(parts) - len(below)] if split else []
    pattern = quoted("/".join([root, *above, f"**/*{os.path.splitext(name)[1]}"]))
    return pattern if split in (None, "train") else f"--{split} {pattern}"


def no_texts(name: str, settings: ReaderSettings) -> str:
    """Return the message for a folder or archive without texts."""
    return (
        f"{name} holds no reviews; expected texts named {settings.file_names} in a folder for each "
        "label" + ("" if settings.file_names == "*" else "; --file-names '*' reads files of any name")
    )


def _walk(root: Path, follow_links: bool) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk the folders by sorted name, each once even if links lead to it again."""
    seen = set()
    for folder, folders, names in os.walk(root, onerror=_refuse, followlinks=follow_links):
        folders.sort()
        if follow_links:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
        yield folder, folders, names


def _size(path: str) -> int:
    """Return a file's size, or a small number if it cannot be read: its reader reports that."""
    try:
        return 200 + os.path.getsize(path)
    except OSError:
        return 200


def _refuse(error: OSError) -> None:
    raise InputMissing(f"cannot read {printable(error.filename, 1_000)}: {error.strerror}")
