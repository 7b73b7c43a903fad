"""Errors for the user, each with the exit code of the command.

The library raises these; only `cli.command_line.run` turns one into a line and an exit code. Codes from
64 on have the meaning that BSD's ``sysexits.h`` gives them.
"""

import re
from collections.abc import Iterable, Sequence


class LowmemError(Exception):
    """The base of every error that has a one-line explanation for the user."""

    exit_code = 70  # EX_SOFTWARE; every subclass has a better one


class CheckFailed(LowmemError):
    """A check the user asked for failed: a metric, a threshold, a run of a search."""

    exit_code = 1


class SettingsError(LowmemError):
    """An impossible setting: zero epochs, an unknown metric, num_words below 4."""

    exit_code = 2


class DataError(LowmemError):
    """A file whose content is damaged, foreign, or not in the format of its name."""

    exit_code = 65


class InputMissing(LowmemError):
    """A missing file, dataset or run directory."""

    exit_code = 66


class Unavailable(LowmemError):
    """Something outside this process is unavailable: the network, a port, TensorFlow."""

    exit_code = 69


class OutOfMemory(LowmemError):
    """Memory that the system refused to this process."""

    exit_code = 71  # EX_OSERR


class OutputExists(LowmemError):
    """An output that already exists and is not overwritten."""

    exit_code = 73


class OutputError(LowmemError):
    """An output that could not be written: full disk, no permission."""

    exit_code = 74


class Resumable(LowmemError):
    """Training stopped with its state saved; the command in the message resumes it."""

    exit_code = 75


def printable(text: object, limit: int = 200) -> str:
    """Return text from data, made safe to print on a terminal and cut at `limit` characters.

    Line ends, escape sequences, half surrogates and marks of direction are written as Python escapes:
    a label can neither forge a second line nor clear the screen. Joiners between letters or emoji stay.

    >>> printable("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """
    shown = str(text)
    shown = shown if len(shown) <= limit else f"{shown[:limit]}…"
    if shown.isprintable():
        return shown
    return re.sub(r"[^ -~]", _escaped, shown)


_JOINERS = "\u200c\u200d"  # Persian words and families of emoji need them


def _escaped(found: "re.Match[str]") -> str:
    each, (start, end) = found[0], found.span()
    around = found.string[start - 1 : start], found.string[end : end + 1]
    joins = each in _JOINERS and all(part > "\u02ff" and part.isprintable() for part in around)
    return each if each.isprintable() or joins else ascii(each)[1:-1]


def quoted(path: object) -> str:
    """Return a path as it stands in a command line that a message advises.

    >>> quoted("my runs/first"), quoted("-run"), quoted("runs/first")
    ("'my runs/first'", './-run', 'runs/first')
    """
    import shlex  # not needed for --help

    return shlex.quote(f"./{path}" if str(path).startswith("-") else str(path))


def plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "row"), plural(2_000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[str], limit: int) -> str:
    """Return names for a message: "a, b and 3 more" for more than `limit`."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a hint at the most similar of `names` for the end of an error; "" if none is similar.

    >>> did_you_mean("--lable", ["--table", "--label"])
    "; did you mean '--label'?"
    """
    import difflib  # only after a mistake

    similar = difflib.get_close_matches(name, filter(None, names))
    similar.sort(key=lambda each: sorted(each) != sorted(name))  # swapped letters come first
    return f"; did you mean {printable(similar[0])!r}?" if similar else ""
