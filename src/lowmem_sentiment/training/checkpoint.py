"""``state.npz``: all that a resumed run needs to end bit-identical to an uninterrupted one.

    metadata                    JSON: where training was, what was measured, under which conditions
    variable_0, variable_1 ...  the model's weights and dropout seeds, the optimizer's moments and
                                step, the metrics' sums; then `TableAdam.deferred`

6 MB for the default model, three times its weights; written in some 20 ms.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..model.optimizer import TableAdam
from ..model.tensorflow import keras, tf
from ..model.variables import values
from ..runs.run_directory import RunDirectory
from ..system import npz
from ..system.errors import DataError

VERSION = 1


@dataclass
class Position:
    """The position of training, and its measurements so far. Only the loop changes it."""

    epoch: int = 0
    """The epoch that is running, from 0."""
    step: int = 0
    """Steps done in it."""
    epochs: list[dict[str, int | float]] = field(default_factory=list)
    """The content of metrics.jsonl: a dict for each complete epoch."""
    seconds: list[float] = field(default_factory=list)
    """Training time of each epoch so far, the running one's last."""
    waited: float | None = None
    """Seconds in all epochs that steps waited for batches; None if it is not measured."""
    sums: dict[str, float] = field(default_factory=dict)
    """Each metric's running mean times reviews, for batch curves."""
    kept: dict[str, Any] = field(default_factory=dict)
    """The validation results of the kept epoch, written when training ends."""
    described: int = 0
    """The number of epochs that the curves' texts describe."""
    event_files: dict[str, int] = field(default_factory=dict)
    """Bytes of each TensorBoard event file, by its path in the run directory."""


@dataclass(frozen=True)
class _Metadata:
    version: int
    position: Position
    conditions: dict[str, str]
    variables: int
    """How many arrays there are."""


def make_variables(model: keras.Model, num_words: int) -> None:
    """Make the variables that Keras would make in the first step.

    A graph that makes variables while it is traced is traced twice: 0.1 s.
    """
    if not model.built:
        model(np.zeros((1, num_words), np.float32), training=False)
    model.optimizer.build(model.trainable_variables)
    unbuilt = [metric for metric in model.metrics if not getattr(metric, "built", True)]
    if unbuilt:
        predicted = model(np.zeros((1, num_words), np.float32), training=False)
        for metric in unbuilt:
            metric.update_state(np.zeros(1, np.int64), predicted)
        model.reset_metrics()


def variables(model: keras.Model) -> list:
    """Return everything that training changes, each once, in a fixed order."""
    every = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return list({id(variable): variable for variable in every}.values())


def _deferred(model: keras.Model) -> tuple:
    return model.optimizer.deferred if isinstance(model.optimizer, TableAdam) else ()


def _specs(arrays: Iterable) -> list[tuple[tuple[int, ...], tf.DType]]:
    return [(tuple(each.shape), tf.as_dtype(each.dtype)) for each in arrays]


def _assign(targets: Iterable, arrays: Iterable[np.ndarray]) -> None:
    for target, array in zip(targets, arrays, strict=True):
        target.assign(array)


@dataclass
class State:
    """A state in memory: 6 MB for the default model."""

    position: Position
    conditions: dict[str, str]
    arrays: list[np.ndarray]
    file: Any
    """The path or file that it was read from."""

    def restore(self, model: keras.Model) -> Position:
        """Assign the model's, the optimizer's and the metrics' variables, and return the position.

        Treats every row as up to date if the state was saved with a different optimizer (--force). Raises
        DataError, before anything is assigned, if the shapes or dtypes differ.
        """
        targets, deferred = variables(model), _deferred(model)
        arrays, others = self.arrays[: len(targets)], self.arrays[len(targets) :]
        if _specs(targets) != _specs(arrays):
            raise DataError(
                "the state is of a different model: its variables have other shapes; resume with the "
                "model it was trained with"
            )
        _assign(targets, arrays)
        if _specs(deferred) == _specs(others):
            _assign(deferred, others)
        elif deferred:
            model.optimizer.mark_all_moved()
        return self.position


def save(run: RunDirectory, model: keras.Model, position: Position, conditions: dict[str, str]) -> None:
    """Write state.npz; the one before it stays as state.previous.npz. Raises OutputError."""
    position = replace(position, event_files=run.event_file_sizes())
    saved = [*variables(model), *_deferred(model)]
    metadata = asdict(_Metadata(VERSION, position, conditions, len(saved)))

    def named() -> Iterator[tuple[str, np.ndarray | npz.Rows]]:
        """Yield one array at a time: together they are three times the weights."""
        yield "metadata", np.frombuffer(json.dumps(metadata).encode(), np.uint8)
        for nth, variable in enumerate(saved):
            yield f"variable_{nth}", values(variable)

    with run.checksums.replace(run.state_file, run.previous_state_file) as temporary:
        npz.write_arrays(temporary, named())


def load(run: RunDirectory, report: Callable[[str], None] = lambda line: None) -> State | None:
    """Return the newest undamaged state, or None without a state; report a damaged newer one.

    Raises DataError if all states are damaged.
    """
    errors = []
    present = [path for path in (run.state_file, run.previous_state_file) if os.path.lexists(path)]
    for path in present:
        try:
            run.checksums.check(path)
            state = read_state(path, str(path))
        except DataError as error:
            errors.append(str(error))
            continue
        for error in errors:
            report(f"warning: {error}; resuming from the state before it")
        return state
    if present:
        raise DataError(f"{'; '.join(errors)}; start over with --overwrite")
    return None


def read_state(file: Path | BinaryIO, where: str) -> State:
    """Read a whole state, and check it before any of it is used."""
    metadata, arrays = npz.read_with_metadata(file, where, _Metadata, VERSION)
    names = [f"variable_{nth}" for nth in range(len(arrays))]
    if metadata.variables != len(names) or not all(name in arrays for name in names):
        raise DataError(f"{where} is damaged: it lacks some of its {metadata.variables} variables")
    return State(metadata.position, metadata.conditions, [arrays[name] for name in names], file)
