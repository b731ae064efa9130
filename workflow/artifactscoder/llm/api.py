"""Endpoints of kind `api`: any OpenAI-compatible server, asked over one pooled aiohttp session.

Measured, that costs a tenth of the CPU of the `openai` package's own transport, and its retries can be told apart from
ours: 429, 5xx, time-outs, resets and broken bodies are asked again with growing pauses, then `Refused` by that name; a
server that refuses connections is tried on for `patience_s`.
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

BACKOFF_S = 1.0
BACKOFF_CAP_S = 60.0


class ApiEndpoint:
    """An OpenAI-compatible `/chat/completions`, asked at most `concurrency` times at once."""

    def __init__(self, name: str, settings: Endpoint) -> None:
        self.name = name
        self.settings = settings
        self._slots = asyncio.Semaphore(settings.concurrency)
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
        url = self.settings.url.rstrip("/") + "/chat/completions"
        attempt, refused_since = 0, 0.0
        async with self._slots:
            while True:
                await drain.gate()
                attempt += 1
                start = time.monotonic()
                try:
                    with drain.busy():
                        async with self._session.post(url, data=body) as response:
                            data = await response.read()
                            status, after = response.status, response.headers.get("Retry-After")
                    if status == 200:
                        return self._answer(data, time.monotonic() - start, attempt)
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
                    reason = f"http_{status}"
                except aiohttp.ClientConnectorError as error:
                    # Nobody listens: no fault of the request. Tried on for `patience_s`, then the whole job stops.
                    refused_since = refused_since or start
                    if time.monotonic() - refused_since >= self.settings.patience_s:
                        raise UserError(
                            f"endpoint '{self.name}' at {self.settings.url} cannot be reached "
                            f"({error.os_error.strerror or error}); start the server or correct `url`, then run the "
                            "same command again"
                        ) from None
                    await asyncio.sleep(min(2.0, self.settings.patience_s))
                    attempt -= 1
                    continue
                except TimeoutError:
                    reason, trouble, after = "timeout", f"no answer in {self.settings.timeout_s:g} s", None
                except aiohttp.ClientError as error:
                    reason, trouble, after = "connection", f"{type(error).__name__}: {error}"[:200], None
                except _Broken as error:
                    reason, trouble, after = "broken_body", str(error), None
                refused_since = 0.0
                if attempt > self.settings.retries:
                    raise Refused(reason, trouble, attempt)
                await asyncio.sleep(_pause(attempt, after))

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


def _pause(attempt: int, retry_after: str | None) -> float:
    """Seconds before the next attempt: what the server asks for, else doubling with jitter."""
    try:
        asked = float(retry_after) if retry_after else 0.0
    except ValueError:
        asked = 0.0
    return max(asked, random.uniform(0.5, 1.0) * min(BACKOFF_CAP_S, BACKOFF_S * 2 ** (attempt - 1)))


def _short(data: bytes) -> str:
    return " ".join(data[:300].decode("utf-8", "replace").split())[:160]
