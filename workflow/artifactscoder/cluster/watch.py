"""watch: every shard that asks just now, on whichever node it runs, on one screen that renews itself.

It reads the small files that running steps keep beside their tables (llm/meter.py) and what the journal says was paid;
it asks nothing of Slurm and disturbs nothing. A shard whose file is older than STALE_S is shown as silent: its job was
killed, or its node does not write. `artifactscoder status` shows jobs and failures.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from artifactscoder import config as configs
from artifactscoder.config import Config
from artifactscoder.journal import Paid
from artifactscoder.llm import budget
from artifactscoder.progress import duration, table

EVERY_S = 2.0
STALE_S = 60.0


def run(config: Config, once: bool = False) -> int:
    """Show the screen until Ctrl-C, or once. Returns 0."""
    if (config.results / "config.yaml").is_file():
        config = configs.load([config.results / "config.yaml"])
    while True:
        lines = list(screen(config))
        if once:
            print("\n".join(lines))
            return 0
        sys.stdout.write("\033[H\033[J" + "\n".join(lines) + "\n")
        sys.stdout.flush()
        time.sleep(EVERY_S)


def shards(results: Path) -> list[dict[str, Any]]:
    """What the steps under way last said of themselves, with `step`, `shard` and `age` in seconds."""
    found = []
    for path in sorted(results.glob("**/.*.progress.json")):
        try:
            values = orjson.loads(path.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            continue  # it has just ended
        values["step"] = path.parent.relative_to(results).as_posix()
        values["shard"] = path.name.removeprefix(".").removesuffix(".progress.json")
        values["age"] = max(0.0, time.time() - values["time"])
        found.append(values)
    return found


def screen(config: Config) -> Iterator[str]:
    """The lines."""
    found = shards(config.results)
    head = ("step", "shard", "done", "rate", "tokens/s", "rejected", "failed", "cost", "left", "host")
    yield from table([head, *(_line(values) for values in found)], left=(0, 1, len(head) - 1))
    if not found:
        yield "no step asks just now"
    live = [values for values in found if values["age"] < STALE_S]
    yield ""
    yield (
        f"{len(live)} under way, {len(found) - len(live)} silent; {sum(v['rate'] for v in live):,.1f} rows/s, "
        f"{sum(v['tokens_per_s'] for v in live):,.0f} tokens/s; since they began: "
        f"{sum(v['paid']['answers'] for v in found):,} answers, cost {sum(v['paid']['cost'] for v in found):,.2f}"
    )
    spent = sum(budget.paid(config.journal).values(), Paid())
    limits = [(f"cost {spent.cost:,.2f}", config.budget.cost), (f"{spent.tokens:,} tokens", config.budget.tokens)]
    yield "in all: " + ", ".join(f"{text} of {limit:,g}" if limit else text for text, limit in limits)


def _line(values: dict[str, Any]) -> tuple[str, ...]:
    total, cost = values["total"], values["paid"]["cost"]
    left = "" if values["left_s"] is None else duration(values["left_s"])
    return (
        values["step"], values["shard"], f"{values['done']:,}" + (f"/{total:,}" if total else ""),
        f"{values['rate']:,.1f}/s", f"{values['tokens_per_s']:,.0f}", f"{values['rejected']:,}",
        f"{values['failed']:,}", f"{cost:,.2f}" if cost else "",
        left if values["age"] < STALE_S else f"silent for {duration(values['age'])}", values["host"],
    )  # fmt: skip
