"""The curves of runs, read back from their event files: as points, as text, as CSV.

TensorFlow is not needed: 40 MB in all.
"""

import csv
import itertools
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, TextIO

from .dashboard import without_tensorflow
from .errors import InputMissing, SettingsError
from .run_directory import RunDirectory

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


def draw(curves: list[Curve], width: int = 72, height: int = 12) -> list[str]:
    """Draw the curves of one tag into one chart of characters, and give its lines.

    Run n is the n-th letter: small where it trained, a capital where it was validated.

    >>> print(*draw([Curve("runs/a", "train", "loss/epoch", [1, 2, 3], [3, 1, 1])], 12, 3), sep="\\n")
    loss/epoch
            3 ┤aa
              ┤  aaa
            1 ┤     aaaaaaa
              └────────────
               1          3  step
    a runs/a train 1
    """
    values = [value for curve in curves for value in curve.values if math.isfinite(value)]
    steps = [step for curve in curves for step in curve.steps]
    low, high = min(values, default=0.0), max(values, default=1.0)
    first, last = min(steps), max(steps)
    grid = [[" "] * width for _ in range(height)]
    runs = list(dict.fromkeys(curve.run for curve in curves))

    def letter_of(curve: Curve) -> str:
        letter = chr(ord("a") + runs.index(curve.run) % 26)
        return letter.upper() if curve.part == "validation" else letter

    for curve in curves:
        for column, value in _columns(curve, first, last, width):
            row = round((high - value) / (high - low) * (height - 1)) if high > low else height // 2
            grid[row][column] = letter_of(curve)
    lines = [curves[0].tag]
    for nth, row in enumerate(grid):
        label = f"{high:.4g}" if nth == 0 else f"{low:.4g}" if nth == height - 1 else ""
        lines.append(f"{label:>9} ┤{''.join(row).rstrip()}")
    lines.append(f"{'':>10}└{'─' * width}")
    lines.append(f"{'':>11}{first:<{width - len(str(last))}}{last}  step")
    for curve in curves:
        part = f" {curve.part}" if curve.part else ""
        lines.append(f"{letter_of(curve)} {curve.run}{part} {curve.values[-1]:.4g}")
    return lines


def _columns(curve: Curve, first: int, last: int, width: int) -> Iterable[tuple[int, float]]:
    """Yield (column, value): the curve at each column that it reaches, straight between its points."""
    scale = (width - 1) / max(1, last - first)
    points = [
        ((step - first) * scale, value)
        for step, value in zip(curve.steps, curve.values, strict=True)
        if math.isfinite(value)
    ]
    for at, value in points[:1] + points[-1:]:
        yield round(at), value
    for (left, before), (right, after) in itertools.pairwise(points):
        for column in range(math.ceil(left), math.floor(right) + 1):
            share = (column - left) / (right - left) if right > left else 1.0
            yield column, before + share * (after - before)
