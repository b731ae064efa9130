"""An orderly end of a step that asks: on SIGTERM no request is sent any more, and those under way are waited for.

So Slurm's warning before a time limit, a preemption or a cancel costs no answer that is paid for already, as long as it
comes before the SIGKILL behind it. Slurm repeats SIGTERM, so a second one changes nothing; SIGINT ends at once. What
the journal holds is safe in any case.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

ENDED = 128 + signal.SIGTERM


class _State:
    busy = 0
    main: asyncio.Future[Any] | None = None  # set when the end is asked for


@contextmanager
def busy() -> Iterator[None]:
    """Around what must not be cut: a request until it is answered, an answer until it is written down."""
    _State.busy += 1
    try:
        yield
    finally:
        _State.busy -= 1
        if _State.main is not None:
            # Later, for an answer goes from one such part into the next without a pause between.
            asyncio.get_running_loop().call_soon(_end_if_idle)


async def gate() -> None:
    """Passed before anything is sent; once the end is asked for, it stays shut."""
    if _State.main is not None:
        await asyncio.Event().wait()


def run(work: Coroutine[Any, Any, Any]) -> None:
    """`asyncio.run` that ends as said above, with exit code 143."""
    _State.main, _State.busy = None, 0
    asyncio.run(_run(work))


async def _run(work: Coroutine[Any, Any, Any]) -> None:
    main = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, _leave, main)
    try:
        await main
    except asyncio.CancelledError:
        if _State.main is None:
            raise
        raise SystemExit(ENDED) from None
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def _leave(main: asyncio.Future[Any]) -> None:
    if _State.main is not None:
        return
    _State.main = main
    print(f"SIGTERM: {_State.busy} requests under way are waited for, no new one is sent", file=sys.stderr, flush=True)
    _end_if_idle()


def _end_if_idle() -> None:
    if _State.main is not None and not _State.busy:
        _State.main.cancel()
