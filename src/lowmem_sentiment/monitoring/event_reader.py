"""The curves of runs, read back from their event files: as points, as text, as CSV.

TensorFlow is not needed: 40 MB in all.
"""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, TextIO

from ..runs.run_directory import RunDirectory
from ..system.errors import InputMissing, SettingsError
from ..system.workarounds import without_tensorflow

CHARTS = ("accuracy/batch", "loss/batch", "accuracy/epoch", "loss/epoch")
"""What is drawn when nothing else is asked for."""


class Curve(NamedTuple):
    """The points of one curve."""

    run: str
    part: str
    """"train", "validation", or "" for a finished run's result."""
    tag: str
    """Such as "accuracy/epoch"."""
    steps: list[int]
    values: list[float]


def read_curves(run: str | Path) -> list[Curve]:
    """Give every scalar curve of a run, sorted by tag, from its event files alone.

    Raises InputMissing where there are none.
    """
    without_tensorflow()
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util import tensor_util

    run = RunDirectory(run)
    curves: dict[tuple[str, str], Curve] = {}
    files = sorted(run.tensorboard.rglob("*tfevents*"))
    if not files:
        raise InputMissing(
            f"{run.path} holds no curves: it has no event files in {run.tensorboard.name}/"
        )
    for file in files:
        part = "" if file.parent == run.tensorboard else file.parent.name
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name != "scalars":
                    continue
                if (value.tag, part) not in curves:
                    curves[value.tag, part] = Curve(str(run.path), part, value.tag, [], [])
                curve = curves[value.tag, part]
                curve.steps.append(event.step)
                curve.values.append(float(tensor_util.make_ndarray(value.tensor)))
    return [curves[key] for key in sorted(curves)]


def choose(curves: Iterable[Curve], tags: Iterable[str]) -> list[Curve]:
    """Give the curves with one of `tags`, in their order; SettingsError for one that no run has."""
    curves = list(curves)
    known = sorted({curve.tag for curve in curves})
    for tag in tags:
        if tag not in known:
            raise SettingsError(f"no curve {tag!r}, expected one of {', '.join(known)}")
    return [curve for tag in tags for curve in curves if curve.tag == tag]


def write_csv(curves: Iterable[Curve], file: TextIO) -> None:
    """Write a row a point: run, part, tag, step, value."""
    writer = csv.writer(file)
    writer.writerow(["run", "part", "tag", "step", "value"])
    for curve in curves:
        for step, value in zip(curve.steps, curve.values, strict=True):
            writer.writerow([curve.run, curve.part, curve.tag, step, repr(value)])
