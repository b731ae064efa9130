"""A render pool behind HTTP, for callers on other machines.

In: `POST /render {"html": str, "options"?: {...}}` with a bearer token. Out: `{"verdict": ..., "screenshots":
[base64, ...]}`; 400 for a bad request, 401 without the token, 429 with Retry-After when the queue is full, 503
when the machinery fails or stops. `GET /health` needs no token and tells the state and the room. Pages travel as
text and pictures as bytes: caller and service share no files but, if asked for, a rendezvous directory, in which
each replica keeps a small file with its address and token and the time of its last heartbeat.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import time
from pathlib import Path
from typing import Any

from aiohttp import hdrs, web

from artifactscoder.errors import UserError
from artifactscoder.render.page import CAPACITY_HEADER, RenderOptions, RenderUnavailable
from artifactscoder.render.pool import RenderPool

TOKEN_VARIABLE = "ARTIFACTSCODER_RENDER_TOKEN"
HEARTBEAT_SECONDS = 5.0
LOOK_SECONDS = 0.5
OWNER_SILENT_SECONDS = 120.0
QUEUE_PER_BROWSER = 4
"""Pages that may wait for each browser before callers are sent elsewhere."""
RETRY_SECONDS = 1
MAX_BODY = 64 << 20


class Service:
    """The handlers and their count of pages under way; one per process and event loop."""

    def __init__(self, pool: RenderPool, token: str, queue: int) -> None:
        self.pool = pool
        self.capacity = pool.browsers + queue
        self.stopping = False
        self._token = token
        self._under_way = 0

    def application(self) -> web.Application:
        """The two routes; every answer tells the room."""
        application = web.Application(client_max_size=MAX_BODY)
        application.on_response_prepare.append(self._tell_capacity)
        application.add_routes([web.post("/render", self.render), web.get("/health", self.health)])
        return application

    async def _tell_capacity(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers[CAPACITY_HEADER] = str(self.capacity)

    async def health(self, request: web.Request) -> web.Response:
        """Whether pages are taken, and how many at once."""
        state = {
            "status": "stopping" if self.stopping else "ok",
            "browsers": self.pool.browsers,
            "capacity": self.capacity,
            "under_way": self._under_way,
        }
        return web.json_response(state, status=503 if self.stopping else 200)

    async def render(self, request: web.Request) -> web.Response:
        """Render the page of the body."""
        given = request.headers.get(hdrs.AUTHORIZATION, "").encode("utf-8", "replace")
        if not secrets.compare_digest(given, f"Bearer {self._token}".encode()):
            return _refusal(401, "the token is missing or wrong")
        if self.stopping:
            return _refusal(503, "the service is stopping")
        if self._under_way >= self.capacity:
            return _refusal(429, "the queue is full")
        self._under_way += 1
        try:
            html, options = _asked(await request.read(), self.pool.options)
            rendered = await self.pool.render(html, options)
        except RenderUnavailable as error:
            return _refusal(503, str(error))
        except UserError as error:
            return _refusal(400, str(error))
        finally:
            self._under_way -= 1
        return web.json_response(rendered.to_dict())


def _refusal(status: int, sentence: str) -> web.Response:
    headers = {hdrs.RETRY_AFTER: str(RETRY_SECONDS)} if status in (429, 503) else {}
    return web.json_response({"error": sentence}, status=status, headers=headers)


def _asked(body: bytes, default: RenderOptions) -> tuple[str, RenderOptions]:
    """The page and the options of a request's body; what it leaves out is as the service was started."""
    try:
        asked = json.loads(body)
    except ValueError as error:
        raise UserError(f"The request is not JSON: {error}") from error
    if not isinstance(asked, dict) or not isinstance(asked.get("html"), str):
        raise UserError('The request needs a text under "html"')
    options = asked.get("options") or {}
    if not isinstance(options, dict):
        raise UserError('The request needs an object under "options", or nothing')
    return asked["html"], RenderOptions.from_dict(default.to_dict() | options)


class _Notice:
    """This replica's file in the rendezvous directory."""

    def __init__(self, directory: Path, url: str, token: str, capacity: int) -> None:
        self._facts: dict[str, Any] = {"url": url, "token": token, "capacity": capacity}
        name = f"replica-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}.json"
        self._path = directory / name

    def write(self) -> None:
        """Renew the heartbeat; readers see the old file or the new one, and only this user sees either."""
        fresh = self._path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(self._facts | {"time": time.time()}, file)
        fresh.replace(self._path)

    def remove(self) -> None:
        """Take the file away."""
        self._path.unlink(missing_ok=True)


def serve(
    options: RenderOptions,
    browsers: int,
    host: str = "127.0.0.1",
    port: int = 0,
    rendezvous: Path | None = None,
    *,
    owner_heartbeat: bool = False,
    queue: int | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, or until the rendezvous directory says so; then finish pages under way.

    Port 0 takes a free one. The token is that of ARTIFACTSCODER_RENDER_TOKEN or a new one, which then stands in
    the rendezvous file only. With a rendezvous directory, a file `end` in it stops the service, and with
    `owner_heartbeat` a `trainer.json` not renewed for 120 s does. Raises UserError for an address that cannot be
    had, no Chromium, or a token that nobody could learn.
    """
    token = os.environ.get(TOKEN_VARIABLE)
    if not token and rendezvous is None:
        raise UserError(f"Nobody could learn the service's token: set {TOKEN_VARIABLE} or give a rendezvous directory")
    if owner_heartbeat and rendezvous is None:
        raise UserError("The owner's heartbeat is looked for in the rendezvous directory: give one")
    waiting = QUEUE_PER_BROWSER * browsers if queue is None else queue
    asyncio.run(
        _serve(
            options,
            browsers,
            host,
            port,
            rendezvous,
            owner_heartbeat,
            waiting,
            token or secrets.token_urlsafe(32),
        )
    )


async def _serve(
    options: RenderOptions,
    browsers: int,
    host: str,
    port: int,
    rendezvous: Path | None,
    owner_heartbeat: bool,
    queue: int,
    token: str,
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with RenderPool(options, browsers) as pool:
        service = Service(pool, token, queue)
        # A caller that went away frees the browser that works for it.
        runner = web.AppRunner(
            service.application(),
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=_patience(options),
        )
        await runner.setup()
        try:
            url = await _listen(runner, host, port)
            print(f"rendering at {url} with {browsers} browsers", flush=True)
            await _until_stopped(stop, rendezvous, owner_heartbeat, url, token, service.capacity)
        finally:
            service.stopping = True
            await runner.cleanup()


def _patience(options: RenderOptions) -> float:
    """Seconds that pages under way may take until the service ends without them."""
    return 2 * options.timeout_s + 10


async def _listen(runner: web.AppRunner, host: str, port: int) -> str:
    """Bind, and say under which address others reach it."""
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        raise UserError(f"Cannot serve at {host}:{port}: {error.strerror or error}") from error
    bound = runner.addresses[0][1]
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    return f"http://[{name}]:{bound}" if ":" in name else f"http://{name}:{bound}"


async def _until_stopped(
    stop: asyncio.Event, rendezvous: Path | None, owner_heartbeat: bool, url: str, token: str, capacity: int
) -> None:
    """Wait for a signal or for the rendezvous directory to tell the end; keep the heartbeat meanwhile."""
    if rendezvous is None:
        await stop.wait()
        return
    rendezvous.mkdir(parents=True, exist_ok=True)
    notice = _Notice(rendezvous, url, token, capacity)
    loop = asyncio.get_running_loop()
    due = loop.time()
    try:
        while not stop.is_set():
            if await asyncio.to_thread(_told_to_end, rendezvous, owner_heartbeat):
                return  # before anything is announced, where the end was declared already
            if loop.time() >= due:
                await asyncio.to_thread(notice.write)
                due += HEARTBEAT_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
    finally:
        notice.remove()


def _told_to_end(rendezvous: Path, owner_heartbeat: bool) -> bool:
    """Whether the end was declared, or the owner has not been heard of for 120 s; one yet to come is waited for."""
    if (rendezvous / "end").exists():
        return True
    if not owner_heartbeat:
        return False
    try:
        heard = (rendezvous / "trainer.json").stat().st_mtime
    except FileNotFoundError:
        return False
    return time.time() - heard > OWNER_SILENT_SECONDS
