"""A role that answers: the journal before the endpoint, forms checked after it.

`Client.ask` gives the recorded answer of a request or asks, records, and only then returns. `Client.ask_json` asks
for JSON of a given form, and asks again, with the mistake shown, as often as it is allowed; each re-ask is a request
of its own with its own place in the journal, so that a resumed job takes the same way again without asking.
An answer that is empty, cut off or of the wrong form raises `Unusable` with the word for the ledger; numbers are never
guessed out of text.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from types import TracebackType
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from artifactscoder.config import Config
from artifactscoder.config.engines import Sampling
from artifactscoder.html.extract import thoughts
from artifactscoder.journal import Journal
from artifactscoder.ledger import Usage
from artifactscoder.llm import drain
from artifactscoder.llm.endpoint import open_endpoint
from artifactscoder.llm.prompts import Message
from artifactscoder.llm.request import Answer, Refused, Request
from artifactscoder.records import PROCEDURAL

Form = TypeVar("Form", bound=BaseModel)


class Unusable(Exception):
    """An answer that cannot be used. `status` is `rejected` (the answer's fault) or `failed` (nobody answered)."""

    def __init__(self, status: str, reason: str, detail: str, usage: Usage) -> None:
        super().__init__(detail)
        self.status, self.reason, self.detail, self.usage = status, reason, detail, usage


def request_key(identity: dict[str, str], request: Request) -> str:
    """The digest that names a request: model and revision, messages, sampling, schema and sample index."""
    canonical = orjson.dumps([identity, asdict(request)], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()[:32]


class Client:
    """One role of the configuration, answering through one journal.

    `asked` counts the requests that went to the endpoint, `recalled` those that the journal answered.
    """

    def __init__(self, config: Config, role: str, journal: Journal) -> None:
        self.name, self.settings = config.endpoint(role)
        self.journal = journal
        self.asked = self.recalled = 0
        self._endpoint = open_endpoint(self.name, self.settings, journal.folder)

    @property
    def maker(self) -> str:
        """What the tables call the maker of an answer; what no model made says so."""
        return PROCEDURAL if self.settings.kind == "procedural" else self.settings.model

    async def __aenter__(self) -> Client:
        await self._endpoint.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._endpoint.__aexit__(kind, error, trace)

    async def ask(
        self,
        messages: list[Message],
        sampling: Sampling,
        schema: dict[str, Any] | None = None,
        index: int = 0,
    ) -> tuple[Answer, Usage, str]:
        """The answer, what it cost, and the key of its request. Raises Unusable when there is none."""
        request = Request(messages, sampling.model_dump(), schema, index)
        key = request_key(self.settings.identity(), request)
        entry = self.journal.get(key)
        if entry is not None:
            self.recalled += 1
            answer = Answer(**entry["answer"])
        else:
            self.asked += 1
            try:
                answer = await self._endpoint.ask(request)
            except Refused as refusal:
                raise Unusable("failed", refusal.reason, str(refusal), Usage(attempts=refusal.attempts)) from None
            with drain.busy():
                await self.journal.put(key, {"answer": asdict(answer)})
        usage = Usage(
            attempts=answer.attempts,
            tokens_in=answer.tokens_in,
            tokens_out=answer.tokens_out,
            cost=(answer.tokens_in * self.settings.price_in + answer.tokens_out * self.settings.price_out) / 1e6,
            seconds=round(answer.seconds, 3),
        )
        if answer.finish == "length":
            raise Unusable("rejected", "truncated", "the answer was cut off at max_tokens", usage)
        if answer.finish == "content_filter":
            raise Unusable("rejected", "refused", "the server's content filter held the answer back", usage)
        if not thoughts(answer.text)[0].strip():
            raise Unusable("rejected", "empty", "the answer is empty", usage)
        return answer, usage, key

    async def ask_json(
        self, messages: list[Message], sampling: Sampling, form: type[Form], asks: int
    ) -> tuple[Form, Usage, str]:
        """An answer of the given form, its cost with all re-asks, and the key of the request that gave it."""
        schema = form.model_json_schema()
        total = Usage()
        reason, detail = "", ""
        for turn in range(asks):
            try:
                answer, usage, key = await self.ask(messages, sampling, schema, index=turn)
            except Unusable as trouble:
                total += trouble.usage
                if trouble.status == "failed" or turn == asks - 1:
                    raise Unusable(trouble.status, trouble.reason, trouble.detail, total) from None
                continue
            total += usage
            text = _json_part(thoughts(answer.text)[0])
            try:
                return form.model_validate_json(text), total, key
            except ValidationError as error:
                first = error.errors()[0]
                reason = "bad_json" if first["type"] == "json_invalid" else "wrong_form"
                where = ".".join(str(part) for part in first["loc"])
                detail = f"{where}: {first['msg']}" if where else first["msg"]
            messages = [
                *messages[:2],
                {"role": "assistant", "content": answer.text[:20_000]},
                {
                    "role": "user",
                    "content": f"That answer cannot be used: {detail}. "
                    "Answer again, with the complete JSON object only.",
                },
            ]
        raise Unusable("rejected", reason, detail, total)


def _json_part(text: str) -> str:
    """The JSON object of an answer that wraps it in a fence or in prose."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text
