"""Files that appear under their final name only when they are whole, and are read only if regular."""

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .errors import DataError, InputMissing, OutputError, OutputExists

UNFINISHED = ".unfinished"

_HEAD = 1 << 16  # bytes of a file that show which kind it is


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise OutputError if the system refuses to write `path` while the block runs."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; nothing is left half written"
        ) from error


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(source: Path, path: Path) -> None:
    """Rename a whole file or directory to its final name, so that it survives a power cut.

    Raises OSError if it keeps its old name, and OutputError if it has the new one.
    """
    os.replace(source, path)
    try:
        sync_directory(path.parent)
    except OSError as error:
        raise OutputError(
            f"{path} is written, but the system could not make sure that it survives a power cut: "
            f"{error.strerror or error}"
        ) from error


def check_output(path: Path, beginning: str) -> None:
    """Raise unless a file may be written to `path`: before any work, and before a foreign file is lost.

    `beginning` is a regular expression for how files of this kind begin; only such a file, or an empty
    one, is replaced. Raises OutputExists for any other file, and OutputError if `path` is not a regular
    file, such as a directory or a dangling link, or if its folder is missing or not writable.
    """
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {path.parent}; make it first")
    if not path.is_file():
        if os.path.lexists(path):
            raise OutputError(f"cannot write {path}: it is not a regular file; expected a file's name")
    else:
        with open_regular(path) as file:
            head = file.read(_HEAD).decode(errors="replace")
        if head and not re.match(beginning, head):
            raise OutputExists(
                f"{path} exists, and is not a file that this option writes, so it is not replaced; "
                "choose another name"
            )
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"cannot write {path}: the folder {path.parent} is not writable")


@contextlib.contextmanager
def replace_path(path: Path) -> Iterator[Path]:
    """Yield the path of an empty file to write, renamed to `path` when the block succeeds.

    The file is in the same directory, and has the same suffix. It is flushed with fsync and renamed: a
    kill at any moment leaves the old file or the new one. Raises OutputError when the system refuses.
    """
    if path.exists() and not path.is_file():
        raise OutputError(f"cannot write {path}: it is not a regular file; expected the name of a file")
    with writing(path):
        _remove_leftovers(path)
        temporary, descriptor = _make_temporary(path)
        try:
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            rename(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a binary file, renamed to `path` when the block succeeds (`replace_path`)."""
    with replace_path(path) as temporary, open(temporary, "rb+") as file:
        yield file


def _make_temporary(path: Path) -> tuple[Path, int]:
    """Make a new file with an unpredictable name, and lock it.

    A planted link is not followed, and two writers of one path do not collide. The lock distinguishes the
    file of a running process from a leftover of a killed one.
    """
    while True:
        temporary = path.with_name(f"{path.stem}.{secrets.token_hex(4)}{UNFINISHED}{path.suffix}")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        with contextlib.suppress(OSError):  # a file system without locks: nothing is removed there
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        os.close(descriptor)  # taken for a leftover before it was locked


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files of `path` that killed processes left."""
    ours = re.compile(rf"{re.escape(path.stem)}\.[0-9a-f]{{8}}{UNFINISHED}{re.escape(path.suffix)}")
    with os.scandir(path.parent) as entries:
        names = [entry.name for entry in entries if ours.fullmatch(entry.name)]
    for name in names:
        with contextlib.suppress(OSError):  # gone, locked, a link, or not ours to remove
            descriptor = os.open(path.with_name(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                status = os.fstat(descriptor)
                if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(path.with_name(name))
            finally:
                os.close(descriptor)


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a directory for this process while the block runs.

    Raises OutputExists when another process holds it, OutputError when it cannot be opened.
    """
    descriptor = lock_directory(directory.resolve(), directory)
    try:
        yield
    finally:
        os.close(descriptor)


def lock_directory(directory: Path, shown: Path) -> int:
    """Open and lock a directory, not a link to one, and return its descriptor."""
    with writing(shown):
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except NotADirectoryError:
            raise OutputExists(
                f"{directory} is a file or a link; expected a directory, or nothing"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The process that held it may have renamed or removed it after it was opened here.
            if os.path.samestat(os.fstat(descriptor), os.lstat(directory)):
                return descriptor
        except OSError as error:
            os.close(descriptor)
            if not isinstance(error, BlockingIOError | FileNotFoundError):
                raise
        else:
            os.close(descriptor)
    raise OutputExists(f"{shown} is in use by another process; wait for it to end")


def open_partial(path: Path, *, keep: bool) -> BinaryIO:
    """Open a file that a later run completes, at its end with `keep`, else empty; follow no link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_APPEND if keep else os.O_TRUNC)
    return open(os.open(path, flags, 0o666), "ab" if keep else "wb")


@contextlib.contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading: opening a FIFO would block, and a device may have no end.

    Raises InputMissing if it is missing or may not be opened, and DataError if it is not a regular file
    or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        raise InputMissing(f"{path} is missing") from None
    except OSError as error:
        raise InputMissing(f"cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError(f"{path} is not a regular file, expected one")
    with open(descriptor, "rb") as file:
        try:
            yield file
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def read_regular(path: Path, most: int) -> bytes:
    """Return the content of a regular file of at most `most` bytes; DataError for a larger one."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= most and len(content := file.read(size + 1)) <= size:
            return content
    raise DataError(f"{path} has {size:,} bytes, or grows; expected {most:,} at most")


def hexdigest(path: Path, algorithm: str) -> str:
    """Return a file's digest by one of `hashlib`'s algorithms, read 1 MiB at a time."""
    digest = hashlib.new(algorithm)
    with open_regular(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    return hexdigest(path, "sha256")
