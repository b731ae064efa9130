"""Endpoints of kind `api` with `batch: true`: the OpenAI Batch endpoint, answers within a day at a part of the price.

Requests are collected until there are `batch_requests` of them or no more come, uploaded as one file, and made into a
batch that is looked at every `batch_poll_s` seconds. What was handed in is never handed in again: a small file beside
the journal names each batch and its requests. It is written before the upload, and if a kill comes before the batch's
id is in it, the next start finds the batch by its digest among those of the server. A request that stands in several
(an expired batch answers only a part) belongs to the newest. An end in order (SIGTERM, a spent budget) does not wait
for batches; they go on, and the next start takes their answers.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
import orjson

from artifactscoder import files
from artifactscoder.config import Endpoint
from artifactscoder.errors import UserError
from artifactscoder.llm import api, drain
from artifactscoder.llm.request import Answer, Refused, Request, Unreachable
from artifactscoder.llm.stream import Broken
from artifactscoder.progress import say

QUIET_S = 2.0  # no more requests for so long: the batch is handed in
MOST_BYTES = 190 << 20  # of a file; the server's limit is 200 MB
MARK = "artifactscoder"  # the metadata that holds the digest
OVER = ("completed", "expired")
DEAD = ("failed", "cancelled")

Waiting = asyncio.Future[Any]


class BatchEndpoint:
    """A Batch endpoint; `ask` returns when the batch that holds the request is done."""

    def __init__(self, name: str, settings: Endpoint, folder: Path) -> None:
        """`folder`: where the files that name the batches stand."""
        self.name, self.settings, self.folder = name, settings, folder
        self.url = settings.urls[0]
        self._session: aiohttp.ClientSession | None = None
        self._queue: deque[tuple[str, bytes]] = deque()
        self._waiting: dict[str, Waiting] = {}  # by custom id
        self._known: dict[str, Path] = {}  # custom id -> file of the batch that holds it
        self._held: dict[Path, list[str]] = {}  # the same the other way round, for files of earlier starts
        self._ready: dict[str, Any] = {}  # custom id -> line of an answer that nobody has asked for yet
        self._watched: set[Path] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_add = 0.0

    async def __aenter__(self) -> BatchEndpoint:
        headers = api.authorization(self.name, self.settings)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=api.CONNECT_S, sock_read=300)
        self._session = aiohttp.ClientSession(headers=headers, timeout=timeout)
        paths = sorted(self.folder.glob(f"{self.name}.batch-*.json"))  # the oldest first, by the time in their names
        for path in paths:
            self._known |= dict.fromkeys(orjson.loads(path.read_bytes())["requests"], path)
        for custom, path in self._known.items():
            self._held.setdefault(path, []).append(custom)
        for path in paths:
            if path not in self._held:
                path.unlink()  # newer batches hold all of its requests
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert self._session is not None
        await self._session.close()
        if kind is None:  # every answer is in the journal
            for path in self._watched:
                path.unlink(missing_ok=True)

    async def ask(self, request: Request) -> Answer:
        await drain.gate()
        data = orjson.dumps(api.body(self.settings, request))
        custom = f"{hashlib.sha256(data).hexdigest()[:40]}-{request.index}"
        for attempt in range(1, self.settings.retries + 2):
            start = time.monotonic()
            line = self._ready.pop(custom, None) or await self._line(custom, data)
            status, trouble = (line.get("response") or {}).get("status_code"), str(line.get("error") or line)[:200]
            if status == 200:
                try:
                    return api.answer_of(line["response"]["body"], time.monotonic() - start, attempt)
                except Broken as error:
                    status, trouble = "broken_body", str(error)
            if isinstance(status, int) and 400 <= status < 500 and status not in (408, 409, 425, 429):
                raise Refused(f"http_{status}", trouble, attempt)
        raise Refused(f"http_{status}" if isinstance(status, int) else status or "expired", trouble, attempt)

    async def _line(self, custom: str, data: bytes) -> Any:
        """The line of a batch's output: of the batch that holds the request, or of a new one."""
        waiting: Waiting = asyncio.get_running_loop().create_future()
        self._waiting[custom] = waiting
        if path := self._known.pop(custom, None):
            if path not in self._watched:
                self._watched.add(path)
                self._spawn(self._resume(path))
        else:
            self._queue.append((custom, data))
            self._last_add = time.monotonic()
            if len(self._queue) == 1:
                self._spawn(self._collect())
        return await waiting

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Any) -> None:
        """What goes wrong goes to everybody who waits."""
        try:
            await work
        except Exception as error:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(error)

    async def _collect(self) -> None:
        """Hand in what is queued, once it fills a batch or no more comes."""
        while self._queue:
            quiet = time.monotonic() - self._last_add
            if len(self._queue) < self.settings.batch_requests and quiet < QUIET_S:
                await asyncio.sleep(min(0.2, QUIET_S - quiet))
                continue
            part: list[tuple[str, bytes]] = []
            size = 0
            while self._queue and len(part) < self.settings.batch_requests and size < MOST_BYTES:
                part.append(self._queue.popleft())
                size += len(part[-1][1])
            self._spawn(self._hand_in(part))

    async def _hand_in(self, part: list[tuple[str, bytes]]) -> None:
        lines = [
            b'{"custom_id":"%s","method":"POST","url":"/v1/chat/completions","body":%s}' % (custom.encode(), data)
            for custom, data in part
        ]
        content = b"\n".join(lines) + b"\n"
        digest = hashlib.sha256(content + str(time.time_ns()).encode()).hexdigest()[:32]
        path = self.folder / f"{self.name}.batch-{time.time_ns():020d}-{digest}.json"
        state: dict[str, Any] = {"digest": digest, "requests": [custom for custom, _ in part], "batch": None}
        with drain.busy():
            files.write_bytes(path, orjson.dumps(state))
            form = lambda: _form(content)  # noqa: E731 - a form can be sent once
            uploaded = (await self._call("POST", "/files", form=form))["id"]
            values = {
                "input_file_id": uploaded, "endpoint": "/v1/chat/completions", "completion_window": "24h",
                "metadata": {MARK: digest},
            }  # fmt: skip
            # Not again after a broken connection: the batch may be there already, and would be paid for twice.
            batch = await self._call("POST", "/batches", json=values, adopt=digest)
            files.write_bytes(path, orjson.dumps({**state, "batch": batch["id"]}))
        self._watched.add(path)
        say(f"endpoint '{self.name}': batch {batch['id']} of {len(part):,} requests is handed in")
        await self._watch(batch["id"], path, state["requests"])

    async def _resume(self, path: Path) -> None:
        """Take up a batch that an earlier process handed in, or began to."""
        state = orjson.loads(path.read_bytes())
        batch = state["batch"] or await self._find(state["digest"])
        if batch is None:
            path.unlink(missing_ok=True)  # it was never made: its requests are handed in again
            self._watched.discard(path)
            self._deliver({}, self._held[path])
            return
        if not state["batch"]:
            files.write_bytes(path, orjson.dumps({**state, "batch": batch}))
        say(f"endpoint '{self.name}': batch {batch} of an earlier start is taken up")
        await self._watch(batch, path, self._held[path])

    async def _find(self, digest: str) -> str | None:
        """The id of the server's batch with this digest."""
        after = ""
        while True:
            page = await self._call("GET", f"/batches?limit=100{after}")
            for batch in page["data"]:
                if (batch.get("metadata") or {}).get(MARK) == digest:
                    return str(batch["id"])
            if not page.get("has_more") or not page["data"]:
                return None
            after = f"&after={page['data'][-1]['id']}"

    async def _watch(self, batch: str, path: Path, requests: list[str]) -> None:
        """Wait until a batch is over, and give out its answers.

        Raises UserError for one that failed, was cancelled or met an empty account; its file then names only what it
        answered, so that the next start takes that and hands in the rest.
        """
        while True:
            state = await self._call("GET", f"/batches/{batch}")
            if state["status"] in OVER + DEAD:
                break
            await asyncio.sleep(self.settings.batch_poll_s)
        lines: dict[str, Any] = {}
        for name in ("output_file_id", "error_file_id"):
            if state.get(name):
                for line in (await self._call("GET", f"/files/{state[name]}/content", raw=True)).splitlines():
                    values = orjson.loads(line)
                    lines[values["custom_id"]] = values
        unpaid = [custom for custom, line in lines.items() if _unpaid(line)]
        if state["status"] in OVER and not unpaid:
            self._deliver(lines, requests)
            return
        responded = {custom for custom, line in lines.items() if line.get("response")}.difference(unpaid)
        answered = [custom for custom in requests if custom in responded]
        self._deliver(lines, answered)
        if len(answered) == len(requests):
            return
        if answered:
            digest = path.stem.rpartition("-")[2]
            files.write_bytes(path, orjson.dumps({"digest": digest, "requests": answered, "batch": batch}))
            await asyncio.sleep(QUIET_S)  # for the journal to take them
        else:
            path.unlink(missing_ok=True)  # another role with the same endpoint may have been told as well
            self._watched.discard(path)
        if unpaid:
            raise Unreachable(api.out_of_money(self.name, self.url, f"batch {batch}"))
        errors = (state.get("errors") or {}).get("data") or [{}]
        raise UserError(
            f"endpoint '{self.name}': batch {batch} is {state['status']} "
            f"({errors[0].get('message') or 'no reason given'}); its {len(answered):,} answers are kept and the same "
            f"command hands in the other {len(requests) - len(answered):,} requests again: correct the endpoint, "
            "or set `batch: false`"
        )

    def _deliver(self, lines: dict[str, Any], requests: list[str]) -> None:
        """Answers to those who wait; what has none (an expired batch) is handed in again, as another attempt.

        An answer that nobody waits for is kept until it is asked for.
        """
        for custom in requests:
            self._known.pop(custom, None)
            waiting = self._waiting.pop(custom, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(lines.get(custom, {}))
            elif custom in lines:
                self._ready[custom] = lines[custom]

    async def _call(
        self, method: str, path: str, raw: bool = False, form: Any = None, json: Any = None, adopt: str = ""
    ) -> Any:
        """One call of the API, tried again for `patience_s`. `adopt`: look for the batch of this digest before that."""
        assert self._session is not None
        began, attempt = time.monotonic(), 0
        while True:
            attempt += 1
            try:
                data = form() if form else None
                async with self._session.request(method, self.url + path, data=data, json=json) as response:
                    body = await response.read()
                    if response.status == 200:
                        return body if raw else orjson.loads(body)
                    if api.account_is_empty(response.status, body):
                        raise Unreachable(api.out_of_money(self.name, self.url, f"HTTP {response.status}"))
                    trouble = f"HTTP {response.status}: {body[:160].decode('utf-8', 'replace')}"
                    fatal = response.status < 500 and response.status not in (408, 409, 425, 429)
            except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
                trouble, fatal = f"{type(error).__name__}: {error}", False
            if fatal or time.monotonic() - began > self.settings.patience_s:
                raise UserError(
                    f"endpoint '{self.name}': {method} {self.url}{path} fails ({trouble}); check `url`, `key_env` and "
                    "whether the server has a Batch API, then run the same command again: nothing is handed in twice"
                )
            await asyncio.sleep(api._pause(attempt))
            if adopt and (found := await self._find(adopt)):
                return {"id": found}


def _unpaid(line: dict[str, Any]) -> bool:
    """Whether a line of a batch's output says that the account is empty."""
    status = (line.get("response") or {}).get("status_code", 429)
    return status != 200 and api.account_is_empty(status, orjson.dumps(line))


def _form(content: bytes) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("purpose", "batch")
    form.add_field("file", content, filename="requests.jsonl", content_type="application/jsonl")
    return form
