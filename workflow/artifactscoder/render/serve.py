"""`artifactscoder render serve`: the service as a process that stays up.

In: options, an address, perhaps a rendezvous folder. Out: an exit code: 0 when told to end and all accepted pages
were answered. Two processes: a supervisor, which holds the listening socket and starts the worker again when it dies
or hangs (connections made meanwhile wait), and the worker with the event loop and the browsers. On SIGTERM the worker
takes nothing new (503 with Retry-After), finishes what it has accepted for at most twice a page's limit and 10 s, and
ends. In a rendezvous folder it announces itself while, and only while, a browser rendered a page of late.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
from pathlib import Path

from aiohttp import web

from artifactscoder.errors import UserError
from artifactscoder.render import chromium
from artifactscoder.render.page import RenderOptions
from artifactscoder.render.pool import RenderPool
from artifactscoder.render.rendezvous import HEARTBEAT_SECONDS, Notice, Owner
from artifactscoder.render.service import Service
from artifactscoder.render.supervisor import BEAT_SECONDS, Beat, supervise

TOKEN_VARIABLE = "ARTIFACTSCODER_RENDER_TOKEN"
LOOK_SECONDS, FIRST_LOOK_SECONDS = 0.5, 0.05
QUEUE_PER_BROWSER = 4
"""Pages that may wait for each browser before callers are sent elsewhere."""
CLOSE_SECONDS = 15.0
"""Beyond the patience with pages: to close browsers and connections."""
BACKLOG = 1024
"""Connections that may wait while the worker is started again."""


def serve(
    options: RenderOptions,
    browsers: int,
    host: str = "127.0.0.1",
    port: int = 0,
    rendezvous: Path | None = None,
    *,
    queue: int | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, or until the rendezvous folder says so; returns the exit code.

    Port 0 takes a free one. The token is that of ARTIFACTSCODER_RENDER_TOKEN or a new one, which then stands in
    the rendezvous file only. With a rendezvous folder, a file `end` in it stops the service, and so does a
    `trainer.json` that is not renewed for 120 s. Raises UserError for an address that cannot be had, no Chromium,
    or a token that nobody could learn.
    """
    token = os.environ.get(TOKEN_VARIABLE)
    if not token and rendezvous is None:
        raise UserError(f"Nobody could learn the service's token: set {TOKEN_VARIABLE} or give a rendezvous directory")
    if browsers < 1:
        raise UserError(f"A render service with {browsers} browsers renders nothing: give it at least 1, one a core")
    chromium.find()
    token = token or secrets.token_urlsafe(32)
    if rendezvous:
        try:
            rendezvous.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"Cannot use {rendezvous} as rendezvous directory: {error.strerror}") from error
    listening, url = _listen(host, port)
    waiting = QUEUE_PER_BROWSER * browsers if queue is None else queue
    # The same file for every worker: the address stays, and a dead worker leaves none behind.
    notice = Notice(rendezvous, url, token, browsers + waiting) if rendezvous else None

    def work(beat: Beat, restarts: int) -> int:
        pool = RenderPool(options, browsers)
        service = Service(pool, token, waiting, restarts)
        owner = Owner(rendezvous) if rendezvous else None
        asyncio.run(_Worker(service, notice, owner).run(listening, url, beat))
        return 0

    with listening:
        return supervise(work, _patience(options) + CLOSE_SECONDS)


def _patience(options: RenderOptions) -> float:
    """Seconds that pages under way may take until the service ends without them."""
    return 2 * options.timeout_s + 10


def _listen(host: str, port: int) -> tuple[socket.socket, str]:
    """Bind, and say under which address others reach it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise UserError(f"Cannot serve at {host}:{port}: {getattr(error, 'strerror', None) or error}") from error
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    bound = made.getsockname()[1]
    return made, f"http://[{name}]:{bound}" if ":" in name else f"http://{name}:{bound}"


class _Worker:
    """The life of one worker process."""

    def __init__(self, service: Service, notice: Notice | None, owner: Owner | None) -> None:
        self.service = service
        self.notice = notice
        self.owner = owner
        self.end = asyncio.Event()

    async def run(self, listening: socket.socket, url: str, beat: Beat) -> None:
        """Serve until the end. Raises what starting the browsers raises."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.end.set)
        service, pool = self.service, self.service.pool
        # A caller that went away frees the browser that works for it.
        runner = web.AppRunner(service.application(), access_log=None, handler_cancellation=True, shutdown_timeout=2)
        await runner.setup()
        await web.SockSite(runner, listening, backlog=BACKLOG).start()
        background = [asyncio.create_task(task) for task in (_beating(beat), self._watch_owner())]
        try:
            starting = asyncio.create_task(pool.__aenter__())
            ending = asyncio.create_task(self.end.wait())
            await asyncio.wait({starting, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await starting
                return
            await starting
            service.started = True
            print(f"rendering at {url} with {pool.browsers} browsers", flush=True)
            background += [asyncio.create_task(task) for task in (service.probe(), self._announce())]
            await ending
            service.stop()
            self._leave()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_patience(pool.options)):
                    await service.idle()
        finally:
            service.stop()
            await pool.close()
            await runner.cleanup()
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            self._leave()

    def _leave(self) -> None:
        """Be announced no longer; a notice that cannot be taken away goes stale."""
        with contextlib.suppress(OSError):
            if self.notice:
                self.notice.remove()

    async def _watch_owner(self) -> None:
        """End when the rendezvous folder says so."""
        while self.owner is not None:
            if await asyncio.to_thread(self.owner.ended):
                self.end.set()
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _announce(self) -> None:
        """Keep the notice as long as there is something behind it."""
        if self.notice is None:
            return
        loop = asyncio.get_running_loop()
        due = loop.time()
        announced = False
        while not self.service.stopping:
            with contextlib.suppress(OSError):  # a shared file system may be away for a while
                if self.service.unready():
                    if announced:
                        await asyncio.to_thread(self.notice.remove)
                    announced, due = False, loop.time()
                elif loop.time() >= due:
                    await asyncio.to_thread(self.notice.write)
                    announced, due = True, loop.time() + HEARTBEAT_SECONDS
            await asyncio.sleep(LOOK_SECONDS if announced else FIRST_LOOK_SECONDS)


async def _beating(beat: Beat) -> None:
    while True:
        beat()
        await asyncio.sleep(BEAT_SECONDS)
