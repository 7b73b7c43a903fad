"""Progress of anything that takes longer than a moment.

The library reports through a `Progress`, or a plain function (`as_progress`), and never prints. The
command line passes a `Bar`.
"""

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO


class Progress:
    """A callback for the progress of a piece of work."""

    def __init__(self, function: Callable[[str, int, int | None, str], Any] | None = None):
        """Report to a function of what, done, total and note, or to nobody."""
        self._function = function

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
        """Report that `done` of `total` (None: unknown) units of `what` are done.

        `remaining` is how many units are left in all, if more work follows `what`, such as later epochs.
        """
        if self._function:
            self._function(what, done, total, note)

    def phase(self, what: str) -> None:
        """Report the start of work with no measurable progress, such as an import."""

    def line(self, text: str) -> None:
        """Report a line that stays, such as an epoch's metrics."""


no_progress = Progress()


def as_progress(progress: Callable[..., Any]) -> Progress:
    """Return `progress`, or a `Progress` that calls it if it is a plain function."""
    return progress if isinstance(progress, Progress) else Progress(progress)


_UNITS = {"download": "bytes", "epoch": "steps", "read": "texts", "validate": "batches"}
"""The default unit, by the first word of `what`; reviews otherwise."""


def duration(seconds: float) -> str:
    """Return seconds as "0:07", "12:00" or "1:02:03"."""
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def terminal_size(stream: TextIO) -> os.terminal_size:
    """Return the columns and lines of the terminal behind `stream`; COLUMNS and LINES come first."""
    fallback = (80, 24)
    with contextlib.suppress(OSError, ValueError):  # no terminal, or no file at all
        found = os.get_terminal_size(stream.fileno())
        fallback = (found.columns or 80, found.lines or 24)
    return shutil.get_terminal_size(fallback)


def can_write(text: str, stream: TextIO) -> bool:
    """Return whether the encoding of `stream` has the characters of `text`."""
    try:
        text.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


class Bar(Progress):
    """Draw progress as one line on a terminal; otherwise write a plain line now and then."""

    WIDTH = 24
    LEAST_WIDTH = 8
    INTERVAL = 0.1  # seconds between two drawings
    PATIENCE = 0.5  # seconds before the first
    PLAIN_INTERVAL = 10.0  # the same without a terminal
    PLAIN_PATIENCE = 2.0

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic):
        self._stream, self._clock = stream or sys.stderr, clock
        self._terminal = self._stream is not None and self._stream.isatty()
        self._interval = self.INTERVAL if self._terminal else self.PLAIN_INTERVAL
        self._patience = self.PATIENCE if self._terminal else self.PLAIN_PATIENCE
        self._shown, self._what, self._drawn = False, "", 0.0
        self._begun = self._last = (0, 0.0)  # units done, and when
        self._left: float | None = None  # seconds, at the last report of a new number

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
            self._begun = self._last = (done, now)
            self._left = None
        units, seconds = done - self._begun[0], now - self._begun[1]
        if remaining is None and total:
            remaining = total - done
        if done != self._last[0]:
            self._last = (done, now)
            self._left = seconds / units * remaining if remaining is not None and units > 0 else None
        last = self._terminal and self._shown and done == total
        if now - self._drawn < self._interval and not last:
            return
        self._drawn, self._shown = now, True
        rate = units / seconds if seconds > 0 else 0.0
        amount = f"{done:,}/{total:,}" if total else f"{done:,}"
        # Counts down between two reports: it does not grow while one run of a search trains.
        left = None if self._left is None else max(0.0, self._left - (now - self._last[1]))
        parts = {
            "what": what,
            "share": f"{min(1.0, done / total):4.0%}" if total else "",
            "note": note,
            "amount": f"{amount} {unit or _UNITS.get(what.split()[0], 'reviews')}",
            "rate": f"{rate:,.0f}/s" if rate >= 1 else "",
            "left": "" if left is None else f"{duration(left)} left",
        }
        self._draw(parts, min(1.0, done / total) if total and self._terminal else None)

    def phase(self, what: str) -> None:
        """Draw it at once, on a terminal: the import of TensorFlow leaves no chance to draw again."""
        self.clear()
        if self._terminal:
            self._shown = True
            self._draw({"what": f"{what} ..."})

    def line(self, text: str) -> None:
        """Write a line that stays, above the bar; in a narrow terminal its parts go on below."""
        self.clear()
        width = terminal_size(self._stream).columns if self._terminal else len(text)
        while len(text) > width and (at := text.rfind("  ", 1, width)) > 0:
            self._write(f"{text[:at]}\n")
            text = f"  {text[at:].strip()}"
        self._write(f"{text}\n")

    def clear(self) -> None:
        """Remove the line from the terminal."""
        if self._shown and self._terminal:
            self._write("\r\x1b[K")
        self._shown, self._what = False, ""

    def _draw(self, parts: dict[str, str], share: float | None = None) -> None:
        """Write the parts, and a bar for `share`, in less than the terminal's width, where lines wrap."""
        parts = {name: part for name, part in parts.items() if part}
        room = terminal_size(self._stream).columns - 1 if self._terminal else 1000

        def free() -> int:
            return room - len("  ".join(parts.values()))

        least = 2 + self.LEAST_WIDTH if share is not None else 0
        for name in ("rate", "amount"):
            if free() < least:
                parts.pop(name, None)
        if share is not None and free() >= least:
            parts["what"] += f"  {self._bar(share, min(self.WIDTH, free() - 2))}"
        for name in ("note", "left"):
            if free() < 0:
                parts.pop(name, None)
        line = "  ".join(parts.values())[:room]
        self._write(f"\r\x1b[K{line}" if self._terminal else f"lowmem-sentiment: {line}\n")

    def _bar(self, share: float, width: int) -> str:
        full, empty = "━ " if can_write("━", self._stream) else "#-"
        return (full * int(share * width)).ljust(width, empty)

    def _write(self, text: str) -> None:
        try:
            if self._stream is not None:
                self._stream.write(text)
                self._stream.flush()
        except OSError:  # nobody can read any more
            self._stream = None
