"""Endpoints of kind `api`: any OpenAI-compatible server, asked over one pooled aiohttp session.

Measured, that costs a tenth of the CPU of the `openai` package's own transport, and its retries can be told apart from
ours: 429, 5xx, time-outs, resets and broken bodies are asked again with growing pauses, then `Refused` by that name;
where no server takes connections, they are tried on for `patience_s`. `servers` says which one is asked, and when,
`stream` reads answers as they grow. HTTP/1.1 over kept connections: HTTP/2 would save none of what was measured.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import socket
import sys
import time
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any

import aiohttp
import orjson

from artifactscoder.config import Endpoint
from artifactscoder.errors import UserError
from artifactscoder.llm import drain
from artifactscoder.llm.request import Answer, Refused, Request, Unreachable
from artifactscoder.llm.servers import Servers, Verdict
from artifactscoder.llm.stream import Broken, completion

BACKOFF_S = 1.0
BACKOFF_CAP_S = 60.0
EMPTY = "account_empty"
CONNECT_S = 20.0  # a server that has not taken the connection by then is not there


class ApiEndpoint:
    """An OpenAI-compatible `/chat/completions`, asked at most `concurrency` times at once."""

    def __init__(self, name: str, settings: Endpoint) -> None:
        self.name = name
        self.settings = settings
        self._servers = Servers(
            settings.urls, settings.concurrency, settings.requests_per_minute, settings.tokens_per_minute
        )
        self._session: aiohttp.ClientSession | None = None
        self._uncounted = False

    async def __aenter__(self) -> ApiEndpoint:
        _allow_files(self.settings.concurrency + 1000)
        self._session = aiohttp.ClientSession(
            headers={"Content-Type": "application/json", **authorization(self.name, self.settings)},
            connector=aiohttp.TCPConnector(limit=0, socket_factory=_socket),
            timeout=aiohttp.ClientTimeout(
                total=self.settings.timeout_s,
                sock_connect=CONNECT_S,
                sock_read=self.settings.idle_s if self.settings.stream else None,
            ),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, request: Request) -> Answer:
        values = body(self.settings, request)
        if self.settings.stream:
            values |= {"stream": True, "stream_options": {"include_usage": True}}
        data = orjson.dumps(values)
        attempt, most = 0, len(data) // 4 + int(request.sampling.get("max_tokens", 0))
        while True:
            server = await self._servers.take(most)
            start = time.monotonic()
            trouble: _Trouble | None = None
            verdict: Verdict = "other"
            used = 0
            try:
                await drain.gate()
                attempt += 1
                with drain.busy():
                    answer = await self._post(server.url + "/chat/completions", data, attempt)
                verdict, used = "good", answer.tokens_in + answer.tokens_out
                return answer
            except aiohttp.ClientConnectorError as error:
                trouble = _Trouble("connection", str(error.os_error.strerror or error), "refused")
            except aiohttp.ConnectionTimeoutError:
                trouble = _Trouble("connection", f"no connection in {CONNECT_S:g} s", "refused")
            except TimeoutError as error:
                silent = self.settings.stream and "reading data" in str(error)
                limit = self.settings.idle_s if silent else self.settings.timeout_s
                words = f"{'not a byte more' if silent else 'no answer'} in {limit:g} s"
                trouble = _Trouble("timeout", words, "trouble")
            except aiohttp.ClientError as error:
                trouble = _Trouble("connection", f"{type(error).__name__}: {error}"[:200], "trouble")
            except Broken as error:
                trouble = _Trouble("broken_body", str(error), "trouble")
            except _Trouble as error:
                trouble = error
            finally:
                self._servers.give(
                    server,
                    trouble.verdict if trouble else verdict,
                    start,
                    trouble.after if trouble else 0.0,
                    most - used,
                )
            if trouble.verdict == "refused":
                # Nobody listens: no fault of the request. The others are asked; once none has taken a connection for
                # `patience_s`, the whole job stops.
                attempt -= 1
                silent_for = self._servers.silent_for()
                if silent_for is not None and silent_for >= self.settings.patience_s:
                    raise Unreachable(
                        f"endpoint '{self.name}' at {', '.join(self.settings.urls)} cannot be reached ({trouble}); "
                        "start the server or correct `url`, then run the same command again"
                    )
                continue
            if trouble.reason == EMPTY:
                await drain.stop(out_of_money(self.name, server.url, str(trouble)), Unreachable)
            if attempt > self.settings.retries:
                raise Refused(trouble.reason, str(trouble), attempt)
            await asyncio.sleep(max(trouble.after, _pause(attempt)))

    async def _post(self, url: str, data: bytes, attempt: int) -> Answer:
        """One attempt. Raises _Trouble where another may help, Refused where none will, UserError where none can."""
        assert self._session is not None
        start = time.monotonic()
        async with self._session.post(url, data=data) as response:
            if response.status == 200:
                if response.content_type == "text/event-stream":
                    payload: Any = await completion(response)
                else:
                    payload = _parsed(await response.read())
                answer = answer_of(payload, time.monotonic() - start, attempt)
                if not answer.tokens_out and answer.text:
                    self._warn_of_uncounted()
                return answer
            text = await response.read()
            status, after = response.status, _seconds(response.headers.get("Retry-After"))
        words = f"HTTP {status}: {_short(text)}"
        if account_is_empty(status, text):
            raise _Trouble(EMPTY, words, "other")
        if status in (401, 403):
            raise UserError(
                f"endpoint '{self.name}' at {url} refuses the key ({words}); check {self.settings.key_env or 'key_env'}"
            )
        if status in (404, 405):
            raise UserError(
                f"endpoint '{self.name}' has no model '{self.settings.model}' at {url} ({words}); "
                "check `url` and `model` in the configuration"
            )
        if status < 500 and status not in (408, 409, 425, 429):
            raise Refused(f"http_{status}", words, attempt)
        raise _Trouble(f"http_{status}", words, "trouble", after)

    def _warn_of_uncounted(self) -> None:
        if not self._uncounted:
            self._uncounted = True
            more = "; `stream: false` may bring it" if self.settings.stream else ""
            words = f"endpoint '{self.name}' sends no `usage`: its tokens and cost are counted as 0{more}"
            print(words, file=sys.stderr, flush=True)


class _Trouble(Exception):
    """An attempt that failed; another may not."""

    def __init__(self, reason: str, text: str, verdict: Verdict, after: float = 0.0) -> None:
        super().__init__(text)
        self.reason, self.verdict, self.after = reason, verdict, after


def authorization(name: str, settings: Endpoint) -> dict[str, str]:
    """The header that carries the key, from the environment variable that the endpoint names."""
    variable = settings.key_env
    if not variable:
        return {}
    key = os.environ.get(variable)
    if not key:
        raise UserError(
            f"endpoint '{name}' takes its key from the environment variable {variable}, which is not set; "
            f"run `export {variable}=...` first"
        )
    return {"Authorization": f"Bearer {key}"}


def account_is_empty(status: int, text: bytes) -> bool:
    """Whether a server's answer says that nothing more is paid for: no pause and no other request changes that."""
    return status == 402 or (400 <= status < 500 and (b"insufficient_quota" in text or b"billing_hard_limit" in text))


def out_of_money(name: str, url: str, trouble: str) -> str:
    """The sentence of a job that such an answer ends."""
    return (
        f"the account of endpoint '{name}' at {url} is empty ({trouble}); what was answered is kept: "
        "fill it up, or name another endpoint of the same model, then run the same command again"
    )


def body(settings: Endpoint, request: Request) -> dict[str, Any]:
    """A request as `/chat/completions` takes it."""
    out: dict[str, Any] = {"model": settings.model, "messages": request.messages, **request.sampling}
    if request.schema is not None:
        if settings.structured == "json_schema":
            # Not `strict`, which some servers grant to a part of JSON Schema only: the form is checked here anyway.
            schema = {"name": "answer", "schema": request.schema}
            out["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif settings.structured == "json_object":
            out["response_format"] = {"type": "json_object"}
    return out


def answer_of(payload: Any, seconds: float, attempts: int) -> Answer:
    """The Answer in a chat completion. Raises Broken where it is none."""
    try:
        choice = payload["choices"][0]
        message, usage = choice["message"], payload.get("usage") or {}
        return Answer(
            text=message.get("content") or "",
            finish=choice.get("finish_reason") or "stop",
            tokens_in=int(usage.get("prompt_tokens") or 0),
            tokens_out=int(usage.get("completion_tokens") or 0),
            seconds=seconds,
            attempts=attempts,
            reasoning=message.get("reasoning_content") or message.get("reasoning") or "",
        )
    except (LookupError, TypeError, AttributeError, ValueError):
        raise Broken(f"the body is not a chat completion: {_short(orjson.dumps(payload))}") from None


def _parsed(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        raise Broken(f"the body is not a chat completion: {_short(data)}") from None


def _socket(address: Any) -> socket.socket:
    """A socket whose dead peer is noticed in two minutes, also where nothing is streamed."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made


def _allow_files(count: int) -> None:
    """Raise this process' limit of open files, as far as it may: every request in flight is a connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _seconds(retry_after: str | None) -> float:
    """A Retry-After header in seconds; 0 without one, or where it cannot be read."""
    if not retry_after:
        return 0.0
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return 0.0


def _pause(attempt: int) -> float:
    """Seconds before the next attempt: doubling, with jitter."""
    return random.uniform(0.5, 1.0) * min(BACKOFF_CAP_S, BACKOFF_S * 2 ** (attempt - 1))


def _short(data: bytes) -> str:
    return " ".join(data[:300].decode("utf-8", "replace").split())[:160]
