"""The model that is served, and how it is replaced while requests go on."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..evaluation.predict import Predictor
from ..runs.run_directory import RunDirectory
from ..system.errors import LowmemError, printable
from ..system.memory import trim_heap

LOOK_EVERY = 1.0
"""Seconds between two looks at what the run's path leads to."""


class LiveModel:
    """A run's `Predictor`, loaded again when its path leads elsewhere.

    The path may be a link, such as ``runs/live``. It is followed once for each loading, so that weights
    and vocabulary come from the same run. While a new model is loaded both are in memory; requests that
    began with the old one end with it.
    """

    def __init__(self, run: str | Path, log: Callable[[dict[str, Any]], None]):
        """Load the run; InputMissing or DataError where it cannot be."""
        self._run, self._log = Path(run), log
        self._lock = threading.Lock()
        self._looked_at, self._seen = time.monotonic(), _identity(self._run)
        self.predictor = self._load()

    def _load(self) -> Predictor:
        return Predictor(os.path.realpath(self._run))

    def has_changed(self) -> bool:
        """Whether the path leads to other weights since it was last loaded; looks once a second."""
        if time.monotonic() - self._looked_at < LOOK_EVERY:
            return False
        self._looked_at = time.monotonic()
        return bool(_identity(self._run) != self._seen)

    def replace(self) -> None:
        """Load what the path leads to and switch to it; the old model stays where that fails."""
        with self._lock:
            self._seen = _identity(self._run)
            event: dict[str, Any] = {"event": "model", "run": os.path.realpath(self._run)}
            try:
                self.predictor = self._load()
            except (LowmemError, MemoryError) as error:
                self._log({**event, "loaded": False, "error": printable(error, 1_000)})
            else:
                trim_heap()  # the old model, once no request uses it
                self._log({**event, "loaded": True})

    def replace_in_background(self) -> None:
        """Replace the model in a thread; requests go on with the old one."""
        threading.Thread(target=self.replace, daemon=True).start()


def _identity(run: Path) -> Any:
    """Return what changes when a path leads to other weights; None where there are none."""
    directory = Path(os.path.realpath(run))
    try:
        found = RunDirectory(directory).weights_file.stat()
    except OSError:
        return None
    return directory, found.st_ino, found.st_mtime_ns, found.st_size
