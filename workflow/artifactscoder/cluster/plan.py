"""plan: what a run of the configuration will ask and make, before it starts and as it goes.

One screen: for each step that asks, requests, how many the model in use has answered in the journal, tokens, money by
the endpoints' prices, GPU-hours where jobs start servers of their own, time, jobs; then files and disk. Answers of
other models count only in what is spent. Shards, files, pages and bytes are worked out from settings and seeds, nothing
from what is there, so they are known before the first job. Bytes are upper estimates: 40 KB a page in each table that
holds pages, and as much for its answer in the journal; a checkpoint holds 16 bytes a parameter (weights, masters and
two moments of the optimiser).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artifactscoder import seeds
from artifactscoder import shards as cut
from artifactscoder.cluster.endpoint_checks import blind
from artifactscoder.config import Config
from artifactscoder.journal import Paid
from artifactscoder.llm import budget, forecast
from artifactscoder.progress import duration, short, table

PAGE_BYTES = 40_000
PARAMETER_BYTES = 16
BASE_DTYPES = {"float32": 4, "float16": 2, "bfloat16": 2}
JOURNALS = (
    "cpt/websight", "cpt/tree", "cpt/templates", "cpt/code", "sft/tasks", "sft/variants", "sft/code", "sft/score",
    "rl/reference", "rl/valid", "eval/generate", "eval/render", "eval/judge", "eval/score",
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
    """How many tables each step writes."""
    return {step: len(names) for step, names in cut.names(config).items()}


def files(config: Config) -> dict[str, int]:
    """Files that all targets leave behind, by kind; a checkpoint has three a process, and one more is being written."""
    each = shards(config)
    tables = sum(each.values())
    signatures = each["sft/dedup"] + each["cpt/dedup"]
    # Dropped pages of SFT and CPT, dropped tasks and variants, WebSight's two, the judges' agreement, the
    # evaluation's five.
    others = 2 + 2 + 2 + 1 + 5
    for stage, settings in (("sft", config.sft.dedup), ("cpt", config.cpt.dedup)):
        if settings.jobs > 1:  # bands and verify, a part each; components' two; route, a shard each
            others += 2 * settings.jobs + 2 + each[f"{stage}/dedup"]
    cpt = 2 * each["cpt/pack"] + 1  # an index and statistics a shard, and the mixture
    jobs = tables + signatures + others + each["cpt/pack"] + 1 - 4 - sum(each[step] for step in GATHERED)
    shown = min(config.report.pages, pages(config)["sft"])  # a picture each, and code and life, 40 in a file
    beside = shown + shown // 30 + 3 * each["sft/code"] + 50
    ranks = [(t.world_size, t.keep_checkpoints + 1) for t in config.train.trainers]
    outputs = (
        2 * (tables - sum(each[step] for step in GATHERED)) + signatures + others + cpt + 20
    )  # 20: manifests, curves, report, configuration
    return {
        "tables": tables + signatures + others + cpt,
        "ledgers": tables,
        "logs": jobs + 10,
        "benchmarks": jobs + 10,
        "journals": sum(each[step] for step in JOURNALS),
        "checkpoints and models": sum((3 * world + 10) * kept for world, kept in ranks) + 80,
        "of the report": beside,
        "Snakemake's records": outputs,
    }


def pages(config: Config) -> dict[str, int]:
    """Pages by stage (sft, cpt, rl); WebSight's rows only where they can be counted."""
    kinds, per = len(seeds.variants(config)), config.sft.tasks.per_subcategory
    leaves = len(seeds.cpt_roots(config)) * math.prod(config.cpt.tree.children)
    return {
        "sft": sum(map(len, seeds.subcategories(config).values())) * per * kinds,
        "cpt": leaves * config.cpt.prompts.per_leaf + (forecast.websight_rows(config) or 0),
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
    kept = sum(trainer.keep_checkpoints + 1 for trainer in config.train.trainers)
    exported = len(config.train.trainers) * count * (2 if config.train.export.dtype == "bf16" else 4)
    return Need(
        results["sft"] + results["rl"],
        journal["sft"] + journal["rl"],
        results["cpt"],
        journal["cpt"],
        count * PARAMETER_BYTES * kept + exported,
    )


def run(config: Config, jobs: int, as_json: bool) -> int:
    """Print what is still to be asked, by step: requests, tokens, money or GPU-hours, time; and jobs and disk.

    `jobs`: how many jobs that start a server of their own run at once. Returns 0.
    """
    held = budget.paid(config.journal)
    rows = [_row(config, share, jobs) for share in forecast.shares(config, budget.paid_to(config.journal))]
    spent = sum(held.values(), Paid())
    room, made = need(config), files(config)
    total = {
        "requests": sum(row["requests"] for row in rows),
        "to_ask": sum(row["to_ask"] for row in rows),
        "tokens_in": sum(row["tokens_in"] for row in rows),
        "tokens_out": sum(row["tokens_out"] for row in rows),
        "cost": sum(row["cost"] for row in rows),
        "gpu_hours": sum(row["gpu_hours"] or 0 for row in rows),
        "spent": {"cost": spent.cost, "tokens": spent.tokens},
        "jobs": made["logs"] - 10,
        "files": sum(made.values()),
        "not_counted": ["cpt/websight"] if forecast.websight_rows(config) is None else [],
        "disk_bytes": {"results": room.results, "journal": room.journal, "cpt": room.more_results + room.more_journal},
    }
    if as_json:
        print(json.dumps({"steps": rows, "total": total}, indent=1))
        return 0
    for line in _screen(config, rows, total):
        print(line)
    return 0


def _row(config: Config, share: forecast.Share, jobs: int) -> dict[str, Any]:
    """One line: `tokens_*` and `cost` of what is still to be asked; None where nobody can tell."""
    settings = config.endpoints[share.endpoint]
    left = share.requests - share.answered
    tokens_in, tokens_out = left * share.tokens_in, left * share.tokens_out
    servers = min(jobs, shards(config).get(share.step, 1)) if settings.hosted else len(settings.urls)
    seconds = tokens_out / (settings.tokens_per_s * servers) if settings.tokens_per_s else None
    seconds = 0.0 if settings.kind == "procedural" else seconds
    gpu_hours = seconds * servers * settings.job_gpus / 3600 if settings.hosted and seconds is not None else None
    return {
        "step": share.step, "endpoint": share.endpoint, "requests": share.requests, "answered": share.answered,
        "to_ask": left, "tokens_in": round(tokens_in), "tokens_out": round(tokens_out),
        "measured": share.measured, "cost": settings.cost(round(tokens_in), round(tokens_out)),
        "gpu_hours": gpu_hours, "seconds": seconds, "kind": settings.kind, "jobs": shards(config).get(share.step, 1),
    }  # fmt: skip


def _screen(config: Config, rows: list[dict[str, Any]], total: dict[str, Any]) -> Iterator[str]:
    head = ("step", "endpoint", "requests", "answered", "tokens in", "tokens out", "cost", "GPU-hours", "time", "jobs")
    lines = [head]
    for row in rows:
        mark = "" if row["measured"] or not row["to_ask"] else "~"
        hours = "" if row["gpu_hours"] is None else f"{row['gpu_hours']:,.0f}"
        seconds = "?" if row["seconds"] is None else duration(row["seconds"]) if row["seconds"] else ""
        lines.append((
            row["step"], row["endpoint"], f"{row['requests']:,}", f"{row['answered']:,}",
            mark + short(row["tokens_in"]), mark + short(row["tokens_out"]),
            f"{row['cost']:,.2f}" if row["cost"] else "", hours, seconds, f"{row['jobs']:,}",
        ))  # fmt: skip
    yield from table(lines, left=(0, 1))
    yield ""
    yield (
        f"still to ask: {total['to_ask']:,} requests, {short(total['tokens_in'])} tokens in, "
        f"{short(total['tokens_out'])} out, cost {total['cost']:,.2f}, {total['gpu_hours']:,.0f} GPU-hours"
    )
    if total["not_counted"]:
        yield (
            f"cpt/websight: rows not counted yet (no Parquet file at {config.cpt.websight.input}, cpt.websight.input); "
            "3 requests a row, their pages and their disk are not in the sums"
        )
    spent = total["spent"]
    yield f"spent so far (journal): cost {spent['cost']:,.2f}, {short(spent['tokens'])} tokens"
    for name, limit in (("cost", config.budget.cost), ("tokens", config.budget.tokens)):
        if limit:
            more = total["cost"] if name == "cost" else total["tokens_in"] + total["tokens_out"]
            whole = spent[name] + more
            verdict = "is enough" if whole <= limit else f"is spent at {100 * limit / whole:.0f} % of the way"
            yield f"budget.{name} {limit:,g}: {short(whole)} are foreseen, so it {verdict}"
    disk = " + ".join(f"{name} {short(size)}B" for name, size in total["disk_bytes"].items())
    yield f"about {total['jobs']:,} jobs, {total['files']:,} files without Slurm's logs, at most {disk} of disk"
    if any(not row["measured"] and row["to_ask"] and row["kind"] != "procedural" for row in rows):
        yield "~ assumed tokens (docs/endpoints.md); the model's own mean takes their place as its answers come"
    if any(row["seconds"] is None for row in rows):
        yield "? no time without endpoints.NAME.tokens_per_s, what one server gives with all its requests in flight"
    yield from blind(config)
    if any(row["kind"] == "procedural" for row in rows):
        yield "procedural endpoints are built in: they cost no money and hardly time"
