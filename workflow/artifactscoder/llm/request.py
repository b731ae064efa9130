"""What is asked and what comes back: the small interface between a client and every kind of endpoint.

An endpoint takes a `Request` and gives an `Answer` or raises: `Refused` when it will not answer THIS request (the
record fails, the others go on), `UserError` when it will answer none (wrong key, wrong address, nobody there: the job
stops and loses nothing, for what was answered is in the journal).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

from artifactscoder.errors import UserError
from artifactscoder.llm.prompts import Message


class Refused(Exception):
    """The server does not answer this request: `reason` is a word for the ledger, the text says more."""

    def __init__(self, reason: str, text: str, attempts: int = 1) -> None:
        super().__init__(text)
        self.reason = reason
        self.attempts = attempts


class Unreachable(UserError):
    """Nobody answers for now: no server takes a connection, or the account is empty. A server that is started again, or
    a payment, mends it, without a word of the configuration changed."""


@dataclass(frozen=True)
class Request:
    """What is asked. `schema`: JSON schema of the answer, if it is to be JSON. `index`: which sample of several."""

    messages: list[Message]
    sampling: dict[str, Any]
    schema: dict[str, Any] | None = None
    index: int = 0


@dataclass(frozen=True)
class Answer:
    """What came back. `finish`: `stop`, `length` (cut off) or what the server says. Times in seconds."""

    text: str
    finish: str
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    attempts: int = 1
    reasoning: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


class Asks(Protocol):
    """The interface of every kind of endpoint."""

    async def __aenter__(self) -> Asks: ...
    async def ask(self, request: Request) -> Answer: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
