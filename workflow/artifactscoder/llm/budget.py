"""The budget of a run: no request is sent once its answers have cost so much; those under way are waited for.

Every job knows its own costs as they come and reads what the others paid from the journal's `paid.json` files, seldom
while the end is far and every few seconds when it is near. So a run ends at the budget, give or take what was in
flight and what the others paid since the last look. A higher budget and the same command go on from there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from artifactscoder.config.engines import BudgetSettings
from artifactscoder.journal import PAID, Journal, Paid
from artifactscoder.llm import drain

NEAR_S, FAR_S = 2.0, 300.0


def paid(root: Path) -> dict[Path, Paid]:
    """What was paid for the answers of each journal folder below `root`, as their jobs last said."""
    out: dict[Path, Paid] = {}
    for folder, values in _said(root):
        whole = {name: value for name, value in values.items() if name != "models"}
        out[folder] = out.get(folder, Paid()) + Paid(**whole)
    return out


def paid_to(root: Path) -> dict[str, dict[Path, Paid]]:
    """The same for each model by itself, by its label; what no model is named for is in none."""
    out: dict[str, dict[Path, Paid]] = {}
    for folder, values in _said(root):
        for model, one in values.get("models", {}).items():
            own = out.setdefault(model, {})
            own[folder] = own.get(folder, Paid()) + Paid(**one)
    return out


def _said(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in root.rglob(f"*{PAID}"):
        try:
            values = orjson.loads(path.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            continue  # moved away while it was read; the next look sees it
        yield path.parent, values


class Budget:
    """`check` before every request."""

    def __init__(self, settings: BudgetSettings, root: Path, journal: Journal) -> None:
        self.settings, self.root, self.journal = settings, root, journal
        self._others = Paid()
        self._next_look = 0.0
        self._last: tuple[float, float] | None = None

    async def check(self) -> None:
        """Returns while there is money left; else ends the step in order (llm/drain.py)."""
        if not (self.settings.cost or self.settings.tokens):
            return
        now = time.monotonic()
        if now >= self._next_look:
            self._look(now)
        for what, spent, limit in self._spent():
            if limit and spent >= limit:
                await drain.stop(
                    f"the budget is spent: {what} {spent:,.6g} of budget.{what} {limit:,.6g}; nothing is lost: raise "
                    f"budget.{what} in the configuration and run the same command again"
                )

    def _spent(self) -> list[tuple[str, float, float]]:
        """What was spent of what, and its limit."""
        paid = self._others + self.journal.paid
        return [("cost", paid.cost, self.settings.cost), ("tokens", paid.tokens, self.settings.tokens)]

    def _look(self, now: float) -> None:
        """Sum up the others, and look again when a quarter of what is left may be spent."""
        others = (one for folder, one in paid(self.root).items() if folder != self.journal.folder)
        self._others = sum(others, Paid())
        share = max(spent / limit for _, spent, limit in self._spent() if limit)
        wait = NEAR_S
        if self._last is not None and share > self._last[1]:
            rate = (share - self._last[1]) / (now - self._last[0])
            wait = min(FAR_S, max(NEAR_S, (1 - share) / rate / 4))
        self._last = (now, share)
        self._next_look = now + wait
