"""Directories that appear under their final name only when they are whole, and replace only their kind.

A directory is made as NAME.unfinished in the same folder, and locked by the kernel: a flock on the
directory survives the rename, and a kill releases it. The directory it replaces is moved aside to
NAME.replaced, and its files are removed after the rename. Nothing that this software did not make is
ever deleted: files of other names move into the new directory.
"""

import contextlib
import os
import pwd
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from .errors import InputMissing, OutputExists, did_you_mean
from .files import UNFINISHED, lock_directory, locked, rename, sync_directory, writing

REPLACED = ".replaced"

_MARKER = ".lowmem-sentiment-unfinished"  # marks an unfinished directory as ours

_HEAD = 4096  # bytes of a manifest that show its format; `write_json` writes that first


@dataclass(frozen=True)
class Kind:
    """A kind of directory that this software makes, identified by its manifest."""

    name: str
    manifest: str
    """The manifest's file name."""
    format: str
    """The value of the manifest's key "format"."""
    files: str = ".*"
    """A regular expression for the names of what else this software makes in it."""

    def made(self, name: str) -> bool:
        """Whether this software makes something of that name in such a directory."""
        temporary = name == _MARKER or UNFINISHED in name
        return temporary or name == self.manifest or re.fullmatch(self.files, name) is not None

    @property
    def with_article(self) -> str:
        """The name after "a" or "an"."""
        return f"{'an' if self.name[0] in 'aeiou' else 'a'} {self.name}"

    def recognises(self, directory: Path) -> bool:
        """Whether a directory carries a manifest of this kind, whole or damaged."""
        path = directory / self.manifest
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                return False
            with open(path, "rb") as file:
                return f'"format": "{self.format}"'.encode() in file.read(_HEAD)
        except OSError:
            return False


def no_directory(path: Path, what: str, make: str) -> InputMissing:
    """Return the error for a missing directory, with the nearest name in the same folder."""
    try:
        names = [each.name for each in path.parent.iterdir() if each.is_dir()]
    except OSError:
        names = []
    hint = did_you_mean(path.name, names) or f"; make one: lowmem-sentiment {make}"
    return InputMissing(f"{path} is not a {what} directory{hint}")


def refuse_existing(
    path: Path, kind: Kind, *, overwrite: bool, inputs: Iterable[str | Path] = ()
) -> None:
    """Raise OutputExists when something is at `path` that may not be replaced.

    An empty directory may be replaced and, with `overwrite`, one of the same kind. A directory that is or
    contains the working directory, a home, a root or one of `inputs`, or lies within an input, is never
    replaced. Raises OutputError if the system refuses to look.
    """
    with writing(path):
        if not path.exists():
            return
        if not path.is_dir():
            raise OutputExists(f"{path} is a file; expected the name of a directory to make")
        if reason := _protected(path.resolve(), inputs):
            raise OutputExists(f"{path} {reason}, so it is not replaced; choose another name")
        if not any(path.iterdir()):
            return
    if not kind.recognises(path):
        advice = ", so --overwrite does not replace it" if overwrite else ""
        raise OutputExists(
            f"{path} exists and is not empty, and it is not {kind.with_article} (it has no "
            f"{kind.manifest} of lowmem-sentiment){advice}; choose another name"
        )
    if not overwrite:
        raise OutputExists(f"{path} exists and is not empty; choose another name or pass --overwrite")


def _protected(path: Path, inputs: Iterable[str | Path]) -> str | None:
    """Return why a directory may never be replaced, None if it may be."""
    if os.path.ismount(path):
        return "is the root of a file system"
    homes = [os.path.expanduser("~")]
    with contextlib.suppress(KeyError):
        homes.append(pwd.getpwuid(os.geteuid()).pw_dir)
    places = [("the working directory", os.getcwd()), *(("a home directory", home) for home in homes)]
    for name, place in [*places, *((f"the input {each}", each) for each in inputs)]:
        resolved = Path(place).resolve()
        if resolved == path:
            return f"is {name}"
        if path in resolved.parents:
            return f"holds {name}"
        if name.startswith("the input") and resolved in path.parents:
            return f"lies within {name}"
    return None


@contextlib.contextmanager
def new_directory(
    path: Path,
    kind: Kind,
    *,
    overwrite: bool = False,
    inputs: Iterable[str | Path] = (),
    report: Callable[[str], None] = lambda line: None,
    held: ExitStack | None = None,
) -> Iterator[Path]:
    """Yield an empty directory that takes the name `path` when the block ends without an exception.

    The block writes the manifest of `kind`. Until it ends, the directory is NAME.unfinished; leftovers of
    a killed process are removed first. With `held` the lock on the directory is kept until that stack
    closes. Raises OutputExists when `path` may not be replaced (`refuse_existing`) or another process
    makes it, OutputError when the system refuses.
    """
    inputs, final = list(inputs), path.resolve()
    refuse_existing(path, kind, overwrite=overwrite, inputs=inputs)
    temporary = final.with_name(f"{final.name}{UNFINISHED}")
    with writing(path), ExitStack() as locks:
        lock = _make_unfinished(temporary, path, kind, locks)
        try:
            _recover(final, kind, report)
            if final.is_dir():
                locks.enter_context(locked(final))
            refuse_existing(path, kind, overwrite=overwrite, inputs=inputs)
            yield temporary
            (temporary / _MARKER).unlink()
            sync_directory(temporary)
            refuse_existing(path, kind, overwrite=overwrite, inputs=inputs)
            _rename(temporary, final, kind, report)
        except BaseException:
            with contextlib.suppress(OSError):
                _remove_all(temporary, _MARKER)
            raise
        if held:
            held.callback(os.close, os.dup(lock))


def _make_unfinished(temporary: Path, path: Path, kind: Kind, locks: ExitStack) -> int:
    """Make or take over an unfinished directory, empty except for its marker; return its lock."""
    try:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            temporary.mkdir()
        lock = lock_directory(temporary, path)
        locks.callback(os.close, lock)
        left = list(temporary.iterdir())
        ours = os.fstat(lock).st_uid == os.geteuid()
        if not ours or (left and temporary / _MARKER not in left and not kind.recognises(temporary)):
            raise OutputExists(
                f"{temporary} is in the way, and lowmem-sentiment did not make it; move it, or choose "
                "another name"
            )
        (temporary / _MARKER).touch()
        for item in left:
            if item.name != _MARKER:
                _remove(item)
        return lock
    except OSError:
        with contextlib.suppress(OSError):  # not empty if another process uses it
            temporary.rmdir()
        raise


def _remove_all(directory: Path, last: str) -> None:
    """Remove a directory, with the file `last` removed last: after a kill it is still known as ours."""
    for item in directory.iterdir():
        if item.name != last:
            _remove(item)
    (directory / last).unlink(missing_ok=True)
    directory.rmdir()


def _remove_replaced(aside: Path, final: Path, kind: Kind, report: Callable[[str], None]) -> None:
    """Remove a directory that `final` has replaced; what this software did not make moves to `final`."""
    for item in aside.iterdir():
        if not kind.made(item.name) and not os.path.lexists(final / item.name):
            os.replace(item, final / item.name)
            report(f"kept {final / item.name}, which lowmem-sentiment did not make")
    if all(kind.made(item.name) for item in aside.iterdir()):
        _remove_all(aside, kind.manifest)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _recover(final: Path, kind: Kind, report: Callable[[str], None]) -> None:
    """Put back the directory that a killed process put aside, or remove it if it was replaced."""
    aside = final.with_name(f"{final.name}{REPLACED}")
    if not kind.recognises(aside):
        with contextlib.suppress(OSError):  # missing, a link, or not empty: not left by a kill
            aside.rmdir()
        return
    if final.exists():
        _remove_replaced(aside, final, kind, report)
    else:
        report(f"put back {aside} as {final}, which a killed process had moved aside")
        os.replace(aside, final)


def _rename(temporary: Path, final: Path, kind: Kind, report: Callable[[str], None]) -> None:
    """Rename a whole directory to its final name; put the old one aside until that is done."""
    aside = final.with_name(f"{final.name}{REPLACED}")
    if not (final.is_dir() and any(final.iterdir())):
        rename(temporary, final)
        return
    if aside.exists() or aside.is_symlink():
        raise OutputExists(f"{aside} is in the way of what --overwrite moves aside; move it")
    try:
        os.replace(final, aside)
        rename(temporary, final)
    except BaseException:
        if not final.exists():
            os.replace(aside, final)
        raise
    report(f"replaced the {kind.name} {final}")
    with contextlib.suppress(OSError):  # the next replacement removes it
        _remove_replaced(aside, final, kind, report)
