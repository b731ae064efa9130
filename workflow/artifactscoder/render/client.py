"""Pages rendered by services elsewhere.

In: HTML. Out: the `Render` of whichever replica had room. A replica that is full, stopping, gone or unreachable
costs time, never a verdict: the page goes to another or waits, and if no replica has finished any page for
`patience_s`, that is a `RenderUnavailable`. Pages are sent to the replica with the fewest of ours, and never more
than it has room for; one that says when to come again (Retry-After) is left alone until then. Each client names
itself, so that services can serve several in turns.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import os
import random
import secrets
import socket
import time
import weakref
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from artifactscoder.errors import UserError
from artifactscoder.render.page import CAPACITY_HEADER, CLIENT_HEADER, Render, RenderOptions, RenderUnavailable, Route
from artifactscoder.render.rendezvous import Ages, replicas

LOOK_SECONDS = 1.0
CONNECT_SECONDS = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
LONGEST_RETRY = 60.0
"""More is not believed: another replica may have room by then."""
BROKEN_ANSWERS = 5
ROOM_UNKNOWN = 8
"""Pages for a service given by its address, until its first answer tells its room."""


@dataclass
class Statistics:
    """What a client has done so far; times in seconds."""

    pages: int = 0
    """Pages that came back with a verdict."""
    attempts: int = 0
    waited: float = 0.0
    """Time in which pages waited for a replica with room, summed over pages."""
    retries: collections.Counter[str] = field(default_factory=collections.Counter)
    """Attempts that brought no verdict: full (429), refused (another status), lost (no answer)."""
    replicas: collections.Counter[str] = field(default_factory=collections.Counter)
    """Pages by the address of the replica."""


@dataclass
class _Replica:
    """A service as this client sees it."""

    url: str
    token: str
    capacity: int
    in_flight: int = 0
    failures: int = 0
    not_before: float = 0.0
    said: str = ""
    listed: bool = True
    """Whether it still says that it is there."""

    def pause(self, seconds: float | None = None) -> None:
        """Ask it later: after so long, or longer the more often it has failed."""
        self.failures += 1
        wait = seconds or min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self.failures, 10))
        self.not_before = time.monotonic() + wait * random.uniform(1.0, 1.3)


class _Desk:
    """What belongs to one event loop: the connections, the replicas and those who wait for one."""

    def __init__(self) -> None:
        # No limit of connections here: waiting for one would count as the time to connect, and under load pages
        # would fail that no replica ever saw.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)
        self.replicas: dict[str, _Replica] = {}
        self.waiting: collections.deque[asyncio.Future[None]] = collections.deque()
        self.looked = float("-inf")
        self.last_success = float("-inf")

    def wake(self) -> None:
        """Let the first who waits try again."""
        while self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return


class RenderClient:
    """`render = await RenderClient(rendezvous=directory).render(html)`, from any number of tasks and loops.

    Either a rendezvous directory or the address and token of one service. Raises UserError if neither is given.
    """

    def __init__(
        self,
        rendezvous: Path | None = None,
        url: str | None = None,
        token: str | None = None,
        patience_s: float = 300.0,
    ) -> None:
        if (rendezvous is None) == (url is None):
            raise UserError("A render client needs either a rendezvous directory or the address of a service")
        self.rendezvous = rendezvous
        self.patience_s = patience_s
        self.statistics = Statistics()
        self._name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._ages = None if rendezvous is None else Ages(rendezvous)
        self._fixed = None if url is None else (url.rstrip("/"), token or "")
        self._desks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Desk] = weakref.WeakKeyDictionary()

    async def __aenter__(self) -> RenderClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections of the present event loop."""
        desk = self._desks.pop(asyncio.get_running_loop(), None)
        if desk is not None:
            await desk.session.close()

    async def render(self, html: str, options: RenderOptions | None = None) -> Render:
        """Render one page, with the service's options or these.

        Raises RenderUnavailable if for `patience_s` no page of this client was rendered; UserError if a service
        refuses the request or the given token.
        """
        desk = self._desk()
        asked = {"html": html, "options": options.to_dict() if options else {}}
        body = json.dumps(asked).encode("utf-8")
        began = time.monotonic()
        limit = self._limit(options)
        attempts = broken = 0
        while True:
            await self._look(desk)
            replica = _choice(desk)
            if replica is None:
                await self._wait(desk, began)
                continue
            replica.in_flight += 1
            attempts += 1
            self.statistics.attempts += 1
            try:
                answer = await self._ask(desk, replica, body, limit)
            finally:
                replica.in_flight -= 1
                desk.wake()
            now = time.monotonic()
            if isinstance(answer, Render):
                replica.failures = 0
                desk.last_success = now
                self.statistics.pages += 1
                self.statistics.replicas[replica.url] += 1
                answer.route = Route(replica.url, attempts, round(now - began, 3))
                return answer
            self.statistics.retries["full" if answer == 429 else "refused" if answer else "lost"] += 1
            broken += answer != 429
            if broken >= BROKEN_ANSWERS and now - began > self.patience_s:
                # Other pages may fare better; this one does not, whether it is refused or takes replicas down.
                raise RenderUnavailable(f"No render service manages the page ({replica.url}: {replica.said})")

    def _desk(self) -> _Desk:
        loop = asyncio.get_running_loop()
        if loop not in self._desks:
            self._desks[loop] = _Desk()
        return self._desks[loop]

    def _limit(self, options: RenderOptions | None) -> float:
        """Seconds in which a replica in good order answers: its queue is short and every page has its limit."""
        return 60 + 10 * (options or RenderOptions()).timeout_s

    async def _look(self, desk: _Desk) -> None:
        """Learn which replicas there are, at most once a second."""
        if time.monotonic() - desk.looked < LOOK_SECONDS:
            return
        desk.looked = time.monotonic()
        if self._fixed is not None:
            url, token = self._fixed
            desk.replicas.setdefault(url, _Replica(url, token, ROOM_UNKNOWN))
            return
        assert self.rendezvous is not None and self._ages is not None
        present = await asyncio.to_thread(replicas, self.rendezvous, self._ages)
        for url, notice in present.items():
            known = desk.replicas.get(url)
            if known is None or known.token != notice["token"]:
                desk.replicas[url] = _Replica(url, notice["token"], int(notice["capacity"]))
        for url, replica in list(desk.replicas.items()):
            replica.listed = url in present
            if not replica.listed and not replica.in_flight:
                del desk.replicas[url]

    async def _wait(self, desk: _Desk, began: float) -> None:
        """Wait for room, a replica or the end of patience."""
        now = time.monotonic()
        silent = now - max(began, desk.last_success)
        if silent > self.patience_s:
            said = "; ".join(f"{r.url}: {r.said or 'full'}" for r in desk.replicas.values()) or "there is none"
            raise RenderUnavailable(f"No render service took a page for {self.patience_s:.0f} s ({said})")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        desk.waiting.append(turn)
        soonest = min((r.not_before for r in desk.replicas.values()), default=0.0) - now
        try:
            await asyncio.wait_for(turn, min(max(soonest, 0.05), LOOK_SECONDS, self.patience_s))
        except TimeoutError:
            # It may have been taken out in the moment between its end and ours.
            with contextlib.suppress(ValueError):
                desk.waiting.remove(turn)
        finally:
            self.statistics.waited += time.monotonic() - now

    async def _ask(self, desk: _Desk, replica: _Replica, body: bytes, limit: float) -> Render | int:
        """One attempt at one replica; its status, 0 for none, if the page has to be rendered elsewhere or later."""
        headers = {
            "Authorization": f"Bearer {replica.token}",
            "Content-Type": "application/json",
            CLIENT_HEADER: self._name,
        }
        timeout = aiohttp.ClientTimeout(total=limit, sock_connect=CONNECT_SECONDS)
        try:
            request = desk.session.post(replica.url + "/render", data=body, headers=headers, timeout=timeout)
            async with request as answer:
                # Another program may have taken the address of a replica that is gone: it does not tell its room.
                ours = answer.headers.get(CAPACITY_HEADER, "").isdigit()
                if ours:
                    replica.capacity = max(1, int(answer.headers[CAPACITY_HEADER]))
                    if answer.status == 200:
                        return Render.from_dict(await answer.json())
                replica.said = f"{answer.status} {(await answer.text())[:200]}"
                self._refused(answer.status, replica, ours)
                after = answer.headers.get("Retry-After", "")
                replica.pause(min(float(after), LONGEST_RETRY) if after.isdigit() else None)
                return answer.status if ours else 0
        except (aiohttp.ClientError, TimeoutError, ConnectionError, LookupError, TypeError, ValueError) as error:
            replica.said = repr(error)[:200]
            replica.pause()
            return 0

    def _refused(self, status: int, replica: _Replica, ours: bool) -> None:
        """UserError for what no waiting mends."""
        if not ours:
            if self._fixed is not None and status < 500:  # a proxy between may say 502 for a while
                raise UserError(f"At {replica.url} there is no render service, but something that says {replica.said}")
        elif status == 401 and self._fixed is not None:
            raise UserError(f"The render service at {replica.url} refuses the token: give it the service's own")
        elif status in (400, 404, 405, 413):
            raise UserError(f"The render service at {replica.url} refuses the request: {replica.said}")


def _choice(desk: _Desk) -> _Replica | None:
    """The replica with the fewest pages of ours among those with room, or None."""
    now = time.monotonic()
    listed = [replica for replica in desk.replicas.values() if replica.listed]
    ready = [r for r in listed if r.not_before <= now and r.in_flight < r.capacity]
    return min(ready, key=lambda r: (r.in_flight / r.capacity, random.random()), default=None)
