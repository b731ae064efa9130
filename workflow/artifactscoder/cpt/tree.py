"""cpt/tree: topics below one root, breadth first, one request a node.

In: a root of the seed file. Out: one NODE row a topic; its id is its place (`retail-commerce/03/07`), its `path` the
names from the root. A place is rejected, and has nothing below it, when the answer leaves it empty, when its name is
that of a topic above it (a cycle), stands already in this root's tree, or is no name; names are the same when their
words are, whatever their order, case, plural or conjunction. With 8, 8, 7 and 7 children a root of depth 5 has 3,136
leaves, 25 roots 78,400; 585 requests a root, each of them answered once: a killed step goes on at the node it was at.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Container
from pathlib import Path

from pydantic import BaseModel, Field

from artifactscoder import seeds, tables
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.ledger import Ledger, beside
from artifactscoder.llm import generate, prompts
from artifactscoder.llm.client import Client, Unusable
from artifactscoder.llm.generate import Outcome, unusable
from artifactscoder.progress import Progress, say
from artifactscoder.records import NODE, slots
from artifactscoder.tables import Row


class Topics(BaseModel):
    topics: list[str] = Field(min_length=1)


LONGEST = 100  # characters of a name; asked for are two to six words
_SMALL = frozenset("a an and at by for from in of on or the to with".split())


def key(name: str) -> tuple[str, ...]:
    """What is equal for names that say the same; empty where nothing is said."""
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", name).casefold())
    said = [word for word in words if word not in _SMALL] or words
    return tuple(sorted({word[:-1] if len(word) > 3 and word.endswith("s") else word for word in said}))


def fault(path: list[str], names: Container[tuple[str, ...]]) -> str:
    """Why the last name of a path cannot stand there, `names` being those taken; empty when it can."""
    own = key(path[-1])
    if not own or len(path[-1]) > LONGEST or re.search(r"[{}<>]", path[-1]):
        return "no_name"
    if own in map(key, path[:-1]):
        return "cycle"
    return "same_name" if own in names else ""


async def run(config: Config, root: str, output: Path) -> Ledger:
    """Grow the tree of `root` and write table and ledger."""
    found = [row for row in seeds.cpt_roots(config) if row["slug"] == root]
    if not found:
        raise UserError(f"there is no root '{root}' among those that the configuration grows")
    ledger = Ledger(beside(output))
    levels = config.cpt.tree.children
    progress = Progress(f"cpt/tree {root}", None)
    names = {key(found[0]["name"])}
    parents: list[Row] = [{"id": root, "path": [found[0]["name"]]}]
    async with generate.roles(config, "cpt/tree", root, "teacher") as [teacher]:
        with tables.Writer(output, NODE) as writer:
            for level, count in enumerate(levels, 2):
                # All nodes of a level are asked for at once; the endpoint bounds how many are in flight.
                before = ledger.counts.copy()
                answers = await asyncio.gather(
                    *(children(config, teacher, found[0]["brief"], parent, count) for parent in parents)
                )
                parents = []
                for outcomes in answers:
                    ledger.enter(outcome.id for outcome in outcomes)
                    for outcome in outcomes:
                        row = outcome.row
                        if row is not None and (why := fault(row["path"], names)):
                            outcome.status, outcome.reason, outcome.detail = "rejected", why, row["path"][-1]
                        ledger.leave(outcome.id, outcome.status, outcome.reason, outcome.detail, outcome.usage)
                        if outcome.status == "ok" and row is not None:
                            names.add(key(row["path"][-1]))
                            parents.append(row)
                            leaf = level == len(levels) + 1
                            writer.write({**row, "root": root, "level": level, "leaf": leaf})
                        progress.step()
                made = ledger.counts - before
                say(f"cpt/tree {root}: level {level}: {made['ok']} topics, {made.total() - made['ok']} places empty")
            ledger.close()
    progress.end(ledger.summary())
    return ledger


async def children(config: Config, teacher: Client, brief: str, parent: Row, count: int) -> list[Outcome]:
    """What is directly below `parent` (id and path), one outcome a place; not yet compared with the whole tree."""
    settings = config.cpt.tree
    ids = list(slots(parent["id"], count))
    messages = prompts.load("cpt_tree").fill(path=" > ".join(parent["path"]), brief=brief, count=str(count))
    try:
        answer, usage, key = await teacher.ask_json(messages, settings.sampling, Topics, settings.asks)
    except Unusable as trouble:
        return unusable(ids, trouble)
    outcomes = []
    for i, (id_, share) in enumerate(zip(ids, usage.split(count), strict=True)):
        name = " ".join(answer.topics[i].split()) if i < len(answer.topics) else ""
        if not name:
            outcomes.append(Outcome(id_, "rejected", "missing", f"{len(answer.topics)} topics came", share))
            continue
        row = {"id": id_, "path": [*parent["path"], name], "maker": teacher.maker, "request": key}
        outcomes.append(Outcome(id_, usage=share, row=row))
    return outcomes
