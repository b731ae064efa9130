"""An orderly end of a step that asks: on SIGTERM no request is sent any more, and those under way are waited for.

So Slurm's warning before a time limit, a preemption or a cancel costs no answer that is paid for already, as long as it
comes before the SIGKILL behind it. Slurm repeats SIGTERM, so a second one changes nothing; SIGINT ends at once. What
the journal holds is safe in any case. A step that may not go on (its budget is spent) ends the same way by `stop`.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from artifactscoder.errors import UserError

ENDED = 128 + signal.SIGTERM


class _State:
    busy = 0
    main: asyncio.Future[Any] | None = None  # the step, where `run` runs it
    ending = False
    words = ""  # why the step ends, where it is no signal


@contextmanager
def busy() -> Iterator[None]:
    """Around what must not be cut: a request until it is answered, an answer until it is written down."""
    _State.busy += 1
    try:
        yield
    finally:
        _State.busy -= 1
        if _State.ending:
            # Later, for an answer goes from one such part into the next without a pause between.
            asyncio.get_running_loop().call_soon(_end_if_idle)


async def gate() -> None:
    """Passed before anything is sent; once the end is asked for, it stays shut."""
    if _State.ending:
        await asyncio.Event().wait()


async def stop(words: str, kind: type[UserError] = UserError) -> None:
    """End the step with these words, a UserError, once all that is under way is answered; never returns.

    Where no step runs (a reward that is asked for by another program), `kind` is raised at once.
    """
    if _State.main is None:
        raise kind(words)
    if not _State.ending:
        _State.words = words
        _leave("stopping")
    await asyncio.Event().wait()


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """`asyncio.run` that ends as said above, on SIGTERM with exit code 143."""
    return asyncio.run(_run(work))


async def _run(work: Coroutine[Any, Any, Any]) -> Any:
    main = asyncio.ensure_future(work)
    _State.main, _State.busy, _State.ending, _State.words = main, 0, False, ""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, _leave, "SIGTERM")
    try:
        return await main
    except asyncio.CancelledError:
        if not _State.ending:
            raise
        if _State.words:
            raise UserError(_State.words) from None
        raise SystemExit(ENDED) from None
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        _State.main = None


def _leave(why: str) -> None:
    if _State.ending:
        return
    _State.ending = True
    print(f"{why}: {_State.busy} requests under way are waited for, no new one is sent", file=sys.stderr, flush=True)
    _end_if_idle()


def _end_if_idle() -> None:
    if _State.ending and not _State.busy and _State.main is not None:
        _State.main.cancel()
