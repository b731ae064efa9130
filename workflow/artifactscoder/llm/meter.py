"""How far a step that asks is: its line in the log, and the same numbers in a file that `artifactscoder watch` reads.

The file stands beside the step's table (`.game-puzzle.progress.json`) while the step runs, is written anew with every
line, and goes when the table comes. What it says of answers, tokens and money is what this run of the step paid for;
what the journal had already is not in it.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import orjson

from artifactscoder import files
from artifactscoder.journal import Journal, Paid
from artifactscoder.progress import Progress


def beside(table: Path) -> Path:
    """Where the progress of the step that makes `table` stands."""
    return table.with_name(f".{table.stem}.progress.json")


class Meter:
    """`finished` for every row; `close` at the end, however it ends."""

    def __init__(self, progress: Progress, journals: Iterable[Journal], table: Path) -> None:
        self.progress, self.path = progress, beside(table)
        self.counts: Counter[str] = Counter()
        self._journals = list({id(journal): journal for journal in journals}.values())
        self._begin = self._last = self._paid()
        self._begun = self._at = time.monotonic()

    def finished(self, statuses: Iterable[str]) -> None:
        """One row has come out with outcomes of these statuses."""
        self.counts.update(statuses)
        if self.progress.due():
            now, paid = time.monotonic(), self._paid()
            rate = (paid.tokens_out - self._last.tokens_out) / max(1e-9, now - self._at)
            self._last, self._at = paid, now
            c, cost = self.counts, paid.cost - self._begin.cost
            money = f", cost {cost:,.2f}" if cost else ""
            self.progress.say(f", {rate:,.0f} tokens/s, {c['rejected']} rejected, {c['failed']} failed{money}")
            self._write(rate)

    def _paid(self) -> Paid:
        return sum((journal.paid for journal in self._journals), Paid())

    def _write(self, rate: float) -> None:
        values = {
            "name": self.progress.name, "done": self.progress.done, "total": self.progress.total,
            "rate": self.progress.rate, "left_s": self.progress.left_s, "tokens_per_s": rate,
            "paid": self._last - self._begin,
            **{status: self.counts[status] for status in ("ok", "rejected", "failed")},
            "seconds": time.monotonic() - self._begun, "time": time.time(),
            "host": os.uname().nodename, "pid": os.getpid(),
        }  # fmt: skip
        with suppress(OSError):  # a full disk stops the step where an answer or the table cannot be written
            files.write_bytes(self.path, orjson.dumps(values), sync=False)

    def close(self) -> None:
        self.path.unlink(missing_ok=True)
