"""sft/code: a page for each variant.

In: the variants of a category. Out: one PAGE row an answer that holds a complete page. Cut-off and empty answers are
rejected by name and stay in the journal. Paper scale: 240K requests of up to 16K tokens, the costliest step.
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
    """Ask for a page for every variant of `input` and write table and ledger."""
    async with generate.roles(config, "sft/code", shard, "coder") as [coder]:
        return await generate.in_order(
            tables.rows(input, ["id", "category", "kind", "prompt"]),
            lambda row: [row["id"]],
            lambda row: page(config, coder, row),
            output,
            PAGE,
            [coder],
            Progress(f"sft/code {shard}", tables.count(input)),
        )


async def page(config: Config, coder: Client, row: Row) -> list[Outcome]:
    """The page of one variant."""
    messages = prompts.load("sft_code").fill(prompt=row["prompt"])
    draft = {"id": row["id"], "group": row["category"], "kind": row["kind"], "prompt": row["prompt"]}
    return [await pages.page(coder, messages, config.sft.code.sampling, draft)]
