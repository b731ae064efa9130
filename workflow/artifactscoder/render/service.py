"""A render pool behind HTTP: what is asked and what is answered.

In: `POST /render {"html": str, "options"?: {...}}` with a bearer token. Out: `{"verdict": ..., "screenshots":
[base64, ...]}`. `POST /batch` takes one such object a line, each with an `id`, and answers a line for each as it is
finished, reading no faster than it renders. 400 is a bad request, 401 one without the token, 429 a full queue, 503
machinery that fails, starts or stops; both of these say in Retry-After when to come again. `GET /health` tells that
the service answers, `/ready` whether a browser rendered a page within the last minute, `/metrics` and `/openapi.json`
what their names say; these need no token and hold nothing of any page. Pages travel as text and pictures as bytes.

Clients are served in turns, told apart by the header Render-Client, else by address: whoever has the token is
trusted not to pose as many.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import hdrs, web

from artifactscoder.errors import UserError
from artifactscoder.render import body, metrics, openapi
from artifactscoder.render.fair import FairQueue, Full
from artifactscoder.render.page import CAPACITY_HEADER, CLIENT_HEADER, Render, RenderOptions, RenderUnavailable
from artifactscoder.render.pool import RenderPool

MAX_HELD = 512 << 20
"""Bytes of all requests that are read or wait."""
RETRY_SECONDS = 2
BETWEEN_LOOKS = 0.05
BATCH_PER_BROWSER = 2
"""Pages of one batch at work or waiting, for each browser: the next is in the queue when a browser is free."""
PROBE = "<!doctype html><h1>probe</h1>"
PROBE_SECONDS = 20.0
READY_SECONDS = 60.0
WORKING = ("ok", "blank", "noise", "no_content")
"""Verdicts that show a browser at work; a crash or a page that hangs does not."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refusal(Exception):
    """An answer without a page."""

    def __init__(self, status: int, sentence: str, retry_s: int = RETRY_SECONDS) -> None:
        super().__init__(sentence)
        self.status = status
        self.retry_s = retry_s if status in (429, 503) else None


class Service:
    """The handlers and what they share; one per process and event loop."""

    def __init__(self, pool: RenderPool, token: str, queue: int, restarts: int = 0) -> None:
        self.pool = pool
        self.queue = FairQueue(pool.browsers, queue)
        self.capacity = pool.browsers + queue
        self.metrics = metrics.Metrics(pool, restarts)
        self.started = False
        self._stopping = asyncio.Event()
        self._token = token
        self._held = 0
        self._under_way = 0
        self._worked = float("-inf")
        self._trouble = "the browsers are being started"

    def application(self) -> web.Application:
        """The routes; every answer tells the room."""
        application = web.Application(client_max_size=body.MAX_BODY, middlewares=[self._refusing])
        application.on_response_prepare.append(self._tell_capacity)
        application.add_routes(
            [
                web.post("/render", self.render),
                web.post("/batch", self.batch),
                web.get("/health", self.health),
                web.get("/ready", self.readiness),
                web.get("/metrics", self.exposition),
                web.get("/openapi.json", self.description),
            ]
        )
        return application

    async def _tell_capacity(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers[CAPACITY_HEADER] = str(self.capacity)

    @web.middleware
    async def _refusing(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refusal as refusal:
            self.metrics.refused.labels(str(refusal.status)).inc()
            headers = {} if refusal.retry_s is None else {hdrs.RETRY_AFTER: str(refusal.retry_s)}
            return web.json_response({"error": str(refusal)}, status=refusal.status, headers=headers)

    # Whether it works

    @property
    def stopping(self) -> bool:
        """Whether new pages are refused because the end has come."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Take nothing new from now on."""
        self._stopping.set()

    async def idle(self) -> None:
        """Wait until every accepted page has been answered."""
        while self._under_way:
            await asyncio.sleep(BETWEEN_LOOKS)

    def unready(self) -> str:
        """Why no page should be sent here, or nothing."""
        if self.stopping:
            return "the service is stopping"
        if not self.started or time.monotonic() - self._worked > READY_SECONDS:
            return self._trouble
        return ""

    async def probe(self) -> None:
        """Render a page of the service's own whenever none has rendered for 20 s; never returns."""
        options = RenderOptions.from_dict(self.pool.options.to_dict() | {"full_page": False, "screenshots": 1})
        while True:
            if self.started and time.monotonic() - self._worked > PROBE_SECONDS:
                outcome = "failed"
                try:
                    async with self.queue.place("the service itself"):
                        render = await self.pool.render(PROBE, options)
                    outcome = "ok" if self._note(render) else render.verdict.reason
                    self._trouble = f"no page has rendered of late; the last probe: {outcome}"
                except Full:
                    outcome = "no_place"
                except RenderUnavailable as error:
                    self._trouble = str(error)
                self.metrics.probes.labels(outcome).inc()
            await asyncio.sleep(1)

    def _note(self, render: Render) -> bool:
        if render.verdict.reason in WORKING:
            self._worked = time.monotonic()
            return True
        return False

    async def health(self, request: web.Request) -> web.Response:
        """That the service answers, its state, its room and what keeps its browsers in (once they run)."""
        state = {
            "status": "stopping" if self.stopping else "ok" if self.started else "starting",
            "browsers": self.pool.browsers,
            "capacity": self.capacity,
            "under_way": self._under_way,
            "containment": self.pool.containment.describe() if self.started else "",
        }
        return web.json_response(state)

    async def readiness(self, request: web.Request) -> web.Response:
        """200 if a browser rendered a page within the last minute, else 503 and why."""
        if why := self.unready():
            raise Refusal(503, why)
        return web.json_response({"ready": True, "seconds_ago": round(time.monotonic() - self._worked, 1)})

    async def exposition(self, request: web.Request) -> web.Response:
        """Prometheus metrics."""
        numbers = self.metrics
        numbers.queue.set(self.queue.waiting)
        numbers.in_flight.set(self.queue.working)
        numbers.clients.set(self.queue.clients)
        numbers.ready.set(not self.unready())
        text = await asyncio.to_thread(numbers.text)
        return web.Response(body=text, headers={hdrs.CONTENT_TYPE: metrics.TYPE})

    async def description(self, request: web.Request) -> web.Response:
        """This interface in OpenAPI 3.1."""
        return web.json_response(openapi.document())

    # Pages

    async def render(self, request: web.Request) -> web.Response:
        """Render the page of the body."""
        client = self._admitted(request)
        try:
            self.queue.check(client)
            with self._holding(body.MAX_BODY if request.content_length is None else request.content_length):
                html, options = body.page(body.parse(await body.read(request)), self.pool.options)
                render = await self._rendered(client, html, options)
        except Full as full:
            raise Refusal(429, str(full), full.retry_s) from None
        except TimeoutError:
            raise Refusal(408, f"the page did not arrive within {body.BODY_SECONDS:.0f} s") from None
        except RenderUnavailable as error:
            raise Refusal(503, str(error)) from None
        except UserError as error:
            raise Refusal(400, str(error)) from None
        return web.json_response(render.to_dict())

    async def batch(self, request: web.Request) -> web.StreamResponse:
        """Render the page of each line; a line is answered when its page is finished, in any order.

        A broken line is answered by an error and costs nothing else. A service that stops finishes the lines it has
        read and then says so in a last line without a number.
        """
        client = self._admitted(request)
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "application/x-ndjson"})
        await response.prepare(request)
        room = asyncio.Semaphore(BATCH_PER_BROWSER * self.pool.browsers)
        turn = asyncio.Lock()

        async def tell(row: dict[str, Any]) -> None:
            async with turn:
                await response.write(json.dumps(row).encode() + b"\n")

        async def answer(number: int, line: bytes) -> None:
            try:
                self._held += len(line)
                await tell({"line": number} | await self._row(client, line))
            finally:
                self._held -= len(line)
                room.release()

        try:
            async with asyncio.TaskGroup() as rows:
                number = 0
                lines = body.lines(request.content)
                while not self.stopping:
                    await room.acquire()
                    while self._held > MAX_HELD:
                        await asyncio.sleep(BETWEEN_LOOKS)
                    line = await self._unless_stopping(anext(lines, None))
                    if line is None:
                        break
                    number += 1
                    rows.create_task(answer(number, line))
            if self.stopping:
                await tell({"error": {"status": 503, "message": "the service is stopping; later lines were not read"}})
            await response.write_eof()
        except* (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away: there is nobody to tell
        return response

    async def _unless_stopping(self, reading: Awaitable[bytes | None]) -> bytes | None:
        """What is read, or None when the service stops before it has come."""
        read, stopped = asyncio.ensure_future(reading), asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({read, stopped}, return_when=asyncio.FIRST_COMPLETED)
            return read.result() if read.done() else None
        finally:
            read.cancel()
            stopped.cancel()

    async def _row(self, client: str, line: bytes) -> dict[str, Any]:
        """The answer to one line of a batch."""
        name: Any = None
        try:
            if not line:
                raise UserError(f"The line is longer than {body.MAX_BODY} bytes")
            asked = body.parse(line)
            name = asked.get("id")
            html, options = body.page(asked, self.pool.options)
            while True:
                try:
                    render = await self._rendered(client, html, options)
                    return {"id": name, **render.to_dict()}
                except Full as full:  # others need the room; the line has been read, so it is kept
                    await asyncio.sleep(min(full.retry_s, 1))
        except RenderUnavailable as error:
            return {"id": name, "error": {"status": 503, "message": str(error)}}
        except UserError as error:
            return {"id": name, "error": {"status": 400, "message": str(error)}}

    def _admitted(self, request: web.Request) -> str:
        """The client's name; Refusal without the token, or while no page is taken."""
        given = request.headers.get(hdrs.AUTHORIZATION, "").encode("utf-8", "replace")
        if not secrets.compare_digest(given, f"Bearer {self._token}".encode()):
            raise Refusal(401, "the token is missing or wrong")
        if self.stopping:
            raise Refusal(503, "the service is stopping")
        if not self.started:
            raise Refusal(503, self._trouble)
        name = request.headers.get(CLIENT_HEADER) or request.remote or ""
        return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:16]  # of one length, whatever was sent

    @contextlib.contextmanager
    def _holding(self, size: int) -> Any:
        if self._held and self._held + size > MAX_HELD:
            raise Full(self.queue.retry_s())
        self._held += size
        try:
            yield
        finally:
            self._held -= size

    async def _rendered(self, client: str, html: str, options: RenderOptions) -> Render:
        self._under_way += 1
        try:
            async with self.queue.place(client) as waited:
                self.metrics.wait.observe(waited)
                render = await self.pool.render(html, options)
        except RenderUnavailable:
            self.metrics.failures.labels("unavailable").inc()
            raise
        except asyncio.CancelledError:
            self.metrics.failures.labels("abandoned").inc()
            raise
        finally:
            self._under_way -= 1
        self.metrics.page(render.verdict)
        self._note(render)
        return render
