"""Files and directories that appear under their final name only when they are whole."""

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .errors import OutputError, OutputExists

UNFINISHED = ".unfinished"


def _explain(error: OSError, path: Path) -> OutputError:
    return OutputError(f"cannot write {path}: {error.strerror or error}; nothing is left half written")


def _sync_directory(directory: Path) -> None:
    """Make a rename in `directory` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replace_path(path: Path) -> Iterator[Path]:
    """Give a path to write a file at, which takes the name `path` when the block ends well.

    It is beside `path` and has the same suffix. It is flushed with fsync and renamed: a kill
    at any moment leaves the old file or the new one. Raises OutputError when the system refuses.
    """
    temporary = path.with_name(f"{path.stem}{UNFINISHED}{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_directory(path.parent)
    except OSError as error:
        _remove(temporary)
        raise _explain(error, path) from error
    except BaseException:
        _remove(temporary)
        raise


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Make `directory` if it is not there, and hold it for this process while the block runs.

    The lock is the kernel's (flock on the directory itself): a kill lets go of it. Raises
    OutputExists when another process holds it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except FileExistsError:
        raise OutputExists(f"{directory} is a file; expected the name of a directory to make") from None
    except OSError as error:
        raise _explain(error, directory) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputExists(f"{directory} is in use by another process; wait for it to end") from None
    else:
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[BinaryIO]:
    """Give a binary file that takes the name `path` when the block ends well (`replace_path`)."""
    with replace_path(path) as temporary, open(temporary, "wb") as file:
        yield file


@contextlib.contextmanager
def new_directory(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give an empty directory that takes the name `path` when the block ends without an exception.

    Until then it is `path` + ".unfinished"; what a killed process left there is removed first.
    Raises OutputExists when `path` is there and `overwrite` is false (an empty directory
    counts as not there), OutputError when the system refuses.
    """
    refuse_existing(path, overwrite=overwrite)
    temporary = path.with_name(f"{path.name}{UNFINISHED}")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        _sync_directory(temporary)
        replaced = path.with_name(f"{path.name}.replaced")
        if overwrite and path.exists():
            shutil.rmtree(replaced, ignore_errors=True)
            os.replace(path, replaced)
        os.replace(temporary, path)
        _sync_directory(path.parent)
        shutil.rmtree(replaced, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise _explain(error, path) from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def clear_directory(path: Path) -> None:
    """Make `path` an empty directory; OutputError if it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        for item in path.iterdir():
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item)
            else:
                item.unlink()
    except OSError as error:
        raise _explain(error, path) from error


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raise OutputExists when something is at `path` that may not be overwritten."""
    if not path.exists() or (overwrite and path.is_dir()):
        return
    if not path.is_dir():
        raise OutputExists(f"{path} is a file; expected the name of a directory to make")
    if any(path.iterdir()):
        raise OutputExists(f"{path} exists and is not empty; choose another name or pass --overwrite")


def hexdigest(path: Path, algorithm: str) -> str:
    """Give a file's digest by one of `hashlib`'s algorithms, read 1 MiB at a time."""
    digest = hashlib.new(algorithm)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256(path: Path) -> str:
    """Give the hexadecimal SHA-256 of a file."""
    return hexdigest(path, "sha256")
