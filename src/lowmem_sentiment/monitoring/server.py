"""TensorBoard on a server too small for it, and with settings that suit two epochs as well as fifty.

Three things of TensorBoard 2.20 are changed here from outside, and a fourth by
`system.workarounds.without_tensorflow`. Delete them when its command line has options for them:

- `FirstPage`: the address `/` leads to the page with our settings. It takes `smoothing`, `pinnedCards`
  and `runColorGroup` from its address, others from the browser's storage (`_tb_global_settings`).
- `run_names`: runs are called by name, and not by where their event files stand.
- `_show_what_varies`: the HParams tab has no column for a setting that is alike in all runs.
"""

import json
import os
import re
import socket
import threading
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..system.errors import InputMissing, Unavailable
from ..system.memory import return_large_blocks
from ..system.workarounds import without_tensorflow
from .event_reader import CHARTS

PINNED = json.dumps([{"plugin": "scalars", "tag": tag} for tag in CHARTS])

ONE_RUN, SEVERAL_RUNS = "regex:(train|validation|result)", "regex:(.+)/(train|validation)"
"""What gets a colour of its own: each role, or each role of each run."""

STORED = {
    "ignoreOutliers": False,
    "autoReload": True,
    "timeSeriesSettingsPaneOpened": False,
    "timeSeriesCardMinWidth": 440,
}
"""What it takes from the browser's storage, unless the user has chosen. Its own clipping leaves out the
extremes of four points, it does not look for new ones, a third of the width is settings, and of three
columns of charts the two that are pinned leave one empty."""

WIDE_NAMES = {"sideBarWidthInPercent": 30}
"""The same where there are several runs: at its own 20 the long names of a sweep hide the colours."""


def serve(logdir: str | Path, host: str, port: int, report: Callable[[str], None]) -> None:
    """Run TensorBoard until the process is interrupted; `report` is called with its address.

    Raises InputMissing when `logdir` holds no run, Unavailable when the port is taken.
    """
    logdir = Path(logdir)
    if not any(logdir.rglob("*tfevents*")):
        raise InputMissing(f"{logdir} holds no run (no event files); train one, or name its folder")
    _require_port(host, port)
    return_large_blocks()
    without_tensorflow()
    from tensorboard import default, program
    from tensorboard.backend.event_processing.data_ingester import LocalDataIngester

    class Board(program.TensorBoard):  # type: ignore[misc]
        """TensorBoard whose runs are named by `run_names`."""

        def _make_data_ingester(self) -> Any:
            ingester = LocalDataIngester(self.flags)
            runs, name_of = ingester.deprecated_multiplexer, run_names(logdir)
            add = runs.AddRun
            runs.AddRun = lambda path, name=None: add(path, name_of(path))
            ingester.start()
            return ingester

    def make_server(application: Callable[..., Any], flags: Any) -> Any:
        return program.WerkzeugServer(FirstPage(application, len(find_runs(logdir))), flags)

    _show_what_varies()
    board = Board(default.get_plugins(), server_class=make_server)
    # The fast loader is a second process, and prints a note; our event files are small.
    board.configure(logdir=str(logdir), host=host, port=port, load_fast="false")
    report(f"TensorBoard shows {logdir} at {board.launch()} (Ctrl-C stops it)")
    threading.Event().wait()


def _require_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise Unavailable(f"cannot listen on {host}:{port}: {reason}; try --port") from error


class FirstPage:
    """A WSGI application that leads from `/` to TensorBoard's page with our settings.

    Every point is shown as it was measured, loss and accuracy come first.
    """

    def __init__(self, board: Callable[..., Iterable[bytes]], runs: int):
        self._board: Callable[..., Iterable[bytes]] = board
        groups = ONE_RUN if runs == 1 else SEVERAL_RUNS
        self._stored = STORED if runs == 1 else STORED | WIDE_NAMES
        self._query = {"smoothing": "0", "pinnedCards": PINNED, "runColorGroup": groups}

    def __call__(
        self, environment: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if environment["PATH_INFO"] not in ("", "/") or environment.get("QUERY_STRING"):
            return self._board(environment, start_response)
        page = _PAGE.replace("STORED", json.dumps(self._stored)).replace(
            "QUERY", urllib.parse.urlencode(self._query)
        )
        body = page.encode()
        headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))]
        start_response("200 OK", [*headers, ("Cache-Control", "no-store")])
        return [body]


_PAGE = """<!doctype html><meta charset="utf-8"><title>TensorBoard</title><script>
const key = "_tb_global_settings", address = "?QUERY" + (location.hash || "#timeseries");
try {
  const chosen = JSON.parse(localStorage.getItem(key) || "{}");
  localStorage.setItem(key, JSON.stringify({...STORED, ...chosen}));
} finally { location.replace(address); }
</script><noscript>TensorBoard needs JavaScript.</noscript>
"""


# --- the names of runs ---


def find_runs(logdir: Path) -> set[Path]:
    """Return the run directories in a folder that have event files."""
    return {_run_of(file.parent) for file in logdir.rglob("*tfevents*")}


def run_names(logdir: str | Path) -> Callable[[str], str]:
    """Return what gives a directory of event files the name of its run: "X", "X/train", "X/validation".

    TensorBoard's is "X/tensorboard/train". Of names such as a sweep's, "hidden=50-50,epochs=1,seed=0",
    the parts are left out that every run has that is there now.
    """
    logdir = Path(logdir)
    runs = {run.name for run in find_runs(logdir) if "=" in run.name}
    counts = Counter(part for name in runs for part in name.split(","))
    alike = {part for part, count in counts.items() if count == len(runs) > 1}

    def name_of(path: str) -> str:
        directory = Path(path)
        run = _run_of(directory)
        # Event files that stand in `logdir` itself, or in a part of it, are of a run of its name.
        inside = run != logdir and logdir in run.parents
        names = list(run.relative_to(logdir).parts) if inside else [Path(os.path.abspath(run)).name]
        names[-1] = _shorten(names[-1], alike)
        part = directory.relative_to(run).parts
        return "/".join([*names, *(name for name in part if name != "tensorboard")])

    return name_of


def _run_of(directory: Path) -> Path:
    """Return the run directory that a directory of event files belongs to: that above `tensorboard/`."""
    for each in (directory, *directory.parents):
        if each.name == "tensorboard":
            return each.parent
    return directory


def _shorten(name: str, alike: set[str]) -> str:
    parts = [part for part in name.split(",") if part not in alike]
    if "=" not in name or not parts:
        return name
    lists = re.compile(r"^(hidden|dropout)=")  # whose parts a file name joins by "-"
    return " ".join(part.replace("-", ",") if lists.match(part) else part for part in parts)


# --- the HParams tab ---


def _show_what_varies() -> None:
    """Let the HParams tab have a column for each setting that varies, and for each run's metrics.

    TensorBoard takes the columns of one run for those of all.
    """
    from tensorboard.plugins.hparams import backend_context, metadata

    original = backend_context.Context.experiment_from_metadata

    def experiment_from_metadata(  # type: ignore[no-untyped-def]
        self, ctx, experiment_id, include_metrics, contents, *rest, **options
    ):
        experiment = original(self, ctx, experiment_id, include_metrics, contents, *rest, **options)
        varied = [info for info in self._compute_hparam_infos(contents) if info.differs]
        if varied:
            order = {info.name: nth for nth, info in enumerate(experiment.hparam_infos)}
            experiment.ClearField("hparam_infos")
            experiment.hparam_infos.extend(
                sorted(varied, key=lambda info: order.get(info.name, len(order)))
            )
        metrics: dict[tuple[str, str], Any] = {}
        for tags in contents.values():
            if include_metrics and (content := tags.get(metadata.EXPERIMENT_TAG)) is not None:
                for info in metadata.parse_experiment_plugin_data(content).metric_infos:
                    metrics.setdefault((info.name.group, info.name.tag), info)
        if metrics:
            experiment.ClearField("metric_infos")
            experiment.metric_infos.extend(metrics.values())
        return experiment

    backend_context.Context.experiment_from_metadata = experiment_from_metadata
