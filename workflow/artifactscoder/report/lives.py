"""The lives of a shard's pages: from seed to task, request, page, checks, scores and set, with what ended them.

In: the SFT tables and ledgers of one shard (a category). Out: for every page that was ever asked for, its stages in
order. Memory: one shard's ledgers, without pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from artifactscoder import ledger, tables
from artifactscoder.seeds import Seed

Stage = dict[str, Any]
# What is asked of a variant's id, in the recipe's order; of a task's id before it.
OF_TASK = ("sft/tasks", "sft/distinct_tasks")
OF_PAGE = (
    "sft/variants", "sft/decontaminate", "sft/distinct_variants", "sft/code", "sft/dedup", "sft/rules", "sft/score",
)  # fmt: skip
SELECT = "sft/select"
FACTS = {"sft/tasks": ["title", "maker", "request"], "sft/variants": ["maker", "request"],
         "sft/code": ["maker", "request"], "sft/score": ["judge"]}  # fmt: skip


def chosen(results: Path) -> dict[str, Stage]:
    """What sft/select said of every scored page, by id."""
    return _ledger(results / "sft/select/sft_train.parquet", SELECT)


def lives(
    results: Path, shard: str, category: Seed, subcategories: list[Seed], selected: Mapping[str, Stage]
) -> dict[str, list[Stage]]:
    """The stages of every page of a shard, by id, in the order of its first ledger.

    A stage has `step`, `id`, `status`, `reason`, `detail`, tokens and attempts where it cost any, and the facts that
    its table holds (maker, request, judge ...). The first one is the seed. Steps that have not run are left out.
    """
    seeds = {row["id"]: _seed(category, row) for row in subcategories}
    of_task = [_stages(results, step, shard) for step in OF_TASK]
    of_page = [_stages(results, step, shard) for step in OF_PAGE]
    out: dict[str, list[Stage]] = {}
    for id_ in of_page[0]:
        task = id_.rpartition("/")[0]
        found = [stages[task] for stages in of_task if task in stages]
        found += [stages[id_] for stages in of_page if id_ in stages]
        if id_ in selected:
            found.append(selected[id_])
        subcategory = task.rpartition("/")[0]
        out[id_] = [seeds[subcategory], *found] if subcategory in seeds else found
    return out


def dropped(results: Path, shard: str) -> dict[str, tuple[str, str, str]]:
    """(step, reason, detail) of every task of a shard that left before its pages were asked for."""
    return {
        id_: (step, stage["reason"] or stage["status"], stage["detail"])
        for step in OF_TASK
        for id_, stage in _stages(results, step, shard).items()
        if stage["status"] != "ok"
    }


def verdict(stages: list[Stage]) -> tuple[str, str, str]:
    """How a life ended: (step, status, reason) of its last stage; in the set if that is sft/select and ok."""
    last = stages[-1]
    return last["step"], last["status"], last["reason"]


def _seed(category: Seed, subcategory: Seed) -> Stage:
    text = f"{category['name']}: {subcategory['name']}. {subcategory['brief']}"
    return {"step": "seeds", "id": subcategory["id"], "status": "ok", "reason": "", "detail": text}


def _stages(results: Path, step: str, shard: str) -> dict[str, Stage]:
    table = results / step / f"{shard}.parquet"
    if not ledger.beside(table).exists():
        return {}
    stages = _ledger(table, step)
    if step in FACTS:
        for row in tables.rows(table, ["id", *FACTS[step]], batch=2000):
            if row["id"] in stages:
                stages[row["id"]] |= {name: row[name] for name in FACTS[step]}
    return stages


def _ledger(table: Path, step: str) -> dict[str, Stage]:
    columns = ["id", "status", "reason", "detail", "attempts", "tokens_in", "tokens_out"]
    out: dict[str, Stage] = {}
    for row in tables.rows(ledger.beside(table), columns, batch=5000):
        stage = {"step": step, **{name: row[name] for name in columns[:4]}}
        out[row["id"]] = stage | {name: row[name] for name in columns[4:] if row[name]}
    return out
