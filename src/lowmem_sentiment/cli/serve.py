"""``serve``."""

import argparse
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..decisions.settings import DecisionSettings
from ..serving.settings import ServingSettings
from ..system.progress import Bar
from ..system.settings import Settings, setting
from .options import RUN_OR_EXPORT, add_settings, given
from .output import report, warn


@dataclass(frozen=True)
class _Address(Settings):
    host: str = setting(
        "127.0.0.1", "address to listen on (default: 127.0.0.1, this machine only)", metavar="HOST"
    )
    port: int = setting(
        8080, "port to listen on; 0: any that is free", metavar="PORT", at_least=0, at_most=65_535
    )
    workers: int = setting(
        1,
        "processes that answer and share the model's memory; more than 1 need gunicorn",
        at_least=1,
        at_most=64,
    )


HERE = ("127.0.0.1", "localhost", "::1")


def run(options: argparse.Namespace, bar: Bar) -> None:
    address = _Address(**given(options, _Address))
    if address.workers == 1:
        _serve(options, address)
        return
    process, counts = os.getpid(), tempfile.mkdtemp(prefix="lowmem-sentiment-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = counts  # before `prometheus_client` is imported
    try:
        _serve(options, address)
    finally:
        if os.getpid() == process:  # and not a worker, which ends here too
            shutil.rmtree(counts, ignore_errors=True)


def _serve(options: argparse.Namespace, chosen: _Address) -> None:
    from ..monitoring.server import listen
    from ..serving.application import create_app
    from ..serving.server import log_line, run_in_process

    if chosen.workers > 1:
        from ..serving.workers import run_in_workers
    settings = ServingSettings(**given(options, ServingSettings))
    application = create_app(
        options.run,
        name=options.name,
        settings=settings,
        decision=DecisionSettings(**given(options, DecisionSettings)),
        watch=False,  # the server does
        log=log_line,
        access_log=options.access_log,
    )
    listening = listen(chosen.host, chosen.port)
    host, port = listening.getsockname()[:2]
    if chosen.host not in HERE:
        warn(
            f"{chosen.host} is open to other machines, without TLS and without a password; expected a "
            "server such as nginx or Caddy between it and them"
        )
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    report(f"{application.name} answers at {address} (Ctrl-C stops it)")
    if chosen.workers == 1:
        run_in_process(application, listening, settings)
    else:
        run_in_workers(application, listening, settings, chosen.workers)


EXAMPLES = """
The page at / shows the words that decide. For programs:

  curl -d '{"instances": ["a moving film"]}' \\
      http://127.0.0.1:8080/v1/models/NAME:predict
  curl -d '{"inputs": "a moving film"}' \\
      http://127.0.0.1:8080/
  curl -H 'Content-Type: text/csv' \\
      --data-binary @new.csv \\
      http://127.0.0.1:8080/v1/models/NAME:predict

SIGTERM finishes the requests under way. When RUN is a link that leads to
another run, or on SIGHUP, the model is replaced; a damaged one is refused.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help=RUN_OR_EXPORT)
    add("--name", help="name of the model in addresses (default: the name of RUN)")
    add_settings(parser, _Address)
    add_settings(parser, DecisionSettings)
    add("--access-log", action="store_true", help="log each request, but no text, to standard error")
    add_settings(parser, ServingSettings)
