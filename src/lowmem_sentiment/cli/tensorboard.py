"""``tensorboard``."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from ..system.progress import Bar
from ..system.settings import Settings, setting
from .options import add_settings, given
from .output import report


@dataclass(frozen=True)
class _ServerSettings(Settings):
    host: str = setting(
        "127.0.0.1", "address to listen on; 0.0.0.0: all, open to everybody", metavar="HOST"
    )
    port: int = setting(
        6006, "port to listen on; 0: any that is free", metavar="PORT", at_least=0, at_most=65_535
    )


def run(options: argparse.Namespace, bar: Bar) -> None:
    """Serve TensorBoard until Ctrl-C."""
    from ..monitoring.server import serve

    settings = _ServerSettings(**given(options, _ServerSettings))
    serve(options.runs, settings.host, settings.port, report)


FROM_AFAR = """To watch the runs of a server from a laptop, use ssh, which leaves the port
closed to others:

  laptop$ ssh -L 6006:localhost:6006 SERVER
  server$ lowmem-sentiment tensorboard runs/

Then open http://localhost:6006/ in the laptop's browser.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.epilog = FROM_AFAR
    add = parser.add_argument
    add("runs", type=Path, metavar="DIR", help="a run directory, or a folder of them")
    add_settings(parser, _ServerSettings)
