"""The page of a report: markup in which all text is escaped, tables, sections, the file."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from ..monitoring.terminal_text import cut
from ..system.files import check_output, replace_file

_BEGINNING = (
    '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta name="generator" content="lowmem-sentiment">'
)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Nothing is loaded or run, even if text from data were not escaped."""

_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

LABEL = 48
"""Columns of a label, or of a run's name, that are shown."""


Html = Markup
"""Any other string is text, which `tag` escapes."""


def joined(*parts: object, between: str = "") -> Html:
    """Return the parts in a row: text is escaped, markup is not, and None is left out."""
    return Html(between).join(escape(part) for part in parts if part is not None)


def tag(name: str, *content: object, **attributes: object) -> Html:
    """Return an element with its content; an attribute that is None is left out.

    In an attribute's name, `_` at the end is dropped and elsewhere stands for `-`.

    >>> tag("p", "a < b", class_="note")
    '<p class="note">a &lt; b</p>'
    """
    named = [(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items()]
    written = "".join(f' {key}="{escape(value)}"' for key, value in named if value is not None)
    return Html(f"<{name}{written}>{joined(*content)}</{name}>")


def name(text: object, limit: int = LABEL) -> Html:
    """Return a label or another name from data: short, and isolated from the direction of its script."""
    return tag("bdi", cut(str(text), limit))


def ends(interval: Sequence[float], form: str = ".4f") -> str:
    """Return an interval as text."""
    low, high = interval
    return f"{low:{form}} to {high:{form}}"


def date(iso_time: str) -> str:
    """Return a time in UTC for people."""
    time = datetime.fromisoformat(iso_time)
    return f"{time.day} {time:%B %Y, %H:%M} UTC"


def _cell(kind: str, content: object, scope: str | None = None) -> Html:
    if isinstance(content, Html) and content.startswith(f"<{kind}"):
        return content
    if isinstance(content, int | float):
        content = f"{content:,}" if isinstance(content, int) else f"{content:.4f}"
    return tag(kind, content, scope=scope)


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> Html:
    """Return a table that scrolls sideways in a narrow window.

    The first cell of each row is its heading. A float is shown with four decimals. A cell that is an
    element "td", or "th", is taken as it is.
    """
    titles = [_cell("th", title, "col") for title in head]
    lines = [
        tag("tr", tag("th", first, scope="row"), *(_cell("td", each) for each in rest))
        for first, *rest in rows
    ]
    whole = tag("table", tag("thead", tag("tr", *titles)), tag("tbody", *lines))
    return tag("div", whole, class_="scroll", tabindex="0")


def bar(share: float, shown: object = None, kind: str = "bar") -> Html:
    """Return a cell with a number, by default the share, and a bar as long as a share of the cell."""
    shown = f"{share:.4f}" if shown is None else shown
    return tag("td", shown, class_=kind, style=f"--v:{min(1.0, max(0.0, share)):.3f}")


def facts(rows: dict[str, Any]) -> Html:
    """Return names with their values; those that are None or empty are left out."""
    pairs = [(key, value) for key, value in rows.items() if value not in (None, "")]
    return tag("dl", *(joined(tag("dt", key), tag("dd", value)) for key, value in pairs))


def folded(summary: str, content: Html) -> Html:
    """Return content that opens with a click, and is left out in print."""
    return tag("details", tag("summary", summary), content)


def section(title: str, *content: object, note: object = None) -> Html:
    """Return a part of the page."""
    about = [tag("p", note, class_="note")] if note else []
    return tag("section", tag("h2", title), *about, *content)


def grid(*content: object) -> Html:
    """Return figures side by side, or below each other in a narrow window."""
    return tag("div", *content, class_="grid")


def tiles(numbers: Iterable[tuple[str, object, object]]) -> Html:
    """Return the most important numbers, large: (name, value, remark)."""
    parts = (
        tag("div", tag("span", key), tag("strong", value), tag("small", remark))
        for key, value, remark in numbers
    )
    return tag("div", *parts, class_="tiles")


def page(kind: str, title: str, about: object, lead: object, parts: Iterable[Html | None]) -> str:
    """Return the whole page: its kind, title and subject, the result in words, and its parts."""
    style = (Path(__file__).parent / "report.css").read_text("utf-8")
    header = tag(
        "header",
        tag("p", kind, class_="kind"),
        tag("h1", tag("bdi", cut(title, 120))),
        tag("p", about, class_="about"),
        tag("p", lead, class_="lead"),
    )
    whole = (
        f'{_BEGINNING}\n<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"{tag('title', f'{kind}: {cut(title, 120)}')}\n"
        '<link rel="icon" href="data:,">\n'
        f"<style>\n{style}</style>\n</head>\n<body>\n"
        f"{tag('main', header, *parts)}\n</body>\n</html>\n"
    )
    return _NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", whole)


def check_page_path(path: Path) -> None:
    """Raise unless a page may be written to `path` (`check_output`): only a page is replaced."""
    check_output(path, re.escape(_BEGINNING))


def write_page(path: Path, content: str) -> None:
    """Write a page atomically; raises as `check_page_path`, and OutputError when the system refuses."""
    check_page_path(path)
    with replace_file(path) as file:
        file.write(content.encode())
