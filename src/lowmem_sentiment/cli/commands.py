"""The commands: each module parses its options, calls a library function, and prints the answer.

What a command answers goes to standard output; progress and errors go to standard error.
TensorFlow is imported only inside the commands that need it.
"""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from ..system.errors import OutputError


def report(line: str) -> None:
    """Tell a person a line, on standard error."""
    print(f"lowmem-sentiment: {line}", file=sys.stderr)


def answer(options: argparse.Namespace, content: dict[str, Any], lines: Callable[[], list[str]]):
    """Print the answer: one JSON object, or lines for a person."""
    print_text(json.dumps(content) if options.json else "\n".join(lines()))


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
    """Keep the lines of a description, and show every default that says something."""

    def _get_help_string(self, action: argparse.Action) -> str:
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
        return super()._get_help_string(action)


def add_command(commands: Any, name: str, run: Callable, what: str, json_: bool = True):
    """Add a command that `run` carries out, and give its parser."""
    parser = commands.add_parser(
        name, help=what, description=f"{what[0].upper()}{what[1:]}.", formatter_class=Help
    )
    parser.set_defaults(command=run)
    if json_:
        parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def numbers(kind: type) -> Callable[[str], tuple]:
    """Give the reader of a list of `kind`, separated by commas."""

    def parse(text: str) -> tuple:
        return tuple(kind(part) for part in text.split(",") if part.strip())

    parse.__name__ = f"list of {kind.__name__}"
    return parse


def count(text: str) -> int:
    """Read a whole number of 0 or more."""
    if (value := int(text)) < 0:
        raise ValueError(text)
    return value
