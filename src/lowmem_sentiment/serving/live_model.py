"""The served model. It can be replaced while requests continue."""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ..decisions.settings import RECORDED, DecisionSettings
from ..evaluation.labelled_texts import recorded_source
from ..evaluation.predict import Predictor
from ..model.decision import Decision
from ..runs.run_directory import RunDirectory
from ..system.errors import DataError, InputMissing, LowmemError, printable
from ..system.memory import trim_heap

LOOK_EVERY = 1.0
"""Seconds between two checks of the run's path."""


class LoadedModel(NamedTuple):
    """A run's model, and how its probabilities become answers."""

    predictor: Predictor
    abstains: bool
    """Whether a text may get no label unless the request says otherwise."""
    decisions: dict[bool, Decision]
    """With True and without abstaining; the run may have no limits for the first."""
    text_names: tuple[str, ...]
    """The usual names of the text column, the run's own first."""


class LiveModel:
    """A run's model, loaded again when its path leads elsewhere.

    The path may be a link, such as ``runs/live``. It is followed once per load, so that weights,
    vocabulary and limits come from the same run. Both models are in memory during a load; requests that
    began with the old one end with it.
    """

    def __init__(
        self, run: str | Path, settings: DecisionSettings, log: Callable[[dict[str, Any]], None]
    ):
        """Load the run; InputMissing, DataError or SettingsError if that fails."""
        self._run, self._settings, self._log = Path(run), settings, log
        self._lock = threading.Lock()
        self._looked_at, self._seen = time.monotonic(), _identity(self._run)
        self.loaded = self._load()

    def _load(self) -> LoadedModel:
        run, settings = RunDirectory(os.path.realpath(self._run)), self._settings
        predictor = Predictor(run.path)
        abstains = settings.abstain is not None
        decisions = {abstains: predictor.decision(settings)}
        if settings.threshold is None:
            with contextlib.suppress(InputMissing, DataError):  # only a request may ask for it
                other = replace(settings, abstain=None if abstains else RECORDED)
                decisions[not abstains] = predictor.decision(other)
        return LoadedModel(predictor, abstains, decisions, recorded_source(run).fields.text_names)

    def has_changed(self) -> bool:
        """Whether the path leads to new weights since the last load; checks once a second."""
        if time.monotonic() - self._looked_at < LOOK_EVERY:
            return False
        self._looked_at = time.monotonic()
        return bool(_identity(self._run) != self._seen)

    def replace(self) -> None:
        """Load the run at the path and switch to it; keep the old model if that fails."""
        with self._lock:
            self._seen = _identity(self._run)
            event: dict[str, Any] = {"event": "model", "run": os.path.realpath(self._run)}
            try:
                self.loaded = self._load()
            except (LowmemError, MemoryError) as error:
                self._log({**event, "loaded": False, "error": printable(error, 1_000)})
            else:
                trim_heap()  # the old model, once no request uses it
                self._log({**event, "loaded": True})

    def replace_in_background(self) -> None:
        """Replace the model in a thread; requests continue with the old one."""
        threading.Thread(target=self.replace, daemon=True).start()


def _identity(run: Path) -> Any:
    """Return a value that changes with the weights at a path; None without weights."""
    directory = Path(os.path.realpath(run))
    try:
        found = RunDirectory(directory).weights_file.stat()
    except OSError:
        return None
    return directory, found.st_ino, found.st_mtime_ns, found.st_size
