"""A server that misbehaves in every way, and a step that asks it: `python tests/faulty.py serve|ask ...`.

What becomes of a request is decided by its number alone (`fate`), so a test knows how every one must end. Most are
answered; some only at the second attempt, after 429, 500, a hang, a reset, a broken body, a stream that stops or falls
silent; some never well. `serve --log FILE` writes a line for every answer that went out whole.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import re
import time
from collections import Counter
from pathlib import Path

from aiohttp import web
from pydantic import BaseModel, Field

from artifactscoder import config as configs
from artifactscoder.llm import drain, generate
from artifactscoder.llm.client import Unusable
from artifactscoder.progress import Progress
from artifactscoder.records import TEXT, columns

ONCE = (
    "429_after", "429", "500", "hang", "reset", "slow", "broken_json", "stream_ends", "stream_silent", "garbage_once",
)  # fmt: skip
ALWAYS = {
    "wrong_form": "rejected", "empty": "rejected", "length": "rejected", "garbage": "rejected", "loop": "rejected",
    "400": "failed", "always_500": "failed",
}  # fmt: skip
REASONS = {
    "length": "truncated",
    "garbage": "bad_json",
    "loop": "repeated",
    "400": "http_400",
    "always_500": "http_500",
}
FATES = [*ONCE, *ALWAYS, "garbage_once", "garbage"]  # garbage is 2 % of all
RETRIES, ASKS = 3, 2


def fate(number: int) -> str:
    place = number % 200
    return FATES[place] if place < len(FATES) else "good"


def expected(number: int) -> tuple[str, str]:
    """(status, reason) that the ledger must show."""
    kind = fate(number)
    return (ALWAYS[kind], REASONS.get(kind, kind)) if kind in ALWAYS else ("ok", "")


def text_of(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest() * 16


class Faulty:
    def __init__(self, log: Path | None, delay: float) -> None:
        self.log, self.delay = log, delay
        self.seen: Counter[tuple[int, int]] = Counter()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self.answer(request, await request.read())
        except ConnectionError:
            return web.Response()  # the client ended it

    async def answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        values = json.loads(body)
        found = re.search(r"number (\d+)", values["messages"][-1 if len(values["messages"]) < 3 else -3]["content"])
        assert found is not None
        number, turn = int(found[1]), len(values["messages"])
        self.seen[number, turn] += 1
        first, kind = self.seen[number, turn] == 1, fate(number)
        await asyncio.sleep(self.delay)
        if kind == "always_500" or (kind == "500" and first):
            return web.Response(status=500)
        if kind.startswith("429") and first:
            return web.Response(status=429, headers={"Retry-After": "0.2"} if kind == "429_after" else {})
        if kind == "400":
            return web.json_response({"error": "too long"}, status=400)
        text, finish = json.dumps({"number": number, "text": text_of(number)}), "stop"
        if kind == "wrong_form":
            text = json.dumps({"number": "many", "text": 7})
        elif kind == "empty":
            text = ""
        elif kind == "length":
            text, finish = text[:100], "length"
        elif kind == "garbage" or (kind == "garbage_once" and turn == 2):
            text = "\x00\ufffd" + "]}{[" * 20 + str(number)
        if not values.get("stream"):
            message = {"message": {"content": text}, "finish_reason": finish}
            return web.json_response({"choices": [message], "usage": USAGE})
        if kind == "hang" and first:
            await asyncio.sleep(60)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if kind == "loop":
            piece = event({"content": "and again, the very same words; " * 32})
            while True:
                await response.write(piece)
                await asyncio.sleep(0.01)
        half = len(text) // 2
        await response.write(event({"content": text[:half]}))
        if first and kind in ("reset", "stream_ends", "stream_silent", "broken_json"):
            if kind == "reset":
                assert request.transport is not None
                request.transport.abort()
            elif kind == "broken_json":
                await response.write(b'data: {"choices": [{"del\n\n')
            elif kind == "stream_silent":
                await asyncio.sleep(60)
            await response.write_eof()
            return response
        for piece in range(10 if kind == "slow" else 0):
            await response.write(b": still here %d\n\n" % piece)
            await asyncio.sleep(0.1)
        if request.transport is None:
            raise ConnectionError("the client is gone: nothing is answered")
        if kind not in ("empty", "length"):  # those are asked again in the same words
            self.answered(body)
        await response.write(event({"content": text[half:]}, finish) + event(None) + b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    def answered(self, body: bytes) -> None:
        if self.log is not None:
            descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.write(descriptor, f"{time.time():.3f} {hashlib.sha256(body).hexdigest()}\n".encode())
            os.close(descriptor)


USAGE = {"prompt_tokens": 10, "completion_tokens": 256}


def event(delta: dict[str, str] | None, finish: str | None = None) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return f"data: {json.dumps({'choices': choices, 'usage': USAGE if delta is None else None})}\n\n".encode()


async def serve(log: Path | None, delay: float) -> None:
    faulty = Faulty(log, delay)
    application = web.Application()
    application.router.add_post("/v1/chat/completions", faulty.handle)
    runner = web.AppRunner(application, handle_signals=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    assert site._server is not None
    print(f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1", flush=True)
    await asyncio.Event().wait()


class Form(BaseModel):
    number: int
    text: str = Field(min_length=10)


async def ask(url: str, count: int, folder: Path, in_flight: int, stream: bool) -> None:
    """A step of `count` rows; writes folder/table.parquet and its ledger, prints its peak memory and most in flight."""
    from artifactscoder.llm import api

    api.BACKOFF_S = 0.05
    values = configs.load([Path("config.yaml")]).model_dump(mode="json")
    values["journal"] = str(folder / "journal")
    values["endpoints"] = {
        "faulty": {
            "kind": "api", "url": url, "model": "faulty", "concurrency": in_flight, "retries": RETRIES,
            "idle_s": 8, "timeout_s": 60, "stream": stream,
        }
    }  # fmt: skip
    values["roles"] = dict.fromkeys(values["roles"], "faulty")
    values["sft"]["score"] = {}
    config = configs.from_dict(values)
    most = 0
    async with generate.roles(config, "sft/code", "faulty", "coder") as [coder]:

        async def work(row: dict) -> list[generate.Outcome]:
            nonlocal most
            messages = [
                {"role": "system", "content": "x" * 500},
                {"role": "user", "content": f"number {row['number']}"},
            ]
            try:
                form, usage, _ = await coder.ask_json(messages, config.sft.code.sampling, Form, ASKS)
            except Unusable as trouble:
                return generate.unusable([row["id"]], trouble)
            assert form.number == row["number"]
            most = max(most, coder._endpoint._servers.all[0].in_flight)  # type: ignore[attr-defined]
            return [generate.Outcome(row["id"], usage=usage, row={"id": row["id"], "text": form.text})]

        rows = ({"id": f"n/{number:06d}", "number": number} for number in range(count))
        output = folder / "table.parquet"
        await generate.in_order(
            rows, lambda row: [row["id"]], work, output, columns(id=TEXT, text=TEXT), [coder], Progress("faulty", count)
        )
    # Not ru_maxrss, which a process inherits from the one that started it.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak is not None
    print(json.dumps({"peak_mb": int(peak[1]) // 1024, "in_flight": most}))


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    server = commands.add_parser("serve")
    server.add_argument("--log", type=Path)
    server.add_argument("--delay", type=float, default=0.05)
    step = commands.add_parser("ask")
    step.add_argument("--url", required=True)
    step.add_argument("--count", type=int, required=True)
    step.add_argument("--folder", type=Path, required=True)
    step.add_argument("--in-flight", type=int, default=1000)
    step.add_argument("--no-stream", action="store_true")
    args = parser.parse_args()
    if args.command == "serve":
        asyncio.run(serve(args.log, args.delay))
    else:
        drain.run(ask(args.url, args.count, args.folder, args.in_flight, not args.no_stream))


if __name__ == "__main__":
    main()
