"""Write answers to standard output, and reports, warnings and errors to standard error.

A stream that cannot be written any more is replaced by /dev/null. Otherwise Python would try again at
exit, and the process would exit with 120 instead of the command's own code.
"""

import argparse
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from ..monitoring.terminal_text import text_width, wrapped
from ..system.errors import OutputError, printable
from ..system.progress import terminal_size

LINE = 100_000  # characters; longer ones are cut


def open_streams() -> None:
    """Open /dev/null for each closed standard stream, and let no stream fail on a character.

    Otherwise a data file would get the number of a closed stream, and libraries in C would write their
    messages into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
    for name, errors in (("stdout", "replace"), ("stderr", "backslashreplace")):
        stream = getattr(sys, name)
        if stream is None:
            _discard(name)
        elif hasattr(stream, "reconfigure"):  # words, or paths, that it cannot encode
            stream.reconfigure(errors=errors)


def print_text(text: str, end: str = "\n") -> bool:
    """Print to standard output at once, with what is buffered; return whether anybody still reads it.

    Raises OutputError for a file on a full disk.
    """
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        _discard("stdout")
        return False
    except OSError as error:
        _discard("stdout")
        raise OutputError(f"cannot write the answer: {error.strerror}") from error
    return True


def write_error(text: str) -> None:
    """Write to standard error at once, if it can be written."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _discard("stderr")


def _discard(name: str) -> None:
    setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def report(line: str) -> None:
    """Write a line for a person to standard error; text from data cannot turn it into two."""
    text = f"lowmem-sentiment: {printable(line, LINE)}"
    lines = _folded(text, terminal_size(sys.stderr).columns) if sys.stderr.isatty() else [text]
    write_error("\n".join([*lines, ""]))


def warn(line: str) -> None:
    """Write a warning to standard error."""
    report(f"warning: {line}")


def answer(options: argparse.Namespace, content: dict[str, Any], lines: Callable[[], list[str]]) -> None:
    """Print the answer: one exact JSON object, or lines for a person."""
    print_text(json.dumps(content) if options.json else for_people(lines()))


def for_people(lines: Iterable[str]) -> str:
    """Return escaped lines; those that are wider than the terminal go on below, with whole words."""
    shown = (printable(line, LINE) for line in lines)
    return "\n".join(itertools.chain.from_iterable(_folded(line, room()) for line in shown))


def _folded(line: str, width: int) -> list[str]:
    """Return a line in parts; a row of a table is laid out already, and a command is copied whole."""
    text = line.lstrip(" ")
    if text_width(line) <= width or "  " in text or "lowmem-sentiment " in text:
        return [line]
    indent = " " * (len(line) - len(text))
    return wrapped(text.split(" "), width, f"{indent}  ", indent)


def room() -> int:
    """Return the columns of the terminal; a file has room for 1,000."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        return terminal_size(sys.stdout).columns
    return 1_000
