"""Claims about the client of the render service: it spreads, tries elsewhere, and meets its services in a folder."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from artifactscoder.errors import UserError
from artifactscoder.render import Render, RenderClient, RenderOptions, RenderUnavailable, Verdict
from artifactscoder.render import client as client_module
from artifactscoder.render import rendezvous as rendezvous_module
from artifactscoder.render.rendezvous import Ages, Notice, Owner, replicas, trainer_heartbeat
from render_replica import Replica, gone, render_many
from slow_pool import TOKEN, SlowPool, served

# The client


class Stranger:
    """A service that answers every request in the same way."""

    def __init__(self, answer: Any) -> None:
        self.asked = 0
        self._answer = answer

    @asynccontextmanager
    async def up(self) -> AsyncIterator[str]:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.asked += 1
            return await self._answer(request)

        application = web.Application()
        application.router.add_route("*", "/{path:.*}", handle)
        async with TestServer(application) as server:
            yield str(server.make_url("")).rstrip("/")


async def test_the_client_spreads_and_what_is_no_service_costs_only_time(directory: Path) -> None:
    async def wrong(request: web.Request) -> web.StreamResponse:
        return web.json_response({"verdict": "excellent"}, status=random.choice((200, 404, 400)))

    async def broken(request: web.Request) -> web.StreamResponse:
        return web.json_response({"verdict": {}}, headers={"Render-Capacity": "4"})

    first, second = SlowPool(), SlowPool()
    async with served(first) as (_, one), served(second) as (_, two):
        async with Stranger(wrong).up() as three, Stranger(broken).up() as four:
            for url in (str(one.make_url("")).rstrip("/"), str(two.make_url("")).rstrip("/"), three, four):
                Notice(directory, url, TOKEN, 5).write()
            async with RenderClient(rendezvous=directory, patience_s=20) as client:
                pages = {f"page {number}": f"<p>{number}" for number in range(40)}
                found = {name: render async for name, render in render_many(client, pages.items(), at_once=16)}
                statistics = client.statistics
    assert {name: render.verdict.visible_text for name, render in found.items()} == pages
    assert len(first.rendered) > 10 and len(second.rendered) > 10
    assert statistics.pages == 40 == statistics.replicas.total()
    assert statistics.attempts == 40 + statistics.retries.total() > 40
    assert all(render.route.attempts >= 1 and render.route.seconds > 0 for render in found.values())


async def test_a_page_that_takes_every_service_down_is_named_and_does_not_hang_its_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "FIRST_PAUSE", 0.02)

    async def dies(request: web.Request) -> web.StreamResponse:
        if "poison" in await request.text():
            request.transport.abort()
        found = Render(Verdict(True, "ok"), []).to_dict()
        return web.json_response(found, headers={"Render-Capacity": "4"})

    async with Stranger(dies).up() as url, RenderClient(url=url, token=TOKEN, patience_s=0.5) as client:
        poison = asyncio.create_task(client.render("poison"))
        while not poison.done():  # others go on meanwhile
            await asyncio.sleep(0.1)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(client, "patience_s", 30)
                await client.render("fine")
        with pytest.raises(RenderUnavailable, match="manages the page"):
            await poison
        assert client.statistics.retries["lost"] >= 5


async def test_a_client_comes_again_when_it_was_told_to() -> None:
    times: list[float] = []

    async def later(request: web.Request) -> web.StreamResponse:
        times.append(time.monotonic())
        headers = {"Render-Capacity": "4", "Retry-After": "1"}
        if len(times) == 1:
            return web.json_response({"error": "full"}, status=429, headers=headers)
        return web.json_response(Render(Verdict(False, "timeout"), []).to_dict(), headers=headers)

    async with Stranger(later).up() as url, RenderClient(url=url, token=TOKEN) as client:
        assert (await client.render("x")).verdict.reason == "timeout"  # of the page: taken as it is
    assert times[1] - times[0] >= 1
    assert client.statistics.retries == {"full": 1}

    async def nothing(request: web.Request) -> web.StreamResponse:
        return web.Response(text="It works!", status=404)

    async with Stranger(nothing).up() as url, RenderClient(url=url, token=TOKEN) as client:
        with pytest.raises(UserError, match="there is no render service"):
            await client.render("x")


# The meeting place


def test_a_stale_notice_is_ignored_whatever_the_clocks_say(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("alive", "dead"):
        Notice(directory, f"http://{name}", "t", 1).write()
    dead = next(path for path in directory.glob("replica-*") if "dead" in path.read_text())
    old = dead.stat().st_mtime - rendezvous_module.REPLICA_SILENT_SECONDS - 5
    os.utime(dead, (old, old))
    (directory / "replica-torn.json").write_text('{"url": "http')
    real = time.time
    for skew in (0, -3600, 3600):  # of this machine against the file system
        monkeypatch.setattr(time, "time", lambda skew=skew: real() + skew)
        assert set(replicas(directory, Ages(directory))) == {"http://alive"}
    ages = Ages(directory)
    assert set(replicas(directory, ages)) == {"http://alive"}
    steady = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: steady() + rendezvous_module.REPLICA_SILENT_SECONDS + 5)
    assert replicas(directory, ages) == {}  # nobody renewed it for a minute of our own


def test_a_replica_waits_for_a_trainer_and_leaves_with_it(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steady = time.monotonic
    later = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: steady() + later)
    heartbeat = directory / "trainer.json"
    heartbeat.write_text("{}")
    old = heartbeat.stat().st_mtime - 1000
    os.utime(heartbeat, (old, old))  # an earlier trainer's
    owner = Owner(directory)
    assert not owner.ended()
    with trainer_heartbeat(directory):
        while heartbeat.stat().st_mtime == old:
            time.sleep(0.01)
        assert not owner.ended()
        assert json.loads(heartbeat.read_text())["pid"] == os.getpid()
    later = 119
    assert not owner.ended()
    heartbeat.unlink()
    assert not owner.ended()
    later = 121
    assert owner.ended()
    waits = Owner(directory)
    later = 900
    assert not waits.ended()  # a trainer yet to come may queue for long
    shutil.rmtree(directory)
    assert not waits.ended()
    later = 1021
    assert waits.ended()  # there is nothing left to meet in
    directory.mkdir()
    (directory / "end").touch()
    assert Owner(directory).ended()


def test_a_replica_leaves_when_another_trainer_takes_the_place_of_the_one_it_heard(directory: Path) -> None:
    old = Owner(directory)
    with trainer_heartbeat(directory):
        assert not old.ended()
    between = Owner(directory)  # sees what the first one left, and waits for its own
    assert not between.ended()
    with trainer_heartbeat(directory):
        assert old.ended()
        late = Owner(directory)
        assert not between.ended() and not late.ended()
        os.utime(directory / "trainer.json")  # renewed
        assert not between.ended() and not late.ended()
    with trainer_heartbeat(directory):
        assert between.ended() and late.ended()


# Many pages, and services that come and go


def test_a_service_loses_no_page_of_many_and_refuses_strangers(directory: Path) -> None:
    replica = Replica(directory, browsers=2, queue=4)
    assert stat.S_IMODE(replica.notice.stat().st_mode) == 0o600

    async def use() -> None:
        page = {"html": "<h1>page</h1>"}
        async with RenderClient(rendezvous=directory) as client, aiohttp.ClientSession() as session:
            pages = [f"<h1>Page {number}</h1>" for number in range(32)]
            renders = await asyncio.gather(*(client.render(page) for page in pages))
            assert [render.verdict.visible_text for render in renders] == [f"Page {n}" for n in range(32)]
            assert all(render.verdict.rendered and len(render.screenshots) == 1 for render in renders)

            async def ask(token: str, body: Any) -> tuple[int, str | None]:
                headers = {"Authorization": f"Bearer {token}"}
                async with session.post(replica.url + "/render", json=body, headers=headers) as answer:
                    await answer.read()
                    return answer.status, answer.headers.get("Retry-After")

            assert (await ask("wrong", page))[0] == 401
            async with session.post(replica.url + "/render", json=page) as answer:
                assert answer.status == 401
            assert (await ask(replica.token, {"text": "x"}))[0] == 400
            assert (await ask(replica.token, page | {"options": {"width": -1}}))[0] == 400
            slow = page | {"options": {"timeout_s": 1}, "html": "<script>while (true) {}</script>"}
            crowd = await asyncio.gather(*(ask(replica.token, slow) for _ in range(9)))
            assert sorted(status for status, _ in crowd) == [200] * 6 + [429] * 3
            assert all(after in ("1", "2", "3") for status, after in crowd if status == 429)
            async with session.get(replica.url + "/health") as answer:
                health = await answer.json()
            assert health.pop("containment").startswith("browsers run as ")
            assert health == {"status": "ok", "browsers": 2, "capacity": 6, "under_way": 0}
        async with RenderClient(url=replica.url, token=replica.token) as client:
            renders = await asyncio.gather(
                *(client.render("<h1>x</h1>", RenderOptions(width=800, height=600, timeout_s=2.5)) for _ in range(12))
            )
            assert all(render.verdict.rendered for render in renders)
        async with RenderClient(url=replica.url, token="wrong") as client:
            with pytest.raises(UserError, match="token"):
                await client.render("<h1>x</h1>")

    asyncio.run(use())
    markers = replica.markers()
    assert len(markers) == 2
    assert replica.stop() == 0
    assert not replica.notice.exists()
    assert all(gone(marker, 1) for marker in markers)


def test_a_client_outlives_a_service_and_gives_up_only_when_none_is_left(directory: Path) -> None:
    first = Replica(directory)
    good = "<h1>Hello</h1><p>A page of some words.</p>"
    slow = "<script>let n = 0; for (let i = 0; i < 6e8; i++) n += i % 7</script>" + good

    async def use() -> None:
        async with RenderClient(rendezvous=directory, patience_s=30) as client:
            under_way = [asyncio.ensure_future(client.render(slow)) for _ in range(4)]
            await asyncio.sleep(0.3)
            await asyncio.to_thread(first.stop, signal.SIGKILL)
            await asyncio.sleep(1)
            assert not any(work.done() for work in under_way[1:])
            second = await asyncio.to_thread(Replica, directory)
            renders = await asyncio.gather(*under_way)
            assert all(render.verdict.rendered for render in renders)
            client.patience_s = 1.5
            await asyncio.to_thread(second.stop)
            began = time.monotonic()
            with pytest.raises(RenderUnavailable):
                await client.render(good)
            assert 1.4 < time.monotonic() - began < 6

    asyncio.run(use())
