"""As much of the Hugging Face Hub as an upload needs, on this machine: what is committed is kept."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from typing import Any

from aiohttp import web


class Hub:
    """`with Hub() as hub`: `hub.url`; `hub.repos`: name -> {kind, private, files}; `hub.tokens`: who asked."""

    def __init__(self, status: int = 200) -> None:
        self.status = status  # of a commit
        self.repos: dict[str, dict[str, Any]] = {}
        self.tokens: set[str] = set()
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Hub:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        app = web.Application(client_max_size=1 << 30, middlewares=[self._seen])
        app.router.add_post("/api/repos/create", self._create)
        app.router.add_post("/api/validate-yaml", self._valid)
        app.router.add_post("/api/{kind}/{owner}/{name}/preupload/{revision}", self._preupload)
        app.router.add_post("/api/{kind}/{owner}/{name}/commit/{revision}", self._commit)
        runner = web.AppRunner(app)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        assert site._server is not None
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
        self._ready.set()
        self._loop.run_forever()

    @web.middleware
    async def _seen(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.tokens.add(request.headers.get("Authorization", ""))
        return await handler(request)

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        name = f"{body['organization']}/{body['name']}" if body.get("organization") else body["name"]
        private = body.get("private", body.get("visibility") == "private")
        self.repos.setdefault(name, {"kind": body.get("type", "model"), "private": private, "files": {}})
        return web.json_response({"url": f"{self.url}/{name}", "id": "1", "name": name})

    async def _valid(self, request: web.Request) -> web.Response:
        return web.json_response({"errors": [], "warnings": []})

    async def _preupload(self, request: web.Request) -> web.Response:
        files = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                 for one in (await request.json())["files"]]  # fmt: skip
        return web.json_response({"files": files})

    async def _commit(self, request: web.Request) -> web.Response:
        if self.status != 200:
            return web.json_response({"error": "You have no right to write here"}, status=self.status)
        name = f"{request.match_info['owner']}/{request.match_info['name']}"
        for line in (await request.read()).splitlines():
            one = json.loads(line)
            if one["key"] == "file":
                self.repos[name]["files"][one["value"]["path"]] = base64.b64decode(one["value"]["content"])
        url = f"{self.url}/{name}/commit/{'0' * 40}"
        return web.json_response({"success": True, "commitOid": "0" * 40, "commitUrl": url, "hookOutput": ""})
