"""A folder of texts by label, ``train/pos/0_9.txt``, on disk or in a tar that is read as a stream.

The folder a text stands in is its label. If the folder above is ``train`` or ``test``, it is the
split. Only ``*.txt`` counts; texts without a label's folder (``train/urls_pos.txt`` of IMDb's own
tar), hidden ones and those of AppleDouble (``._x.txt``) do not.
"""

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..system.errors import InputMissing
from .chunks import CHUNK_BYTES, MAX_TEXT_BYTES, BadRow, Chunk, Review, Rules, gather
from .format_settings import FilesSettings

_SPLITS = ("train", "test")


def _classify(parts: list[str]) -> tuple[str, str | None] | None:
    """Give label and split of a text from its path's parts; None when it is no labelled text."""
    if len(parts) < 2 or not parts[-1].lower().endswith(".txt") or parts[-1].startswith("."):
        return None
    label, above = parts[-2], parts[-3] if len(parts) > 2 else ""
    if label in _SPLITS:
        return None
    return label, above if above in _SPLITS else None


@dataclass(frozen=True)
class _Files:
    """A chunk of paths; the files are read where it goes."""

    root: str
    files: list[tuple[str, str, str | None]]
    """Path, label and split of each."""
    rules: Rules

    def reviews(self) -> Iterator[Review | BadRow]:
        for file, label, split in self.files:
            path = os.path.join(self.root, file)
            try:
                with open(path, "rb") as opened:
                    text = opened.read(MAX_TEXT_BYTES + 1)
            except OSError as error:
                yield BadRow(path, f"cannot be read: {error.strerror}")
            else:
                yield self.rules.review(_without_bom(text), label, split, path)


def _without_bom(text: bytes) -> bytes:
    return text.removeprefix(b"\xef\xbb\xbf")


def folder_chunks(root: Path, split: str | None, settings: FilesSettings) -> Iterator[Chunk]:
    """Yield the texts in a folder, in the order of their sorted paths."""
    files, size, rules = [], 0, Rules.of(settings)
    for folder, folders, names in os.walk(root, onerror=_refuse):
        folders.sort()
        inside = os.path.relpath(folder, root)
        parts = [] if inside == os.curdir else inside.split(os.sep)
        for name in sorted(names):
            found = _classify([*parts, name])
            if not found:
                continue
            files.append((os.path.join(inside, name), found[0], split or found[1]))
            size += _size(os.path.join(folder, name))
            if size >= CHUNK_BYTES:
                yield _Files(str(root), files, rules)
                files, size = [], 0
    if files:
        yield _Files(str(root), files, rules)


def _size(path: str) -> int:
    """Give a file's size, or a little for one that cannot be read: that is told where it is read."""
    try:
        return 200 + os.path.getsize(path)
    except OSError:
        return 200


def _refuse(error: OSError) -> None:
    raise InputMissing(f"cannot read {error.filename}: {error.strerror}")


def tar_chunks(
    stream: BinaryIO, name: str, split: str | None, settings: FilesSettings
) -> Iterator[Chunk]:
    """Yield the texts in a tar, in its order. Nothing is unpacked or even named on the disk."""
    return gather(_members(stream, name, split), Rules.of(settings))


def _members(stream: BinaryIO, name: str, split: str | None) -> Iterator[tuple | BadRow]:
    with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK_BYTES) as archive:
        for member in archive:
            archive.members = []  # or it keeps every header: 1 KB a text
            place = f"{name}:{member.name}"
            parts = member.name.split("/")
            if ".." in parts or member.name.startswith("/"):
                yield BadRow(place, "names a file outside the tar")
            elif member.issym() or member.islnk():
                yield BadRow(place, "is a link, which is not followed")
            elif member.isfile() and (found := _classify([part for part in parts if part != "."])):
                if member.size > MAX_TEXT_BYTES:
                    yield BadRow(place, f"has {member.size:,} bytes, expected {MAX_TEXT_BYTES:,} at most")
                else:
                    text = archive.extractfile(member).read()
                    yield _without_bom(text), found[0], split or found[1], place
