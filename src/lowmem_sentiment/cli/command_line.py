"""The command line: parse, run one command, and turn an error into a line and an exit code.

Each command is a module of this folder, imported when it is asked for. A module has `add_options(parser)`
and `run(options, bar)`; `run` calls a library function and prints its answer.
"""

import argparse
import errno
import importlib
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from .. import __version__
from ..system.errors import (
    InputMissing,
    LowmemError,
    OutOfMemory,
    OutputError,
    Unavailable,
    did_you_mean,
    printable,
)
from ..system.progress import Bar, terminal_size
from ..system.signals import Interrupts
from .output import LINE, open_streams, print_text, write_error

COMMANDS = {
    "prepare": "make a dataset directory",
    "explore": "show what a dataset looks like",
    "train": "train the model on a dataset directory",
    "evaluate": "measure trained runs on labelled reviews",
    "predict": "predict the labels of texts",
    "tune": "search the best settings, within a budget or in a grid, and train them",
    "export": "write a run for use elsewhere",
    "serve": "answer with a run's predictions over HTTP",
    "tensorboard": "show the curves of runs in a browser",
    "curves": "draw the curves of runs in the terminal",
}

GONE = {
    "compare": "evaluate RUN RUN ...",
    "sweep": "tune DATASET --grid NAME=VALUES ...",
    "plan": "train DATASET --plan",
    "verify": "explore DATASET, which checks every byte",
    "verify-resume": "scripts/verify_resume.sh of the source code",
}
"""The replacement of each command of earlier versions."""

HINTS = {
    "--gpu": "; TensorFlow uses each GPU that it finds; CUDA_VISIBLE_DEVICES= (empty) hides them",
    "argument --label: expected 2 arguments": ", LABEL FILE; a column is named by --label-column",
    "--cpu": "; without a GPU TensorFlow uses the CPU; CUDA_VISIBLE_DEVICES= (empty) hides a GPU",
}
"""Hints for options that do not exist, and for messages of argparse."""

EXIT_CODES = """\
exit codes:
  0   done                      70   an internal error
  1   a check failed            71   out of memory
  2   wrong arguments           73   the output exists
  65  damaged or foreign data   74   it cannot be written
  66  something is missing      75   stopped, resumable
  69  no network or TensorFlow  130  stopped by Ctrl-C
"""


class _HelpFormatter(argparse.HelpFormatter):
    """Fit help to the terminal, with the usage on one line; indented text keeps its lines."""

    def __init__(self, prog: str):
        super().__init__(prog, width=min(80, terminal_size(sys.stdout).columns) - 2)

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: Any = None) -> None:
        if prefix == "":  # for the names of commands
            super().add_usage(usage, actions, groups, prefix)
            return
        required = [each for each in actions if not each.option_strings or each.required]
        options = argparse.Action([], "options", metavar="[OPTIONS]")
        groups = [group for group in groups if group.required]
        required = [each for group in groups for each in group._group_actions] + required
        super().add_usage(usage, [options, *required], groups, prefix)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        import textwrap  # only help needs it

        lines = []
        for part in re.split(r"\n(?=\n| )|(?<=\n)\n", text.strip("\n")):
            start = re.match(r" *(?:\S+ )*? +(?=\S)|", part)
            below = " " * len(start[0]) if start else ""
            lines += textwrap.wrap(part, width, subsequent_indent=below) or [""]
        return "\n".join(lines)


class Parser(argparse.ArgumentParser):
    """Report a wrong argument in one line, like every other error."""

    advice = ""
    """A hint at the end of every error."""
    arguments: Sequence[str] = ()
    """The arguments that are being parsed."""

    def __init__(self, **options: Any):
        super().__init__(allow_abbrev=False, formatter_class=_HelpFormatter, **options)
        self.set_defaults(parser=self)  # the parser of the innermost command, after parsing

    def error(self, message: str) -> NoReturn:
        """Report the error, and where help is; exit with 2.

        A missing argument may be there but misspelled: then the unknown option is reported.
        """
        given = [each for each in Parser.arguments if re.match(r"--[a-z]", each)]
        unknown = [each for each in given if each.partition("=")[0] not in self._option_string_actions]
        if unknown and " required" in message:
            message = f"unrecognized arguments: {unknown[0]}{_similar_option(self, unknown[0])}"
        if found := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message):
            message += did_you_mean(found[1], re.findall(r"[\w-]+", found[2]))
        line = f"lowmem-sentiment: error: {printable(message, LINE)}{HINTS.get(message, self.advice)}"
        self.exit(2, f"{line}; see {self.prog} --help\n")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Exit with `status` even if nobody reads the help."""
        try:
            print_text("", end="")  # the help, which is buffered
        except OutputError as error:
            status, message = error.exit_code, f"lowmem-sentiment: error: {error}\n"
        write_error(message or "")
        raise SystemExit(status)


def make_parser(names: Iterable[str]) -> Parser:
    """Return the parser of the command line, with the options of the commands in `names`."""
    parser = Parser(
        prog="lowmem-sentiment",
        description="Train a sentiment model on labelled text by streaming, in little memory.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, what in COMMANDS.items():
        command = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        if name in names:
            module = importlib.import_module(f".{name}", __package__)
            module.add_options(command)
            command.set_defaults(command=module.run)
    return parser


def _similar_option(parser: Parser, wrong: str) -> str:
    """Return a hint for an unknown option."""
    name = wrong.partition("=")[0]
    return HINTS.get(name) or did_you_mean(name, parser._option_string_actions)


def _with_negative_values(arguments: Sequence[str]) -> list[str]:
    """Write `--option -1=` as `--option=-1=`: argparse would take the value for an option."""
    joined: list[str] = []
    for each in arguments:
        if re.match(r"-\d", each) and joined and re.fullmatch(r"--[\w-]+", joined[-1]):
            joined[-1] += f"={each}"
        else:
            joined.append(each)
    return joined


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command and its options; exit with 0 after help, and with 2 for wrong ones.

    Texts after an option, which argparse leaves over, are texts too.
    """
    open_streams()
    arguments = Parser.arguments = _with_negative_values(arguments)
    name = next((each for each in arguments if not each.startswith("-")), "")
    parser = make_parser([name])
    if not arguments:
        parser.exit(2, parser.format_help())
    if name in GONE:
        parser.error(f"the command {name} is gone, use {GONE[name]}")
    options, rest = parser.parse_known_args(arguments)
    end = rest.index("--") if "--" in rest else len(rest)
    wrong = [part for part in rest[:end] if part.startswith("-")]
    if rest and (wrong or not hasattr(options, "texts")):
        hint = _similar_option(options.parser, wrong[0]) if wrong else ""
        options.parser.error(f"unrecognized arguments: {' '.join(rest)}{hint}")
    if rest:
        options.texts = [*options.texts, *rest[:end], *rest[end + 1 :]]
    return options


def run(options: argparse.Namespace) -> int:
    """Run one command and return its exit code; KeyboardInterrupt is for the caller."""
    bar = Bar()
    with Interrupts() as interrupts:
        try:
            from ..system.memory import require_addresses  # help needs none

            require_addresses(_OF_NUMPY)
            options.command(options, bar)
            return 0
        except (LowmemError, MemoryError, OSError, ImportError) as error:
            interrupts.check()
            explained = error if isinstance(error, LowmemError) else _explain(error)
            if explained is None:
                raise
            bar.clear()
            write_error(f"lowmem-sentiment: error: {printable(explained, LINE)}\n")
            return explained.exit_code
        finally:
            bar.clear()
            interrupts.check()  # half of an import is C, which turns Ctrl-C into a different error


def _explain(error: MemoryError | OSError | ImportError) -> LowmemError | None:
    """Return a one-line error for one that may happen anywhere; None for a bug."""
    if isinstance(error, ModuleNotFoundError):
        # prepare, predict and evaluate need only NumPy, so a missing TensorFlow is not a bug
        if (error.name or "lowmem_sentiment").startswith("lowmem_sentiment"):
            return None
        return Unavailable(
            f"{error}, which this command needs; to install it: {sys.executable} -m pip install "
            f"{(error.name or '').partition('.')[0]}"
        )
    refused = "failed to map segment", "Cannot allocate memory", os.strerror(errno.ENOMEM)
    if isinstance(error, MemoryError) or any(text in str(error) for text in refused):
        return OutOfMemory(
            "out of memory: the system refused more to this process; expected a higher limit (ulimit -v, "
            "the container's), or less work: a smaller --batch-size or --num-words, fewer --workers"
        )
    if not isinstance(error, OSError):
        return None
    what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    if error.errno in _UNREADABLE:
        return InputMissing(f"cannot open {what}")
    return OutputError(f"the system refused: {what}")


_OF_NUMPY = 160 << 20  # bytes of addresses, on 2 cores; 15 MB of them become memory

_UNREADABLE = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.EISDIR)
