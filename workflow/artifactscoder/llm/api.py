"""Endpoints of kind `api`: any OpenAI-compatible server, asked over one pooled aiohttp session.

Measured, that costs a tenth of the CPU of the `openai` package's own transport, and its retries can be told apart from
ours: 429, 5xx, time-outs, resets and broken bodies are asked again with growing pauses, then `Refused` by that name;
where no server takes connections, they are tried on for `patience_s`. `servers` says which one is asked, and when.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from types import TracebackType
from typing import Any

import aiohttp
import orjson

from artifactscoder.config import Endpoint
from artifactscoder.errors import UserError
from artifactscoder.llm import drain
from artifactscoder.llm.request import Answer, Refused, Request
from artifactscoder.llm.servers import Servers, Verdict

BACKOFF_S = 1.0
BACKOFF_CAP_S = 60.0


class ApiEndpoint:
    """An OpenAI-compatible `/chat/completions`, asked at most `concurrency` times at once."""

    def __init__(self, name: str, settings: Endpoint) -> None:
        self.name = name
        self.settings = settings
        self._servers = Servers(
            settings.urls, settings.concurrency, settings.requests_per_minute, settings.tokens_per_minute
        )
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> ApiEndpoint:
        headers = {"Content-Type": "application/json"}
        if variable := self.settings.key_env:
            key = os.environ.get(variable)
            if not key:
                raise UserError(
                    f"endpoint '{self.name}' takes its key from the environment variable {variable}, which is not "
                    f"set; run `export {variable}=...` first"
                )
            headers["Authorization"] = f"Bearer {key}"
        self._session = aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=self.settings.timeout_s, sock_connect=20),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def _body(self, request: Request) -> bytes:
        body: dict[str, Any] = {
            "model": self.settings.model,
            "messages": request.messages,
            **request.sampling,
        }
        if request.schema is not None:
            if self.settings.structured == "json_schema":
                # Not `strict`, which some servers grant to a part of JSON Schema only: the form is checked here anyway.
                body["response_format"] = {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": request.schema},
                }
            elif self.settings.structured == "json_object":
                body["response_format"] = {"type": "json_object"}
        return orjson.dumps(body)

    async def ask(self, request: Request) -> Answer:
        assert self._session is not None
        body = self._body(request)
        attempt, most = 0, len(body) // 4 + int(request.sampling.get("max_tokens", 0))
        while True:
            server = await self._servers.take(most)
            url, start = server.url + "/chat/completions", time.monotonic()
            verdict: Verdict = "other"
            after, tokens = 0.0, 0
            try:
                await drain.gate()
                attempt += 1
                with drain.busy():
                    async with self._session.post(url, data=body) as response:
                        data = await response.read()
                        status, after = response.status, _seconds(response.headers.get("Retry-After"))
                if status == 200:
                    answer = self._answer(data, time.monotonic() - start, attempt)
                    verdict, tokens = "good", answer.tokens_in + answer.tokens_out
                    return answer
                trouble = f"HTTP {status}: {_short(data)}"
                if status in (401, 403):
                    raise UserError(
                        f"endpoint '{self.name}' at {url} refuses the key ({trouble}); "
                        f"check {self.settings.key_env or 'key_env'}"
                    )
                if status in (404, 405):
                    raise UserError(
                        f"endpoint '{self.name}' has no model '{self.settings.model}' at {url} ({trouble}); "
                        "check `url` and `model` in the configuration"
                    )
                if status < 500 and status not in (408, 409, 425, 429):
                    raise Refused(f"http_{status}", trouble, attempt)
                reason, verdict = f"http_{status}", "crowded" if status in (429, 503) else "trouble"
            except aiohttp.ClientConnectorError as error:
                verdict, trouble = "refused", str(error.os_error.strerror or error)
            except TimeoutError:
                reason, verdict = "timeout", "trouble"
                trouble = f"no answer in {self.settings.timeout_s:g} s"
            except aiohttp.ClientError as error:
                reason, verdict, trouble = "connection", "trouble", f"{type(error).__name__}: {error}"[:200]
            except _Broken as error:
                reason, trouble = "broken_body", str(error)
            finally:
                self._servers.give(server, verdict, start, after, most - tokens)
            if verdict == "refused":
                # Nobody listens: no fault of the request. The others are asked; once none has taken a connection for
                # `patience_s`, the whole job stops.
                attempt -= 1
                silent = self._servers.silent_for()
                if silent is not None and silent >= self.settings.patience_s:
                    raise UserError(
                        f"endpoint '{self.name}' at {', '.join(self.settings.urls)} cannot be reached ({trouble}); "
                        "start the server or correct `url`, then run the same command again"
                    )
                continue
            if attempt > self.settings.retries:
                raise Refused(reason, trouble, attempt)
            await asyncio.sleep(max(after, _pause(attempt)))

    def _answer(self, data: bytes, seconds: float, attempts: int) -> Answer:
        try:
            payload = orjson.loads(data)
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
        except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError, ValueError):
            raise _Broken(f"the body is not a chat completion: {_short(data)}") from None


class _Broken(Exception):
    pass


def _seconds(retry_after: str | None) -> float:
    """A Retry-After header in seconds; 0 without one, or where it is a date."""
    try:
        return max(0.0, float(retry_after or 0))
    except ValueError:
        return 0.0


def _pause(attempt: int) -> float:
    """Seconds before the next attempt: doubling, with jitter."""
    return random.uniform(0.5, 1.0) * min(BACKOFF_CAP_S, BACKOFF_S * 2 ** (attempt - 1))


def _short(data: bytes) -> str:
    return " ".join(data[:300].decode("utf-8", "replace").split())[:160]
