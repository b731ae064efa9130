"""The client: every request ends well or with a name, and a user's mistake is one sentence."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import aiohttp
import pytest
from aiohttp import web
from pydantic import BaseModel, Field

from artifactscoder import seeds, tables
from artifactscoder.config.engines import Sampling
from artifactscoder.errors import UserError
from artifactscoder.journal import Journal
from artifactscoder.ledger import beside
from artifactscoder.llm import api, drain, generate, prompts
from artifactscoder.llm.client import Client, Unusable
from artifactscoder.sft import tasks
from openai_server import Server, completion

SAMPLING = Sampling(max_tokens=4000)


class Colours(BaseModel):
    colours: list[str] = Field(min_length=2)


def ask_for_tasks(count: int = 4) -> list[prompts.Message]:
    return prompts.load("sft_tasks").fill(
        category="Tools", name="Timers", brief="A timer.", round="1", taken="none", count=str(count)
    )


async def answer(text: str, finish: str = "stop") -> web.Response:
    return web.json_response(completion(text, finish))


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "BACKOFF_S", 0.01)


async def test_an_answered_request_is_not_asked_again(configure, tmp_path) -> None:
    server = Server()
    async with server.open() as url:
        for _ in range(2):
            async with Journal(tmp_path / "j") as journal, Client(configure(url), "teacher", journal) as client:
                first, _, key = await client.ask(ask_for_tasks(), SAMPLING)
                again, _, same = await client.ask(ask_for_tasks(), SAMPLING)
                assert first == again and key == same
                other, _, _ = await client.ask(ask_for_tasks(5), SAMPLING)
                assert other != first
    assert server.received == 2


async def test_equal_requests_at_the_same_time_are_asked_once(configure, tmp_path) -> None:
    arrived = asyncio.Event()

    async def slow(number: int, request: web.Request) -> None:
        arrived.set()
        await asyncio.sleep(0.3)

    server = Server(slow)
    async with server.open() as url, Journal(tmp_path / "j") as journal:
        async with Client(configure(url), "teacher", journal) as client:
            answers = await asyncio.gather(*(client.ask(ask_for_tasks(), SAMPLING) for _ in range(5)))
            assert server.received == client.asked == 1 and all(one == answers[0] for one in answers)
            arrived.clear()
            first, *others = [asyncio.create_task(client.ask(ask_for_tasks(5), SAMPLING)) for _ in range(3)]
            await arrived.wait()
            first.cancel()
            answers = await asyncio.gather(*others)
            assert first.cancelled() and answers[0] == answers[1]
    assert server.received == client.asked == 3, "one takes the place of the one that was cancelled"


async def test_the_address_of_a_server_is_no_part_of_a_request(configure, tmp_path) -> None:
    for _ in range(2):
        server = Server()
        async with server.open() as url, Journal(tmp_path / "j") as journal:
            async with Client(configure(url), "teacher", journal) as client:
                await client.ask(ask_for_tasks(), SAMPLING)
    assert server.received == 0, "the second server, at another port, was not needed"


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_passing_troubles_are_retried(configure, tmp_path, status: int) -> None:
    async def fault(number: int, _: web.Request) -> web.Response | None:
        return web.Response(status=status, headers={"Retry-After": "0.01"}) if number <= 2 else None

    server = Server(fault)
    async with server.open() as url, Journal(tmp_path / "j") as journal:
        async with Client(configure(url), "teacher", journal) as client:
            _, usage, _ = await client.ask(ask_for_tasks(), SAMPLING)
    assert server.received == 3 and usage.attempts == 3


async def test_troubles_that_stay_fail_the_record_by_name(configure, tmp_path) -> None:
    async def broken(number: int, _: web.Request) -> web.Response:
        return web.Response(body=b'{"choices": [{"mess')

    async def reset(number: int, request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def refused(number: int, _: web.Request) -> web.Response:
        return web.json_response({"error": "context too long"}, status=400)

    for fault, reason, received in ((broken, "broken_body", 3), (reset, "connection", 3), (refused, "http_400", 1)):
        server = Server(fault)
        async with server.open() as url, Journal(tmp_path / reason) as journal:
            async with Client(configure(url), "teacher", journal) as client:
                with pytest.raises(Unusable) as trouble:
                    await client.ask(ask_for_tasks(), SAMPLING)
        assert (trouble.value.status, trouble.value.reason) == ("failed", reason)
        assert server.received == received == trouble.value.usage.attempts


async def test_a_server_that_hangs_is_given_up(configure, tmp_path) -> None:
    async def hang(number: int, _: web.Request) -> web.Response | None:
        if number == 1:
            await asyncio.sleep(3)
        return None

    config = configure()
    server = Server(hang)
    async with server.open() as url, Journal(tmp_path / "j") as journal:
        config = configure(
            url, endpoints={"it": {"kind": "api", "model": "m", "url": url, "timeout_s": 0.5, "retries": 1}}
        )
        async with Client(config, "teacher", journal) as client:
            _, usage, _ = await client.ask(ask_for_tasks(), SAMPLING)
    assert usage.attempts == 2


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ("", "stop", "empty"),
        ("<think>hm</think>  ", "stop", "empty"),
        ("<!DOCTYPE html><ht", "length", "truncated"),
        ("", "content_filter", "refused"),
    ],
)
async def test_answers_that_cannot_be_used_have_a_name(configure, tmp_path, text, finish, reason) -> None:
    server = Server(lambda number, request: answer(text, finish))
    async with server.open() as url, Journal(tmp_path / "j") as journal:
        async with Client(configure(url), "coder", journal) as client:
            with pytest.raises(Unusable) as trouble:
                await client.ask(ask_for_tasks(), SAMPLING)
    assert (trouble.value.status, trouble.value.reason) == ("rejected", reason)


async def test_a_wrong_form_is_asked_again_with_the_mistake_shown(configure, tmp_path) -> None:
    seen = []

    async def fault(number: int, request: web.Request) -> web.Response:
        seen.append(await request.json())
        texts = ["no json here", '{"colours": ["red"]}', 'Sure: ```json\n{"colours": ["red", "blue"]}\n```']
        return await answer(texts[number - 1])

    server = Server(fault)
    async with server.open() as url, Journal(tmp_path / "j") as journal:
        async with Client(configure(url), "teacher", journal) as client:
            found, usage, _ = await client.ask_json(ask_for_tasks(), SAMPLING, Colours, asks=3)
    assert found.colours == ["red", "blue"] and usage.attempts == 3
    assert seen[0]["response_format"]["json_schema"]["schema"]["required"] == ["colours"]
    assert "at least 2 items" in seen[2]["messages"][-1]["content"]
    # A resumed job walks the same way without asking.
    async with Server().open() as url, Journal(tmp_path / "j") as journal:
        async with Client(configure(url), "teacher", journal) as client:
            again, _, _ = await client.ask_json(ask_for_tasks(), SAMPLING, Colours, asks=3)
            assert again == found and client.asked == 0


async def test_numbers_are_never_guessed_out_of_text(configure, tmp_path) -> None:
    server = Server(lambda number, request: answer("Colours: 1. red 2. blue"))
    async with server.open() as url, Journal(tmp_path / "j") as journal:
        async with Client(configure(url), "teacher", journal) as client:
            with pytest.raises(Unusable) as trouble:
                await client.ask_json(ask_for_tasks(), SAMPLING, Colours, asks=2)
    assert trouble.value.reason == "bad_json" and server.received == 2


async def test_nobody_listening_is_one_sentence(configure, tmp_path) -> None:
    config = configure(
        "http://127.0.0.1:9/v1", endpoints={"it": {"kind": "api", "model": "m", "url": "http://127.0.0.1:9/v1"}}
    )
    settings = config.endpoints["it"].model_copy(update={"patience_s": 0.1})
    config = config.model_copy(update={"endpoints": {"it": settings}})
    async with Journal(tmp_path / "j") as journal, Client(config, "teacher", journal) as client:
        with pytest.raises(UserError, match="'it' at http://127.0.0.1:9/v1 cannot be reached"):
            await client.ask(ask_for_tasks(), SAMPLING)


async def test_a_host_that_swallows_what_it_is_sent_is_not_there(configure, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(api, "CONNECT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        with contextlib.ExitStack() as fillers:
            for _ in range(2):  # the queue is full: the kernel answers no further SYN
                filler = fillers.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
            url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
            config = configure(
                endpoints={"it": {"kind": "api", "model": "m", "url": url, "patience_s": 1, "retries": 0}}
            )
            async with Journal(tmp_path / "j") as journal, Client(config, "", journal, endpoint="it") as client:
                with pytest.raises(UserError, match=r"'it' at .* cannot be reached \(no connection in 0.3 s\)"):
                    await client.ask(ask_for_tasks(), SAMPLING)


async def test_a_server_that_comes_up_late_is_waited_for(configure, tmp_path, unused_tcp_port: int) -> None:
    config = configure(f"http://127.0.0.1:{unused_tcp_port}/v1")
    server = Server()
    application = web.Application()
    application.router.add_post("/v1/chat/completions", server.handle)
    runner = web.AppRunner(application)
    await runner.setup()

    async def start() -> None:
        await asyncio.sleep(0.5)
        await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()

    starting = asyncio.create_task(start())
    async with Journal(tmp_path / "j") as journal, Client(config, "teacher", journal) as client:
        _, usage, _ = await client.ask(ask_for_tasks(), SAMPLING)
    await starting
    await runner.cleanup()
    assert usage.attempts == 1


@pytest.mark.parametrize(("status", "sentence"), [(401, "refuses the key"), (404, "has no model 'test'")])
async def test_a_wrong_key_or_model_stops_the_job_with_one_sentence(configure, tmp_path, status, sentence) -> None:
    async def fault(number: int, _: web.Request) -> web.Response:
        return web.Response(status=status)

    server = Server(fault)
    async with server.open() as url, Journal(tmp_path / "j") as journal:
        async with Client(configure(url), "teacher", journal) as client:
            with pytest.raises(UserError, match=sentence):
                await client.ask(ask_for_tasks(), SAMPLING)
    assert server.received == 1


@pytest.mark.parametrize("status", [402, 429])
def test_an_empty_account_stops_the_job_with_one_sentence_and_the_same_command_goes_on(
    configure, tmp_path, status
) -> None:
    sections = {"categories": ["game-puzzle"], "subcategories": 12, "tasks": {"per_subcategory": 1}}
    error = {"error": {"message": "too little money, " * 20, "code": "insufficient_quota" if status == 429 else 402}}

    async def fault(number: int, _: web.Request) -> web.Response | None:
        await asyncio.sleep(0 if number > 5 else 0.3)  # those before are still under way when the money is gone
        return web.json_response(error, status=status) if number > 5 and not filled else None

    async def work() -> None:
        async with server.open() as url:
            await tasks.run(configure(url, sft=sections), "game-puzzle", tmp_path / "tasks.parquet")

    filled, server = False, Server(fault)
    with pytest.raises(
        UserError, match=rf"the account of endpoint 'it' at .* is empty \(HTTP {status}: .*then run the"
    ):
        drain.run(work())
    assert len(server.answered) == 5 and not list(tmp_path.glob("tasks*"))
    filled = True
    drain.run(work())
    assert len(server.answered) == 12 == sum(server.answered.values()), "what was under way was kept"


async def test_a_job_whose_first_rows_all_fail_alike_at_the_server_is_one_sentence_and_no_table(
    configure, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(generate, "FIRST", 5)
    sections = {"categories": ["game-puzzle"], "subcategories": 12, "tasks": {"per_subcategory": 2}}

    async def fault(number: int, request: web.Request) -> web.Response | None:
        body = (await request.read()).decode()
        if any(name in body for name in good):
            return None
        return web.json_response({"error": "response_format is not supported"}, status=400)

    async def run() -> None:
        async with Server(fault).open() as url:
            await tasks.run(configure(url, sft=sections), "game-puzzle", tmp_path / "tasks.parquet")

    names = [row["name"] for row in seeds.subcategories(configure("http://x/v1", sft=sections))["game-puzzle"]]
    good: list[str] = []
    with pytest.raises(UserError, match=r"the first 5 rows all failed as http_400 \(HTTP 400: .* not supported"):
        await run()
    assert not (tmp_path / "tasks.parquet").exists() and not beside(tmp_path / "tasks.parquet").exists()
    good = names[4:5]
    await run()
    lines = list(tables.rows(beside(tmp_path / "tasks.parquet")))
    assert [line["status"] for line in lines].count("failed") == 22, "where one of the first is answered, it goes on"


async def test_a_key_comes_from_the_environment_or_is_missed_by_name(configure, tmp_path, monkeypatch) -> None:
    got = []

    async def fault(number: int, request: web.Request) -> None:
        got.append(request.headers.get("Authorization"))

    server = Server(fault)
    async with server.open() as url, Journal(tmp_path / "j") as journal:
        config = configure(url, endpoints={"it": {"kind": "api", "model": "m", "url": url, "key_env": "SOME_KEY"}})
        with pytest.raises(UserError, match="SOME_KEY, which is not set"):
            async with Client(config, "teacher", journal):
                pass
        monkeypatch.setenv("SOME_KEY", "secret-value")
        async with Client(config, "teacher", journal) as client:
            await client.ask(ask_for_tasks(), SAMPLING)
    assert got == ["Bearer secret-value"]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"secret-value" in path.read_bytes()]


def test_every_prompt_can_be_read_back() -> None:
    asked = [path for path in sorted(prompts.FOLDER.glob("*.txt")) if path.stem != "rl_task"]
    for path in asked:
        prompt = prompts.load(path.stem)
        holes = sorted(set(prompts._HOLE.findall(prompt.system + prompt.user)))
        fields = {name: f"value of {name} with {{{{braces}}}} and\nlines" for name in holes}
        messages = prompt.fill(["data:image/png;base64,AA=="], **fields)
        assert prompt.read(messages) == fields, path
        others = [prompts.load(other.stem) for other in asked if other != path]
        assert all(other.read(messages) is None for other in others)


async def test_the_pool_has_no_hidden_limit() -> None:
    """512 requests at once are 512 connections, not a queue that times out."""
    from artifactscoder.config import Endpoint
    from artifactscoder.llm.api import ApiEndpoint
    from artifactscoder.llm.request import Request

    most = now = 0

    async def fault(number: int, _: web.Request) -> web.Response:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(1.0)
        now -= 1
        return await answer("fine")

    async with Server(fault).open() as url:
        settings = Endpoint(kind="api", model="m", url=url, concurrency=512)
        async with ApiEndpoint("it", settings) as it:
            request = Request([{"role": "user", "content": "hi"}], {})
            answers = await asyncio.gather(*(it.ask(request) for _ in range(512)))
    assert [found.text for found in answers] == ["fine"] * 512 and most > 200
    assert aiohttp  # the transport that this measures


# Several servers, and how many requests each may have at once


async def ask_many(settings, count: int) -> list[object]:
    """What became of `count` requests at once."""
    from artifactscoder.llm.api import ApiEndpoint
    from artifactscoder.llm.request import Request

    async with ApiEndpoint("it", settings) as it:
        requests = (Request([{"role": "user", "content": str(number)}], {"max_tokens": 100}) for number in range(count))
        return await asyncio.gather(*(it.ask(request) for request in requests), return_exceptions=True)


async def test_several_servers_share_the_load_and_one_that_is_gone_costs_nothing(unused_tcp_port: int) -> None:
    from artifactscoder.config import Endpoint

    async def fault(number: int, _: web.Request) -> web.Response:
        await asyncio.sleep(0.02)
        return await answer("fine")

    first, second = Server(fault), Server(fault)
    async with first.open() as one, second.open() as two:
        urls = [one, two, f"http://127.0.0.1:{unused_tcp_port}/v1"]
        settings = Endpoint(kind="api", model="m", url=urls, concurrency=24, patience_s=0)
        answers = await ask_many(settings, 200)
    assert [getattr(found, "text", found) for found in answers] == ["fine"] * 200
    assert all(getattr(found, "attempts", 0) == 1 for found in answers), "nobody listening is no fault of a request"
    assert min(first.received, second.received) > 60


class Busy:
    """Takes so many seconds for an answer, and so many requests at once; the others get a 429."""

    def __init__(self, seconds: float, room: int = 10_000, counts_tokens: bool = True) -> None:
        self.seconds, self.room, self.counts_tokens = seconds, room, counts_tokens
        self.now = self.most = 0
        self.refused: list[int] = []

    async def __call__(self, number: int, _: web.Request) -> web.Response:
        if self.now >= self.room:
            self.refused.append(number)
            return web.Response(status=429)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(self.seconds)
        self.now -= 1
        said = completion("fine")
        return web.json_response(said if self.counts_tokens else {**said, "usage": None})


async def test_a_crowded_server_gets_as_many_requests_as_it_bears() -> None:
    """A server that takes 20 at once and answers the others with 429."""
    from artifactscoder.config import Endpoint

    busy = Busy(0.01, room=20)
    server = Server(busy)
    async with server.open() as url:
        answers = await ask_many(Endpoint(kind="api", model="m", url=url, concurrency=512, retries=12), 3000)
    assert [getattr(found, "text", found) for found in answers] == ["fine"] * 3000
    late = [number for number in busy.refused if number > server.received / 2]
    assert len(late) < 0.15 * server.received / 2, f"{len(late)} of the later half were refused, a tenth is meant"


async def test_a_server_that_counts_no_tokens_gets_as_many_requests_as_any(capsys) -> None:
    from artifactscoder.config import Endpoint

    busy = Busy(0.05, counts_tokens=False)
    async with Server(busy).open() as url:
        answers = await ask_many(Endpoint(kind="api", model="m", url=url, concurrency=200), 1000)
    assert [getattr(found, "text", found) for found in answers] == ["fine"] * 1000 and busy.most > 150
    assert capsys.readouterr().err.count("sends no `usage`") == 1


async def test_retry_after_is_kept_for_the_whole_server() -> None:
    from artifactscoder.config import Endpoint

    moments: list[float] = []

    async def fault(number: int, _: web.Request) -> web.Response:
        moments.append(asyncio.get_running_loop().time())
        if moments[-1] - moments[0] < 1:
            return web.Response(status=429, headers={"Retry-After": "1"})
        return await answer("fine")

    async with Server(fault).open() as url:
        answers = await ask_many(Endpoint(kind="api", model="m", url=url, concurrency=1), 50)
    assert [getattr(found, "text", found) for found in answers] == ["fine"] * 50
    assert sum(moment - moments[0] < 1 for moment in moments) <= 3, "the others kept away"


async def test_requests_and_tokens_a_minute_are_kept() -> None:
    from artifactscoder.config import Endpoint

    async def fault(number: int, _: web.Request) -> web.Response:
        return await answer("x" * 360)  # 10 tokens in, 90 out

    for limit in ({"requests_per_minute": 600}, {"tokens_per_minute": 60_000}):
        async with Server(fault).open() as url:
            start = asyncio.get_running_loop().time()
            answers = await ask_many(Endpoint(kind="api", model="m", url=url, **limit), 30)
            took = asyncio.get_running_loop().time() - start
        assert [getattr(found, "finish", found) for found in answers] == ["stop"] * 30
        assert 1.5 < took < 4, f"{limit}: 30 requests, 10 of them a second, took {took:.2f} s"
