"""Lay out text in the columns of a terminal, in any script.

Widths follow the rules of the package wcwidth, which is 0.5 MB for these few lines: its tables of every
Unicode version matter to a text editor, and a label one column off does not break a table.
"""

import unicodedata
from collections.abc import Iterable, Iterator

from ..system.errors import printable

MOST, LEAST, LEAST_HEAD = 60, 20, 12
"""Columns of a cell: longer texts are cut; where the terminal is narrow, no shorter than LEAST."""

_JOINER, _EMOJI_STYLE = "\u200d", "\ufe0f"


def _is_flag(text: str) -> bool:
    return "\U0001f1e6" <= text <= "\U0001f1ff"  # one half of it


def _joins(character: str) -> bool:
    """Return whether a character is drawn onto the one before: marks, vowels of Hangul, skin tones."""
    if character < "\u0300":
        return False
    return (
        unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf")
        or "\u1160" <= character <= "\u11ff"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    )


def _clusters(text: str) -> Iterator[tuple[str, int]]:
    """Yield each cluster of characters that is drawn as one, and its columns."""
    cluster, width = "", 0
    for each in text:
        flag = _is_flag(each) and _is_flag(cluster)
        if cluster and (_joins(each) or flag or cluster[-1] == _JOINER):
            cluster += each
            width = 2 if flag or each == _EMOJI_STYLE else width
            continue
        if cluster:
            yield cluster, width
        cluster, width = each, 2 if unicodedata.east_asian_width(each) in "WF" else 1
    if cluster:
        yield cluster, width


def text_width(text: str) -> int:
    """Return the columns that printable text takes.

    >>> text_width("good"), text_width("差评"), text_width("👨\u200d👩\u200d👧"), text_width("e\u0301")
    (4, 4, 2, 1)
    """
    return len(text) if text.isascii() else sum(width for _, width in _clusters(text))


def cut(text: str, width: int) -> str:
    """Return text of at most `width` columns, cut in the middle: names often differ at their ends.

    >>> cut("reviews-of-2024,epochs=3", 12)
    'review…chs=3'
    """
    if text_width(text) <= width:
        return text
    head = _fitting(_clusters(text), width - width // 2)
    tail = _fitting(reversed([*_clusters(text)]), width - 1 - text_width("".join(head)))
    return f"{''.join(head)}…{''.join(reversed(tail))}"


def _fitting(clusters: Iterable[tuple[str, int]], width: int) -> list[str]:
    fitting = []
    for cluster, columns in clusters:
        width -= columns
        if width < 0:
            break
        fitting.append(cluster)
    return fitting


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Return text filled with spaces to `width` columns; with `right`, they come first."""
    spaces = " " * (width - text_width(text))
    return spaces + text if right else text + spaces


def wrapped(items: Iterable[str], width: int, indent: str = "", first: str | None = None) -> list[str]:
    """Return lines of whole items, separated by a space; `first` replaces the first line's indent."""
    lines = []
    line = before = indent if first is None else first
    for item in items:
        if line != before and text_width(line) + 1 + text_width(item) > width:
            lines.append(line)
            line = before = indent
        line += item if line == before else f" {item}"
    return [*lines, line]


def table(rows: dict[str, str], width: int) -> list[str]:
    """Return names and values, aligned, with text from data escaped.

    A long value continues below itself; a command is left whole, so that it can be copied.
    """
    names = [printable(name) for name in rows]
    room = max(map(text_width, names)) + 2
    lines = []
    for name, value in zip(names, rows.values(), strict=True):
        shown = printable(value, 1000)
        words = [shown] if shown.startswith("lowmem-sentiment ") else shown.split(" ")
        lines += wrapped(words, width, " " * room, pad(name, room))
    return lines


def columns(rows: list[list[str]], width: int, left: int = 1) -> list[str]:
    """Return rows, the first of them the head, as lines of at most `width` columns, all escaped.

    The first `left` columns are aligned to the left. They and the heads of the other columns are cut
    where room is short, numbers never. Columns that still do not fit follow in a second block.
    """
    rows = [[cut(printable(text, 1000), MOST) for text in row] for row in rows]
    by_column = [[text_width(text) for text in column] for column in zip(*rows, strict=True)]
    widths = [max(column) for column in by_column]
    least = [
        min(widths[nth], max([LEAST_HEAD, *column[1:]] if nth >= left else [LEAST]))
        for nth, column in enumerate(by_column)
    ]
    while sum(widths) + 2 * (len(widths) - 1) > width and widths != least:
        spare = [have - need for have, need in zip(widths, least, strict=True)]
        widths[max(range(len(widths)), key=lambda nth: (spare[nth] > 0, widths[nth]))] -= 1
    blocks: list[list[int]] = [[]]
    room = width - sum(widths[:left]) - 2 * (left - 1)
    for nth in range(left, len(widths)):
        if blocks[-1] and sum(widths[each] + 2 for each in [*blocks[-1], nth]) > room:
            blocks.append([])
        blocks[-1].append(nth)
    lines: list[str] = []
    for block in blocks:
        lines += [""] * bool(lines)
        for row in rows:
            shown = [pad(cut(row[nth], widths[nth]), widths[nth]) for nth in range(left)]
            shown += [pad(cut(row[nth], widths[nth]), widths[nth], right=True) for nth in block]
            lines.append("  ".join(shown).rstrip())
    return lines
