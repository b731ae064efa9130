"""cpt/code: a page for each prompt of a shard.

In: PROMPT rows. Out: PAGE rows. Paper scale: 8M requests in 100 shards of 80K.
"""

from __future__ import annotations

from pathlib import Path

from artifactscoder import tables
from artifactscoder.config import Config
from artifactscoder.ledger import Ledger
from artifactscoder.llm import generate, pages, prompts
from artifactscoder.llm.client import Client
from artifactscoder.llm.generate import Outcome
from artifactscoder.progress import Progress
from artifactscoder.records import PAGE
from artifactscoder.tables import Row


async def run(config: Config, input: Path, shard: str, output: Path) -> Ledger:
    """Ask for a page for every prompt of `input` and write table and ledger."""
    async with generate.roles(config, "cpt/code", shard, "coder") as [coder]:
        return await generate.in_order(
            tables.rows(input, ["id", "root", "prompt"]),
            lambda row: [row["id"]],
            lambda row: page(config, coder, row),
            output,
            PAGE,
            [coder],
            Progress(f"cpt/code {shard}", tables.count(input)),
        )


async def page(config: Config, coder: Client, row: Row) -> list[Outcome]:
    """The page of one prompt."""
    messages = prompts.load("cpt_code").fill(prompt=row["prompt"])
    draft = {"id": row["id"], "group": row["root"], "kind": "tree", "prompt": row["prompt"]}
    return [await pages.page(coder, messages, config.cpt.code.sampling, draft)]
