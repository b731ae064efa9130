"""Progress of long work: how far, how fast, how long still. One line every ten seconds, on standard error.

And how numbers are written for people to read: durations, sizes, tables.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Container, Iterator, Sequence

EVERY_S = 10.0
RECENT = 6  # the rate is that of the last minute: what a resumed step recalled at its start says nothing of the rest


class Progress:
    """A line every ten seconds: done, rate, time left; and one at the end."""

    def __init__(self, name: str, total: int | None) -> None:
        self.name, self.total = name, total
        self.done = 0
        self.rate = 0.0  # of the last minute [1/s]
        self.start = self.last = time.monotonic()
        self._points = deque([(self.start, 0)], maxlen=RECENT + 1)

    @property
    def left_s(self) -> float | None:
        """Seconds still to go; none where that is not known."""
        return (self.total - self.done) / self.rate if self.total and self.rate else None

    def due(self) -> bool:
        """Count one more; true when it is time for a line."""
        self.done += 1
        now = time.monotonic()
        if now - self.last < EVERY_S:
            return False
        self.last = now
        self._points.append((now, self.done))
        before, done = self._points[0]
        self.rate = (self.done - done) / (now - before)
        return True

    def say(self, note: str = "") -> None:
        left = f", {duration(self.left_s)} left" if self.left_s is not None else ""
        of = f"/{self.total}" if self.total else ""
        say(f"{self.name}: {self.done}{of}, {self.rate:.1f}/s{left}{note}")

    def step(self, note: str = "") -> None:
        """Count one more, and say so when it is time."""
        if self.due():
            self.say(note)

    def end(self, note: str) -> None:
        say(f"{self.name}: {note} in {duration(time.monotonic() - self.start)}")


def say(line: str) -> None:
    """A line of its own among those of the progress."""
    print(line, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """4.2 s, 12 min, 3 h 20 min, 2 d 4 h"""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def short(number: float) -> str:
    """Three digits and a unit: 1.23 M"""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f}"


def table(rows: Sequence[Sequence[str]], left: Container[int]) -> Iterator[str]:
    """Lines with columns below each other; those of `left` begin at the left, the others, numbers, end at the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = enumerate(zip(row, widths, strict=True))
        yield "  ".join(cell.ljust(w) if i in left else cell.rjust(w) for i, (cell, w) in cells).rstrip()
