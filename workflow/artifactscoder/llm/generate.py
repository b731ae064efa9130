"""The one loop of every step that asks: rows in, outcomes out, in the rows' order, each id accounted for.

Rows are read as they are needed; at most `window` of them are under way, so memory does not grow with the table.
Outcomes are written in the order of the rows, whatever order the answers come in: the same answers give the same
table, byte for byte.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from artifactscoder import ledger as ledgers
from artifactscoder import tables
from artifactscoder.config import Config
from artifactscoder.journal import Journal
from artifactscoder.ledger import Ledger, Status, Usage
from artifactscoder.llm.client import Client, Unusable
from artifactscoder.progress import Progress
from artifactscoder.tables import Row


@dataclass
class Outcome:
    """One id's leaving. `row` goes to the table when the status is ok."""

    id: str
    status: Status = "ok"
    reason: str = ""
    detail: str = ""
    usage: Usage = field(default_factory=Usage)
    row: Row | None = None


def unusable(ids: list[str], trouble: Unusable) -> list[Outcome]:
    """The same trouble for all ids that one request was to give, its cost shared among them."""
    status: Status = "rejected" if trouble.status == "rejected" else "failed"
    shares = trouble.usage.split(len(ids))
    return [Outcome(id_, status, trouble.reason, trouble.detail, share) for id_, share in zip(ids, shares, strict=True)]


@asynccontextmanager
async def roles(
    config: Config, step: str, shard: str, *names: str, endpoints: Sequence[str] = ()
) -> AsyncIterator[list[Client]]:
    """Clients for several roles, then for the named endpoints, over the one journal of (step, shard)."""
    async with AsyncExitStack() as stack:
        journal = await stack.enter_async_context(Journal(config.journal / step / shard))
        clients = [Client(config, name, journal) for name in names]
        clients += [Client(config, "", journal, endpoint=name) for name in endpoints]
        yield [await stack.enter_async_context(client) for client in clients]


async def in_order(
    rows: Iterable[Row],
    entered: Callable[[Row], list[str]],
    work: Callable[[Row], Awaitable[list[Outcome]]],
    output: Path,
    schema: pa.Schema,
    window: int,
    progress: Progress,
) -> Ledger:
    """Work on every row, `window` at a time; write table and ledger; returns the ledger for its counts."""
    ledger = Ledger(ledgers.beside(output))
    under_way: deque[asyncio.Task[list[Outcome]]] = deque()

    with tables.Writer(output, schema) as writer:

        async def settle() -> None:
            for outcome in await under_way.popleft():
                ledger.leave(outcome.id, outcome.status, outcome.reason, outcome.detail, outcome.usage)
                if outcome.status == "ok" and outcome.row is not None:
                    writer.write(outcome.row)
                c = ledger.counts
                progress.step(f", {c['rejected']} rejected, {c['failed']} failed")

        try:
            for row in rows:
                ledger.enter(entered(row))
                under_way.append(asyncio.create_task(_coroutine(work, row)))
                if len(under_way) >= window:
                    await settle()
            while under_way:
                await settle()
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        # The ledger goes first: a table that is there always has its accounts beside it.
        ledger.close()
    progress.end(ledger.summary())
    return ledger


async def _coroutine(work: Callable[[Row], Awaitable[list[Outcome]]], row: Row) -> list[Outcome]:
    return await work(row)
