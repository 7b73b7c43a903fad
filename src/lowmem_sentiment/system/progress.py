"""Progress of anything that takes longer than a moment.

The library reports through a `Progress`, or a plain function (`as_progress`), and never prints. The
command line passes a `Bar`.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO


class Progress:
    """What is called now and then with how far a piece of work is; this one reports nothing."""

    def __call__(
        self,
        what: str,
        done: int,
        total: int | None,
        note: str = "",
        *,
        unit: str = "",
        remaining: int | None = None,
    ) -> None:
        """Report that `done` of `total` (None: not known) units of `what` are done.

        `remaining` is how many units are left in all, where more than `what` is to come: the epochs
        after this one.
        """

    def phase(self, what: str) -> None:
        """Report what begins now and cannot say how far it is, such as an import."""

    def line(self, text: str) -> None:
        """Report a line that stays, such as what an epoch measured."""


no_progress = Progress()


class _Plain(Progress):
    """Call a function that takes what, done, total and note alone."""

    def __init__(self, function: Callable[[str, int, int | None, str], Any]):
        self._function = function

    def __call__(self, what: str, done: int, total: int | None, note: str = "", **_: Any) -> None:
        self._function(what, done, total, note)


def as_progress(progress: Callable[..., Any]) -> Progress:
    """Return `progress`, or what calls it where it is a plain function of what, done, total and note."""
    return progress if isinstance(progress, Progress) else _Plain(progress)


_UNITS = {
    "download": "bytes",
    "epoch": "steps",
    "choose": "reviews",
    "evaluate": "reviews",
    "explore": "reviews",
    "kill": "kills",
    "read": "texts",
    "validate": "batches",
    "verify": "reviews",
    "write": "reviews",
}
"""The units of those who name none, by the first word of what they do."""


def duration(seconds: float) -> str:
    """Return seconds as "0:07", "12:00" or "1:02:03"."""
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def terminal_size(stream: TextIO) -> os.terminal_size:
    """Return the columns and lines of the terminal behind `stream`; COLUMNS and LINES come first."""
    try:
        fallback = tuple(os.get_terminal_size(stream.fileno()))
    except (OSError, ValueError):  # no terminal, or no file at all
        return shutil.get_terminal_size()
    environment = (os.environ.get(name, "") for name in ("COLUMNS", "LINES"))
    columns, lines = (
        int(given) if given.isdecimal() and int(given) else found
        for given, found in zip(environment, fallback, strict=True)
    )
    return os.terminal_size((columns or 80, lines or 24))


class Bar(Progress):
    """Draw progress as one line on a terminal; on anything else write a plain line now and then."""

    WIDTH = 24
    INTERVAL = 0.1  # seconds between two drawings
    PATIENCE = 0.5  # seconds before the first
    PLAIN_INTERVAL = 10.0  # the same where there is no terminal
    PLAIN_PATIENCE = 2.0

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic):
        self._stream, self._clock = stream or sys.stderr, clock
        self._terminal = self._stream is not None and self._stream.isatty()
        self._interval = self.INTERVAL if self._terminal else self.PLAIN_INTERVAL
        self._patience = self.PATIENCE if self._terminal else self.PLAIN_PATIENCE
        self._shown, self._what = False, ""
        self._pace = _Pace(0, 0.0)
        self._drawn = 0.0

    def __call__(
        self,
        what: str,
        done: int,
        total: int | None,
        note: str = "",
        *,
        unit: str = "",
        remaining: int | None = None,
    ) -> None:
        if self._stream is None:
            return
        now = self._clock()
        if what != self._what:
            self.clear()
            self._what, self._drawn = what, now + self._patience - self._interval
            self._pace = _Pace(done, now)
        left = remaining if remaining is not None else total - done if total else None
        self._pace.update(done, left, now)
        last = self._terminal and self._shown and done == total
        if now - self._drawn < self._interval and not last:
            return
        self._drawn, self._shown = now, True
        unit = unit or _UNITS.get(what.split()[0], "")
        self._draw(_fit(self._parts(done, total, note, unit, now), self._columns()))

    def _columns(self) -> int:
        return terminal_size(self._stream).columns if self._terminal else 1000

    def _draw(self, line: str) -> None:
        self._write(f"\r\x1b[K{line}" if self._terminal else f"lowmem-sentiment: {line}\n")

    def _write(self, text: str) -> None:
        try:
            if self._stream is not None:
                self._stream.write(text)
                self._stream.flush()
        except OSError:  # nobody can read any more
            self._stream = None

    def _parts(self, done: int, total: int | None, note: str, unit: str, now: float) -> dict[str, str]:
        """Return the line's parts in their order; `_fit` leaves out what is least needed."""
        rate, left = self._pace.rate(now), self._pace.left(now)
        parts = {"what": self._what}
        if total:
            share = min(1.0, done / total)
            parts |= {"bar": self._bar(share), "share": f"{share:4.0%}"}
        parts["note"] = note
        amount = f"{done:,}/{total:,}" if total else f"{done:,}"
        parts["amount"] = f"{amount} {unit}".rstrip()
        parts["rate"] = f"{rate:,.0f}/s" if rate >= 1 else ""
        parts["left"] = f"{duration(left)} left" if left is not None else ""
        return parts

    def _bar(self, share: float) -> str:
        if not self._terminal:
            return ""
        filled = int(share * self.WIDTH)
        try:
            "━".encode(self._stream.encoding or "utf-8")
        except UnicodeEncodeError:
            return "#" * filled + "-" * (self.WIDTH - filled)
        return "━" * filled + " " * (self.WIDTH - filled)

    def phase(self, what: str) -> None:
        """Draw it at once, on a terminal: who imports TensorFlow cannot draw a second time."""
        if self._stream is None:
            return
        self.clear()
        if self._terminal:
            self._shown = True
            self._draw(_fit({"what": f"{what} ..."}, self._columns()))

    def line(self, text: str) -> None:
        """Write a line that stays, above the bar."""
        self.clear()
        self._write(f"{text}\n")

    def clear(self) -> None:
        """Take the line away."""
        if self._shown and self._terminal:
            self._write("\r\x1b[K")
        self._shown, self._what = False, ""


class _Pace:
    """How fast a piece of work goes, from where it began.

    Between two reports the time left counts down: it does not grow while one run of a search trains.
    """

    def __init__(self, done: int, now: float):
        self._first, self._start = done, now
        self._done, self._at = done, now
        self._left: float | None = None

    def update(self, done: int, remaining: int | None, now: float) -> None:
        if done == self._done:
            return
        self._done, self._at = done, now
        new = done - self._first
        self._left = (now - self._start) / new * remaining if remaining is not None and new > 0 else None

    def rate(self, now: float) -> float:
        return (self._done - self._first) / (now - self._start) if now > self._start else 0.0

    def left(self, now: float) -> float | None:
        return None if self._left is None else max(0.0, self._left - (now - self._at))


def _fit(parts: dict[str, str], columns: int) -> str:
    """Return the parts as one line of less than `columns` characters, where terminals wrap."""
    parts = {name: part for name, part in parts.items() if part}

    def joined() -> str:
        return "  ".join(parts.values())

    room = columns - 1
    if "bar" in parts and (over := len(joined()) - room) > 0:
        width = max(8, len(parts["bar"]) - over)
        step = len(parts["bar"]) / width
        parts["bar"] = "".join(parts["bar"][int(nth * step)] for nth in range(width))
    for name in ("rate", "amount", "bar", "note", "left"):
        if len(joined()) > room:
            parts.pop(name, None)
    return joined()[:room]
