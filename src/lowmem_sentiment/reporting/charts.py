"""Charts as SVG: text made from arrays, each with a legend and its numbers in a table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .page import Html, folded, joined, table, tag

WIDTH, HEIGHT = 420, 270
"""Units of a chart: about its pixels in a column of a wide window, and on a phone."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 14, 28, 42  # around the lines: the axes' numbers and names

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

_STROKES = ("line", "curve", "guide")

_MARKED_BY = {"line": "mark", "dots": "mark", "point": "point"}

_ROWS = 33  # of a chart's table for each line


@dataclass(frozen=True)
class Series:
    """Points of one name in a chart; those that are not finite are left out."""

    name: str
    x: np.ndarray
    y: np.ndarray
    kind: str = "line"
    """"line" with marks, "curve" without, "dots", "point" (a chosen one), or "guide" (a faint line)."""
    low: np.ndarray | None = None
    """The lower ends of the points' intervals."""
    high: np.ndarray | None = None


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
    """An axis with its ends, and the units along it."""

    def __init__(self, axis: Axis, values: np.ndarray, start: float, end: float):
        self.axis, self._start, self._end = axis, start, end
        low = float(values.min()) if axis.low is None and values.size else axis.low or 0.0
        high = float(values.max()) if axis.high is None and values.size else axis.high or 1.0
        if axis.categories:
            low, high = -0.5, len(axis.categories) - 0.5
        margin = 0.06 * (self._of(high) - self._of(low)) or (0.5 if axis.whole else 0.05)
        self.low = self._of(low) - (margin if axis.low is None and not axis.categories else 0)
        self.high = self._of(high) + (margin if axis.high is None and not axis.categories else 0)

    def _of(self, value: float) -> float:
        return math.log10(value) if self.axis.logarithmic else value

    def place(self, values: np.ndarray) -> np.ndarray:
        """Return the units of values along the axis."""
        at = np.log10(values) if self.axis.logarithmic else np.asarray(values, np.float64)
        return self._start + (at - self.low) / (self.high - self.low) * (self._end - self._start)

    def ticks(self) -> list[tuple[float, str]]:
        """Return the values to mark, with their texts."""
        if self.axis.categories:
            return [(float(nth), text) for nth, text in enumerate(self.axis.categories)]
        if self.axis.logarithmic:
            powers = range(math.floor(self.low), math.ceil(self.high) + 1)
            parts = (1, 2, 5) if self.high - self.low < 2 else (1,)
            values = [part * 10.0**power for power in powers for part in parts]
            shown = [each for each in values if self.low <= math.log10(each) <= self.high]
            return [(each, f"{each:,g}" if each < 1e4 else f"{each / 1000:,g}k") for each in shown]
        raw = (self.high - self.low) / 4.5
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(each * power for each in (1, 2, 2.5, 5, 10) if each * power >= raw * 0.999)
        step = max(1.0, round(step)) if self.axis.whole else step
        digits = next((each for each in range(16) if math.isclose(round(step, each), step)), 16)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [(nth * step, f"{nth * step + 0:,.{digits}f}") for nth in range(first, last + 1)]


def figure(title: str, note: object, series: Sequence[Series], x: Axis, y: Axis) -> Html:
    """Return a chart with its title and note, legend, and numbers."""
    about = tag("div", tag("b", title), " ", tag("span", note))
    caption = tag("figcaption", about, _legend(series))
    return tag("figure", caption, _chart(title, series, x, y), _numbers(series, x, y))


def _chart(title: str, series: Sequence[Series], x: Axis, y: Axis) -> Html:
    ends = [each for line in series for each in (line.y, line.low, line.high) if each is not None]
    xs = np.concatenate([line.x for line in series]).astype(np.float64)
    ys = np.concatenate(ends).astype(np.float64)
    across = _Scale(x, xs[np.isfinite(xs)], _LEFT, WIDTH - _RIGHT)
    upward = _Scale(y, ys[np.isfinite(ys)], HEIGHT - _BOTTOM, _TOP)
    lines = (
        tag("g", _draw(line, nth, across, upward), class_=f"c{nth}") for nth, line in _numbered(series)
    )
    names = ", ".join(line.name for line in series)
    about = f"{y.name} by {x.name}: {names}. The numbers are in the table below."
    return tag(
        "svg",
        tag("title", title),
        tag("desc", about),
        _axes(across, upward),
        *lines,
        role="img",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
    )


def _numbered(series: Sequence[Series]) -> list[tuple[int, Series]]:
    """Return the series with the numbers of their colours and marks; guides have none of their own."""
    counted = [line for line in series if line.kind not in ("guide", "point")]
    return [(counted.index(line) % MOST_LINES if line in counted else 0, line) for line in series]


def _axes(across: _Scale, upward: _Scale) -> Html:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    parts = [tag("text", upward.axis.name, x=2, y=13, class_="axis")]
    for value, text in upward.ticks():
        at = f"{float(upward.place(np.array(value))):.1f}"
        parts.append(tag("path", d=f"M{_LEFT},{at}H{right}", class_="grid-line"))
        parts.append(tag("text", text, x=_LEFT - 7, y=at, dy=4, text_anchor="end"))
    parts.append(tag("path", d=f"M{_LEFT},{bottom}H{right}", class_="base"))
    for value, text in across.ticks():
        at = f"{float(across.place(np.array(value))):.1f}"
        parts.append(tag("path", d=f"M{at},{bottom}v4", class_="base"))
        parts.append(tag("text", text, x=at, y=bottom + 19, text_anchor="middle"))
    middle = (_LEFT + right) / 2
    parts.append(
        tag("text", across.axis.name, x=middle, y=HEIGHT - 6, text_anchor="middle", class_="axis")
    )
    return joined(parts)


def _draw(line: Series, nth: int, across: _Scale, upward: _Scale) -> Html:
    keep = np.isfinite(line.x) & np.isfinite(line.y)
    xs, ys = across.place(line.x[keep]), upward.place(line.y[keep])
    points = [f"{px:.1f},{py:.1f}" for px, py in zip(xs.tolist(), ys.tolist(), strict=True)]
    parts = []
    if line.low is not None and line.high is not None:
        lows, highs = upward.place(line.low[keep]).tolist(), upward.place(line.high[keep]).tolist()
        ends = zip(xs.tolist(), lows, highs, strict=True)
        path = "".join(f"M{px:.1f},{low:.1f}V{high:.1f}" for px, low, high in ends)
        parts.append(tag("path", d=path, class_="whisker"))
    if line.kind in _STROKES and points:
        parts.append(tag("path", d="M" + "L".join(points), class_=line.kind))
    if kind := _MARKED_BY.get(line.kind):
        path = "".join(f"M{points[at]}{_MARKS[nth]}" for at in _marked_places(xs, ys))
        parts.append(tag("path", d=path, class_=kind))
    return joined(parts)


def _marked_places(xs: np.ndarray, ys: np.ndarray) -> list[int]:
    """Return which points have a mark: all, or of many some that are evenly spread along the line."""
    if len(xs) <= _ROWS // 2:
        return list(range(len(xs)))
    along = np.cumsum(np.hypot(np.diff(xs, prepend=xs[0]), np.diff(ys, prepend=ys[0])))
    wanted = np.linspace(0, along[-1], _MARKED)
    return sorted(set(np.searchsorted(along, wanted).clip(0, len(xs) - 1).tolist()))


def _legend(series: Sequence[Series]) -> Html | None:
    """Return the lines' names with their marks; None for one line that the title names."""
    if len(series) < 2:
        return None
    items = []
    for nth, line in _numbered(series):
        stroke = tag("path", d="M0,6H26", class_=line.kind) if line.kind in _STROKES else ""
        kind = _MARKED_BY.get(line.kind)
        mark = tag("path", d=f"M13,6{_MARKS[nth]}", class_=kind) if kind else ""
        picture = tag(
            "svg", tag("g", stroke, mark, class_=f"c{nth}"), viewBox="0 0 26 12", aria_hidden="true"
        )
        items.append(tag("li", picture, " ", tag("bdi", line.name)))
    return tag("ul", *items, class_="legend")


def _numbers(series: Sequence[Series], x: Axis, y: Axis) -> Html:
    """Return the points in a table: a column for each line if they have the same x."""
    points = [line for line in series if line.kind != "guide"]
    lines = [line for line in points if line.kind != "point"]
    first = lines[0].x
    wide = len(lines) > 1 and all(np.array_equal(line.x, first) for line in lines)
    rows: list[list[object]]
    if wide:
        head = [x.name, *(line.name for line in lines)]
        rows = [[_x(x, first[at]), *(_number(line, at) for line in lines)] for at in _some(len(first))]
    else:
        head = ["", x.name, y.name]
        rows = [
            [line.name, _x(x, line.x[at]), _number(line, at)]
            for line in points
            for at in _some(len(line.x))
        ]
    return folded("Numbers", table(head, rows))


def _some(count: int) -> list[int]:
    """Return at most `_ROWS` places, evenly spread, with the first and the last."""
    return sorted({round(nth) for nth in np.linspace(0, count - 1, min(count, _ROWS)).tolist()})


def _x(axis: Axis, value: float) -> str:
    return axis.categories[int(value)] if axis.categories else f"{value:,.6g}"


def _number(line: Series, at: int) -> str:
    value = float(line.y[at])
    shown = f"{value:,.0f}" if line.y.dtype.kind in "iu" else f"{value:.4f}"
    if line.low is None or line.high is None:
        return shown
    return f"{shown} ({line.low[at]:.4f} to {line.high[at]:.4f})"
