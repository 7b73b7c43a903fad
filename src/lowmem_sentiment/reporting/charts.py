"""Charts as SVG: text made from arrays, each with a legend and its numbers in a table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .page import Html, ends, folded, joined, table, tag

WIDTH, HEIGHT = 420, 270
"""Units of a chart: about its pixels in a column of a wide window, and on a phone."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 406, 28, 228  # the lines' edges: beyond are numbers and names

_MARKS = (
    "m-3.5,0a3.5,3.5 0 1,0 7,0a3.5,3.5 0 1,0 -7,0",
    "m-3.2,-3.2h6.4v6.4h-6.4z",
    "m0,-4.4l4.2,7.4h-8.4z",
    "m0,-4.6l4.6,4.6l-4.6,4.6l-4.6,-4.6z",
    "m0,4.4l4.2,-7.4h-8.4z",
    "m-1.2,-4.4h2.4v3.2h3.2v2.4h-3.2v3.2h-2.4v-3.2h-3.2v-2.4h3.2z",
)
"""A shape for each line in turn: lines are told apart without colours, too."""

MOST_LINES = len(_MARKS)

_MARKED = 8  # points of a line that carry its mark

_KINDS: dict[str, tuple[str | None, str | None]] = {
    "line": ("line", "mark"),
    "curve": ("curve", None),
    "dots": (None, "mark"),
    "point": (None, "point"),
    "guide": ("guide", None),
}
"""The styles of a series' stroke and of its marks."""

_ROWS = 33  # of a chart's table for each line


@dataclass(frozen=True)
class Series:
    """Points of one name in a chart; those that are not finite are left out."""

    name: str
    x: np.ndarray
    y: np.ndarray
    kind: str = "line"
    """"line" with marks, "curve" without, "dots", "point" (a chosen one), or "guide" (a faint line)."""
    intervals: np.ndarray | None = None
    """float64[points, 2]: the ends of the points' intervals."""


def point(name: str, x: float, y: float) -> Series:
    """Return a chosen point."""
    return Series(name, np.array([x]), np.array([y]), "point")


def guide(name: str, start: float, end: float) -> Series:
    """Return a faint line across the whole chart, from y = `start` at x = 0 to `end` at x = 1."""
    return Series(name, np.array([0, 1]), np.array([start, end]), "guide")


@dataclass(frozen=True)
class Axis:
    """An axis; without ends it covers the points."""

    name: str
    low: float | None = None
    high: float | None = None
    logarithmic: bool = False
    whole: bool = False
    """Whether only whole numbers are marked."""
    categories: Sequence[str] = ()
    """Names instead of the numbers 0, 1, ..."""


class _Scale:
    """An axis that covers some points, from one unit of the chart to another."""

    def __init__(self, axis: Axis, values: np.ndarray, start: float, end: float):
        self.axis, self._start, self._end = axis, start, end
        values = values[np.isfinite(values)]
        covered = (values.min(), values.max()) if values.size else (0.0, 1.0)
        given = (-0.5, len(axis.categories) - 0.5) if axis.categories else (axis.low, axis.high)
        chosen = (here if there is None else there for here, there in zip(covered, given, strict=True))
        self._low, self._high = map(self._of, chosen)
        margin = 0.06 * (self._high - self._low) or (0.5 if axis.whole else 0.05)
        self._low -= margin if given[0] is None else 0
        self._high += margin if given[1] is None else 0

    def _of(self, values: Any) -> Any:
        return np.log10(values) if self.axis.logarithmic else values

    def place(self, values: Any) -> Any:
        """Return the units of values, or of one, along the axis."""
        share = (self._of(values) - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[tuple[float, str]]:
        """Return the values to mark, with their texts."""
        low, high = self._low, self._high
        if self.axis.categories:
            return [(float(nth), text) for nth, text in enumerate(self.axis.categories)]
        if self.axis.logarithmic:
            powers = range(math.floor(low), math.ceil(high) + 1)
            parts = (1, 2, 5) if high - low < 2 else (1,)
            values = [part * 10.0**power for power in powers for part in parts]
            shown = [each for each in values if low <= math.log10(each) <= high]
            return [(each, f"{each:,g}" if each < 1e4 else f"{each / 1000:,g}k") for each in shown]
        raw = (high - low) / 4.5
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(each * power for each in (1, 2, 2.5, 5, 10) if each * power >= raw * 0.999)
        step = max(1.0, round(step)) if self.axis.whole else step
        digits = next((each for each in range(16) if math.isclose(round(step, each), step)), 16)
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        return [(nth * step, f"{nth * step + 0:,.{digits}f}") for nth in range(first, last + 1)]


def figure(title: str, note: object, series: Sequence[Series], x: Axis, y: Axis) -> Html:
    """Return a chart with its title and note, legend, and numbers."""
    xs = np.concatenate([line.x for line in series])
    ys = [line.y for line in series]
    ys += [line.intervals.ravel() for line in series if line.intervals is not None]
    across = _Scale(x, xs, _LEFT, _RIGHT)
    upward = _Scale(y, np.concatenate(ys), _BOTTOM, _TOP)
    # Each line has the number of its colour and its mark; guides and points have none of their own.
    counted = [line for line in series if line.kind not in ("guide", "point")]
    numbered = [(counted.index(line) % MOST_LINES if line in counted else 0, line) for line in series]
    names = ", ".join(line.name for line in series)
    chart = tag(
        "svg",
        tag("title", title),
        tag("desc", f"{y.name} by {x.name}: {names}. The numbers are in the table below."),
        _axes(across, upward),
        *(tag("g", _draw(line, nth, across, upward), class_=f"c{nth}") for nth, line in numbered),
        role="img",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
    )
    about = tag("div", tag("b", title), " ", tag("span", note))
    legend = [_legend_item(line, nth) for nth, line in numbered]  # the title names a single line
    caption = tag("figcaption", about, tag("ul", *legend, class_="legend") if len(series) > 1 else None)
    return tag("figure", caption, chart, _numbers(series, x, y))


def _axes(across: _Scale, upward: _Scale) -> Html:
    parts = [tag("text", upward.axis.name, x=2, y=13, class_="axis")]
    for value, text in upward.ticks():
        at = f"{upward.place(value):.1f}"
        parts.append(tag("path", d=f"M{_LEFT},{at}H{_RIGHT}", class_="grid-line"))
        parts.append(tag("text", text, x=_LEFT - 7, y=at, dy=4, text_anchor="end"))
    parts.append(tag("path", d=f"M{_LEFT},{_BOTTOM}H{_RIGHT}", class_="base"))
    for value, text in across.ticks():
        at = f"{across.place(value):.1f}"
        parts.append(tag("path", d=f"M{at},{_BOTTOM}v4", class_="base"))
        parts.append(tag("text", text, x=at, y=_BOTTOM + 19, text_anchor="middle"))
    middle = {"x": (_LEFT + _RIGHT) / 2, "text_anchor": "middle"}
    parts.append(tag("text", across.axis.name, y=HEIGHT - 6, class_="axis", **middle))
    return joined(*parts)


def _draw(line: Series, nth: int, across: _Scale, upward: _Scale) -> Html:
    keep = np.isfinite(line.x) & np.isfinite(line.y)
    xs, ys = across.place(line.x[keep]), upward.place(line.y[keep])
    points = [f"{px:.1f},{py:.1f}" for px, py in zip(xs, ys, strict=True)]
    parts = []
    if line.intervals is not None:
        ends = zip(xs, upward.place(line.intervals[keep]), strict=True)
        path = "".join(f"M{px:.1f},{low:.1f}V{high:.1f}" for px, (low, high) in ends)
        parts.append(tag("path", d=path, class_="whisker"))
    stroke, mark = _KINDS[line.kind]
    if stroke and points:
        parts.append(tag("path", d="M" + "L".join(points), class_=stroke))
    if mark:
        marked = np.arange(len(points))
        if stroke and len(points) > _ROWS // 2:  # some that are evenly spread along the line
            along = np.cumsum(np.hypot(np.diff(xs, prepend=xs[0]), np.diff(ys, prepend=ys[0])))
            marked = np.unique(np.searchsorted(along, np.linspace(0, along[-1], _MARKED)))
        path = "".join(f"M{points[at]}{_MARKS[nth]}" for at in marked)
        parts.append(tag("path", d=path, class_=mark))
    return joined(*parts)


def _legend_item(line: Series, nth: int) -> Html:
    stroke, mark = _KINDS[line.kind]
    parts = (
        tag("path", d="M0,6H26", class_=stroke) if stroke else None,
        tag("path", d=f"M13,6{_MARKS[nth]}", class_=mark) if mark else None,
    )
    group = tag("g", *parts, class_=f"c{nth}")
    picture = tag("svg", group, viewBox="0 0 26 12", aria_hidden="true")
    return tag("li", picture, " ", tag("bdi", line.name))


def _numbers(series: Sequence[Series], x: Axis, y: Axis) -> Html:
    """Return the points in a table: a column for each line if they have the same x."""
    points = [line for line in series if line.kind != "guide"]
    lines = [line for line in points if line.kind != "point"]
    first = lines[0].x
    if len(lines) > 1 and all(np.array_equal(line.x, first) for line in lines):
        head = [x.name, *(line.name for line in lines)]
        rows = [[_x(x, first[at]), *(_y(line, at) for line in lines)] for at in _some(len(first))]
    else:
        head = ["", x.name, y.name]
        rows = [
            [line.name, _x(x, line.x[at]), _y(line, at)] for line in points for at in _some(len(line.x))
        ]
    return folded("Numbers", table(head, rows))


def _some(count: int) -> list[int]:
    """Return at most `_ROWS` places, evenly spread, with the first and the last."""
    return sorted({round(nth) for nth in np.linspace(0, count - 1, min(count, _ROWS)).tolist()})


def _x(axis: Axis, value: float) -> str:
    return axis.categories[int(value)] if axis.categories else f"{value:,.6g}"


def _y(line: Series, at: int) -> object:
    value = line.y[at].item()
    return value if line.intervals is None else f"{value:.4f} ({ends(line.intervals[at])})"
