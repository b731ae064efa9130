"""sft/tasks: concrete tasks for each subcategory of one category.

In: the seed files. Out: one row a task, `game-puzzle/number-place/01`. A subcategory is one request for all its tasks,
so that they differ from each other; each of the places asked for is an id of its own in the ledger. Places that the
answer leaves empty, or would fill with a title that is there, are asked for again, with the titles that are there
shown, up to `rounds` requests in all; what is empty then is rejected by name. A resumed run gets the same answers from
the journal and so asks the same again. Paper scale: 2,000 requests and a few more, 20K tasks.
"""

from __future__ import annotations

from dataclasses import replace
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
            lambda row: subcategory(config, teacher, found[0]["name"], row),
            output,
            TASK,
            [teacher],
            Progress(f"sft/tasks {category}", len(rows)),
        )


async def subcategory(config: Config, teacher: Client, category: str, row: Row) -> list[Outcome]:
    """The tasks of one subcategory of the category named so, one outcome a place."""
    settings = config.sft.tasks
    ids = list(slots(row["id"], settings.per_subcategory))
    outcomes = {id_: Outcome(id_, "rejected", "missing") for id_ in ids}
    titles: dict[str, str] = {}  # by slug, in the order in which they came
    for number in range(1, settings.rounds + 1):
        empty = [id_ for id_ in ids if outcomes[id_].row is None]
        if not empty:
            break
        messages = prompts.load("sft_tasks").fill(
            category=category,
            name=row["name"],
            brief=row["brief"],
            round=str(number),
            taken="; ".join(titles.values()) or "none",
            count=str(len(empty)),
        )
        try:
            answer, usage, key = await teacher.ask_json(messages, settings.sampling, Tasks, settings.asks)
        except Unusable as trouble:
            for again in unusable(empty, trouble):
                outcomes[again.id] = replace(again, usage=outcomes[again.id].usage + again.usage)
            break
        for id_, share in zip(empty, usage.split(len(empty)), strict=True):
            came = f"{len(answer.tasks)} of {len(empty)} tasks came"
            outcomes[id_] = Outcome(id_, "rejected", "missing", came, outcomes[id_].usage + share)
        faults: list[tuple[str, str]] = []  # why a task of the answer fills no place
        for task in answer.tasks:
            title = " ".join(task.title.split())
            if not slug(title) or slug(title) in titles:
                faults.append(("same_title" if slug(title) else "no_title", title))
            elif empty:
                titles[slug(title)] = title
                _fill(outcomes[empty.pop(0)], row, task, title, teacher.maker, key)
        for id_, (reason, title) in zip(empty, faults, strict=False):
            outcomes[id_].reason, outcomes[id_].detail = reason, title
    return list(outcomes.values())


def _fill(outcome: Outcome, row: Row, task: Task, title: str, maker: str, key: str) -> None:
    outcome.status, outcome.reason, outcome.detail = "ok", "", ""
    outcome.row = {
        "id": outcome.id,
        "category": row["id"].split("/")[0],
        "subcategory": row["id"],
        "title": title,
        "description": task.description.strip(),
        "maker": maker,
        "request": key,
    }
