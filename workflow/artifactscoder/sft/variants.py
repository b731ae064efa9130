"""sft/variants: each task rewritten under every kind, one request a task.

In: the tasks of a category. Out: one row a variant, `game-puzzle/number-place/01/layout`, whose `prompt` stands alone.
A kind that the answer leaves out is rejected by name. Paper scale: 20K requests, 240K variants.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field

from artifactscoder import seeds, tables
from artifactscoder.config import Config
from artifactscoder.ledger import Ledger
from artifactscoder.llm import generate, prompts
from artifactscoder.llm.client import Client, Unusable
from artifactscoder.llm.generate import Outcome, unusable
from artifactscoder.progress import Progress
from artifactscoder.records import VARIANT
from artifactscoder.seeds import Seed
from artifactscoder.tables import Row


class Variant(BaseModel):
    kind: str
    prompt: str = Field(min_length=40, max_length=6000)


class Variants(BaseModel):
    variants: list[Variant] = Field(min_length=1)


async def run(config: Config, input: Path, shard: str, output: Path) -> Ledger:
    """Ask for the variants of every task of `input` and write table and ledger."""
    kinds = seeds.variants(config)
    async with generate.roles(config, "sft/variants", shard, "teacher") as [teacher]:
        return await generate.in_order(
            tables.rows(input, ["id", "category", "title", "description"]),
            lambda row: [f"{row['id']}/{kind['slug']}" for kind in kinds],
            lambda row: task(config, teacher, kinds, row),
            output,
            VARIANT,
            [teacher],
            Progress(f"sft/variants {shard}", tables.count(input)),
        )


async def task(config: Config, teacher: Client, kinds: list[Seed], row: Row) -> list[Outcome]:
    """The variants of one task, one outcome a kind."""
    settings = config.sft.variants
    ids = [f"{row['id']}/{kind['slug']}" for kind in kinds]
    messages = prompts.load("sft_variants").fill(
        title=row["title"],
        description=row["description"],
        kinds="\n".join(f"- {kind['slug']}: {kind['instruction']}" for kind in kinds),
    )
    try:
        answer, usage, key = await teacher.ask_json(messages, settings.sampling, Variants, settings.asks)
    except Unusable as trouble:
        return unusable(ids, trouble)
    by_kind = {variant.kind.strip().lower(): variant.prompt.strip() for variant in answer.variants}
    outcomes = []
    for kind, id_, share in zip(kinds, ids, usage.split(len(ids)), strict=True):
        prompt = by_kind.get(kind["slug"])
        if prompt is None:
            outcomes.append(Outcome(id_, "rejected", "missing", f"no variant '{kind['slug']}' came", share))
            continue
        table_row = {
            "id": id_,
            "category": row["category"],
            "task": row["id"],
            "kind": kind["slug"],
            "prompt": prompt,
            "maker": teacher.maker,
            "request": key,
        }
        outcomes.append(Outcome(id_, usage=share, row=table_row))
    return outcomes
