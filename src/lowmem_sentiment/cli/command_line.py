"""The command line: parse, run one command, and turn an error into a line and an exit code.

Each command is a module of this folder, imported when it is asked for. A module has `add_options(parser)`
and `run(options, bar)`, which calls a library function and prints its answer.
"""

import argparse
import importlib
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from .. import __version__
from ..system.errors import LowmemError, OutputError, Unavailable, did_you_mean, printable
from ..system.progress import Bar, terminal_size
from .output import LINE, flush_streams, open_streams, write_error

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
"""What replaces each command of earlier versions."""

EXIT_CODES = """\
exit codes:
  0   done                           69   not available: network, TensorFlow
  1   a check failed: --fail-under,  73   the output exists
      --baseline, a run of a search  74   the output cannot be written
  2   wrong arguments or settings    75   stopped, and can be resumed
  65  damaged or foreign data        130  stopped by Ctrl-C
  66  a file or directory missing
"""


class Help(argparse.RawDescriptionHelpFormatter):
    """Keep the lines of a description, in at most 80 columns."""

    def __init__(self, prog: str):
        super().__init__(prog, width=min(80, terminal_size(sys.stdout).columns) - 2)


class Parser(argparse.ArgumentParser):
    """Report a wrong argument in one line, as every other error is."""

    advice = ""
    """What to try instead of a choice that there is not."""

    def __init__(self, **options: Any):
        super().__init__(allow_abbrev=False, formatter_class=Help, **options)
        self.set_defaults(parser=self)  # the parser of the innermost command, after parsing

    def error(self, message: str) -> NoReturn:
        """Report what is wrong, and where help is; exit with 2."""
        self.exit(2, f"lowmem-sentiment: error: {printable(message, LINE)}; see {self.prog} --help\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        # argparse's own lists the choices, and suggests none
        if action.choices is not None and value not in action.choices:
            choices = list(map(str, action.choices))
            hint = did_you_mean(str(value), choices)
            message = f"it is {value!r}, expected one of {', '.join(choices)}{hint}{self.advice}"
            raise argparse.ArgumentError(action, message)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Exit with `status` also where nobody reads the help."""
        try:
            flush_streams()
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
    """Parse the command and its options; exit with 0 after help, and with 2 where they are wrong.

    Texts that stand after an option, which argparse leaves over, are texts too.
    """
    open_streams()
    arguments = _with_negative_values(arguments)
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
        known = re.findall(r"--[\w-]+", options.parser.format_help())
        hint = did_you_mean(wrong[0].partition("=")[0], known) if wrong else ""
        options.parser.error(f"unrecognized arguments: {' '.join(rest)}{hint}")
    if rest:
        options.texts = [*options.texts, *rest[:end], *rest[end + 1 :]]
    return options


def run(options: argparse.Namespace) -> int:
    """Run one command and return its exit code; KeyboardInterrupt is for the caller."""
    bar = Bar()
    try:
        options.command(options, bar)
        return 0
    except LowmemError as error:
        bar.clear()
        write_error(f"lowmem-sentiment: error: {printable(error, LINE)}\n")
        return error.exit_code
    except ModuleNotFoundError as error:
        # NumPy alone is enough to prepare, predict and evaluate: that nothing else is installed is no bug
        if (error.name or "lowmem_sentiment").startswith("lowmem_sentiment"):
            raise
        bar.clear()
        write_error(
            f"lowmem-sentiment: error: {error}, which this command needs; expected TensorFlow and "
            "TensorBoard, which pip installs with lowmem-sentiment\n"
        )
        return Unavailable.exit_code
    finally:
        bar.clear()
