"""Draw curves as characters."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TextIO

from ..system.errors import printable
from ..system.progress import can_write
from .event_reader import Curve
from .run_names import short_names
from .terminal_text import columns, cut

COLOURS = (36, 33, 35, 32, 34, 31)
"""ANSI codes, one per run, or one per part of a single run: cyan, yellow, magenta, green, blue, red."""

MARGIN = 11
"""Columns left of a chart: a number of 9 characters, a space and the axis."""

ROLES = "train", "validation", "result"
"""The kinds of curves, in the order of their marks."""

FRAME_LINES = 4
"""Lines of a chart besides its rows: title, axis, epochs, and an empty line."""

CHARACTERS = "┤└─┴·●*", "|+-+.o*"
"""The axis' left, corner, bottom and epochs; a single run's train, validation, result. Again in ASCII."""


def characters_for(stream: TextIO) -> str:
    """Return the first of `CHARACTERS` that the encoding of `stream` has."""
    return next(each for each in CHARACTERS if can_write(each, stream))


@dataclass(frozen=True)
class Style:
    """How the charts of some curves are drawn."""

    width: int = 80
    height: int = 12
    """Rows of a chart itself."""
    colour: bool = False
    characters: str = CHARACTERS[0]
    epochs: Sequence[int] = ()
    """The step at each epoch's end; the axis shows steps if it is not known, or not the same for all."""
    unit: str = "step"
    """The unit of the axis without epochs."""


def epoch_ends(curves: Iterable[Curve]) -> list[int]:
    """Return the steps at which runs were validated, [] if their epochs differ in length."""
    ends: set[int] = set()
    lengths = set()
    for curve in curves:
        if curve.part == "validation":
            ends.update(curve.steps)
            lengths.add(curve.steps[0])
    return sorted(ends) if len(lengths) == 1 else []


def draw(curves: list[Curve], runs: Sequence[str], style: Style) -> list[str]:
    """Draw the curves of one tag into one chart, and return its lines, of less than `style.width`.

    Training is a line; validation is a point per epoch, and so is the result. A single run has a mark for
    each; the n-th of several `runs` has the n-th letter, small for training and capital for validation.
    Lines that meet take turns, column by column; a point that meets another stands beside it.

    >>> curve = Curve("runs/a", "train", "loss", [1, 2, 3], [3, 1, 1])
    >>> print(*draw([curve], ["runs/a"], Style(24, 3)), sep="\\n")
    loss  · train 1
            3 ┤··
              ┤  ···
            1 ┤     ·······
              └────────────
         step  1          3
    """
    values = [value for curve in curves for value in curve.values if math.isfinite(value)]
    low, high = min(values, default=0.0), max(values, default=1.0)
    steps = [*style.epochs, *(step for curve in curves for step in curve.steps)]
    first, last, room = 0 if style.epochs else min(steps), max(steps), max(8, style.width - MARGIN - 1)

    def column(step: int) -> float:
        return (step - first) * (room - 1) / max(1, last - first)

    def row(value: float) -> float:
        return (high - value) / (high - low) * (style.height - 1) if high > low else style.height // 2

    lines = _title(curves, runs, style)
    places = []
    for curve in curves:
        points = zip(curve.steps, curve.values, strict=True)
        found = [(column(step), row(value)) for step, value in points if math.isfinite(value)]
        places.append((curve, found))
    cells = _cells(places, runs, style, room)
    for nth in range(style.height):
        label = f"{high:.4g}" if nth == 0 else f"{low:.4g}" if nth == style.height - 1 else ""
        drawn = (cells.get((nth, at), [" "]) for at in range(room))
        text = "".join(marks[at % len(marks)] for at, marks in enumerate(drawn))
        lines.append(f"{label:>9} {style.characters[0]}{text}".rstrip())
    return lines + _axis(style, room, [round(column(step)) for step in style.epochs], (first, last))


def _cells(
    places: list[tuple[Curve, list[tuple[float, float]]]], runs: Sequence[str], style: Style, room: int
) -> dict[tuple[int, int], list[str]]:
    """Return the marks in each (row, column) from each curve's (column, row)."""
    cells: dict[tuple[int, int], list[str]] = {}
    points = set()
    for curve, found in sorted(places, key=lambda each: _role(each[0])):  # points over lines
        mark = _mark(curve, runs, style)
        if _role(curve) == 0:
            for at, row in _line(found):
                marks = cells.setdefault((round(row), at), [])
                marks += [mark] * (mark not in marks)
            continue
        for middle, row in found:
            beside = (round(middle) + shift for shift in (0, -1, 1, -2, 2, -3, 3))
            free = (at for at in beside if 0 <= at < room and (round(row), at) not in points)
            place = round(row), next(free, round(middle))
            points.add(place)
            cells[place] = [mark]
    return cells


def _role(curve: Curve) -> int:
    return 2 if curve.part.startswith("result") else int(curve.part == "validation")


def _mark(curve: Curve, runs: Sequence[str], style: Style) -> str:
    nth, role = runs.index(curve.run), _role(curve)
    letter, marks = chr(ord("a") + nth % 26), style.characters[4:]
    mark = (marks if len(runs) == 1 else f"{letter}{letter.upper()}{marks[2]}")[role]
    colour = COLOURS[(nth if len(runs) > 1 else role) % len(COLOURS)]
    return f"\x1b[{colour}m{mark}\x1b[0m" if style.colour else mark


def _title(curves: list[Curve], runs: Sequence[str], style: Style) -> list[str]:
    """Return the tag and, for a single run, each mark with its last value."""
    tag = cut(printable(curves[0].tag), style.width - 1)
    if len(runs) > 1:
        return [tag]
    parts = {_role(each): each for each in sorted(curves, key=_role)}
    shown = [
        f"{_mark(each, runs, style)} {ROLES[role]} {each.values[-1]:.4g}" for role, each in parts.items()
    ]
    return ["  ".join([tag, *(shown if style.width >= 72 else shown[:1])])]


def _axis(style: Style, room: int, epochs: list[int], ends: tuple[int, int]) -> list[str]:
    """Return the axis, and below it the epochs that end in columns, or the first and last step."""
    corner, bottom, tick = (style.characters[nth] for nth in (1, 2, 3))
    texts = {0: f"{ends[0]:,}", room - 1: f"{ends[1]:,}"}
    if epochs:
        apart = len(epochs) * (2 + len(str(len(epochs)))) / room
        every = next(step for step in _rounded() if step >= apart)
        texts = {epochs[nth - 1]: str(nth) for nth in range(every, len(epochs) + 1, every)}
    ticks = epochs if 2 * len(epochs) <= room else texts.keys()
    line = [tick if epochs and at in ticks else bottom for at in range(room)]
    below = [" "] * room
    for at, text in texts.items():
        start = min(at, room - len(text))
        below[start : start + len(text)] = text
    name = "epoch" if epochs else style.unit
    return [f"{'':>10}{corner}{''.join(line)}", f"{name:>9}  {''.join(below)}".rstrip()]


def _rounded() -> Iterable[int]:
    return (step * 10**power for power in itertools.count() for step in (1, 2, 5))


def legend(curves: list[Curve], runs: Sequence[str], style: Style) -> list[str]:
    """Return a row for each of several runs: its letter, what differs in its path, its last values."""
    names = {
        (each.tag, each.part): ("", "val_")[_role(each)] + each.tag.removeprefix("epoch_")
        for each in curves
        if _role(each) < 2
    }
    last = {(each.run, each.tag, each.part): f"{each.values[-1]:.4g}" for each in curves}
    rows = [["", "last values", *names.values()]]
    for nth, (run, name) in enumerate(zip(runs, short_names(runs), strict=True)):
        letter = chr(ord("a") + nth % 26)
        rows.append([letter, name, *(last.get((run, *head), "") for head in names)])
    return columns(rows, style.width - 1, left=2)


def _line(points: list[tuple[float, float]]) -> Iterable[tuple[int, float]]:
    """Yield (column, value): the line through the points at each column, interpolated linearly."""
    for at, value in points[:1] + points[-1:]:
        yield round(at), value
    for (left, before), (right, after) in itertools.pairwise(points):
        for column in range(math.ceil(left), math.floor(right) + 1):
            share = (column - left) / (right - left) if right > left else 1.0
            yield column, before + share * (after - before)
