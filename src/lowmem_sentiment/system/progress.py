"""Progress of anything that takes longer than a moment.

The library reports through a `Progress`, a function of what is done; it never prints.
The command line gives it a `Bar`.
"""

import sys
import time
from typing import Protocol, TextIO


class Progress(Protocol):
    """Called now and then with how far a piece of work is."""

    def __call__(self, what: str, done: int, total: int | None, note: str = "") -> None:
        """`done` of `total` (None: not known) units of `what` are done."""
        ...


def no_progress(what: str, done: int, total: int | None, note: str = "") -> None:
    """Report nothing."""


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


class Bar:
    """Draw progress as one line on a terminal, and nothing on anything else."""

    WIDTH = 24
    INTERVAL = 0.1  # seconds between two drawings
    PATIENCE = 0.5  # seconds before the first

    def __init__(self, stream: TextIO | None = None):
        self._stream = stream or sys.stderr
        self._shown = False
        self._what = ""
        self._start = self._drawn = 0.0

    def __call__(self, what: str, done: int, total: int | None, note: str = "") -> None:
        if not self._stream.isatty():
            return
        now = time.monotonic()
        if what != self._what:
            self.clear()
            self._what, self._start, self._drawn = what, now, now + self.PATIENCE - self.INTERVAL
        if now - self._drawn < self.INTERVAL and not (self._shown and done == total):
            return
        self._drawn, self._shown = now, True
        self._stream.write(f"\r\x1b[K{self._line(done, total, now - self._start)}{note and '  '}{note}")
        self._stream.flush()

    def _line(self, done: int, total: int | None, elapsed: float) -> str:
        rate = f"{done / elapsed:,.0f}/s" if elapsed > 0 else ""
        if not total:
            return f"{self._what}  {done:,}  {rate}"
        share = min(1.0, done / total)
        filled = int(share * self.WIDTH)
        bar = "━" * filled + " " * (self.WIDTH - filled)
        left = _duration(elapsed * (1 - share) / share) if share else "?"
        return f"{self._what}  {bar} {share:4.0%}  {done:,}/{total:,}  {rate}  {left} left"

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
        self._shown, self._what = False, ""
