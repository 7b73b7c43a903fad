"""``tensorboard``."""

import argparse
from pathlib import Path
from typing import Any

from ..system.progress import Bar
from .commands import add_command, report


def _tensorboard(options: argparse.Namespace, bar: Bar) -> None:
    from ..monitoring.server import serve

    serve(options.runs, options.host, options.port, report)


def add_tensorboard(commands: Any) -> None:
    board = add_command(
        commands, "tensorboard", _tensorboard, "show the curves of runs in a browser", json_=False
    )
    board.add_argument("runs", type=Path, metavar="DIR", help="a run directory, or a folder of them")
    board.add_argument("--host", default="127.0.0.1", help="address to listen on")
    board.add_argument("--port", type=int, default=6006, help="port to listen on")
