"""The Batch endpoint: what was handed in is answered once and paid for once, whatever comes between."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager

import pytest
import yaml
from aiohttp import web

from artifactscoder import config as configs
from artifactscoder import tables
from artifactscoder.errors import UserError
from artifactscoder.ledger import beside
from artifactscoder.llm import batch, prompts
from artifactscoder.llm.procedural.endpoint import answer
from artifactscoder.llm.request import Request
from artifactscoder.sft import tasks
from openai_server import completion


class BatchServer:
    """/files and /batches. A batch is done after `looks` looks at it; `spoil` may change its lines."""

    def __init__(self, looks: int = 2) -> None:
        self.looks, self.spoil = looks, lambda number, lines: lines
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict] = {}
        self.asked: Counter[str] = Counter()  # custom ids, over all batches
        self.forgets_to_say = False  # makes the next batch, but breaks the connection instead of answering
        self.finals: dict[int, str] = {}  # how a batch ends, by its number, where it is not `completed`
        self.lasting: set[int] = set()  # batches that are never done

    async def upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert form["purpose"] == "batch"
        name = f"file-{len(self.files)}"
        self.files[name] = form["file"].file.read()  # type: ignore[union-attr]
        return web.json_response({"id": name})

    async def create(self, request: web.Request) -> web.Response:
        values = await request.json()
        assert values["endpoint"] == "/v1/chat/completions" and values["completion_window"] == "24h"
        name = f"batch-{len(self.batches)}"
        lines = [json.loads(line) for line in self.files[values["input_file_id"]].splitlines()]
        self.asked.update(line["custom_id"] for line in lines)
        self.batches[name] = {"id": name, "metadata": values["metadata"], "lines": lines, "seen": 0}
        if self.forgets_to_say:
            self.forgets_to_say = False
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"id": name, "status": "validating"})

    async def list(self, request: web.Request) -> web.Response:
        data = [{"id": name, "metadata": one["metadata"]} for name, one in self.batches.items()]
        after = request.query.get("after")
        start = [one["id"] for one in data].index(after) + 1 if after else 0
        return web.json_response({"data": data[start : start + 1], "has_more": start + 1 < len(data)})

    async def look(self, request: web.Request) -> web.Response:
        one = self.batches[request.match_info["id"]]
        one["seen"] += 1
        number = int(one["id"].split("-")[1])
        final = self.finals.get(number, "completed")
        if one["seen"] < self.looks or number in self.lasting:
            status = "cancelling" if final == "cancelled" else "in_progress"
            return web.json_response({"id": one["id"], "status": status})
        out = []
        for line in one["lines"]:
            body = line["body"]
            sampling = {name: body[name] for name in ("temperature", "top_p", "max_tokens")}
            text, finish = answer(Request(body["messages"], sampling, body["response_format"]["json_schema"]["schema"]))
            response = {"status_code": 200, "body": completion(text, finish)}
            out.append({"custom_id": line["custom_id"], "response": response, "error": None})
        out = self.spoil(number, out)
        self.files[f"out-{one['id']}"] = b"\n".join(json.dumps(line).encode() for line in reversed(out))
        errors = {"data": [{"message": "no such model"}]}
        state = {"id": one["id"], "status": final, "output_file_id": f"out-{one['id']}", "errors": errors}
        return web.json_response(state)

    async def content(self, request: web.Request) -> web.Response:
        return web.Response(body=self.files[request.match_info["id"]])

    @asynccontextmanager
    async def open(self):
        application = web.Application(client_max_size=1 << 30)
        application.router.add_post("/v1/files", self.upload)
        application.router.add_get("/v1/files/{id}/content", self.content)
        application.router.add_post("/v1/batches", self.create)
        application.router.add_get("/v1/batches", self.list)
        application.router.add_get("/v1/batches/{id}", self.look)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"  # type: ignore[union-attr]
        finally:
            await runner.cleanup()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "QUIET_S", 0.2)
    monkeypatch.setattr(batch.api, "BACKOFF_S", 0.01)


def by_batch(configure, url: str, **more) -> configs.Config:
    endpoint = {
        "kind": "api", "url": url, "model": "test", "batch": True, "batch_requests": 5, "batch_poll_s": 0.05,
        "price_in": 2.0, "price_out": 2.0, "patience_s": 2, "retries": 2, **more,
    }  # fmt: skip
    sections = {"categories": ["game-puzzle"], "subcategories": 12, "tasks": {"per_subcategory": 1}}
    return configure(url, endpoints={"it": endpoint}, sft=sections)


def requests(count: int) -> list[Request]:
    fields = {"category": "Tools", "name": "Timers", "brief": "A timer.", "round": "1", "taken": "none", "count": "4"}
    sampling = {"temperature": 0.5, "top_p": 1.0, "max_tokens": 4000}
    return [
        Request(prompts.load("sft_tasks").fill(**fields), sampling, {"type": "object"}, index) for index in range(count)
    ]


async def test_a_shard_is_asked_in_batches_at_half_the_price(configure, tmp_path) -> None:
    server = BatchServer()
    output = tmp_path / "tasks.parquet"
    async with server.open() as url:
        config = by_batch(configure, url)
        ledger = await tasks.run(config, "game-puzzle", output)
        assert ledger.counts["ok"] == 12
        assert [len(one["lines"]) for one in server.batches.values()] == [5, 5, 2]
        lines = list(tables.rows(beside(output)))
        tokens = sum(line["tokens_in"] + line["tokens_out"] for line in lines)
        assert sum(line["cost"] for line in lines) == pytest.approx(tokens * 2 / 1e6 / 2)
        assert not list(config.journal.rglob("*.batch-*")), "what names the batches goes when all is in the journal"
        await tasks.run(config, "game-puzzle", output)
    assert len(server.batches) == 3 and set(server.asked.values()) == {1}


async def test_lines_that_failed_are_handed_in_again_and_refused_ones_are_not(configure, tmp_path) -> None:
    server = BatchServer()

    def spoil(number: int, lines: list[dict]) -> list[dict]:
        if number == 0:
            lines[0]["response"] = {"status_code": 500, "body": {}}
            lines[1] = {"custom_id": lines[1]["custom_id"], "response": None, "error": {"code": "batch_expired"}}
            lines[2]["response"] = {"status_code": 400, "body": {"error": "too long"}}
            del lines[3]
        return lines

    server.spoil = spoil
    output = tmp_path / "tasks.parquet"
    async with server.open() as url:
        ledger = await tasks.run(by_batch(configure, url), "game-puzzle", output)
    reasons = [line["reason"] for line in tables.rows(beside(output)) if line["status"] != "ok"]
    assert ledger.counts["ok"] == 11 and reasons == ["http_400"]
    assert Counter(server.asked.values()) == {1: 9, 2: 3}


async def test_a_batch_that_the_server_made_and_did_not_confirm_is_found_and_not_made_twice(
    configure, tmp_path
) -> None:
    server = BatchServer()
    server.forgets_to_say = True
    async with server.open() as url:
        ledger = await tasks.run(by_batch(configure, url), "game-puzzle", tmp_path / "tasks.parquet")
    assert ledger.counts["ok"] == 12 and set(server.asked.values()) == {1}


@pytest.mark.parametrize(("final", "answered"), [("failed", 0), ("cancelled", 7)])
async def test_a_batch_that_fails_or_is_cancelled_is_one_sentence_and_the_next_start_hands_in_what_it_did_not_answer(
    configure, tmp_path, final, answered
) -> None:
    server = BatchServer()
    server.finals[0] = final
    server.spoil = lambda number, lines: lines if number else lines[:answered]
    async with server.open() as url:
        config = by_batch(configure, url, batch_requests=100)
        with pytest.raises(UserError, match=rf"batch batch-0 is {final} \(no such model\); its {answered} answers are"):
            await tasks.run(config, "game-puzzle", tmp_path / "tasks.parquet")
        ledger = await tasks.run(config, "game-puzzle", tmp_path / "tasks.parquet")
    assert ledger.counts["ok"] == 12
    assert len(server.batches["batch-1"]["lines"]) == 12 - answered, "what was answered is not paid for again"


async def test_a_batch_that_two_roles_share_is_one_sentence_for_both_when_it_fails(configure, tmp_path) -> None:
    server = BatchServer(looks=1_000_000)
    async with server.open() as url:
        settings = by_batch(configure, url, batch_requests=100).endpoints["it"]
        with pytest.raises(TimeoutError):
            async with batch.BatchEndpoint("it", settings, tmp_path) as endpoint:
                await asyncio.wait_for(asyncio.gather(*map(endpoint.ask, requests(4))), 0.6)
        server.looks, server.finals, server.spoil = 1, {0: "failed"}, lambda number, lines: []
        async with (
            batch.BatchEndpoint("it", settings, tmp_path) as one,
            batch.BatchEndpoint("it", settings, tmp_path) as two,
        ):
            first, *others = requests(4)
            asks = [one.ask(first), *map(two.ask, others)]
            ends = await asyncio.gather(*asks, return_exceptions=True)
    assert len(server.batches) == 1 and all(isinstance(end, UserError) for end in ends), ends


async def test_answers_of_a_cancelled_batch_that_were_not_taken_in_time_are_taken_by_the_next_start(
    configure, tmp_path, monkeypatch
) -> None:
    server = BatchServer()
    server.finals[0] = "cancelled"
    server.spoil = lambda number, lines: lines if number else lines[:3]
    async with server.open() as url:
        settings = by_batch(configure, url, batch_requests=100).endpoints["it"]
        for _ in range(2):  # as if the first start had been killed before the journal had them
            async with batch.BatchEndpoint("it", settings, tmp_path) as endpoint:
                answers = await asyncio.gather(*map(endpoint.ask, requests(4)), return_exceptions=True)
                if any(isinstance(answer, UserError) for answer in answers):
                    endpoint._watched.clear()
    assert not any(isinstance(answer, BaseException) for answer in answers)
    assert sorted(server.asked.values()) == [1, 1, 1, 2]


async def test_a_batch_that_meets_an_empty_account_is_one_sentence_and_goes_on_once_there_is_money(
    configure, tmp_path
) -> None:
    server = BatchServer()
    error = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    broke = {"status_code": 429, "body": error}
    server.spoil = lambda number, lines: (
        lines if number else [*lines[:4], *({**x, "response": broke} for x in lines[4:])]
    )
    async with server.open() as url:
        config = by_batch(configure, url, batch_requests=100)
        with pytest.raises(UserError, match="the account of endpoint 'it' at .* is empty"):
            await tasks.run(config, "game-puzzle", tmp_path / "tasks.parquet")
        ledger = await tasks.run(config, "game-puzzle", tmp_path / "tasks.parquet")
    assert ledger.counts["ok"] == 12 and Counter(server.asked.values()) == {1: 4, 2: 8}


async def test_what_an_expired_batch_left_is_not_handed_in_again_by_a_start_that_finds_it_in_a_newer_one(
    configure, tmp_path
) -> None:
    server = BatchServer(looks=1)
    server.finals = dict.fromkeys(range(8), "expired")
    server.spoil = lambda number, lines: lines[:1] if number < 8 else lines
    server.lasting = {8}
    async with server.open() as url:
        settings = by_batch(configure, url, batch_requests=100, batch_poll_s=0.01, retries=20).endpoints["it"]

        async def start() -> list:
            async with batch.BatchEndpoint("it", settings, tmp_path) as endpoint:
                return await asyncio.gather(*map(endpoint.ask, requests(12)))

        ended = asyncio.create_task(start())
        while "batch-8" not in server.batches or not server.batches["batch-8"]["seen"]:
            assert not ended.done()
            await asyncio.sleep(0.02)
        ended.cancel()
        await asyncio.gather(ended, return_exceptions=True)
        server.lasting = set()
        assert len(await start()) == 12
    assert len(server.batches) == 9, "the newest batch that holds a request answers it"
    assert not list(tmp_path.glob("*.batch-*"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_batches_outlive_the_job_and_the_next_start_takes_their_answers(configure, tmp_path, number) -> None:
    server = BatchServer(looks=1_000_000)
    async with server.open() as url:
        config = by_batch(configure, url, batch_requests=100)
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
        output = tmp_path / "tasks.parquet"
        step = ["sft", "tasks", "--config", str(path), "--category", "game-puzzle", "--output", str(output)]
        words = [sys.executable, "-m", "artifactscoder.cli", *step]
        process = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": "workflow"}, stderr=subprocess.PIPE)
        while not any(one["seen"] > 1 for one in server.batches.values()):
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            await asyncio.sleep(0.05)
        before = time.monotonic()
        process.send_signal(number)
        code = await asyncio.to_thread(process.wait, 20)
        assert code == (143 if number == signal.SIGTERM else -9) and time.monotonic() - before < 10
        states = [path for path in config.journal.rglob("*.batch-*")]
        assert len(states) == 1
        if number == signal.SIGKILL:  # as if the kill had come before the batch's id was written down
            state = json.loads(states[0].read_bytes())
            states[0].write_text(json.dumps({**state, "batch": None}))
        server.looks = 1
        ledger = await tasks.run(config, "game-puzzle", output)
    assert ledger.counts["ok"] == 12 and len(server.batches) == 1 and set(server.asked.values()) == {1}


async def test_what_is_asked_later_than_its_batch_is_over_gets_the_answer_that_was_paid_for(
    configure, tmp_path
) -> None:
    server = BatchServer(looks=1_000_000)
    async with server.open() as url:
        settings = by_batch(configure, url).endpoints["it"]
        with pytest.raises(TimeoutError):
            async with batch.BatchEndpoint("it", settings, tmp_path) as endpoint:
                await asyncio.wait_for(asyncio.gather(*map(endpoint.ask, requests(4))), 1)
        server.looks = 1
        async with batch.BatchEndpoint("it", settings, tmp_path) as endpoint:
            answers = [await endpoint.ask(request) for request in requests(4)]
    assert len(answers) == 4 and len(server.batches) == 1 and set(server.asked.values()) == {1}
