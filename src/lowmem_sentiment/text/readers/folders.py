"""A folder of texts by label, ``train/pos/0_9.txt``.

The folder a text stands in is its label. If the folder above is ``train`` or ``test``, it is the
split. Only ``*.txt`` counts; texts without a label's folder (``train/urls_pos.txt`` of IMDb's own
tar), hidden ones and those of AppleDouble (``._x.txt``) do not.
"""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...system.errors import InputMissing, printable
from ..encoding import NotText, decoded_file
from ..reader_settings import ReaderSettings
from ..rows import BLOCK_BYTES, MAX_TEXT_BYTES, BadRow, Block, ParsedRows, Row

_SPLITS = ("train", "test")

LINK = "is a link, which is not followed (--follow-links follows it)"


def classify(parts: list[str]) -> tuple[str, str | None] | None:
    """Return label and split of a text from its path's parts; None when it is no labelled text."""
    if len(parts) < 2 or not parts[-1].lower().endswith(".txt") or parts[-1].startswith("."):
        return None
    label, above = parts[-2], parts[-3] if len(parts) > 2 else ""
    if label in _SPLITS:
        return None
    return label, above if above in _SPLITS else None


@dataclass(frozen=True)
class FileBlock:
    """A block of paths; the files are read where it goes."""

    root: str
    files: list[tuple[str, str, str | None]]
    """Path, label and split of each."""
    settings: ReaderSettings
    follow_links: bool

    def rows(self) -> Iterator[Row | BadRow]:
        for file, label, split in self.files:
            path = os.path.join(self.root, file)
            place = printable(path, 1_000)
            try:
                yield Row(self._text(path), label, place, split)
            except OSError as error:
                is_link = error.errno == errno.ELOOP and not self.follow_links
                yield BadRow(place, LINK if is_link else f"cannot be read: {error.strerror}")
            except NotText as error:
                yield BadRow(place, str(error))

    def _text(self, path: str) -> bytes:
        # a pipe without a writer would be waited for without end
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags if self.follow_links else flags | os.O_NOFOLLOW)
        with open(descriptor, "rb") as opened:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise NotText("is no regular file")
            if status.st_size > MAX_TEXT_BYTES:
                raise NotText(f"has {status.st_size:,} bytes, expected {MAX_TEXT_BYTES:,} at most")
            return decoded_file(opened.read(MAX_TEXT_BYTES), self.settings)


def folder_blocks(root: Path, settings: ReaderSettings, follow_links: bool = False) -> Iterator[Block]:
    """Yield the texts in a folder, in the order of their sorted paths."""
    files, size = [], 0
    for folder, folders, names in _walk(root, follow_links):
        inside = os.path.relpath(folder, root)
        parts = [] if inside == os.curdir else inside.split(os.sep)
        links = [] if follow_links else [name for name in folders if _is_link(folder, name)]
        if links:
            yield ParsedRows(
                [BadRow(printable(os.path.join(folder, name), 1_000), LINK) for name in links]
            )
        for name in sorted(names):
            found = classify([*parts, name])
            if not found:
                continue
            files.append((os.path.join(inside, name), *found))
            size += _size(os.path.join(folder, name))
            if size >= BLOCK_BYTES:
                yield FileBlock(str(root), files, settings, follow_links)
                files, size = [], 0
    if files:
        yield FileBlock(str(root), files, settings, follow_links)


def _walk(root: Path, follow_links: bool) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk the folders by sorted name, each once, though links may lead to it again."""
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


def _is_link(folder: str, name: str) -> bool:
    return os.path.islink(os.path.join(folder, name))


def _size(path: str) -> int:
    """Return a file's size, or a little for one that cannot be read: that is reported by its reader."""
    try:
        return 200 + os.path.getsize(path)
    except OSError:
        return 200


def _refuse(error: OSError) -> None:
    raise InputMissing(f"cannot read {printable(error.filename, 1_000)}: {error.strerror}")
