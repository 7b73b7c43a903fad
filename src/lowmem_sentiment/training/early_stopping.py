"""Which epoch is kept, and when training ends before its last one.

Both are functions of what the epochs measured, which a resumed run has: nothing else is saved.
(Keras' own EarlyStopping counts in attributes, which a kill takes with it.)
"""

import math
from collections.abc import Callable
from typing import Any

import keras

from ..runs.configuration import TrainingSettings
from ..runs.run_directory import RunDirectory
from ..system.errors import DataError, OutputError
from .checkpoint import Position


def best_epoch(epochs: list[dict[str, Any]], metric: str) -> dict[str, Any]:
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
    return len(epochs) - best_epoch(epochs, settings.best_by)["epoch"] >= settings.early_stopping


class StopEarly(keras.callbacks.Callback):
    """Write the best epoch's weights to the run directory, and end training early."""

    def __init__(
        self,
        run: RunDirectory,
        position: Position,
        settings: TrainingSettings,
        report: Callable[[str], None],
    ):
        super().__init__()
        self._run, self._position, self._settings, self._report = run, position, settings, report

    def on_epoch_end(self, epoch, logs=None):
        """Keep this epoch's weights if it is the best one, and end if enough were no better."""
        epochs, settings = self._position.epochs, self._settings
        if settings.keep_best and kept_epoch(settings, epochs)["epoch"] == epoch + 1:
            try:
                self._run.write_best(epoch + 1, self.model.get_weights())
            except OutputError as error:  # `restore_best` raises what comes of it
                self._report(f"warning: {error}")
        if has_ended(settings, epochs):
            self.model.stop_training = True


def restore_best(model: keras.Model, run: RunDirectory, epoch: int) -> None:
    """Set `model` to the weights of the best epoch; DataError where they are missing or damaged."""
    kept, arrays = run.best()
    shapes = [tuple(weight.shape) for weight in model.weights]
    if kept != epoch or shapes != [array.shape for array in arrays]:
        raise DataError(
            f"{run.best_file} has the weights of epoch {kept}, expected those of {epoch}: they could "
            "not be written, or training was resumed with --force; start over with --overwrite"
        )
    model.set_weights(arrays)
