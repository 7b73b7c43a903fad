"""``checksums.json``: the SHA-256 of a run's files, which every reader checks.

Each writer adds the digest of the file that it is about to rename into place, and keeps the old file's
digest: after a kill between the two renames the file's digest is still known. SHA-256 takes 1 ms per MB.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..system.errors import DataError
from ..system.files import open_regular, replace_path, sha256
from ..system.schema import parse, read_json, write_json

CHECKSUMS = "checksums.json"


@dataclass(frozen=True)
class _Content:
    files: dict[str, list[str]]
    """The digests that a file may have, by its name."""

    ignores_unknown_keys = True


class Checksums:
    """The digests of the files `names` in a directory; exports and older runs have none."""

    def __init__(self, directory: Path, names: tuple[str, ...]):
        self._directory, self._names = directory, names
        self._path = directory / CHECKSUMS
        self._written: dict[str, str] = {}  # the digests of files that this process wrote

    def check(self, file: Path) -> None:
        """Raise InputMissing or DataError unless a file is unchanged since it was written."""
        known = self._read()
        if known is None:
            with open_regular(file):
                return
        if sha256(file) not in known.get(file.name, ()):
            raise DataError(
                f"{file} is damaged, or another run's: its SHA-256 is not the one in {self._path.name}"
            )

    @contextlib.contextmanager
    def replace(self, file: Path, previous: Path | None = None) -> Iterator[Path]:
        """Yield a path to write `file` at, as `replace_path` does; the old file becomes `previous`."""
        with replace_path(file) as temporary:
            yield temporary
            digest = sha256(temporary)
            known = self._read()
            if known is None:
                paths = [self._directory / name for name in self._names]
                known = {path.name: [sha256(path)] for path in paths if path.is_file()}
            stands = self._standing(file, known)
            self._written.pop(file.name, None)  # unknown if the rename or a later step fails
            known[file.name] = [digest, *stands]
            if previous:
                known[previous.name] = [*stands, *self._standing(previous, known)]
            write_json(self._path, {"files": known})
            if previous and file.exists():
                # A kill between this rename and the next leaves the previous one under its own name.
                os.replace(file, previous)
                self._written[previous.name] = next(iter(stands), "")
        self._written[file.name] = digest

    def _standing(self, file: Path, known: dict[str, list[str]]) -> list[str]:
        """Return the digest of a file as it is now; nothing if the digest is not known."""
        digests = known.get(file.name, [])
        if not digests or not file.exists():
            return []
        stands = self._written.get(file.name) or sha256(file)
        return [stands] if stands in digests else []

    def _read(self) -> dict[str, list[str]] | None:
        if not os.path.lexists(self._path):
            return None
        return parse(_Content, read_json(self._path), str(self._path)).files
