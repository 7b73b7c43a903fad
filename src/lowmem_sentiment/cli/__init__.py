"""The command line: a module a command."""

from .command_line import main

__all__ = ["main"]
