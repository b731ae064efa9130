"""A render service whose pool renders nothing: for tests of doors, turns and clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from artifactscoder.render import Render, RenderOptions, RenderUnavailable, Verdict
from artifactscoder.render.containment import Containment
from artifactscoder.render.service import Service

TOKEN = "the token of the test"


class SlowPool:
    """Stands for a pool where only queueing matters: every page takes so long, and bad ones are outages."""

    browsers = 1
    options = RenderOptions()
    containment = Containment()
    ended: dict[str, int] = {}

    def __init__(self, seconds: float = 0.02) -> None:
        self.seconds = seconds
        self.rendered: list[str] = []
        self.broken = False

    def running(self) -> list[Any]:
        return []

    async def render(self, html: str, options: RenderOptions | None = None) -> Render:
        await asyncio.sleep(self.seconds)
        if "outage" in html or self.broken:
            raise RenderUnavailable("no browser")
        self.rendered.append(html)
        return Render(Verdict(True, "ok", visible_text=html, seconds=self.seconds), [b"picture"])


@asynccontextmanager
async def served(pool: Any, queue: int = 4) -> AsyncIterator[tuple[Service, TestClient[Any, Any]]]:
    service = Service(pool, TOKEN, queue)
    service.started = True
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with TestClient(TestServer(service.application()), headers=headers) as session:
        yield service, session
