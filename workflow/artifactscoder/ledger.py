"""The accounts of a step: every id that enters leaves as `ok`, `rejected` or `failed`, or the step does not end.

`ok` is in the step's table. `rejected` names the rule that a usable-looking record broke. `failed` names the error
that kept a record from being made. A failure is never a score, and nothing leaves in silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from artifactscoder import tables
from artifactscoder.records import LEDGER

Status = Literal["ok", "rejected", "failed"]


def beside(table: Path) -> Path:
    """Where the ledger of a table stands: `code/games.parquet` -> `code/games.ledger.parquet`."""
    return table.with_name(table.name.removesuffix(".parquet") + ".ledger.parquet")


@dataclass(frozen=True)
class Usage:
    """What an outcome cost: attempts at answers, prompt and answer tokens, money, seconds of waiting."""

    attempts: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.attempts + other.attempts,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.cost + other.cost,
            self.seconds + other.seconds,
        )

    def split(self, n: int) -> list[Usage]:
        """Shares for `n` outcomes of one request: real numbers evenly, whole ones so that the sums stay right."""
        even = replace(self, cost=self.cost / n, seconds=self.seconds / n)
        return [
            replace(
                even,
                attempts=(self.attempts + n - 1 - i) // n,
                tokens_in=(self.tokens_in + n - 1 - i) // n,
                tokens_out=(self.tokens_out + n - 1 - i) // n,
            )
            for i in range(n)
        ]


class Ledger:
    """Collects one line an id and writes them, in the order of their leaving, when the accounts balance."""

    def __init__(self, path: Path, metadata: dict[str, str] | None = None) -> None:
        self.path, self.metadata = path, metadata
        self._entered: set[str] = set()
        self._open: set[str] = set()
        self._lines: list[dict[str, object]] = []
        self.counts: Counter[str] = Counter()

    def enter(self, ids: Iterable[str]) -> None:
        for id_ in ids:
            if id_ in self._entered:
                raise RuntimeError(f"{self.path}: {id_} entered twice")
            self._entered.add(id_)
            self._open.add(id_)

    def leave(self, id_: str, status: Status, reason: str = "", detail: str = "", usage: Usage = Usage()) -> None:  # noqa: B008
        if id_ not in self._open:
            raise RuntimeError(f"{self.path}: {id_} leaves without being in (or twice)")
        self._open.remove(id_)
        self.counts[status] += 1
        self._lines.append({"id": id_, "status": status, "reason": reason, "detail": detail[:500], **usage.__dict__})

    def close(self) -> None:
        if self._open:
            some = ", ".join(sorted(self._open)[:3])
            raise RuntimeError(f"{self.path}: {len(self._open)} ids entered and never left, {some} among them")
        tables.write(self.path, LEDGER, self._lines, self.metadata)

    def summary(self) -> str:
        c = self.counts
        return f"{len(self._entered)} entered: {c['ok']} ok, {c['rejected']} rejected, {c['failed']} failed"
