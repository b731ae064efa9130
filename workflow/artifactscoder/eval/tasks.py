"""eval/tasks: what the models are compared on, tasks.parquet.

In: the sets of `eval.tasks`: rl_val.parquet, tasks kept out of RL, or benchmark files in the format of
ArtifactsBench or WebGen-Bench. Out: one row a task with its request and a checklist of the one form that the judge
reads: an item of ArtifactsBench keeps its maximum, a test case of WebGen-Bench is an item of 1 point, half of it for
what works in part. Of a set that is not taken whole, tasks are drawn by a digest of seed and id: a larger `count` holds
the smaller one's, and no part of the file is preferred. What is not drawn is in the ledger as `not_drawn`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from artifactscoder import benchmarks, tables
from artifactscoder.benchmarks import Item
from artifactscoder.config import Config
from artifactscoder.config.train import TaskSet
from artifactscoder.errors import UserError
from artifactscoder.ledger import Ledger, beside
from artifactscoder.progress import Progress
from artifactscoder.records import TEXT, columns, slug
from artifactscoder.reward import checklist
from artifactscoder.tables import Row

# `task`: tasks of one such name are much alike (one task in several tech stacks), so they are drawn together when
# intervals are computed. `checklist`: JSON list of {id, title, description, max}.
TASKS = columns(
    **dict.fromkeys(("id", "set", "task", "class", "difficulty", "system", "prompt", "checklist", "reference"), TEXT)
)


def drawn(ids: list[str], count: int | None, seed: int) -> set[str]:
    """The ids that are taken."""
    order = sorted(ids, key=lambda id_: hashlib.sha256(f"{seed}/{id_}".encode()).hexdigest())
    return set(order[:count])


def held_out(name: str, val: Path) -> Iterator[Row]:
    """The rows of rl_val.parquet; the class of a task is its family."""
    for row in tables.rows(val, ["reward_model", "extra_info"]):
        info = row["extra_info"]
        yield {
            "id": f"{name}/{info['id']}",
            "task": f"{name}/{info['task']}",
            "class": info["task"].split("/")[0],
            "difficulty": "",
            "prompt": info["prompt"],
            "checklist": info["checklist"],
            "reference": row["reward_model"]["ground_truth"],
        }


def benchmark(name: str, path: Path) -> Iterator[Row]:
    """The rows of a benchmark file. Raises UserError for one whose checklist cannot be used."""
    for number, item in enumerate(benchmarks.read([path], f"eval.tasks.{name}.path"), 1):
        index = benchmarks.FORMATS[item.format][2]
        id_ = f"{name}/{slug(str(item.row.get(index, number))) or number}"
        items, class_, difficulty = (_artifactsbench if item.format == "ArtifactsBench" else _webgen)(item)
        try:
            checklist.maxima(items, 1)
        except UserError as error:
            raise UserError(f"{path}: the checklist of {item.name} cannot be used: {error}") from None
        yield {
            "id": id_, "task": id_, "class": class_, "difficulty": difficulty, "prompt": item.text,
            "checklist": json.dumps(items, ensure_ascii=False), "reference": "",
        }  # fmt: skip


def _artifactsbench(item: Item) -> tuple[Any, str, str]:
    items = _numbered(item.row["checklist"], "title", "description", lambda each: each.get("maxScore", 10))
    domain = str(item.row.get("class") or "").split("-")[0].strip()  # one of 9; with what follows there are 74
    return items, domain, str(item.row.get("difficulty") or "")


def _webgen(item: Item) -> tuple[Any, str, str]:
    category = item.row.get("Category")
    if isinstance(category, dict):
        category = category.get("primary_category")
    return _numbered(item.row["ui_instruct"], "task", "expected_result", lambda each: 1), str(category or ""), ""


def _numbered(found: Any, title: str, description: str, most: Any) -> Any:
    """A benchmark's items as ours; what is not a list of objects is handed on, for the check to name it."""
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        return found
    return [
        {
            "id": f"c-{number:02d}",
            "title": each.get(title),
            "description": str(each.get(description) or ""),
            "max": most(each),
        }
        for number, each in enumerate(found, 1)
    ]


def rows(config: Config, name: str, one: TaskSet, val: Path | None) -> Iterator[Row]:
    """All tasks of a set."""
    if one.path is not None:
        yield from benchmark(name, one.path)
    elif val is None:
        raise UserError(f"the set eval.tasks.{name} needs rl_val.parquet; give it by --val")
    else:
        yield from held_out(name, val)


def run(config: Config, val: Path | None, output: Path) -> Ledger:
    """Write the tasks of all sets, each in its own order."""
    ledger, progress = Ledger(beside(output)), Progress("eval/tasks", None)
    with tables.Writer(output, TASKS) as writer:
        for name, one in config.eval.tasks.items():
            if one.count == 0:
                continue
            ids = [row["id"] for row in rows(config, name, one, val)]
            if not ids:
                raise UserError(f"{val} holds no validation tasks; raise rl.prompts.count")
            if len(set(ids)) < len(ids):
                raise UserError(f"two items of {one.path} have the same index; tell them apart")
            taken = drawn(ids, one.count, config.seed)
            for row in rows(config, name, one, val):
                ledger.enter([row["id"]])
                if row["id"] not in taken:
                    ledger.leave(row["id"], "rejected", "not_drawn")
                    continue
                ledger.leave(row["id"], "ok")
                writer.write({**row, "set": name, "system": config.sft.select.system})
                progress.step()
        ledger.close()  # first: a table that is there always has its accounts beside it
    progress.end(ledger.summary())
    return ledger
