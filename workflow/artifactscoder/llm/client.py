"""A role that answers: the journal before the endpoint, forms checked after it.

`Client.ask` gives the recorded answer of a request or asks, records, and only then returns. `Client.ask_json` asks
for JSON of a given form, and asks again, with the mistake shown, as often as it is allowed; each re-ask is a request
of its own with its own place in the journal, so that a resumed job takes the same way again without asking.
An answer that is empty, cut off or of the wrong form raises `Unusable` with the word for the ledger; numbers are never
guessed out of text.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from types import TracebackType
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from artifactscoder.config import Config
from artifactscoder.config.engines import Sampling
from artifactscoder.html import repetition
from artifactscoder.html.extract import thoughts
from artifactscoder.journal import Journal
from artifactscoder.ledger import Usage
from artifactscoder.llm import drain
from artifactscoder.llm.budget import Budget
from artifactscoder.llm.endpoint import open_endpoint
from artifactscoder.llm.prompts import Message
from artifactscoder.llm.request import Answer, Asks, Refused, Request

Form = TypeVar("Form", bound=BaseModel)
SAMPLE = 1000  # places in the journal for the re-asks of one sample


class Unusable(Exception):
    """An answer that cannot be used. `status` is `rejected` (the answer's fault) or `failed` (nobody answered).

    `text`: the answer, where there is one.
    """

    def __init__(self, status: str, reason: str, detail: str, usage: Usage, text: str = "") -> None:
        super().__init__(detail)
        self.status, self.reason, self.detail, self.usage, self.text = status, reason, detail, usage, text


def request_key(identity: dict[str, str], request: Request) -> str:
    """The digest that names a request: model and revision, messages, sampling, schema and sample index."""
    canonical = orjson.dumps([identity, vars(request)], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()[:32]


class Client:
    """One role of the configuration (or the `endpoint` of that name), answering through one journal.

    `asked` counts the requests that went to the endpoint, `recalled` those that needed no asking. `asks`: who is asked
    in the endpoint's stead.
    """

    def __init__(
        self, config: Config, role: str, journal: Journal, endpoint: str = "", asks: Asks | None = None
    ) -> None:
        self.name, self.settings = (endpoint, config.endpoints[endpoint]) if endpoint else config.endpoint(role)
        self.journal = journal
        self.asked = self.recalled = 0
        self._under_way: dict[str, asyncio.Future[tuple[Answer, float]]] = {}  # by key: answer and cost
        self._budget = Budget(config.budget, config.journal, journal)
        self._endpoint = asks or open_endpoint(self.name, self.settings, journal.folder)

    @property
    def maker(self) -> str:
        """What the tables call the maker of an answer; what no model made says so."""
        return self.settings.maker

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
        same: list[Message] | None = None,
    ) -> tuple[Answer, Usage, str]:
        """The answer, what it cost, and the key of its request. Raises Unusable when there is none.

        `same`: what stands for the messages in the key, where two requests may differ in what changes nothing.
        """
        request = Request(messages, sampling.model_dump(), schema, index)
        key = request_key(self.settings.identity(), request if same is None else replace(request, messages=same))
        entry = self.journal.get(key)
        if entry is not None:
            self.recalled += 1
            answer = Answer(**entry["answer"])
            cost = entry["paid"][2] if "paid" in entry else self.settings.cost(answer.tokens_in, answer.tokens_out)
        else:
            answer, cost = await self._once(key, request)
        usage = Usage(
            attempts=answer.attempts,
            tokens_in=answer.tokens_in,
            tokens_out=answer.tokens_out,
            cost=cost,
            seconds=round(answer.seconds, 3),
        )
        if answer.finish == "repeated" or (answer.finish == "length" and repetition.loops(answer.text, 2000)):
            raise Unusable("rejected", "repeated", "the answer repeats one passage over and over", usage, answer.text)
        if answer.finish == "length":
            raise Unusable("rejected", "truncated", "the answer was cut off at max_tokens", usage, answer.text)
        if answer.finish == "content_filter":
            raise Unusable(
                "rejected", "refused", "the server's content filter held the answer back", usage, answer.text
            )
        if not thoughts(answer.text)[0].strip():
            raise Unusable("rejected", "empty", "the answer is empty", usage)
        return answer, usage, key

    async def _once(self, key: str, request: Request) -> tuple[Answer, float]:
        """Ask; of equal requests at the same time one goes out, and the others take what becomes of it.

        Where that one is cancelled, another goes out in its stead.
        """
        while first := self._under_way.get(key):
            await asyncio.wait([first])
            if not first.cancelled():
                self.recalled += 1
                return first.result()
        mine = self._under_way[key] = asyncio.get_running_loop().create_future()
        try:
            mine.set_result(await self._paid(key, request))
        except Exception as error:
            mine.set_exception(error)
        finally:
            del self._under_way[key]
            mine.cancel()  # without effect, unless this one is cancelled
        return mine.result()

    async def _paid(self, key: str, request: Request) -> tuple[Answer, float]:
        """Ask and record."""
        await self._budget.check()
        self.asked += 1
        try:
            answer = await self._endpoint.ask(request)
        except Refused as refusal:
            raise Unusable("failed", refusal.reason, str(refusal), Usage(attempts=refusal.attempts)) from None
        cost = self.settings.cost(answer.tokens_in, answer.tokens_out)
        paid = (answer.tokens_in, answer.tokens_out, cost, round(answer.seconds, 3))
        with drain.busy():
            await self.journal.put(key, {"answer": vars(answer)}, paid, self.settings.label)
        return answer, cost

    async def ask_json(
        self,
        messages: list[Message],
        sampling: Sampling,
        form: type[Form],
        asks: int,
        sample: int = 0,
        same: list[Message] | None = None,
    ) -> tuple[Form, Usage, str]:
        """An answer of the given form, its cost with all re-asks, and the key of the request that gave it.

        `sample`: which of several answers to the same request, from 0; each has a place of its own in the journal.
        `same`: see `ask`.
        """
        schema = form.model_json_schema()
        total = Usage()
        reason, detail = "", ""
        for turn in range(asks):
            try:
                answer, usage, key = await self.ask(messages, sampling, schema, SAMPLE * sample + turn, same)
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
