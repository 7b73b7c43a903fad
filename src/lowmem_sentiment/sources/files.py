"""Labelled text of the user's own, in any of the usual forms, compressed or not."""

import bz2
import contextlib
import glob
import gzip
import io
import lzma
import os
import sys
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from ..system.errors import DataError, InputMissing, SettingsError
from ..text.chunks import CHUNK_BYTES, Chunk
from ..text.csv_tsv import csv_chunks
from ..text.folders import folder_chunks, tar_chunks
from ..text.format_settings import FORMATS, FilesSettings
from ..text.json_lines import line_chunks, parse_fasttext, parse_json

STDIN = "-"

_CHUNKS = {
    "csv": partial(csv_chunks, delimiter=","),
    "tsv": partial(csv_chunks, delimiter="\t"),
    "jsonl": partial(line_chunks, parse=parse_json),
    "fasttext": partial(line_chunks, parse=parse_fasttext),
    "tar": tar_chunks,
}

_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "fasttext",
    ".tar": "tar",
    ".tgz": "tar",
    ".tbz2": "tar",
    ".txz": "tar",
}

_COMPRESSED = (".gz", ".bz2", ".xz")

_MAGIC = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}


class FilesSource:
    """Files, folders, globs or "-" (standard input), read once, in the order given."""

    def __init__(self, paths: Sequence[str | Path], settings: FilesSettings | None = None):
        """Find every file; InputMissing when one is not there, SettingsError for an unclear format."""
        self._settings = settings or FilesSettings()
        self._paths = [(path, None) for path in _expand(paths)]
        if self._settings.test:
            self._paths = [(path, "train") for path, _ in self._paths]
            self._paths += [(path, "test") for path in _expand(self._settings.test)]
        for path, _ in self._paths:
            if not os.path.isdir(path):
                self._format(path)
        if [path for path, _ in self._paths].count(STDIN) > 1:
            raise SettingsError("standard input can be read once; '-' was given twice")
        sizes = [os.path.getsize(path) if os.path.isfile(path) else 0 for path, _ in self._paths]
        self._size = sum(sizes) if all(sizes) else None
        self._read = 0
        self.inputs = [path for path, _ in self._paths if path != STDIN]
        self.labels = list(self._settings.labels) or None
        first = self._paths[0][0]
        self.name = "stdin" if first == STDIN else Path(os.path.abspath(first)).name.split(".")[0]

    def describe(self) -> dict[str, Any]:
        names = [str(path) for path, _ in self._paths]
        shown = ", ".join("standard input" if name == STDIN else name for name in names[:3])
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return {
            "description": shown + more,
            "kind": "files",
            "files": [{"path": str(path), "split": split} for path, split in self._paths],
            **self._settings.describe(),
        }

    def chunks(self) -> Iterator[Chunk]:
        for path, split in self._paths:
            if os.path.isdir(path):
                yield from folder_chunks(Path(path), split, self._settings)
            else:
                yield from self._file_chunks(path, split)

    def share(self) -> float | None:
        return self._read / self._size if self._size else None

    def _format(self, path: str) -> str:
        if self._settings.format:
            return self._settings.format
        name = path.lower()
        for suffix in _COMPRESSED:
            name = name.removesuffix(suffix)
        kind = _SUFFIXES.get(os.path.splitext(name)[1])
        if kind is None:
            shown = "standard input" if path == STDIN else path
            raise SettingsError(
                f"the format of {shown} is not known from its name; say which: --format "
                f"{' | '.join(FORMATS)}"
            )
        return kind

    def _file_chunks(self, path: str, split: str | None) -> Iterator[Chunk]:
        name = "<stdin>" if path == STDIN else path
        chunks = _CHUNKS[self._format(path)]
        before = self._read
        with _reading(path, name) as raw, _decompressed(raw, name) as stream:
            for chunk in chunks(stream, name, split, self._settings):
                self._read = before + (raw.tell() if self._size else 0)
                yield chunk
        self._read = before + (os.path.getsize(path) if self._size else 0)


def _expand(paths: Sequence[str | Path]) -> list[str]:
    """Give the paths with globs filled in; InputMissing for what is not there."""
    found = []
    for path in map(str, paths):
        if path == STDIN or os.path.exists(path):
            found.append(path)
            continue
        matches = sorted(glob.glob(path, recursive=True))
        if not matches:
            raise InputMissing(f"{path} is missing; expected a file, a folder, a glob, or '-'")
        found += matches
    return found


@contextlib.contextmanager
def _reading(path: str, name: str) -> Iterator[BinaryIO]:
    """Give a file open for reading; what is wrong with its content becomes a DataError."""
    try:
        raw = sys.stdin.buffer if path == STDIN else open(path, "rb", CHUNK_BYTES)  # noqa: SIM115
    except OSError as error:
        raise InputMissing(f"cannot read {name}: {error.strerror}") from error
    try:
        before = _state(raw, path)
        yield raw
        if _state(raw, path) != before:
            raise DataError(f"{name} changed while it was read; try again when it is whole")
    except (EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, OSError) as error:
        raise DataError(f"{name} is damaged or cut short: {error}") from error
    finally:
        if path != STDIN:
            raw.close()


def _state(raw: BinaryIO, path: str) -> tuple[int, int] | None:
    """Give what changes when a file does; None for standard input and pipes."""
    if not os.path.isfile(path):
        return None
    status = os.fstat(raw.fileno())
    return status.st_size, status.st_mtime_ns


def _decompressed(raw: BinaryIO, name: str) -> BinaryIO:
    """Give the content of a file that may be gzip, bzip2 or xz: its first bytes tell."""
    if not hasattr(raw, "peek"):
        raw = io.BufferedReader(raw)
    head = raw.peek(6)[:6]
    stream = next((unpack(raw) for magic, unpack in _MAGIC.items() if head.startswith(magic)), None)
    stream = contextlib.nullcontext(raw) if stream is None else io.BufferedReader(stream, CHUNK_BYTES)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{name} is UTF-16, expected UTF-8; convert it: iconv -f UTF-16 -t UTF-8")
    return stream
