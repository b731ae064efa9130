"""Progress of long work: how far, how fast, how long still. One line every ten seconds, on standard error."""

from __future__ import annotations

import sys
import time

EVERY_S = 10.0


class Progress:
    """A line every ten seconds: done, rate, seconds left; and one at the end."""

    def __init__(self, name: str, total: int | None) -> None:
        self.name, self.total = name, total
        self.done = 0
        self.start = self.last = time.monotonic()

    def step(self, note: str = "") -> None:
        self.done += 1
        now = time.monotonic()
        if now - self.last >= EVERY_S:
            self.last = now
            rate = self.done / (now - self.start)
            left = f", {(self.total - self.done) / rate:.0f} s left" if self.total and rate else ""
            of = f"/{self.total}" if self.total else ""
            print(f"{self.name}: {self.done}{of}, {rate:.1f}/s{left}{note}", file=sys.stderr, flush=True)

    def end(self, note: str) -> None:
        seconds = time.monotonic() - self.start
        print(f"{self.name}: {note} in {seconds:.1f} s", file=sys.stderr, flush=True)
