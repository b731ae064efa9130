"""rl/reference: a reference page for each RL prompt, which S_sim compares the model's answers with.

In: the RL prompts. Out: PAGE rows, `group` the family, `kind` the stack. Paper scale: 2,000 requests.
"""

from __future__ import annotations

import json
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


async def run(config: Config, input: Path, output: Path) -> Ledger:
    """Ask for a reference page for every prompt of `input` and write table and ledger."""
    async with generate.roles(config, "rl/reference", "all", "reference") as [reference]:
        return await generate.in_order(
            tables.rows(input, ["id", "family", "stack", "prompt", "checklist"]),
            lambda row: [row["id"]],
            lambda row: page(config, reference, row),
            output,
            PAGE,
            [reference],
            Progress("rl/reference", tables.count(input)),
        )


async def page(config: Config, reference: Client, row: Row) -> list[Outcome]:
    """The reference page of one prompt."""
    checklist = "\n".join(f"- {item['title']}" for item in json.loads(row["checklist"]))
    messages = prompts.load("rl_reference").fill(prompt=row["prompt"], checklist=checklist)
    draft = {"id": row["id"], "group": row["family"], "kind": row["stack"], "prompt": row["prompt"]}
    return [await pages.page(reference, messages, config.rl.reference.sampling, draft)]
