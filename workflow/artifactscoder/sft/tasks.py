"""sft/tasks: concrete tasks for each subcategory of one category.

In: the seed files. Out: one row a task, `games-puzzle/sudoku/03`. A subcategory is one request for all its tasks, so
that they differ from each other; each of the places asked for is an id of its own in the ledger, and a place that the
answer leaves empty, or fills with a title it has used, is rejected by name. Paper scale: 2,000 requests, 20K tasks.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field

from artifactscoder import seeds
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.ledger import Ledger
from artifactscoder.llm import generate, prompts
from artifactscoder.llm.client import Client, Unusable
from artifactscoder.llm.generate import Outcome, unusable
from artifactscoder.progress import Progress
from artifactscoder.records import TASK, slots, slug
from artifactscoder.tables import Row


class Task(BaseModel):
    title: str = Field(min_length=3, max_length=160)
    description: str = Field(min_length=40, max_length=4000)


class Tasks(BaseModel):
    tasks: list[Task] = Field(min_length=1)


async def run(config: Config, category: str, output: Path) -> Ledger:
    """Ask for the tasks of `category` and write table and ledger."""
    found = [row for row in seeds.categories(config) if row["slug"] == category]
    if not found:
        raise UserError(f"there is no category '{category}' among those that the configuration runs")
    rows = seeds.subcategories(config)[category]
    settings = config.sft.tasks
    async with generate.roles(config, "sft/tasks", category, "teacher") as [teacher]:
        return await generate.in_order(
            rows,
            lambda row: list(slots(row["id"], settings.per_subcategory)),
            lambda row: _subcategory(config, teacher, found[0]["name"], row),
            output,
            TASK,
            [teacher],
            Progress(f"sft/tasks {category}", len(rows)),
        )


async def _subcategory(config: Config, teacher: Client, category: str, row: Row) -> list[Outcome]:
    settings = config.sft.tasks
    ids = list(slots(row["id"], settings.per_subcategory))
    messages = prompts.load("sft_tasks").fill(
        category=category, name=row["name"], brief=row["brief"], count=str(settings.per_subcategory)
    )
    try:
        answer, usage, key = await teacher.ask_json(messages, settings.sampling, Tasks, settings.asks)
    except Unusable as trouble:
        return unusable(ids, trouble)
    outcomes, seen = [], set()
    for i, (id_, share) in enumerate(zip(ids, usage.split(len(ids)), strict=True)):
        if i >= len(answer.tasks):
            detail = f"{len(answer.tasks)} of {len(ids)} tasks came"
            outcomes.append(Outcome(id_, "rejected", "missing", detail, share))
            continue
        task = answer.tasks[i]
        if not slug(task.title):
            outcomes.append(Outcome(id_, "rejected", "no_title", task.title, share))
            continue
        if slug(task.title) in seen:
            outcomes.append(Outcome(id_, "rejected", "same_title", task.title, share))
            continue
        seen.add(slug(task.title))
        table_row = {
            "id": id_,
            "category": row["id"].split("/")[0],
            "subcategory": row["id"],
            "title": " ".join(task.title.split()),
            "description": task.description.strip(),
            "maker": teacher.maker,
            "request": key,
        }
        outcomes.append(Outcome(id_, usage=share, row=table_row))
    return outcomes
