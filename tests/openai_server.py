"""An OpenAI-compatible server on loopback, for tests: it answers as the procedural endpoint does, writes down every
request that it answered, and misbehaves when told to.

As a program (`python tests/openai_server.py --log FILE`) it prints its address and serves until it is killed; FILE
then holds one line a request: the time and the digest of the body, written before the answer is sent.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
from aiohttp import web

from artifactscoder.llm.procedural.endpoint import answer
from artifactscoder.llm.request import Request

Fault = Callable[[int, web.Request], Awaitable[web.StreamResponse | None]]


class Server:
    """`fault(number, request)` may answer request `number` (from 1) in its own way; None means: answer well. Where
    there is a `key`, a request without it is refused."""

    def __init__(self, fault: Fault | None = None, log: Path | None = None, delay: float = 0.0, key: str = "") -> None:
        self.fault, self.log, self.delay, self.key = fault, log, delay, key
        self.received = 0
        self.answered: Counter[str] = Counter()
        self.bodies: list[dict] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.received += 1
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.Response(status=401)
        body = await request.read()
        if self.fault is not None and (response := await self.fault(self.received, request)) is not None:
            return response
        values = orjson.loads(body)
        self.bodies.append(values)
        schema = (values.get("response_format") or {}).get("json_schema", {}).get("schema")
        sampling = {name: values[name] for name in ("temperature", "top_p", "max_tokens")}
        text, finish = answer(Request(values["messages"], sampling, schema, 0))
        await asyncio.sleep(self.delay)
        if request.transport is None:
            raise ConnectionError("the client is gone: nothing is answered")
        digest = hashlib.sha256(body).hexdigest()
        self.answered[digest] += 1
        if self.log is not None:
            descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.write(descriptor, f"{time.time():.3f} {digest}\n".encode())
            os.close(descriptor)
        return web.json_response(completion(text, finish))

    @asynccontextmanager
    async def open(self):
        """Serve on a free port; yields the base URL."""
        application = web.Application(client_max_size=64 << 20)
        application.router.add_post("/v1/chat/completions", self.handle)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            await runner.cleanup()


def completion(text: str, finish: str = "stop") -> dict:
    """The body of an answer."""
    return {
        "id": "x",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 10, "completion_tokens": len(text) // 4},
    }


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--delay", type=float, default=0.0)
    args = parser.parse_args()
    async with Server(log=args.log, delay=args.delay, key=os.environ.get("SERVER_KEY", "")).open() as url:
        print(url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
