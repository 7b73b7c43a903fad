"""Draw curves as characters."""

import itertools
import math
import os
from collections.abc import Iterable

from ..system.errors import printable
from .event_reader import Curve

COLOURS = (36, 33, 35, 32, 34, 31)
"""ANSI codes, one per run: cyan, yellow, magenta, green, blue, red."""

MARGIN = 11
"""Columns left of a chart: a number of 9 characters, a space and the axis."""


def draw(curves: list[Curve], width: int = 80, height: int = 12, colour: bool = False) -> list[str]:
    """Draw the curves of one tag into one chart, and return its lines, of less than `width` characters.

    Run n has the n-th letter and colour: a small letter for training, a capital for validation; `*` is
    the result. Curves that meet take turns, column by column. The chart itself has `height` rows.

    >>> curve = Curve("runs/a", "train", "loss", [1, 2, 3], [3, 1, 1])
    >>> print(*draw([curve], 24, 3), sep="\\n")
    loss
            3 ┤aa
              ┤  aaa
            1 ┤     aaaaaaa
              └────────────
               1          3  step
    a train 1
    """
    columns = max(8, width - MARGIN - 1)
    values = [value for curve in curves for value in curve.values if math.isfinite(value)]
    steps = [step for curve in curves for step in curve.steps]
    low, high = min(values, default=0.0), max(values, default=1.0)
    first, last = min(steps), max(steps)
    runs = list(dict.fromkeys(curve.run for curve in curves))
    cells: dict[tuple[int, int], list[str]] = {}
    for curve in curves:
        mark = _mark(curve, runs, colour)
        for column, value in _columns(curve, first, last, columns):
            row = round((high - value) / (high - low) * (height - 1)) if high > low else height // 2
            marks = cells.setdefault((row, column), [])
            if mark not in marks:
                marks.append(mark)
    lines = [printable(curves[0].tag)]
    for row in range(height):
        label = f"{high:.4g}" if row == 0 else f"{low:.4g}" if row == height - 1 else ""
        drawn = [cells.get((row, column), [" "]) for column in range(columns)]
        text = "".join(marks[column % len(marks)] for column, marks in enumerate(drawn))
        lines.append(f"{label:>9} ┤{text}".rstrip())
    lines.append(f"{'':>10}└{'─' * columns}")
    ends = f"{first:<{max(1, columns - len(str(last)))}}{last}"
    lines.append(f"{'':>11}{ends}" + ("  step" if len(ends) + 6 < width - MARGIN else ""))
    return lines + _legend(curves, runs, width, colour)


def _mark(curve: Curve, runs: list[str], colour: bool) -> str:
    nth = runs.index(curve.run)
    letter = chr(ord("a") + nth % 26)
    letter = {"validation": letter.upper()}.get(curve.part, letter)
    letter = "*" if curve.part.startswith("result") else letter
    return f"\x1b[{COLOURS[nth % len(COLOURS)]}m{letter}\x1b[0m" if colour else letter


def _legend(curves: list[Curve], runs: list[str], width: int, colour: bool) -> list[str]:
    """Return one line per curve: its mark, the part of its run's name that differs, its last value."""
    names = dict(zip(runs, _short_names(runs), strict=True))
    lines = []
    for curve in curves:
        value = f"{curve.values[-1]:.4g}"
        name = " ".join(filter(None, (names[curve.run], curve.part)))
        room = max(1, width - len(value) - 4)
        name = name if len(name) <= room else f"…{name[len(name) - room + 1 :]}"  # the ends differ
        lines.append(f"{_mark(curve, runs, colour)} {name} {value}")
    return lines


def _short_names(runs: list[str]) -> list[str]:
    """Return the paths without the folders that they share; a single run needs no name."""
    if len(runs) == 1:
        return [""]
    shared = os.path.commonpath([os.path.dirname(os.path.abspath(run)) for run in runs])
    return [printable(os.path.relpath(os.path.abspath(run), shared)) for run in runs]


def _columns(curve: Curve, first: int, last: int, width: int) -> Iterable[tuple[int, float]]:
    """Yield (column, value): the curve at each column it reaches, interpolated linearly."""
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
