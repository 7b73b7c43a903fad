"""The command line: a module a command."""

import sys
from collections.abc import Sequence

from ..system.interrupts import Interrupts


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    The commands are imported here, 0.1 s, so that Ctrl-C meanwhile is a line too.
    """
    try:
        with Interrupts() as interrupts, interrupts.deferred():
            from .command_line import run
        return run(arguments)
    except KeyboardInterrupt:
        # An `exec`, as in the making of a dataclass, that Ctrl-C ended has Python end by the signal
        # whatever is returned here; another one takes that back.
        exec("")
        print("lowmem-sentiment: stopped", file=sys.stderr)
        return 130


__all__ = ["main"]
