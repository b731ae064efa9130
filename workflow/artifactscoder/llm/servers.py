"""The servers of one endpoint: who takes the next request, how many at once, and when a sick one is asked again.

Each server has a limit of its own on what is in flight. It begins low, doubles until the first sign of crowding, falls
by three tenths at each sign and climbs back, by a fiftieth in the first round after and half as much again in every
further one: slowly near what was too much, quickly where that is long ago. Signs are 429, 5xx, time-outs and resets
where they are more than a tenth of the latest answers: a few are the way of every large server, and to yield to each
would leave a dozen requests in flight. Then Retry-After is kept for the whole server, else for the one request. A
server that takes no connection rests, longer each time, while the others go on. Waiting is first come, first served.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Literal

FIRST_LIMIT = 32
SMALLEST_SHARE = 0.7  # of the limit that a sign of crowding leaves
STRAY = 0.1  # share of troubles among the latest answers that is no sign of crowding
MEMORY = 0.995  # weight of what was, against the latest answer
DOUBT = 10  # good answers that a server is credited with at first
CLIMB, FASTER = 0.02, 1.5  # of the limit, in the first round of answers after a sign; times so much in each further one
FAST = 9.7  # rounds after which the limit doubles in one
REST_S = 1.0  # first rest of a server that refuses connections; doubles
LONGEST_REST_S = 30.0

Verdict = Literal["good", "trouble", "refused", "other"]


class Server:
    """One base URL. `limit` is how many requests it may have at once now, `in_flight` how many it has."""

    def __init__(self, url: str, most: int) -> None:
        self.url, self.most = url.rstrip("/"), most
        self.limit = float(min(most, FIRST_LIMIT))
        self.in_flight = 0
        self.rests_until = 0.0
        self.refused_since = 0.0  # 0 while it answers
        self._rest_s = REST_S
        self._rounds = FAST  # of good answers since the last cut
        self._last_cut = 0.0
        self._trouble = self._weight = 0.0

    def judge(self, verdict: Verdict, started: float, retry_after: float) -> None:
        """Take note of how a request ended that was sent at `started` (time.monotonic)."""
        now = time.monotonic()
        if verdict == "refused":  # it takes no connection: it rests, and the requests go elsewhere
            self.refused_since = self.refused_since or started
            if now >= self.rests_until:
                self.rests_until = now + self._rest_s
                self._rest_s = min(LONGEST_REST_S, 2 * self._rest_s)
            return
        self.refused_since, self._rest_s = 0.0, REST_S
        if verdict == "other":
            return
        self._trouble = MEMORY * self._trouble + (verdict == "trouble")
        self._weight = MEMORY * self._weight + 1
        if verdict == "trouble" and self._trouble > STRAY * (self._weight + DOUBT):
            self.rests_until = max(self.rests_until, now + retry_after)
            if started >= self._last_cut:  # what was sent before the last cut says nothing about it
                self.limit, self._last_cut = max(1.0, self.limit * SMALLEST_SHARE), now
                self._trouble = self._weight = self._rounds = 0.0
        elif verdict == "good":
            self._rounds = min(FAST, self._rounds + 1 / self.limit)
            if self.in_flight + 1 >= 0.8 * self.limit:
                self.limit = min(self.most, self.limit + max(1 / self.limit, CLIMB * FASTER**self._rounds))


class Servers:
    """`take` a server for a request, and `give` it back with the verdict."""

    def __init__(self, urls: Sequence[str], most: int, per_minute: float = 0, tokens_per_minute: float = 0) -> None:
        """`most`: requests in flight at all of them; requests and tokens a minute are without limit at 0."""
        self.all = [Server(url, max(1, -(-most // len(urls)))) for url in urls]
        self._waiting: deque[tuple[asyncio.Future[Server], int]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._requests, self._tokens = _Allowance(per_minute), _Allowance(tokens_per_minute)

    async def take(self, tokens: int) -> Server:
        """The server for one request, which may cost so many tokens; waits for a free place."""
        waiter: asyncio.Future[Server] = asyncio.get_running_loop().create_future()
        self._waiting.append((waiter, tokens))
        self._serve()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.give(waiter.result(), "other", time.monotonic(), unused=tokens)
            raise

    def give(self, server: Server, verdict: Verdict, started: float, retry_after: float = 0.0, unused: int = 0) -> None:
        """`unused`: of the tokens that the request might have cost."""
        server.in_flight -= 1
        server.judge(verdict, started, retry_after)
        self._tokens.use(-unused)
        self._serve()

    def silent_for(self) -> float | None:
        """Seconds since which every server has refused connections; none while one answers."""
        since = [server.refused_since for server in self.all]
        return time.monotonic() - max(since) if all(since) else None

    def _serve(self) -> None:
        """Hand out what is free, in the order of asking; come back when something rests no longer."""
        while self._waiting:
            if self._waiting[0][0].done():  # cancelled while it waited
                self._waiting.popleft()
                continue
            now = time.monotonic()
            wait = max(self._requests.wait(now), self._tokens.wait(now))
            free = [s for s in self.all if s.rests_until <= now and s.in_flight < int(s.limit)]
            if wait or not free:
                rests = [s.rests_until - now for s in self.all if s.rests_until > now]
                self._later(wait or min(rests, default=0.0))
                return
            server = min(free, key=lambda s: s.in_flight / s.limit)
            server.in_flight += 1
            waiter, tokens = self._waiting.popleft()
            self._requests.use(1)
            self._tokens.use(tokens)
            waiter.set_result(server)

    def _later(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds > 0:
            self._timer = asyncio.get_running_loop().call_later(seconds + 0.001, self._serve)


class _Allowance:
    """So many a minute, a second's worth at once; what was used too much is waited for."""

    def __init__(self, per_minute: float) -> None:
        self._rate = per_minute / 60
        self._left, self._at = self._rate, time.monotonic()

    def use(self, amount: float) -> None:
        self._left -= amount

    def wait(self, now: float) -> float:
        """Seconds until the next may be used."""
        if not self._rate:
            return 0.0
        self._left = min(max(1.0, self._rate), self._left + (now - self._at) * self._rate)
        self._at = now
        return 0.0 if self._left > 0 else -self._left / self._rate + 1e-3
