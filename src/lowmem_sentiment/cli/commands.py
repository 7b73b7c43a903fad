"""The commands: each module parses its options, calls a library function, and prints the answer.

What a command answers goes to standard output; progress and errors go to standard error.
TensorFlow is imported only inside the commands that need it.
"""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from ..system.errors import OutputError, printable
from .options import list_of, number, whole_number

LINE = 100_000  # characters; longer ones are cut


def report(line: str) -> None:
    """Print a line for a person to standard error; what came from data cannot make it two."""
    print(f"lowmem-sentiment: {printable(line, LINE)}", file=sys.stderr)


def warn(line: str) -> None:
    """Print a warning to standard error."""
    report(f"warning: {line}")


def answer(options: argparse.Namespace, content: dict[str, Any], lines: Callable[[], list[str]]):
    """Print the answer: one JSON object, exact as it is, or lines for a person, which are escaped."""
    if options.json:
        print_text(json.dumps(content))
    else:
        print_text("\n".join(printable(line, LINE) for line in lines()))


def print_text(text: str) -> None:
    """Print to standard output at once; OutputError when it is a file on a full disk."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.stdout = None  # or Python tries again when it ends
        raise OutputError(f"cannot write the answer: {error.strerror}") from error


class Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keep the lines of a description, and show each default that is a value."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ""
        if (
            action.default is None
            or action.default in ([], (), {}, "")
            or isinstance(action.const, bool)
            or "default:" in text
        ):
            return text
        if isinstance(action.default, tuple):
            return f"{text} (default: {','.join(map(str, action.default))})"
        return super()._get_help_string(action) or text


def add_command(commands: Any, name: str, run: Callable, what: str, json_: bool = True):
    """Add a command that `run` carries out, and return its parser."""
    parser = commands.add_parser(
        name, help=what, description=f"{what[0].upper()}{what[1:]}.", formatter_class=Help
    )
    parser.set_defaults(command=run, refuse=parser.error)
    if json_:
        parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def numbers(kind: type) -> Callable[[str], tuple]:
    """Return the reader of a list of `kind`, separated by commas."""
    return list_of({int: whole_number(), float: number()}.get(kind, kind))


count = whole_number(0)
"""The reader of a whole number of 0 or more."""
