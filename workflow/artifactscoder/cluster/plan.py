"""What a run of the configuration will make: shards of each step, files, pages and bytes.

Everything is worked out from settings and seeds, nothing from what is there, so it is known before the first job.
Bytes are upper estimates: 40 KB a page in each table that holds pages, and as much for its answer in the journal; a
checkpoint holds 16 bytes a parameter (weights, masters and two moments of the optimiser).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from artifactscoder import seeds
from artifactscoder.config import Config

PAGE_BYTES = 40_000
PARAMETER_BYTES = 16
BASE_DTYPES = {"float32": 4, "float16": 2, "bfloat16": 2}
JOURNALS = (
    "cpt/websight", "cpt/tree", "cpt/templates", "cpt/code", "sft/tasks", "sft/variants", "sft/code", "sft/score",
    "rl/reference", "rl/valid", "eval/render", "eval/judge",
)  # fmt: skip

SFT_SHARDED = (
    "tasks", "distinct_tasks", "variants", "decontaminate", "distinct_variants", "code", "dedup", "rules", "score",
)  # fmt: skip
GATHERED = ("sft/distinct_tasks", "sft/distinct_variants")  # one job writes the tables of all shards


@dataclass(frozen=True)
class Need:
    """Bytes of a run: `results` and `journal` of the data target, `more_*` of CPT besides, `train` of training."""

    results: int
    journal: int
    more_results: int
    more_journal: int
    train: int


def shards(config: Config) -> dict[str, int]:
    """How many tables each step writes, as rules/common.smk cuts them."""
    categories, roots, models = len(seeds.categories(config)), len(seeds.cpt_roots(config)), len(config.eval.models)
    tree, websight = roots * config.cpt.prompts.shards, config.cpt.websight.shards
    return {
        "cpt/websight": websight,
        "cpt/tree": roots,
        "cpt/templates": 1,
        "cpt/prompts": tree,
        "cpt/code": tree,
        "cpt/dedup": tree + websight,
        "cpt/pack": tree + websight,
        **{f"sft/{step}": categories for step in SFT_SHARDED},
        "sft/select": 1,
        **{f"rl/{step}": 1 for step in ("prompts", "reference", "valid", "parquet")},
        **{f"eval/{step}": models for step in ("generate", "render", "judge")},
    }


def files(config: Config) -> dict[str, int]:
    """Files that all targets leave behind, by kind; a checkpoint has three a process, and one more is being written."""
    each = shards(config)
    tables = sum(each.values())
    signatures = each["sft/dedup"] + each["cpt/dedup"]
    others = 2 + 2 + 2 + 1  # pairs of SFT and CPT, dropped tasks and variants, WebSight's two, the evaluation's table
    jobs = tables + signatures + others - sum(each[step] for step in GATHERED)
    ranks = [(t.world_size, t.keep_checkpoints + 1) for t in (config.train.sft, config.train.grpo)]
    outputs = (
        2 * (tables - sum(each[step] for step in GATHERED)) + signatures + others + 20
    )  # 20: manifests, curves, report, configuration
    return {
        "tables": tables + signatures + others,
        "ledgers": tables,
        "logs": jobs + 10,
        "benchmarks": jobs + 10,
        "journals": sum(each[step] for step in JOURNALS),
        "checkpoints and models": sum((3 * world + 10) * kept for world, kept in ranks) + 80,
        "Snakemake's records": outputs,
    }


def pages(config: Config) -> dict[str, int]:
    """Pages by stage (sft, cpt, rl); WebSight's rows only as far as the run has counted them."""
    kinds, per = len(seeds.variants(config)), config.sft.tasks.per_subcategory
    leaves = len(seeds.cpt_roots(config)) * math.prod(config.cpt.tree.children)
    websight = config.cpt.websight.sample
    try:
        counted = json.loads((config.results / "cpt/websight/source.json").read_text())["files"]
        websight = sum(file["rows"] for file in counted)
    except (OSError, ValueError, LookupError, TypeError):
        pass
    return {
        "sft": sum(map(len, seeds.subcategories(config).values())) * per * kinds,
        "cpt": leaves * config.cpt.prompts.per_leaf + websight,
        "rl": config.rl.prompts.count,
    }


def parameters(base: Path) -> int:
    """Parameters of a model folder, from the index of its weights or their size; 0 where it cannot be told."""
    try:
        index = base / "model.safetensors.index.json"
        if index.is_file():
            weights = json.loads(index.read_text())["metadata"]["total_size"]
        else:
            weights = (base / "model.safetensors").stat().st_size
        settings: Mapping[str, str] = json.loads((base / "config.json").read_text())
        return int(weights) // BASE_DTYPES.get(settings.get("dtype") or settings.get("torch_dtype") or "", 2)
    except (OSError, ValueError, LookupError, TypeError):
        return 0


def need(config: Config) -> Need:
    """Bytes that the whole plan will take, by where and for what."""
    made, tables = pages(config), {"sft": 4, "cpt": 3, "rl": 2}
    results = {stage: count * PAGE_BYTES * tables[stage] for stage, count in made.items()}
    journal = {stage: count * PAGE_BYTES for stage, count in made.items()}
    count = 0 if config.train.tiny_model else parameters(config.train.base)
    kept = sum(trainer.keep_checkpoints + 1 for trainer in (config.train.sft, config.train.grpo))
    exported = 2 * count * (2 if config.train.export.dtype == "bf16" else 4)
    return Need(
        results["sft"] + results["rl"],
        journal["sft"] + journal["rl"],
        results["cpt"],
        journal["cpt"],
        count * PARAMETER_BYTES * kept + exported,
    )
