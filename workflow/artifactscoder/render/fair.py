"""Who is rendered next: a queue of bounded length for each client, served in turns.

In: who asks. Out: a place to work at, or `Full` with the seconds after which to ask again, reckoned from how fast
pages went of late. A client that fills the queue does not shut out another: the newest page of whoever waits with the
most gives way to one who waits with fewer, and is told to come again. Nothing here knows what a page is.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

FIRST_GUESS_SECONDS = 0.5
NEWEST_PART = 0.1
"""How much the last page counts in the mean time of a page."""
LONGEST_RETRY = 60


class Full(Exception):
    """No room now; `retry_s` is when there should be some."""

    def __init__(self, retry_s: int) -> None:
        super().__init__(f"the queue is full; ask again in {retry_s} s")
        self.retry_s = retry_s


class FairQueue:
    """`async with queue.place(client) as waited_s:` for at most `places` at once, with `room` more waiting."""

    def __init__(self, places: int, room: int) -> None:
        self.places = places
        self.room = room
        self.working = 0
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """In the order of turns: the first one's page is next."""
        self._page_seconds = FIRST_GUESS_SECONDS

    @property
    def waiting(self) -> int:
        """Pages that wait."""
        return sum(len(queue) for queue in self._waiting.values())

    @property
    def clients(self) -> int:
        """Clients with pages that wait."""
        return len(self._waiting)

    def retry_s(self) -> int:
        """Whole seconds until about half of those who wait now have been served, 1 to 60."""
        seconds = (self.waiting / 2 + 1) * self._page_seconds / self.places
        return max(1, min(LONGEST_RETRY, math.ceil(seconds)))

    def check(self, client: str) -> None:
        """Full if a page of this client would not be let in now."""
        if self.working >= self.places and self.waiting >= self.room and self._longest(client) is None:
            raise Full(self.retry_s())

    @asynccontextmanager
    async def place(self, client: str) -> AsyncIterator[float]:
        """Wait for this client's turn; gives the seconds waited. Raises Full, at once or when it has to give way."""
        came = time.monotonic()
        await self._enter(client)
        began = time.monotonic()
        try:
            yield began - came
        finally:
            self._page_seconds += NEWEST_PART * (time.monotonic() - began - self._page_seconds)
            self._leave()

    async def _enter(self, client: str) -> None:
        if self.working < self.places:
            self.working += 1
            return
        if self.waiting >= self.room:
            longest = self._longest(client)
            if longest is None:
                raise Full(self.retry_s())
            newest = self._waiting[longest][-1]
            self._take_out(longest, newest)
            if not newest.done():  # else it was given up just now, which makes room as well
                newest.set_exception(Full(self.retry_s()))
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._take_out(client, turn)
            elif turn.exception() is None:  # its turn came in the moment in which it was given up
                self._leave()
            raise

    def _longest(self, client: str) -> str | None:
        """Whose newest page would give way to one more of this client's."""
        longest = max(self._waiting, key=lambda name: len(self._waiting[name]), default=None)
        if longest is None or len(self._waiting[longest]) <= len(self._waiting.get(client, ())) + 1:
            return None
        return longest

    def _take_out(self, client: str, turn: asyncio.Future[None]) -> None:
        queue = self._waiting.get(client, deque())
        if turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[client]

    def _leave(self) -> None:
        self.working -= 1
        while self._waiting and self.working < self.places:
            client = next(iter(self._waiting))
            queue = self._waiting.pop(client)
            turn = queue.popleft()
            if queue:
                self._waiting[client] = queue  # behind all others
            if not turn.done():  # else it was cancelled just now
                self.working += 1
                turn.set_result(None)
