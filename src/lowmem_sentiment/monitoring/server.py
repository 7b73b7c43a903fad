"""TensorBoard for small servers, with settings that suit two epochs as well as fifty.

Only plugins whose tabs have content are loaded. `gate` refuses requests from pages of other sites, and
opens the page with our settings. `system/workarounds.py` changes TensorBoard itself.
"""

import ipaddress
import json
import re
import socket
import threading
import urllib.parse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from werkzeug.wrappers import Response

from ..system.directories import no_directory
from ..system.errors import InputMissing, Unavailable
from ..system.memory import return_large_blocks
from ..system.workarounds import (
    board_with_run_names,
    show_what_varies,
    without_pictures,
    without_tensorflow,
)
from .event_reader import CHARTS
from .run_names import find_runs, run_names

Application = Callable[..., Iterable[bytes]]
"""WSGI, PEP 3333."""

PINNED = json.dumps([{"plugin": "scalars", "tag": tag} for tag in CHARTS])

ONE_RUN = "regex:(/train|/validation|/result|[^/]$)"
SEVERAL_RUNS = r"regex:^(.+?)(?:/(?:train|validation|result_\w+))?$"
"""A single run has a colour for each of its curves; several runs have one each."""

STORED = {
    "ignoreOutliers": False,
    "autoReload": True,
    "timeSeriesSettingsPaneOpened": False,
    "timeSeriesCardMinWidth": 440,
}
"""Settings that TensorBoard reads from the browser's storage, unless the user has chosen others. By
default it clips the extremes of four points, never looks for new ones, gives a third of the width to
settings, and leaves one of three columns of charts empty beside the two pinned ones."""

WIDE_NAMES = {"sideBarWidthInPercent": 30}
"""The same for several runs: at the default of 20 the long names of a grid's runs hide the colours."""


def serve(logdir: str | Path, host: str, port: int, report: Callable[[str], None]) -> None:
    """Run TensorBoard until the process is interrupted; `report` is called with its address.

    Raises InputMissing when `logdir` holds no run, Unavailable when the port is taken.
    """
    logdir = Path(logdir)
    if not logdir.exists():
        raise no_directory(logdir, "run", "train")
    if not any(logdir.rglob("*tfevents*")):
        raise InputMissing(f"{logdir} holds no run (no event files); train one, or name its folder")
    listen(host, port).close()  # TensorBoard would end the process where it cannot
    return_large_blocks()
    without_tensorflow()
    without_pictures()
    show_what_varies()
    from tensorboard.program import WerkzeugServer

    def make_server(application: Application, flags: Any) -> Any:
        return WerkzeugServer(gate(application, len(find_runs(logdir)), host), flags)

    board = board_with_run_names(run_names(logdir))(_plugins(), server_class=make_server)
    # The fast loader is a second process, and prints a note; our event files are small.
    board.configure(logdir=str(logdir), host=host, port=port, load_fast="false")
    report(f"TensorBoard shows {logdir} at {board.launch()} (Ctrl-C stops it)")
    threading.Event().wait()


def _plugins() -> list[Any]:
    """Return the plugins that have content to show, in the order of their tabs.

    One of the others imports TensorFlow when its address is requested: 530 MB until the server ends.
    """
    from tensorboard.plugins.core.core_plugin import CorePluginLoader
    from tensorboard.plugins.distribution.distributions_plugin import DistributionsPlugin
    from tensorboard.plugins.histogram.histograms_plugin import HistogramsPlugin
    from tensorboard.plugins.hparams.hparams_plugin import HParamsPlugin
    from tensorboard.plugins.image.images_plugin import ImagesPlugin
    from tensorboard.plugins.metrics.metrics_plugin import MetricsPlugin
    from tensorboard.plugins.pr_curve.pr_curves_plugin import PrCurvesPlugin
    from tensorboard.plugins.scalar.scalars_plugin import ScalarsPlugin
    from tensorboard.plugins.text.text_plugin import TextPlugin

    return [
        CorePluginLoader(), MetricsPlugin, ScalarsPlugin, ImagesPlugin, DistributionsPlugin,
        HistogramsPlugin, TextPlugin, PrCurvesPlugin, HParamsPlugin,
    ]  # fmt: skip


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; Unavailable if it cannot listen."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, kind, protocol)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(1024)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Unavailable(f"cannot listen on {host}:{port}: {reason}; try --port") from error
    return opened


def gate(board: Application, runs: int, host: str) -> Application:
    """Return a WSGI application in front of TensorBoard's: it checks the Host, and adds the first page.

    The address `/` leads to TensorBoard's page with our settings: every point is shown as it was
    measured, loss and accuracy come first. TensorBoard takes `smoothing`, `pinnedCards` and
    `runColorGroup` from its address, others from the browser's storage (`_tb_global_settings`).
    """
    groups, stored = (ONE_RUN, STORED) if runs == 1 else (SEVERAL_RUNS, STORED | WIDE_NAMES)
    query = urllib.parse.urlencode({"smoothing": "0", "pinnedCards": PINNED, "runColorGroup": groups})
    page = _PAGE.replace("STORED", json.dumps(stored)).replace("QUERY", query)
    name = socket.gethostname()
    known = {"localhost", host.lower(), name.lower()}

    def answer(environment: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        response = Response(page, mimetype="text/html", headers={"Cache-Control": "no-store"})
        if not _is_ours(environment.get("HTTP_HOST", "localhost"), known):
            expected = f"localhost, an IP address, {name}, or the name given by --host"
            text = f"This request is for a different server; expected the Host {expected}.\n"
            response = Response(text, 403, mimetype="text/plain")
        elif environment["PATH_INFO"] not in ("", "/") or environment.get("QUERY_STRING"):
            return board(environment, start_response)
        return response(environment, start_response)

    return answer


def _is_ours(host: str, known: set[str]) -> bool:
    """Return whether a request's Host names this server.

    A page of any site may request this machine's address under the site's own name (DNS rebinding), and
    could read the answer. A browser sends an IP address only if the user opened that address.
    """
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return name.lower() in {*known, socket.getfqdn().lower()}
    return True


_PAGE = """<!doctype html><meta charset="utf-8"><title>TensorBoard</title><script>
const key = "_tb_global_settings";
let address = "?QUERY" + (location.hash || "#timeseries");
if (!address.includes("_smoothingWeight")) address += "&_smoothingWeight=0";  // of the tab Scalars
try {
  if (!localStorage.getItem("_ignoreYOutliers")) localStorage.setItem("_ignoreYOutliers", "false");
  const chosen = JSON.parse(localStorage.getItem(key) || "{}");
  localStorage.setItem(key, JSON.stringify({...STORED, ...chosen}));
} finally { location.replace(address); }
</script><noscript>TensorBoard needs JavaScript.</noscript>
"""
