"""The tables, ledgers and journals of a run, opened as a trace asks for them, and what a trace finds in them.

A trace believes no table. It does each step over again for the one record: the step's own function gets the row of the
table before and a `Recalled` client, which answers from the journal and asks nobody. What comes out must be the row,
and the line of the ledger, that stand in the files. A request is named by a digest of all that was asked, so a seed, a
prompt, a setting or an earlier table that is not what it was leads to a request that no journal holds.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from artifactscoder import recipe, tables
from artifactscoder.config import Config
from artifactscoder.config.engines import Sampling
from artifactscoder.journal import Journal
from artifactscoder.ledger import Usage, beside
from artifactscoder.llm import prompts
from artifactscoder.llm.client import Client, request_key
from artifactscoder.llm.generate import Outcome
from artifactscoder.llm.prompts import Message
from artifactscoder.llm.request import Answer, Request
from artifactscoder.render import RecordedPool, Render, RenderOptions
from artifactscoder.tables import Row

UNRECORDED = (
    "what the table before, the prompt and the settings would ask today is not in the journal: one of these is not "
    "what it was when the step ran"
)

AROUND = 20  # characters of a value that are shown before the first one that differs, and twice as many from it on


class NotRecorded(Exception):
    """The journal does not hold what is asked for."""


@dataclass
class Asked:
    """One request and its recorded answer. `prompt`: its file and digest, both empty for what has none."""

    key: str
    endpoint: dict[str, str]
    prompt: str
    prompt_digest: str
    messages: list[Message]
    journal: str
    answer: str = ""
    finish: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    cost: float = 0.0


@dataclass
class Check:
    """Something that must hold, and whether it does; `note` says what was found where it does not."""

    claim: str
    holds: bool
    note: str = ""


@dataclass
class Stop:
    """A record at one step. `status`: that of the ledger, or `none` where it never came (the step has not run)."""

    step: str
    id: str
    table: str = ""
    status: str = "ok"
    reason: str = ""
    detail: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    def check(self, claim: str, holds: bool, note: str = "") -> None:
        self.checks.append(Check(claim, holds, "" if holds else note))

    @property
    def there(self) -> bool:
        """Whether the record goes on from here."""
        return self.status == "ok"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class _Silent:
    """Stands in an endpoint's place, and asks nobody."""

    async def __aenter__(self) -> _Silent:
        return self

    async def ask(self, request: Request) -> Answer:
        raise NotRecorded

    async def __aexit__(self, *error: Any) -> None:
        pass


class Recalled(Client):
    """A client that knows what the journal holds, and remembers what it was asked."""

    def __init__(self, config: Config, step: str, journal: Journal, role: str = "", endpoint: str = "") -> None:
        super().__init__(config, role, journal, endpoint, asks=_Silent())
        self.asked_for: list[Asked] = []
        self._templates = [prompts.load(name) for name in recipe.STEPS[step].prompts]

    async def ask(
        self,
        messages: list[Message],
        sampling: Sampling,
        schema: dict[str, Any] | None = None,
        index: int = 0,
        same: list[Message] | None = None,
    ) -> tuple[Answer, Usage, str]:
        named = Request(messages if same is None else same, sampling.model_dump(), schema, index)
        identity = self.settings.identity()
        key = request_key(identity, named)
        of = next((t for t in self._templates if t.system == messages[0]["content"]), None)
        name, digest = (of.name, of.digest) if of else ("", "")
        one = Asked(key, identity, name, digest, [_text(m) for m in messages], str(self.journal.folder))
        self.asked_for.append(one)
        entry = self.journal.get(key)
        if entry is not None:
            answer = Answer(**entry["answer"])
            cost = entry["paid"][2] if "paid" in entry else 0.0
            one.answer, one.finish, one.cost = answer.text, answer.finish, cost
            one.tokens_in, one.tokens_out, one.seconds = answer.tokens_in, answer.tokens_out, round(answer.seconds, 3)
        return await super().ask(messages, sampling, schema, index, same)


def _text(message: Message) -> Message:
    """A message with the number of its pictures in their place."""
    pictures = len(prompts.images_of(message))
    return {
        "role": message["role"],
        "content": prompts.text_of(message),
        **({"pictures": pictures} if pictures else {}),
    }


class _NoBrowser:
    def __init__(self, options: RenderOptions) -> None:
        self.options = options

    async def render(self, html: str) -> Render:
        raise NotRecorded


class Book:
    """`async with Book(config) as book`: reads, and writes nothing."""

    def __init__(self, config: Config) -> None:
        self.config, self.results = config, config.results
        self._journals: dict[Path, Journal] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Book:
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._stack.aclose()

    def table(self, step: str, shard: str) -> Path:
        return self.results / step / f"{shard}.parquet"

    def row(self, path: Path, id_: str) -> Row | None:
        """A row by its id; None where the table, or the row, is not there. Reads one row group."""
        if not path.exists():
            return None
        with tables.open_table(path, ["id"]) as file:
            names = file.schema_arrow.names
        found = tables.read(path, names, [("id", "==", id_)]).to_pylist()
        return found[0] if found else None

    async def journal(self, step: str, shard: str) -> Journal:
        folder = self.config.journal / step / shard
        if folder not in self._journals:
            self._journals[folder] = await self._stack.enter_async_context(Journal(folder, frozen=True))
        return self._journals[folder]

    async def client(self, step: str, shard: str, role: str = "", endpoint: str = "") -> Recalled:
        return Recalled(self.config, step, await self.journal(step, shard), role, endpoint)

    async def judges(self, step: str, shard: str, names: Sequence[str]) -> list[Recalled]:
        return [await self.client(step, shard, endpoint=name) for name in names]

    async def recorded(self, step: str, shard: str, options: RenderOptions) -> RecordedPool:
        return RecordedPool(_NoBrowser(options), await self.journal(step, shard))

    def stop(self, step: str, path: Path, id_: str) -> tuple[Stop, Row | None]:
        """Where a record stands at a step by its ledger, and its row."""
        row, line = self.row(path, id_), self.row(beside(path), id_)
        stop = Stop(step, id_, str(path), "none")
        if line is not None:
            stop.status, stop.reason, stop.detail = line["status"], line["reason"], line["detail"]
            used = {name: line[name] for name in Usage().__dict__ if line[name]}
            stop.facts |= {"used": used} if used else {}
        if line is not None or row is not None:
            agree = (row is not None) == (line is not None and line["status"] == "ok")
            stop.check("table and ledger agree", agree, f"{stop.status} in the ledger, {_there(row)} in the table")
            stop.status = "ok" if row is not None and line is None else stop.status
        elif path.exists() or beside(path).exists():
            stop.check("what came from the step before is in the ledger", False, f"{path} knows nothing of it")
        return stop, row

    async def again(
        self, stop: Stop, row: Row | None, work: Awaitable[list[Outcome]], clients: Sequence[Recalled] = ()
    ) -> None:
        """Do a step over again for one record that came to it, and compare."""
        if stop.status == "none":
            if isinstance(work, Coroutine):
                work.close()
            return
        claim = (
            "row and ledger are what the recorded answer gives" if clients else "row and ledger are what the step gives"
        )
        try:
            found = next((one for one in await work if one.id == stop.id), None)
        except NotRecorded:
            # Nobody answered, so there is nothing on record.
            if stop.status != "failed":
                stop.check(claim, False, UNRECORDED)
        else:
            stop.check(claim, *self._same(stop, row, found))
        for client in clients:
            stop.asked += client.asked_for

    def _same(self, stop: Stop, row: Row | None, found: Outcome | None) -> tuple[bool, str]:
        if found is None:
            return False, "it gives no such record"
        said, gives = (stop.status, stop.reason, stop.detail), (found.status, found.reason, found.detail[:500])
        if said != gives:
            return False, f"ledger: {' '.join(filter(None, said))}; it gives: {' '.join(filter(None, gives))}"
        line = self.row(beside(Path(stop.table)), stop.id) or {}
        for name, value in vars(found.usage).items():
            if abs(line.get(name, 0) - value) > 1e-6 * max(1.0, abs(value)):
                return False, f"the ledger's {name} is {line.get(name)}, it gives {value}"
        if row is not None and found.row is not None:
            return differing(row, found.row)
        return True, ""


def differing(row: Row, other: Row) -> tuple[bool, str]:
    """Whether all columns that both have are equal, and what stands there instead in those that are not."""
    names = [name for name in row if name in other and row[name] != other[name]]
    return not names, "; ".join(f"{name} is {_apart(row[name], other[name])}" for name in names)


def _apart(is_: Any, gives: Any) -> str:
    """Two values, of long ones the place from where on they differ."""
    if isinstance(is_, bytes) or isinstance(gives, bytes):
        return "not the bytes that it gives"
    texts = [repr(is_), repr(gives)]
    begin = max(0, len(os.path.commonprefix(texts)) - AROUND)
    shown = [
        ("…" if begin else "") + text[begin : begin + 3 * AROUND] + ("…" if len(text) > begin + 3 * AROUND else "")
        for text in texts
    ]
    return f"{shown[0]}, it gives {shown[1]}"


def rejected(found: Outcome, reason: str, detail: str) -> Outcome:
    """An outcome as a later comparison within its step left it."""
    return replace(found, status="rejected", reason=reason, detail=detail)


def _there(row: Row | None) -> str:
    return "not" if row is None else "a row"
