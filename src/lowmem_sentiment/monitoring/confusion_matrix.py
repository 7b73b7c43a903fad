"""The picture of a confusion matrix, drawn with Pillow.

Its size does not grow with the labels: 1,000 are allowed, and cells that can hold a number would make a
picture of 24 GB for them.
"""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..system.errors import printable
from .terminal_text import cut

if TYPE_CHECKING:
    from PIL import Image

MOST_NUMBERED = 10
"""Labels up to which each cell holds its count; with more, cells have colours only."""

MOST_NAMED = 30
"""Labels whose names can be read where TensorBoard shows the picture 350 pixels wide."""

_LEFT, _TOP, _MARGIN = 220, 84, 10  # pixels around the cells: the names of the labels

_MOST_SHOWN = 60  # characters of a label

_SHADES = 100  # of each of the two colours

_RIGHT, _WRONG = (31, 119, 180), (214, 39, 40)  # blue on the diagonal, red elsewhere


def draw_confusion_matrix(counts: np.ndarray, labels: list[str]) -> "Image.Image":
    """Draw int[labels, labels], true label by predicted: the darker, the larger a label's share.

    Takes at most 9 MB beside `counts`.
    """
    from PIL import Image, ImageDraw  # 20 ms

    numbered = len(labels) <= MOST_NUMBERED
    # the smaller the picture, the larger its letters where it is shrunk
    side = 600 if len(labels) <= MOST_NAMED else 900
    cell = max(1, min(160, side // len(labels)))
    size = cell * len(labels)
    picture = Image.new("RGB", (_LEFT + size + _MARGIN, _TOP + size + _MARGIN), "white")
    colours = _colours(counts).resize((size, size), Image.Resampling.NEAREST)
    picture.paste(colours.convert("RGB"), (_LEFT, _TOP))
    draw = ImageDraw.Draw(picture)
    draw.text((_LEFT + size / 2, 22), "predicted", "#555555", _font(22), anchor="mm")
    draw.text((12, 60), "true", "#555555", _font(22), anchor="lm")
    if numbered:
        _write_numbers(draw, counts, cell)
    points = min(22, cell)
    unknown = set(numbered_labels(labels))
    for nth, label in enumerate(labels if points > 9 else ()):
        label = f"label {nth + 1}" if nth + 1 in unknown else label
        middle = (nth + 0.5) * cell
        name = _fit(label, _font(points), _LEFT - 20)
        draw.text((12, _TOP + middle), name, "black", _font(points), anchor="lm")
        if numbered:
            name = _fit(label, _font(points), cell - 4)
            draw.text((_LEFT + middle, 60), name, "black", _font(points), anchor="mm")
    return picture


def _colours(counts: np.ndarray) -> "Image.Image":
    """Return a picture with a palette and one pixel per cell."""
    from PIL import Image

    count = len(counts)
    shades = np.empty((count, count), np.uint8)
    for nth, row in enumerate(counts):  # one at a time: shares of all would take twice the counts' memory
        shades[nth] = np.ceil(row * (_SHADES - 1) / max(1, row.sum()))
    shades[np.diag_indices(count)] += _SHADES
    share = np.arange(_SHADES)[:, np.newaxis] / (_SHADES - 1)
    palette = [255 - (255 - np.array(colour)) * share for colour in (_WRONG, _RIGHT)]
    picture = Image.fromarray(shades)
    picture.putpalette(np.concatenate(palette).round().astype(np.uint8).tobytes())
    return picture


def _write_numbers(draw: Any, counts: np.ndarray, cell: int) -> None:
    """Write each count and its share into its cell, and draw the lines between the cells."""
    totals = np.maximum(1, counts.sum(axis=1))
    for (row, column), count in np.ndenumerate(counts):
        x, y = _LEFT + column * cell, _TOP + row * cell
        draw.rectangle((x, y, x + cell - 1, y + cell - 1), outline="#cccccc")
        share = count / totals[row]
        ink = "white" if share > 0.5 else "black"
        middle, apart = x + cell / 2, cell // 10 + 5
        large = _font(28 if cell > 110 else 19)
        draw.text((middle, y + cell / 2 - apart), f"{count:,}", ink, large, anchor="mm")
        percent = f"{share:.1%}" if cell > 80 else f"{share:.0%}"
        draw.text((middle, y + cell / 2 + apart), percent, ink, _font(18), anchor="mm")


@functools.cache
def _font(points: int) -> Any:
    """Return Pillow's own font, which takes 0.4 ms to load."""
    from PIL import ImageFont

    return ImageFont.load_default(points)


def numbered_labels(labels: Sequence[str]) -> list[int]:
    """Return the numbers, from 1, of labels with characters that the font does not have."""
    shown = [label[:_MOST_SHOWN] for label in labels]
    characters = {each for label in shown for each in label if not each.isascii()}
    if not characters:
        return []
    font = _font(10)
    unknown = bytes(font.getmask("\U0010ffff"))
    absent = {each for each in characters if bytes(font.getmask(each)) == unknown}
    return [nth for nth, label in enumerate(shown, 1) if absent.intersection(label)]


def _fit(text: str, font: Any, width: float) -> str:
    """Cut `text` in the middle so that it is at most `width` pixels wide."""
    shown = printable(f"{text[:500]}…{text[-500:]}" if len(text) > 1000 else text, 1001)
    for columns in range(_MOST_SHOWN, 0, -1):
        shown = cut(shown, columns)
        if font.getlength(shown) <= width:
            break
    return shown
