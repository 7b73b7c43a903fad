"""``tensorboard``."""

import argparse
from pathlib import Path

from ..system.progress import Bar
from .options import whole_number
from .output import report


def run(options: argparse.Namespace, bar: Bar) -> None:
    from ..monitoring.server import serve

    serve(options.runs, options.host, options.port, report)


FROM_AFAR = """To watch the runs of a server from a laptop, use ssh, which leaves the port
closed to others:

  laptop$ ssh -L 6006:localhost:6006 SERVER
  server$ lowmem-sentiment tensorboard runs/

Then open http://localhost:6006/ in the laptop's browser.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the command's parser."""
    parser.epilog = FROM_AFAR
    add = parser.add_argument
    add("runs", type=Path, metavar="DIR", help="a run directory, or a folder of them")
    add(
        "--host",
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0: all, open to everybody (default: %(default)s)",
    )
    add(
        "--port",
        type=whole_number(0, 65_535),
        default=6006,
        help="port to listen on; 0: any that is free (default: %(default)s)",
    )
