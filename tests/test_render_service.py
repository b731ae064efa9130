"""Claims about the render service: its doors, its order, its meeting place and who keeps it running."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from artifactscoder.errors import UserError
from artifactscoder.guard import descendants
from artifactscoder.render import Render, RenderClient, RenderOptions, RenderPool, RenderUnavailable, Verdict, body
from artifactscoder.render import client as client_module
from artifactscoder.render import pool as pool_module
from artifactscoder.render import rendezvous as rendezvous_module
from artifactscoder.render import service as service_module
from artifactscoder.render.containment import Containment
from artifactscoder.render.fair import FairQueue, Full
from artifactscoder.render.page import CLIENT_HEADER
from artifactscoder.render.rendezvous import Ages, Notice, Owner, replicas, trainer_heartbeat
from artifactscoder.render.service import Service
from artifactscoder.train.render_beside import render_beside
from checkout import ROOT
from render_replica import WORKFLOW, Replica, gone, marked

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


def value(text: str, name: str) -> float:
    """Of a sample in the Prometheus format."""
    (found,) = re.findall(rf"^artifactscoder_render_{re.escape(name)} (\S+)$", text, re.M)
    return float(found)


# The order of clients


async def test_clients_are_served_in_turns_whoever_came_with_more() -> None:
    queue = FairQueue(places=1, room=20)
    order: list[str] = []

    async def page(client: str) -> None:
        async with queue.place(client):
            await asyncio.sleep(0)
            order.append(client)

    async with asyncio.TaskGroup() as group:
        for client in ["greedy"] * 8 + ["a"] * 2 + ["b"] * 2:
            group.create_task(page(client))
    assert order == ["greedy", "greedy", "a", "b", "greedy", "a", "b", *["greedy"] * 5]
    assert (queue.working, queue.waiting, queue.clients) == (0, 0, 0)


async def test_a_full_queue_makes_room_for_a_client_with_fewer_pages_and_for_no_other() -> None:
    queue = FairQueue(places=1, room=4)
    ended: list[str] = []
    release = asyncio.Event()

    async def page(client: str, number: int) -> None:
        try:
            async with queue.place(client):
                await release.wait()
                ended.append(f"{client}{number}")
        except Full as full:
            assert 1 <= full.retry_s <= 60
            ended.append(f"{client}{number} refused")

    tasks = [asyncio.create_task(page("greedy", number)) for number in range(6)]
    await asyncio.sleep(0)
    assert ended == ["greedy5 refused"]
    tasks += [asyncio.create_task(page("small", number)) for number in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    # Two of four places: more would be more than its share.
    assert sorted(ended[1:]) == ["greedy3 refused", "greedy4 refused", "small2 refused"]
    tasks[1].cancel()  # one that waits leaves without a trace
    await asyncio.sleep(0)
    assert queue.waiting == 3
    release.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert ended[-4:] == ["greedy0", "greedy2", "small0", "small1"]
    assert (queue.working, queue.waiting) == (0, 0)


async def test_any_order_of_coming_going_and_giving_up_leaves_every_place_free() -> None:
    chance = random.Random(1)
    queue = FairQueue(places=2, room=5)
    most = 0

    async def page(client: str) -> None:
        nonlocal most
        async with queue.place(client):
            most = max(most, queue.working)
            await asyncio.sleep(chance.random() / 1000)

    tasks = []
    for number in range(400):
        tasks.append(asyncio.create_task(page(f"client {number % 7}")))
        if chance.random() < 0.4:
            chance.choice(tasks).cancel()
        if chance.random() < 0.5:
            await asyncio.sleep(0)
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(end) for end in ended} == {type(None), Full, asyncio.CancelledError}
    assert most == 2 and (queue.working, queue.waiting, queue.clients) == (0, 0, 0)


async def test_the_time_to_come_again_follows_the_speed_of_the_queue() -> None:
    queue = FairQueue(places=1, room=8)
    for seconds in (0.1, 8.0):
        queue._page_seconds = seconds
        tasks = [asyncio.create_task(_hold(queue)) for _ in range(9)]
        await asyncio.sleep(0)
        with pytest.raises(Full) as full:
            queue.check("another of the same")
            async with queue.place("one"):
                pass
        assert full.value.retry_s == (1 if seconds < 1 else 40)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(end) for end in ended} == {asyncio.CancelledError}


async def _hold(queue: FairQueue) -> None:
    async with queue.place("one"):
        await asyncio.sleep(60)


async def test_a_greedy_client_does_not_starve_another() -> None:
    pool = SlowPool()
    async with served(pool) as (service, session):
        ended = asyncio.Event()
        refused = 0

        async def greedy() -> None:
            nonlocal refused
            while not ended.is_set():
                headers = {CLIENT_HEADER: "greedy"}
                async with session.post("/render", json={"html": "greedy"}, headers=headers) as answer:
                    refused += answer.status == 429
                    await answer.read()

        crowd = [asyncio.create_task(greedy()) for _ in range(12)]
        await asyncio.sleep(0.1)
        for _ in range(20):
            headers = {CLIENT_HEADER: "modest"}
            async with session.post("/render", json={"html": "modest"}, headers=headers) as answer:
                assert answer.status == 200
        ended.set()
        await asyncio.gather(*crowd)
        assert refused > 20
        first = pool.rendered.index("modest")
        turns = pool.rendered[first : len(pool.rendered) - pool.rendered[::-1].index("modest")]
        assert len(turns) <= 5 * 20  # not one in thirteen, as their numbers would have it


# The doors


async def test_a_batch_answers_each_line_and_a_broken_one_costs_only_itself() -> None:
    async with served(SlowPool(), queue=2) as (service, session):
        good = [json.dumps({"id": f"page {number}", "html": f"<p>{number}"}) for number in range(6)]
        lines = [*good[:2], "not json", json.dumps({"id": 7}), json.dumps({"id": "o", "html": "outage"}), "", *good[2:]]
        async with session.post("/batch", data="\n".join(lines)) as answer:
            assert answer.status == 200 and answer.content_type == "application/x-ndjson"
            rows = [json.loads(line) for line in (await answer.text()).splitlines()]
        assert sorted(row["line"] for row in rows) == list(range(1, 10))
        by_id = {row["id"]: row for row in rows}
        for number in range(6):
            assert Render.from_dict({k: by_id[f"page {number}"][k] for k in ("verdict", "screenshots")}).screenshots
        assert by_id[None]["error"]["status"] == by_id[7]["error"]["status"] == 400
        assert by_id["o"]["error"]["status"] == 503


async def test_a_batch_is_read_no_faster_than_it_is_rendered_and_ends_with_the_service() -> None:
    pool = SlowPool()
    async with served(pool) as (service, session):
        taken = 0

        async def lines() -> AsyncIterator[bytes]:
            nonlocal taken
            for number in range(1000):
                taken = number
                yield json.dumps({"id": number, "html": "x" * 100_000}).encode() + b"\n"

        rows = []
        async with session.post("/batch", data=lines()) as answer:
            async for line in answer.content:
                row = json.loads(line)
                rows.append(row)
                if len(rows) == 5:
                    # What is between is in buffers of sockets, not in the service.
                    assert service._under_way <= 2 and service._held <= 3 * 100_100
                    service.stop()
        assert "line" not in rows[-1] and rows[-1]["error"]["status"] == 503
        assert {row["line"] for row in rows[:-1]} == set(range(1, len(rows)))
        assert len(rows) <= 5 + 2 + 1 and taken < 900


async def test_a_line_longer_than_a_page_may_be_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "MAX_BODY", 1000)
    async with served(SlowPool()) as (_, session):
        lines = [json.dumps({"id": n, "html": "x" * size}) for n, size in enumerate((10, 200_000, 10))]
        async with session.post("/batch", data="\n".join(lines)) as answer:
            rows = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert {row["line"]: "error" in row for row in rows} == {1: False, 2: True, 3: False}


async def test_a_service_tells_what_it_does_and_nothing_of_the_pages() -> None:
    async with served(SlowPool(), queue=1) as (service, session):
        crowd = [session.post("/render", json={"html": f"PRIVATE {number}"}) for number in range(4)]
        answers = await asyncio.gather(*crowd)
        assert sorted(answer.status for answer in answers) == [200, 200, 429, 429]
        async with session.post("/render", json={"html": "outage PRIVATE"}) as answer:
            assert answer.status == 503 and answer.headers["Retry-After"]
        async with session.post("/render", headers={"Authorization": "Bearer PRIVATE"}, json={}) as answer:
            assert answer.status == 401
        async with aiohttp.ClientSession() as stranger:
            told = {}
            for path in ("/health", "/ready", "/metrics", "/openapi.json"):
                async with stranger.get(session.make_url(path)) as answer:
                    assert answer.status == 200
                    told[path] = await answer.text()
            for path in ("/render", "/batch"):
                async with stranger.post(session.make_url(path), json={"html": "x"}) as answer:
                    assert answer.status == 401
        assert not any("PRIVATE" in text or TOKEN in text for text in told.values())
        text = told["/metrics"]
        assert value(text, 'pages_total{reason="ok"}') == 2
        assert value(text, 'failures_total{kind="unavailable"}') == 1
        assert value(text, 'refused_total{status="429"}') == 2
        assert value(text, "seconds_count") == value(text, "wait_seconds_count") - 1 == 2
        assert value(text, "queue_length") == value(text, "in_flight") == 0
        assert value(text, 'memory_bytes{of="service"}') > 1e7


async def test_the_interface_is_described_as_it_is() -> None:
    async with served(SlowPool()) as (service, session):
        async with session.get("/openapi.json") as answer:
            document = await answer.json()
        routes = service.application().router.routes()
        served_here = {(route.method.lower(), route.resource.canonical) for route in routes if route.method != "HEAD"}
        described = {(method, path) for path, item in document["paths"].items() for method in item}
        assert described == served_here
        schemas = document["components"]["schemas"]
        assert set(schemas["Verdict"]["properties"]) == set(Verdict(True, "ok").to_dict())
        assert set(schemas["RenderOptions"]["properties"]) == set(RenderOptions().to_dict())
        for name in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)):
            assert name in schemas
        names = [item["operationId"] for path in document["paths"].values() for item in path.values()]
        assert len(names) == len(set(names))
        async with session.post("/render", json={"html": "x"}) as answer:
            assert set(await answer.json()) == set(schemas["Render"]["required"])


async def test_a_service_is_ready_only_while_pages_render(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "PROBE_SECONDS", 0.0)
    failed = "artifactscoder_render_probes_total"
    pool = SlowPool()

    async def ready(session: Any) -> int:
        async with session.get("/ready") as answer:
            await answer.read()
            assert (answer.status == 503) == ("Retry-After" in answer.headers)
            return answer.status

    async with served(pool) as (service, session):
        service.started = False
        assert await ready(session) == 503
        async with session.post("/render", json={"html": "x"}) as answer:
            assert answer.status == 503  # not a page's failure: the browsers are being started
        service.started = True
        assert await ready(session) == 503  # until one has rendered something
        probing = asyncio.create_task(service.probe())
        while await ready(session) == 503:
            await asyncio.sleep(0.02)
        pool.broken = True
        service._worked -= 61  # a minute later
        while service.metrics.registry.get_sample_value(failed, {"outcome": "failed"}) is None:
            await asyncio.sleep(0.02)
        probing.cancel()
        async with session.get("/ready") as answer:
            assert answer.status == 503 and await answer.json() == {"error": "no browser"}
        pool.broken = False
        async with session.post("/render", json={"html": "x"}) as answer:
            assert answer.status == 200
        assert await ready(session) == 200
        service.stop()
        assert await ready(session) == 503
        async with session.post("/render", json={"html": "x"}) as answer:
            assert answer.status == 503 and answer.headers["Retry-After"]
        async with session.get("/health") as answer:
            assert answer.status == 200 and (await answer.json())["status"] == "stopping"


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
                found = {name: render async for name, render in client.render_many(pages.items(), at_once=16)}
                statistics = client.statistics.to_dict()
    assert {name: render.verdict.visible_text for name, render in found.items()} == pages
    assert len(first.rendered) > 10 and len(second.rendered) > 10
    assert statistics["pages"] == 40 == sum(statistics["replicas"].values())
    assert statistics["attempts"] == 40 + sum(statistics["retries"].values()) > 40
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


# Who keeps it running

SUPERVISOR = """
import asyncio, os, sys, time
from artifactscoder.render import supervisor
from artifactscoder.render.supervisor import supervise
from artifactscoder.errors import UserError
supervisor.MOST_DEATHS, supervisor.FIRST_PAUSE = 3, 0.05
way = sys.argv[1]
def work(beat, starts):
    print(os.getpid(), flush=True)
    if way == "bad":
        raise UserError("a sentence")
    if way == "crash":
        os.abort()
    while True:
        beat()
        time.sleep(0.05)
sys.exit(supervise(work, 1.0, hang_seconds=0.6))
"""


def supervised(way: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(WORKFLOW)}
    return subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, way],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_worker_that_dies_is_started_again_within_bounds() -> None:
    for way, code, starts, said in (
        ("crash", 1, 4, "was killed by signal 6, 4 deaths"),
        ("bad", 2, 1, "artifactscoder: a sentence"),
    ):
        process = supervised(way)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, len(out.split())) == (code, starts), err
        assert said in err and "Traceback" not in err


def test_a_worker_that_hangs_is_replaced_and_nothing_outlives_the_supervisor() -> None:
    for way in (signal.SIGKILL, signal.SIGTERM):
        process = supervised("run")
        assert process.stdout is not None
        first = int(process.stdout.readline())
        os.kill(first, signal.SIGSTOP)
        second = int(process.stdout.readline())
        assert not alive(first) and alive(second)
        process.send_signal(way)
        assert process.wait(10) == (-signal.SIGKILL if way == signal.SIGKILL else 1)
        end = time.monotonic() + 5
        while alive(second) and time.monotonic() < end:
            time.sleep(0.02)
        assert not alive(second)
        process.stdout.close()


def chromium_of(processes: list[int]) -> int:
    """Of a browser's processes the one that leads the others; shells stand around it."""
    for number in processes:
        words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
        if not words[0].endswith(b"/sh") and b"--remote-debugging-pipe" in words:
            return number
    raise AssertionError


async def test_a_browser_that_dies_or_falls_silent_while_idle_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "PING_EVERY", 0.2)
    monkeypatch.setattr(pool_module, "PING_SECONDS", 1.0)
    async with RenderPool(RenderOptions(width=400, height=300, timeout_s=15), browsers=2) as pool:
        stopped, killed = pool.running()
        os.kill(chromium_of(stopped.processes()), signal.SIGSTOP)
        os.kill(chromium_of(killed.processes()), signal.SIGKILL)
        async with asyncio.timeout(30):
            while pool.ended["silent"] < 1 or pool.ended["lost"] < 1 or len(pool.running()) < 2:
                await asyncio.sleep(0.05)
            shell = pool.running()[0]
            os.kill(shell.process.pid, signal.SIGKILL)  # the browser goes on, but nobody would tidy up after it
            while pool.ended["lost"] < 2 or len(pool.running()) < 2:
                await asyncio.sleep(0.05)
        assert not {stopped.marker, killed.marker} & {browser.marker for browser in pool.running()}
        assert (await pool.render("<h1>x</h1>")).verdict.rendered
    for browser in (stopped, killed, shell):
        assert gone(browser.marker) and not browser.profile.exists()


async def test_a_service_that_stops_refuses_what_is_new_and_finishes_what_it_has(directory: Path) -> None:
    replica = Replica(directory)
    headers = {"Authorization": f"Bearer {replica.token}"}
    endless = {"html": "<script>while (true) {}</script>", "options": {"timeout_s": 1.5}}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def ask(page: dict[str, Any]) -> tuple[int, str | None, Any]:
            async with session.post(replica.url + "/render", json=page) as answer:
                return answer.status, answer.headers.get("Retry-After"), await answer.json()

        accepted = [asyncio.create_task(ask(endless)), asyncio.create_task(ask({"html": "<h1>x</h1>"}))]
        while True:
            async with session.get(replica.url + "/health") as answer:
                if (await answer.json())["under_way"] == 2:
                    break
        replica.process.send_signal(signal.SIGTERM)
        status, after = 429, None
        while status != 503:
            status, after, _ = await ask({"html": "<h1>late</h1>", "options": {"width": 9999999}})
        assert after and not replica.notice.exists()
        answers = await asyncio.gather(*accepted)
    assert [answer[0] for answer in answers] == [200, 200]
    assert [answer[2]["verdict"]["reason"] for answer in answers] == ["timeout", "ok"]
    assert await asyncio.to_thread(replica.process.wait, 20) == 0


def test_the_service_beside_a_trainer_is_ready_when_training_starts_and_gone_after_it(directory: Path) -> None:
    with render_beside([ROOT / "config.yaml"], directory, 1, directory / "render.log"):
        (notice,) = directory.glob("replica-*.json")
        facts = json.loads(notice.read_text())

        async def use() -> Render:
            async with RenderClient(url=facts["url"], token=facts["token"]) as client:
                return await client.render("<h1>x</h1>")

        assert asyncio.run(use()).verdict.rendered
        service = [number for number in descendants(os.getpid()) if is_serving(number)]
        assert len(service) == 2  # the supervisor and its worker
        os.kill(max(service), signal.SIGKILL)
        assert asyncio.run(use()).verdict.rendered  # by another worker at the same address
    assert not any(alive(number) for number in service) and not notice.exists()
    with pytest.raises(UserError, match="did not start .*CHROMIUM names /no/such"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CHROMIUM", "/no/such")
            with render_beside([ROOT / "config.yaml"], directory, 1, directory / "render.log"):
                raise AssertionError


def is_serving(number: int) -> bool:
    return b"render\0serve" in Path(f"/proc/{number}/cmdline").read_bytes()


# Everything killed in the midst of many pages

TINY = {"width": 320, "height": 240, "timeout_s": 15, "first_ms": 200}


def busy(number: int, rounds: float) -> str:
    """A page whose script keeps the processor for a while."""
    return f"<h1>Page {number}</h1><script>let n = 0; for (let i = 0; i < {rounds:.0f}; i++) n += i % 7</script>"


def is_chromium(number: int) -> bool:
    with contextlib.suppress(OSError):
        return b"headless" in Path(f"/proc/{number}/exe").readlink().name.encode()
    return False


def resident_mb(number: int) -> float:
    return int(Path(f"/proc/{number}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Killers:
    """Kills browsers, workers and supervisors of a service that is started again whenever it is gone."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self.chance = random.Random(seed)
        self.replica = Replica(directory, browsers=2, options=TINY)
        self.markers: set[str] = set()
        self.peak = 0.0

    async def strike(self, kind: str) -> None:
        """Kill one process with SIGKILL."""
        replica = self.replica
        async with asyncio.timeout(60):
            while len(found := replica.markers()) < 2 or not replica.worker():
                await asyncio.sleep(0.05)
        self.markers |= found
        for number in [replica.process.pid, *descendants(replica.process.pid)]:
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{number}/cmdline").read_bytes() + Path(f"/proc/{number}/environ").read_bytes()
                assert replica.token.encode() not in words
        worker = replica.worker()
        self.peak = max(self.peak, resident_mb(worker))
        if kind == "browser":
            victims = [n for n in marked(self.chance.choice(sorted(found))) if is_chromium(n)]
            os.kill(self.chance.choice(victims), signal.SIGKILL)
        elif kind == "worker":
            os.kill(worker, signal.SIGKILL)
        else:
            await asyncio.to_thread(replica.stop, signal.SIGKILL)
            replica.notice.unlink()  # else the next one is taken for this one, by the test only
            self.replica = await asyncio.to_thread(Replica, self.directory, 2, None, TINY)

    def leftovers(self) -> list[str]:
        """Browsers of dead services that are still there."""
        found = self.markers | self.replica.markers()
        assert self.replica.stop() == 0, self.replica.log.read_text()
        assert self.replica.token not in self.replica.log.read_text()
        return [marker for marker in found if not gone(marker)]


async def survive(directory: Path, pages: int, rounds: float, kinds: list[str], every: int) -> dict[str, Any]:
    """Send all pages at once and kill something after every so many; all must come back rendered."""
    killers = Killers(directory, seed=pages)
    async with RenderClient(rendezvous=directory, patience_s=120) as client:
        sent = ((str(number), busy(number, rounds)) for number in range(pages))
        done: dict[str, Render | RenderUnavailable] = {}
        striking: list[asyncio.Task[None]] = []

        async def strikes() -> None:
            for number, kind in enumerate(kinds, 1):
                while len(done) < number * every:
                    await asyncio.sleep(0.02)
                await killers.strike(kind)

        striking.append(asyncio.create_task(strikes()))
        async for name, render in client.render_many(sent, at_once=pages):
            assert name not in done
            done[name] = render
        await striking[0]
        statistics = client.statistics.to_dict()
    left = killers.leftovers()
    assert left == []
    reasons = [r.verdict.reason if isinstance(r, Render) else "unavailable" for r in done.values()]
    seen = {reason: reasons.count(reason) for reason in set(reasons)}
    # Given time enough, an outage is waited out: none is even named, and none is a bad page.
    assert seen == {"ok": pages}
    for name, render in done.items():
        assert isinstance(render, Render) and render.verdict.visible_text == f"Page {name}"
    return {"seen": seen, "statistics": statistics, "peak_mb": killers.peak}


def test_sixty_four_pages_at_once_survive_the_death_of_everything(directory: Path) -> None:
    found = asyncio.run(survive(directory, 64, 5e6, ["browser", "worker", "supervisor"], every=12))
    assert found["statistics"]["retries"]["lost"] >= 2
    assert found["peak_mb"] < 400


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_random_kills_over_five_hundred_pages_lose_none(directory: Path) -> None:
    chance = random.Random(20)
    kinds = [chance.choice(("browser", "worker", "supervisor")) for _ in range(20)]
    assert set(kinds) == {"browser", "worker", "supervisor"}
    began = time.monotonic()
    found = asyncio.run(survive(directory, 500, 3e7, kinds, every=22))
    print(f"{time.monotonic() - began:.0f} s", kinds, found)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_five_hundred_and_twelve_slow_pages_at_once_are_all_answered_in_bounded_memory(directory: Path) -> None:
    replica = Replica(directory, browsers=2, options=TINY)
    worker = replica.worker()
    peaks = {"client": 0.0, "worker": 0.0}

    async def crowd() -> list[Render]:
        async def weigh() -> None:
            while True:
                peaks["client"] = max(peaks["client"], resident_mb(os.getpid()))
                peaks["worker"] = max(peaks["worker"], resident_mb(worker))
                await asyncio.sleep(0.1)

        weighing = asyncio.create_task(weigh())
        filler = "<!--" + "x" * 40_000 + "-->"
        async with RenderClient(rendezvous=directory) as client:
            pages = [busy(number, 1e8) + filler for number in range(512)]
            renders = await asyncio.gather(*(client.render(page) for page in pages))
        weighing.cancel()
        print(client.statistics)
        return renders

    before = {"client": resident_mb(os.getpid()), "worker": resident_mb(worker)}
    began = time.monotonic()
    renders = asyncio.run(crowd())
    seconds = sorted(render.verdict.seconds for render in renders)
    print(f"{time.monotonic() - began:.0f} s; a page {seconds[0]} to {seconds[-1]} s, median {seconds[256]}")
    print("MB before and at the peak:", before, peaks)
    assert [render.verdict.visible_text for render in renders] == [f"Page {number}" for number in range(512)]
    assert {render.verdict.reason for render in renders} == {"ok"}
    assert peaks["worker"] - before["worker"] < 150 and peaks["client"] - before["client"] < 150
    assert replica.worker() == worker
    assert replica.stop() == 0
