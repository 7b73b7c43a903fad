"""Draw curves as characters."""

import itertools
import math
from collections.abc import Iterable

from .event_reader import Curve


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
