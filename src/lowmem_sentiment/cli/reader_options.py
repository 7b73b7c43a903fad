"""The options for reading files of texts, of `prepare files` and `predict`."""

import argparse
import sys
from collections.abc import Iterable

from ..text.reader_settings import ReaderSettings
from .options import add_settings, whole_number


def add_reader_settings(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup,
    settings: type[ReaderSettings],
    leave_out: Iterable[str] = (),
) -> None:
    """Add an option for each field of a class of reader settings, and the older names of two."""
    add_settings(parser, settings, leave_out)
    parser.add_argument(
        "--text-field", dest="text_column", default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )
    if "label_column" not in leave_out:
        parser.add_argument(
            "--label-field", dest="label_column", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )


def bad_rows(text: str) -> int:
    """Read how many bad rows to skip: a whole number, or "all"."""
    return sys.maxsize if text.strip() == "all" else whole_number(0)(text)
