"""rl/prompts: task families times tech stacks, no model needed.

Each family gets its share of the prompts by weight (largest remainders), drawn without replacement from its tasks in
every stack, so that all prompts are distinct, and evenly: no task has two stacks more than another. A prompt that
stands in a benchmark is rejected as `contaminated` (as in sft/decontaminate), and the next one is drawn in its place.
Each row carries its 20 checklist items: ten of its family, ten of all.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from artifactscoder import seeds, tables
from artifactscoder.config import Config
from artifactscoder.dedup.contamination import Benchmarks
from artifactscoder.errors import UserError
from artifactscoder.html import mask
from artifactscoder.ledger import Ledger, beside
from artifactscoder.llm import prompts
from artifactscoder.progress import Progress
from artifactscoder.records import RL_PROMPT
from artifactscoder.seeds import Seed
from artifactscoder.tables import Row


def shares(families: list[Seed], count: int) -> list[int]:
    """How many prompts each family gets: by weight, rounded by largest remainders, ties by order."""
    exact = [family["weight"] * count for family in families]
    out = [int(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (out[i] - exact[i], i))
    for i in by_remainder[: count - sum(out)]:
        out[i] += 1
    return out


def drawn(tasks: list[Seed], stacks: list[Seed], seed: str) -> list[tuple[Seed, Seed]]:
    """All (task, stack) in the order in which they are drawn: each task once, then each in another stack, and so on."""
    draw = random.Random(seed)
    tasks, stacks = draw.sample(tasks, len(tasks)), draw.sample(stacks, len(stacks))
    return [
        (task, stacks[(place + turn) % len(stacks)]) for turn in range(len(stacks)) for place, task in enumerate(tasks)
    ]


def filled(template: prompts.Prompt, family: Seed, task: Seed, stack: Seed, checklist: str) -> Row:
    """The row of a task in a stack, before masking."""
    fields = {"title": task["title"], "brief": task["brief"], "stack": stack["instruction"]}
    return {
        "id": f"{family['slug']}/{task['slug']}/{stack['slug']}",
        "family": family["slug"],
        "task": f"{family['slug']}/{task['slug']}",
        "stack": stack["slug"],
        "prompt": template.fill(**fields)[1]["content"],
        "checklist": checklist,
    }


def run(config: Config, output: Path) -> Ledger:
    """Write the prompts."""
    families, stacks = seeds.rl_families(config), seeds.tech_stacks(config)
    universal = seeds.rl_universal(config)
    template = prompts.load("rl_task")
    benchmarks = Benchmarks(config.decontaminate)
    ledger = Ledger(beside(output))
    progress = Progress("rl/prompts", config.rl.prompts.count)
    with tables.Writer(output, RL_PROMPT) as writer:
        for family, share in zip(families, shares(families, config.rl.prompts.count), strict=True):
            places = drawn(family["tasks"], stacks, f"{config.seed}/{family['slug']}")
            if share > len(places):
                raise UserError(
                    f"family '{family['slug']}' is to give {share} distinct prompts but has {len(family['tasks'])} "
                    f"tasks in {len(stacks)} stacks; add tasks to {config.seeds.rl_families} or lower "
                    "rl.prompts.count"
                )
            checklist = json.dumps([*universal, *family["checklist"]], ensure_ascii=False)
            rows: list[Row] = []
            for task, stack in places:
                if len(rows) == share:
                    break
                row = filled(template, family, task, stack, checklist)
                ledger.enter([row["id"]])
                if overlap := benchmarks.overlap(row["prompt"]):
                    ledger.leave(row["id"], "rejected", "contaminated", overlap)
                    continue
                rows.append(row)
            for row in sorted(rows, key=lambda row: row["id"].split("/")):
                row, detail = mask.masked(row, ["prompt"]) if config.mask else (row, "")
                ledger.leave(row["id"], "ok", detail=detail)
                writer.write(row)
                progress.step()
        ledger.close()
    progress.end(f"{ledger.summary()}, {config.rl.prompts.count} asked for")
    return ledger
