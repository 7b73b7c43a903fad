"""The command line: one module per command, imported when the command is run."""

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Everything is imported here, so that Ctrl-C during an import is reported in one line too.
    """
    # Starting a second thread for products this small takes longer than they do, and where it
    # cannot start, OpenBLAS ends the process as Ctrl-C would.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from ..system.signals import Interrupts

        with Interrupts() as interrupts, interrupts.deferred():
            from .command_line import parse, run

            options = parse(sys.argv[1:] if arguments is None else arguments)
        return run(options)
    except KeyboardInterrupt:
        # If Ctrl-C ended an `exec`, such as a dataclass runs, Python ends by the signal whatever is
        # returned here; a second `exec` undoes that.
        exec("")
        from .output import report

        report("stopped")
        return 130


__all__ = ["main"]
