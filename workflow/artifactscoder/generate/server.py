"""`artifactscoder generate --serve`: a page on this machine where one types a request and sees the answer.

Only 127.0.0.1 is bound, and a request for a page needs the token that stands behind the # of the printed address, where
browsers keep it: it is in no log and no Referer. Requests of other sites are refused by Host, Origin and token. A page
that a model wrote is hostile: it is shown in a frame of its own, without an origin (sandbox), without a network (its
Content-Security-Policy; the frame may not leave this server either), and nowhere else, so that nothing it does reaches
further than its frame. Such a page has no storage and no CDN; the pictures beside it are of the renderer, which gives
pages both (docs/render.md).
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import OrderedDict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from artifactscoder import files
from artifactscoder.errors import UserError
from artifactscoder.generate import MOST, Made, Maker
from artifactscoder.progress import say

SHELL = Path(__file__).parent / "shell"
KEPT = 50  # pages that can still be looked at
MAX_BODY = 8 * MOST
NAMES = {"127.0.0.1", "localhost"}
SHELL_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob: data:; "
    "style-src 'unsafe-inline' data:; img-src data: blob:; font-src data:; media-src data: blob:; worker-src blob:; "
    "connect-src 'none'; frame-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; webrtc 'block'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-DNS-Prefetch-Control": "off",
}


class Door:
    """The HTTP side: the shell, what it asks for, and the pages in their frame."""

    def __init__(self, maker: Maker) -> None:
        self.maker = maker
        self.token = secrets.token_urlsafe(24)
        self._pages: OrderedDict[str, str] = OrderedDict()

    def application(self) -> web.Application:
        application = web.Application(middlewares=[_guarded], client_max_size=MAX_BODY)
        application.router.add_get("/", self._shell("index.html", "text/html"))
        application.router.add_get("/shell.js", self._shell("shell.js", "text/javascript"))
        application.router.add_get("/shell.css", self._shell("shell.css", "text/css"))
        application.router.add_get("/page/{id}", self.page)
        application.router.add_post("/generate", self.generate)
        return application

    def _shell(self, name: str, kind: str) -> Any:
        text = (SHELL / name).read_text(encoding="utf-8")

        async def give(request: web.Request) -> web.Response:
            return web.Response(
                text=text, content_type=kind, charset="utf-8", headers={"Content-Security-Policy": SHELL_POLICY}
            )

        return give

    async def page(self, request: web.Request) -> web.Response:
        """A model's page, to the frame alone: in a window of its own it could lead its reader away."""
        html = self._pages.get(request.match_info["id"])
        if html is None:
            raise web.HTTPNotFound(text="no such page; make it again")
        if request.headers.get("Sec-Fetch-Dest") != "iframe":
            raise web.HTTPForbidden(text="a model's page is shown in its frame only; its file can be opened")
        return web.Response(
            body=html.encode("utf-8", "replace"), content_type="text/html", charset="utf-8",
            headers={"Content-Security-Policy": PAGE_POLICY},
        )  # fmt: skip

    async def generate(self, request: web.Request) -> web.Response:
        """Make the page of {"prompt": ...}."""
        given = request.headers.get(hdrs.AUTHORIZATION, "").encode("utf-8", "replace")
        if not secrets.compare_digest(given, f"Bearer {self.token}".encode()):
            raise web.HTTPUnauthorized(text="open the address that `generate --serve` printed: its token is missing")
        try:
            prompt = json.loads(await request.text())["prompt"]
            if not isinstance(prompt, str):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            raise web.HTTPBadRequest(text='send {"prompt": "..."}') from None
        try:
            made = await self.maker.make(prompt)
        except UserError as error:
            return web.json_response({"error": str(error)}, status=502)
        say(f"generate: {made.folder}: {made.summary()}")
        return web.json_response(self._told(made))

    def _told(self, made: Made) -> dict[str, Any]:
        id_ = ""
        if made.taken.html:
            id_ = secrets.token_urlsafe(16)
            self._pages[id_] = made.taken.html
            while len(self._pages) > KEPT:
                self._pages.popitem(last=False)
        pictures = made.render.screenshots if made.render else []
        verdict = made.render.verdict if made.render else None
        return {
            "page": f"/page/{id_}" if id_ else "",
            "code": made.taken.html or made.said.text,
            "summary": made.summary(),
            "folder": str(made.folder),
            "pictures": [files.data_url(picture) for picture in pictures],
            "errors": verdict.script_errors if verdict else [],
        }


@web.middleware
async def _guarded(request: web.Request, handler: Any) -> web.StreamResponse:
    """Refuse what another site sends here, be it under a name of its own; give every answer its headers."""
    origin = request.headers.get(hdrs.ORIGIN)
    here = urlsplit(f"//{request.host}")
    try:
        if here.hostname not in NAMES or (origin is not None and urlsplit(origin).netloc != request.host):
            raise web.HTTPForbidden(text="this page is for this machine only")
        response = await handler(request)
    except web.HTTPException as refusal:
        refusal.headers.update(HEADERS)
        raise
    response.headers.update(HEADERS)
    return response


async def serve(maker: Maker, port: int, prompt: str = "") -> None:
    """Serve until the process is told to end; a `prompt` is made at once. Raises UserError for a port in use."""
    door = Door(maker)
    runner = web.AppRunner(door.application(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        try:
            await site.start()
        except OSError as error:
            raise UserError(f"cannot serve at 127.0.0.1:{port}: {error.strerror}; give another --port") from None
        bound = runner.addresses[0][1]
        print(f"http://127.0.0.1:{bound}/#{door.token}", flush=True)
        say(f"generate: pages by {maker.name}; Ctrl+C ends it. From elsewhere: ssh -L {bound}:127.0.0.1:{bound} HOST")
        if prompt.strip():
            say(f"generate: {(await maker.make(prompt)).summary()}")
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
