"""Claims about the render service: its doors, its order, its meeting place and who keeps it running."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from artifactscoder.render import Render, RenderOptions, Verdict, body
from artifactscoder.render import service as service_module
from artifactscoder.render.fair import FairQueue, Full
from artifactscoder.render.page import CLIENT_HEADER
from slow_pool import TOKEN, SlowPool, served


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
