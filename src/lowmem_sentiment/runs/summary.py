"""The outcome of training: the epoch that is kept, whether training is over, and the summary.

The first two depend only on the epochs' metrics, so a resumed run needs nothing else.
(Keras' own EarlyStopping counts in attributes, which a kill loses.)
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..system.schema import parse
from .configuration import TrainingSettings


def best_epoch(epochs: Sequence[dict[str, Any]], metric: str) -> dict[str, Any]:
    """Return the epoch with the most "accuracy" or "f1" or the least "loss" in validation.

    Ties go to the first. A model that does not measure accuracy is judged by its loss.
    """
    metric = "macro_f1" if metric == "f1" else metric
    if f"val_{metric}" not in epochs[0]:
        metric = "loss"

    def worth(epoch: dict[str, Any]) -> float:
        value = epoch[f"val_{metric}"]
        return -math.inf if math.isnan(value) else -value if metric == "loss" else value

    return max(epochs, key=worth)


def kept_epoch(settings: TrainingSettings, epochs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the epoch whose weights are the run's: the best with `keep_best`, otherwise the last."""
    return best_epoch(epochs, settings.best_by) if settings.keep_best else epochs[-1]


def has_ended(settings: TrainingSettings, epochs: list[dict[str, Any]]) -> bool:
    """Return whether training is over: all epochs, or `early_stopping` ones without a better one."""
    if len(epochs) >= settings.epochs:
        return True
    if not settings.early_stopping or not epochs:
        return False
    best: int = best_epoch(epochs, settings.best_by)["epoch"]
    return len(epochs) - best >= settings.early_stopping


@dataclass(frozen=True)
class Seconds:
    """How long training took."""

    training: float
    """Training steps of all epochs, without validation."""
    epochs: list[float]
    """The same for each epoch."""
    waiting_for_data: float | None = None
    """Time that steps waited for batches; None if it was not measured."""


@dataclass(frozen=True, kw_only=True)
class TrainingSummary:
    """The result of `train`, saved in summary.json: metrics of the kept epoch, times, memory in bytes."""

    former_keys = ("checksum",)  # which `read_json` has checked

    run: str
    """The run directory."""
    parent: str | None = None
    """The run whose weights this one started from."""
    data: str
    """Where the reviews come from."""
    reviews: dict[str, int]
    """The number of training and validation reviews, by split."""
    validated_on: str
    """The split of the metrics whose names begin with "val_"."""
    epoch: int
    """The epoch that is kept, from 1."""
    metrics: dict[str, float]
    """Its metrics: "loss", "accuracy", "val_loss", "val_accuracy", "val_f1", ..."""
    epochs: int
    """The number of epochs that were trained."""
    best_by: str = TrainingSettings.best_by
    best_epoch: int
    """The best epoch by the setting `best_by`."""
    least_loss_epoch: int | None = None
    """The epoch with the least validation loss."""
    parameters: int
    seconds: Seconds
    reviews_per_second: float
    """Training reviews, without the time of validation."""
    peak_resident_bytes: int
    peak_anonymous_bytes: int
    predicted_resident_bytes: int
    predicted_anonymous_bytes: int
    warnings: list[str] = field(default_factory=list)
    """Problems of the model, and commands that fix them (`diagnosis.py`)."""

    def to_json(self) -> dict[str, Any]:
        """Return the object that summary.json holds, and `train --json` prints."""
        content: dict[str, Any] = {}
        for name, value in asdict(self).items():
            if name == "metrics":
                content |= value
            elif value not in (None, []):
                content[name] = value
        if self.seconds.waiting_for_data is None:
            del content["seconds"]["waiting_for_data"]
        return content

    @classmethod
    def from_json(cls, content: Any, where: str) -> "TrainingSummary":
        """Return the summary that `to_json` made; raise DataError that names `where` and the key."""
        if isinstance(content, dict):
            known = {each.name for each in fields(cls)}.union(cls.former_keys)
            metrics = {name: content[name] for name in content if name not in known}
            content = {name: content[name] for name in content if name in known} | {"metrics": metrics}
        return parse(cls, content, where)
