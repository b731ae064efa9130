"""The shards of a configuration by step, and which of them lie in its results.

A folder of results keeps the tables of every configuration that ran in it. Those of a category, a root or a model that
was taken out since are none of this run's: nothing that speaks of the run counts them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from artifactscoder import ledger, seeds
from artifactscoder.config import Config

LEDGER = ".ledger.parquet"
SHOWN = 12  # names in a sentence
_SAME = {"dedup_signature": "dedup", "dedup_route": "dedup", "stats": "pack"}  # parts of a step, by its shards


def names(config: Config) -> dict[str, list[str]]:
    """The names of the tables that have a ledger, by step, as rules/common.smk cuts them."""
    categories = [row["slug"] for row in seeds.categories(config)]
    roots = [row["slug"] for row in seeds.cpt_roots(config)]
    tree = [f"{root}-{number:02d}" for root in roots for number in range(config.cpt.prompts.shards)]
    websight = [f"websight-{number:04d}" for number in range(config.cpt.websight.shards)]
    models = list(config.eval.models)
    return {
        "cpt/websight": websight,
        "cpt/tree": roots,
        "cpt/templates": ["templates"],
        "cpt/prompts": tree,
        "cpt/code": tree,
        "cpt/dedup": [*tree, *websight],
        "cpt/pack": [*tree, *websight],
        "sft/tasks": categories,
        "sft/distinct_tasks": categories,
        "sft/variants": categories,
        "sft/decontaminate": categories,
        "sft/distinct_variants": categories,
        "sft/code": categories,
        "sft/dedup": categories,
        "sft/rules": categories,
        "sft/score": categories,
        "sft/select": ["sft_train"],
        "rl/prompts": ["prompts"],
        "rl/reference": ["pages"],
        "rl/valid": ["pages"],
        "rl/parquet": ["rl"],
        "eval/tasks": ["tasks"],
        "eval/generate": models,
        "eval/render": models,
        "eval/judge": models,
        "eval/score": models if config.eval.dimensions else [],
    }


def done(config: Config, results: Path, step: str) -> list[Path]:
    """The tables of a step that have a ledger, of the configuration's shards, by name; of a step that `names` does not
    hold all that there are."""
    own = names(config).get(step)
    if own is None:
        own = [path.name.removesuffix(LEDGER) for path in (results / step).glob(f"*{LEDGER}")]
    tables = (results / step / f"{name}.parquet" for name in sorted(own))
    return [table for table in tables if ledger.beside(table).exists()]


def left_over(config: Config, results: Path) -> list[Path]:
    """Tables with a ledger of shards that the configuration does not run."""
    found = []
    for step, own in names(config).items():
        for path in sorted((results / step).glob(f"*{LEDGER}")):
            name = path.name.removesuffix(LEDGER)
            if name not in own:
                found.append(path.with_name(f"{name}.parquet"))
    return found


def said(left: list[Path]) -> str:
    """One sentence that names the shards of `left_over`; empty where there are none."""
    if not left:
        return ""
    shards = sorted({path.stem for path in left})
    some = ", ".join(shards[:SHOWN]) + (" …" if len(shards) > SHOWN else "")
    return f"{len(left)} tables of shards that the configuration does not run are left out: {some}"


def others(config: Config, jobs: Iterable[str]) -> set[str]:
    """Those of the jobs, by name (STAGE/STEP/SHARD, as of their logs), whose shard the configuration does not run."""
    known, found = names(config), set()
    for job in jobs:
        stage, _, rest = job.partition("/")
        step, _, shard = rest.partition("/")
        own = known.get(f"{stage}/{_SAME.get(step, step)}")
        if shard and own is not None and shard not in own:
            found.add(job)
    return found
