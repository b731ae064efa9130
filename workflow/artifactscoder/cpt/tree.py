"""cpt/tree: topics below one root, breadth first, one request a node.

In: a root of the seed file. Out: one NODE row a topic; its id is its place (`retail-commerce/03/07`), its `path` the
names from the root. A place that the answer leaves empty, or fills with a name that stands already in this root's
tree, is rejected and has nothing below it. With 8, 8, 7 and 7 children a root of depth 5 has 3,136 leaves, 25 roots
78,400; 585 requests a root.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from pydantic import BaseModel, Field

from artifactscoder import seeds, tables
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.ledger import Ledger, beside
from artifactscoder.llm import generate, prompts
from artifactscoder.llm.client import Client, Unusable
from artifactscoder.llm.generate import Outcome, unusable
from artifactscoder.progress import Progress
from artifactscoder.records import NODE, slots, slug
from artifactscoder.tables import Row


class Topics(BaseModel):
    topics: list[str] = Field(min_length=1)


async def run(config: Config, root: str, output: Path) -> Ledger:
    """Grow the tree of `root` and write table and ledger."""
    found = [row for row in seeds.cpt_roots(config) if row["slug"] == root]
    if not found:
        raise UserError(f"there is no root '{root}' among those that the configuration grows")
    ledger = Ledger(beside(output))
    levels = config.cpt.tree.children
    progress = Progress(f"cpt/tree {root}", None)
    names = {slug(found[0]["name"])}
    parents: list[Row] = [{"id": root, "path": [found[0]["name"]]}]
    async with generate.roles(config, "cpt/tree", root, "teacher") as [teacher]:
        with tables.Writer(output, NODE) as writer:
            for level, count in enumerate(levels, 2):
                # All nodes of a level are asked for at once; the endpoint bounds how many are in flight.
                answers = await asyncio.gather(
                    *(_children(config, teacher, found[0]["brief"], parent, count) for parent in parents)
                )
                parents = []
                for outcomes in answers:
                    ledger.enter(outcome.id for outcome in outcomes)
                    for outcome in outcomes:
                        row = outcome.row
                        if row is not None and slug(row["path"][-1]) in names:
                            outcome.status, outcome.reason = "rejected", "same_name"
                            outcome.detail = row["path"][-1]
                        ledger.leave(outcome.id, outcome.status, outcome.reason, outcome.detail, outcome.usage)
                        if outcome.status == "ok" and row is not None:
                            names.add(slug(row["path"][-1]))
                            parents.append(row)
                            leaf = level == len(levels) + 1
                            writer.write({**row, "root": root, "level": level, "leaf": leaf})
                        progress.step()
            ledger.close()
    progress.end(ledger.summary())
    return ledger


async def _children(config: Config, teacher: Client, brief: str, parent: Row, count: int) -> list[Outcome]:
    settings = config.cpt.tree
    ids = list(slots(parent["id"], count))
    messages = prompts.load("cpt_tree").fill(path=" > ".join(parent["path"]), brief=brief, count=str(count))
    try:
        answer, usage, key = await teacher.ask_json(messages, settings.sampling, Topics, settings.asks)
    except Unusable as trouble:
        return unusable(ids, trouble)
    outcomes = []
    for i, (id_, share) in enumerate(zip(ids, usage.split(count), strict=True)):
        name = answer.topics[i].strip() if i < len(answer.topics) else ""
        if not slug(name):
            outcomes.append(Outcome(id_, "rejected", "missing", f"{len(answer.topics)} topics came", share))
            continue
        row = {"id": id_, "path": [*parent["path"], name], "maker": teacher.maker, "request": key}
        outcomes.append(Outcome(id_, usage=share, row=row))
    return outcomes
