"""Markdown, for TensorBoard's text tab and for README."""

from collections.abc import Iterable


def markdown_table(head: list[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table; `|` in a cell is escaped.

    >>> print(markdown_table(["word", "count"], [["a|b", 3]]))
    | word | count |
    | --- | --- |
    | a\\|b | 3 |
    """
    lines = [head, ["---"] * len(head), *rows]
    cells = ([str(cell).replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
