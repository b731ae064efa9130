"""journal: what answers there are and what they cost, and those that nothing asks for any more.

A complete run of a shard leaves the list of answers that it did not need (journal.py): those of an older prompt, model
or seed. They are kept, for a setting changed on Tuesday may be changed back on Wednesday; `prune` removes them, and
the journals of shards that the configuration no longer has. It prints what would go, and removes it with `--yes`. A
shard that a job has open is left alone, also where the job is only waiting; after a `kill -9`, for ten minutes.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import orjson

from artifactscoder import seeds
from artifactscoder.cluster.plan import JOURNALS
from artifactscoder.config import Config
from artifactscoder.journal import UNUSED, Journal, in_use
from artifactscoder.llm import budget, forecast
from artifactscoder.progress import short, table


def stats(config: Config) -> int:
    """A line a step: shards, files, bytes, answers, tokens, cost, and answers that the last complete runs did not use.

    Returns 0.
    """
    held = budget.paid(config.journal)
    head = ("step", "shards", "files", "bytes", "answers", "tokens in", "tokens out", "cost", "unused")
    lines = [head]
    for step, shards in _journals(config).items():
        folders = list(shards.values())
        files = [path for folder in folders for path in folder.glob("*.jsonl")]
        one = forecast.held(config, step, held)
        size = sum(path.stat().st_size for path in files)
        lines.append((
            step, f"{len(folders):,}", f"{len(files):,}", short(size) + "B", f"{one.answers:,}", short(one.tokens_in),
            short(one.tokens_out), f"{one.cost:,.2f}", f"{sum(len(unused(folder)) for folder in folders):,}",
        ))  # fmt: skip
    for line in table(lines, left=(0,)):
        print(line)
    if len(lines) == 1:
        print(f"no answers in {config.journal}")
    return 0


def _journals(config: Config) -> dict[str, dict[str, Path]]:
    """Every folder that holds answers, by step and shard: the steps of a run first, in their order, then what else
    asks. Where a step has no shards, the name of its only one is empty."""
    found: dict[str, dict[str, Path]] = {step: {} for step in JOURNALS}
    for folder in sorted({path.parent for path in config.journal.rglob("*.jsonl")}):
        parts = folder.relative_to(config.journal).parts
        found.setdefault("/".join(parts[:2]), {})["/".join(parts[2:])] = folder
    return {step: shards for step, shards in found.items() if shards}


def unused(folder: Path) -> list[str]:
    """Keys of the answers that the last complete run of a shard did not ask for."""
    try:
        return list(orjson.loads((folder / UNUSED).read_bytes()))
    except (OSError, orjson.JSONDecodeError):
        return []


def prune(config: Config, yes: bool) -> int:
    """Remove unused answers, and shards that are no more; without `yes` say what would go. Returns 0."""
    count = size = 0
    for step, shards in _journals(config).items():
        for shard, folder in shards.items():
            name = folder.relative_to(config.journal)
            files = list(folder.glob("*.jsonl"))
            if in_use(folder):
                if unused(folder) or _gone(config, step, shard):
                    print(f"{name}: left alone, a job has it open")
                continue
            before = sum(path.stat().st_size for path in files)
            if _gone(config, step, shard):
                print(f"{name}: the shard is not in the configuration any more, {short(before)}B")
                count, size = count + 1, size + before
                if yes:
                    shutil.rmtree(folder)
            elif stale := unused(folder):
                what = asyncio.run(_without(folder, set(stale), yes))
                if what is None:
                    print(f"{name}: left alone, a job has opened it")
                    continue
                print(f"{name}: {len(stale):,} answers, {short(what)}B")
                count, size = count + 1, size + what
    if not count:
        print("nothing to remove")
    else:
        print(f"{short(size)}B in {count} shards " + ("removed" if yes else "would be removed: --yes removes them"))
    return 0


def _gone(config: Config, step: str, shard: str) -> bool:
    """Whether no run of the configuration would open this shard's journal."""
    if step in ("sft/tasks", "sft/variants", "sft/code", "sft/score"):
        return shard not in seeds.subcategories(config)
    roots = [row["slug"] for row in seeds.cpt_roots(config)]
    if step == "cpt/tree":
        return shard not in roots
    if step == "cpt/code":
        return shard not in {f"{root}-{number:02d}" for root in roots for number in range(config.cpt.prompts.shards)}
    if step == "cpt/websight":
        return shard not in {f"{number:04d}" for number in range(config.cpt.websight.shards)}
    if step.startswith("eval/"):
        return shard not in config.eval.models
    return False  # one folder for all, or opened by hand


async def _without(folder: Path, stale: set[str], yes: bool) -> int | None:
    """Rewrite a journal without the entries of `stale`, if `yes`; returns their bytes, none if a job came before."""
    journal = Journal(folder, frozen=True)  # opening must neither fold, nor say what was paid, nor mark it as open
    await journal.__aenter__()
    size = sum(length for key, (_, _, length) in journal._index.items() if key in stale)
    if yes:
        if not journal.rewrite([key for key in journal._index if key not in stale], lambda: in_use(folder)):
            return None
        (folder / UNUSED).unlink()
    return size
