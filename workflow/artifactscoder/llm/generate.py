"""The one loop of every step that asks: rows in, outcomes out, in the rows' order, each id accounted for.

Rows are read as they are needed, and what is finished before its turn waits in at most HELD bytes, so memory does not
grow with the table. Outcomes are written in the order of the rows, whatever order the answers come in: the same
answers give the same table, byte for byte.
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
from artifactscoder.errors import UserError
from artifactscoder.journal import Journal
from artifactscoder.ledger import Ledger, Status, Usage
from artifactscoder.llm.client import Client, Unusable
from artifactscoder.llm.meter import Meter
from artifactscoder.progress import Progress
from artifactscoder.tables import Row

HELD = 128 << 20  # bytes of rows that wait for their turn
FIRST = 50  # where so many rows, the first of a job, fail for one reason of the server's, the others would too


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
    clients: Sequence[Client],
    progress: Progress,
    window: int = 0,
    per_row: int = 1,
) -> Ledger:
    """Work on every row; write table and ledger; returns the ledger for its counts.

    Under way at once are as many rows as the `clients` can use, each of which asks one of them `per_row` times at
    once, or `window` where that is more. Raises UserError where the first FIRST rows all fail for the same reason of
    the server's.
    """
    ledger = Ledger(ledgers.beside(output))
    most = max([window, *(-(-client.settings.window // per_row) for client in clients)])
    meter = Meter(progress, [client.journal for client in clients], output)
    under_way: deque[asyncio.Task[list[Outcome]]] = deque()
    settled = 0  # rows that are written
    ends: set[tuple[Status, str]] = set()  # of the first rows
    waiting = held = 0  # rows that are finished before their turn, and their bytes
    broken: list[asyncio.Task[list[Outcome]]] = []
    moved = asyncio.Event()

    def finished(task: asyncio.Task[list[Outcome]]) -> None:
        nonlocal waiting, held
        moved.set()
        if task.cancelled() or task.exception() is not None:
            broken.append(task)
            return
        waiting += 1
        held += _size(task.result())
        meter.finished(outcome.status for outcome in task.result())

    with tables.Writer(output, schema) as writer:

        def settle() -> None:
            """Write what has its turn. Raises UserError where the first rows tell that no other would end well."""
            nonlocal waiting, held, settled
            if broken:
                broken[0].result()
            while under_way and under_way[0].done():
                outcomes = under_way.popleft().result()
                waiting -= 1
                held -= _size(outcomes)
                for outcome in outcomes:
                    ledger.leave(outcome.id, outcome.status, outcome.reason, outcome.detail, outcome.usage)
                    if outcome.status == "ok" and outcome.row is not None:
                        writer.write(outcome.row)
                settled += 1
                if settled <= FIRST:
                    ends.update((outcome.status, outcome.reason) for outcome in outcomes)
                    if settled == FIRST and len(ends) == 1 and _of_the_server(outcomes[-1]):
                        raise UserError(
                            f"{progress.name}: the first {FIRST} rows all failed as {outcomes[-1].reason} "
                            f"({outcomes[-1].detail}); correct the endpoint, its `structured` or the sampling, then "
                            "run the same command again: what was answered is kept"
                        )

        async def until(enough: Callable[[], bool]) -> None:
            settle()
            while not enough():
                moved.clear()
                await moved.wait()
                settle()

        try:
            for row in rows:
                # One slow answer at the head must not hold up the others: they go on until HELD is full.
                await until(lambda: len(under_way) - waiting < most and held < HELD)
                ledger.enter(entered(row))
                task = asyncio.create_task(_coroutine(work, row))
                task.add_done_callback(finished)
                under_way.append(task)
            await until(lambda: not under_way)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            meter.close()
        # The ledger goes first: a table that is there always has its accounts beside it.
        ledger.close()
    progress.end(ledger.summary())
    return ledger


def _of_the_server(outcome: Outcome) -> bool:
    """Whether a row failed by what a server did, and not by what a model wrote."""
    away = ("timeout", "connection", "broken_body", "expired")
    return outcome.status == "failed" and (outcome.reason.startswith("http_") or outcome.reason in away)


async def _coroutine(work: Callable[[Row], Awaitable[list[Outcome]]], row: Row) -> list[Outcome]:
    return await work(row)


def _size(outcomes: list[Outcome]) -> int:
    """Bytes of the rows, near enough."""
    rows = [outcome.row for outcome in outcomes if outcome.row]
    return sum(len(value) for row in rows for value in row.values() if isinstance(value, str | bytes))
