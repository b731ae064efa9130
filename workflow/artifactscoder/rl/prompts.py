"""rl/prompts: task families times tech stacks, no model needed.

Each family gets its share of the prompts by weight (largest remainders), drawn without replacement from its tasks in
every stack, so that all prompts are distinct. Each row carries its 20 checklist items: ten of its family, ten of all.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from artifactscoder import seeds, tables
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.ledger import Ledger, beside
from artifactscoder.llm import prompts
from artifactscoder.records import RL_PROMPT
from artifactscoder.seeds import Seed


def shares(families: list[Seed], count: int) -> list[int]:
    """How many prompts each family gets: by weight, rounded by largest remainders, ties by order."""
    exact = [family["weight"] * count for family in families]
    out = [int(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (out[i] - exact[i], i))
    for i in by_remainder[: count - sum(out)]:
        out[i] += 1
    return out


def run(config: Config, output: Path) -> Ledger:
    """Write the prompts."""
    families, stacks = seeds.rl_families(config), seeds.tech_stacks(config)
    universal = seeds.rl_universal(config)
    template = prompts.load("rl_task")
    ledger = Ledger(beside(output))
    with tables.Writer(output, RL_PROMPT) as writer:
        for family, share in zip(families, shares(families, config.rl.prompts.count), strict=True):
            places = [(task, stack) for task in family["tasks"] for stack in stacks]
            if share > len(places):
                raise UserError(
                    f"family '{family['slug']}' is to give {share} distinct prompts but has {len(family['tasks'])} "
                    f"tasks in {len(stacks)} stacks; add tasks to {config.seeds.rl_families} or lower "
                    "rl.prompts.count"
                )
            checklist = json.dumps([*universal, *family["checklist"]], ensure_ascii=False)
            random.Random(f"{config.seed}/{family['slug']}").shuffle(places)
            for task, stack in sorted(places[:share], key=lambda place: (place[0]["slug"], place[1]["slug"])):
                id_ = f"{family['slug']}/{task['slug']}/{stack['slug']}"
                fields = {"title": task["title"], "brief": task["brief"], "stack": stack["instruction"]}
                ledger.enter([id_])
                ledger.leave(id_, "ok")
                writer.write(
                    {
                        "id": id_,
                        "family": family["slug"],
                        "task": f"{family['slug']}/{task['slug']}",
                        "stack": stack["slug"],
                        "prompt": template.fill(**fields)[1]["content"],
                        "checklist": checklist,
                    }
                )
        ledger.close()
    return ledger
