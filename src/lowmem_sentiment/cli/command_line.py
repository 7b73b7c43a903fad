"""The command line: parse, run one command, and turn an error into a line and an exit code."""

import argparse
import io
import sys
from collections.abc import Sequence
from typing import NoReturn

from .. import __version__
from ..system.errors import LowmemError, Unavailable, printable
from ..system.progress import Bar
from .commands import LINE, Help
from .compare import add_compare
from .curves import add_curves
from .evaluate import add_evaluate
from .explore import add_explore
from .export import add_export
from .plan import add_plan
from .predict import add_predict
from .prepare import add_prepare
from .sweep import add_sweep
from .tensorboard import add_tensorboard
from .train import add_train
from .tune import add_tune
from .verify import add_verify
from .verify_resume import add_verify_resume

EXIT_CODES = """\
exit codes:
  0   done                           69   not available: network, TensorFlow
  1   a check failed: --fail-under,  73   the output exists
      --baseline, a run of a sweep   74   the output cannot be written
  2   wrong arguments or settings    75   stopped, and can be resumed
  65  damaged or foreign data        130  stopped by Ctrl-C
  66  a file or directory missing
"""


class Parser(argparse.ArgumentParser):
    """Report a wrong argument in one line, as every other error."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, and where help is; exit with 2."""
        help_ = f"{self.prog} --help"
        self.exit(2, f"lowmem-sentiment: error: {printable(message, LINE)}; see {help_}\n")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; KeyboardInterrupt is for the caller."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # words, or paths, that it cannot encode
            stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace")
    options = _parse(arguments)
    bar = Bar()
    try:
        options.command(options, bar)
        return 0
    except LowmemError as error:
        bar.clear()
        print(f"lowmem-sentiment: error: {printable(error, LINE)}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        # NumPy alone is enough to prepare, predict and evaluate: that nothing else is installed is no bug
        if (error.name or "lowmem_sentiment").startswith("lowmem_sentiment"):
            raise
        bar.clear()
        print(
            f"lowmem-sentiment: error: {error}, which this command needs; expected TensorFlow and "
            "TensorBoard, which pip installs with lowmem-sentiment",
            file=sys.stderr,
        )
        return Unavailable.exit_code
    except BrokenPipeError:
        # Whoever read our output has gone; that is no error, and nobody is left to report it to.
        sys.stdout = None
        return 0
    finally:
        bar.clear()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse; texts that stand after an option, which argparse leaves over, are texts too."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    end = rest.index("--") if "--" in rest else len(rest)
    if rest and (not hasattr(options, "texts") or any(part.startswith("-") for part in rest[:end])):
        options.refuse(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.texts = [*options.texts, *rest[:end], *rest[end + 1 :]]
    return options


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="lowmem-sentiment",
        description="Train a sentiment model on labelled text by streaming, in little memory.",
        epilog=EXIT_CODES,
        formatter_class=Help,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add_prepare(commands)
    add_train(commands)
    add_plan(commands)
    add_evaluate(commands)
    add_explore(commands)
    add_predict(commands)
    add_export(commands)
    add_tensorboard(commands)
    add_verify(commands)
    add_curves(commands)
    add_compare(commands)
    add_sweep(commands)
    add_tune(commands)
    add_verify_resume(commands)
    return parser
