"""The way of an RL prompt: family and stack, reference page, validity, the sets, GRPO's answers to it."""

from __future__ import annotations

import json

from artifactscoder import seeds, tables
from artifactscoder.config import Config
from artifactscoder.html import mask
from artifactscoder.llm import prompts
from artifactscoder.rl import prompts as drawn
from artifactscoder.rl import reference, valid
from artifactscoder.rl.parquet import set_row
from artifactscoder.tables import Row
from artifactscoder.trace import train
from artifactscoder.trace.book import Book, Stop, differing


def takes(config: Config, id_: str) -> bool:
    """Whether an id is an RL prompt's: family, task, stack."""
    return id_.split("/")[0] in {row["slug"] for row in seeds.rl_families(config)} and id_.count("/") == 2


async def stops(book: Book, id_: str) -> list[Stop]:
    """The way of one RL prompt."""
    config = book.config
    stop, row = book.stop("rl/prompts", book.table("rl/prompts", "prompts"), id_)
    out = [_seed(book, id_), stop]
    if row is None:
        return out
    stop.facts |= {"prompt": row["prompt"], "checklist": json.loads(row["checklist"])}
    stop.check("the prompt is what family, task and stack give", *differing(row, _filled(config, id_)))
    stop, page = book.stop("rl/reference", book.table("rl/reference", "pages"), id_)
    client = await book.client("rl/reference", "all", "reference")
    await book.again(stop, page, reference.page(config, client, row), [client])
    out.append(stop)
    if page is None:
        return out
    stop.facts |= {name: page[name] for name in ("html", "extracted", "maker")}
    stop, kept = book.stop("rl/valid", book.table("rl/valid", "pages"), id_)
    recorded = await book.recorded("rl/valid", "all", valid.looked(config))
    await book.again(stop, kept, valid.page(config, recorded, page))
    out.append(stop)
    return out if kept is None else [*out, *_sets(book, row, kept)]


def _seed(book: Book, id_: str) -> Stop:
    config, (family, task, stack) = book.config, id_.split("/")
    stop = Stop("seed", id_, str(config.seeds.rl_families))
    of = next(row for row in seeds.rl_families(config) if row["slug"] == family)
    found = next((row for row in of["tasks"] if row["slug"] == task), None)
    way = next((row for row in seeds.tech_stacks(config) if row["slug"] == stack), None)
    if found is None or way is None:
        stop.status = "none"
        return stop
    stop.facts |= {"family": of["name"], "task": found["title"], "brief": found["brief"], "stack": way["name"]}
    return stop


def _filled(config: Config, id_: str) -> Row:
    """The row that the seeds of an id give."""
    family, task, stack = id_.split("/")
    of = next(row for row in seeds.rl_families(config) if row["slug"] == family)
    brief = next(row for row in of["tasks"] if row["slug"] == task)
    way = next(row for row in seeds.tech_stacks(config) if row["slug"] == stack)
    checklist = json.dumps([*seeds.rl_universal(config), *of["checklist"]], ensure_ascii=False)
    row = drawn.filled(prompts.load("rl_task"), of, brief, way, checklist)
    return mask.masked(row, ["prompt"])[0] if config.mask else row


def _sets(book: Book, prompt: Row, page: Row) -> list[Stop]:
    """The set that it is in, and what GRPO made of it."""
    folder = book.results / "rl/parquet"
    line = book.row(folder / "rl.ledger.parquet", prompt["id"])
    split = line["detail"] if line else ""
    path = folder / f"rl_{split or 'train'}.parquet"
    stop = Stop("rl/parquet", prompt["id"], str(path), line["status"] if line else "none")
    out = [stop]
    if not line or not path.exists():
        return out
    stop.facts["set"] = split
    found = next((row for row in tables.rows(path) if row["extra_info"]["id"] == prompt["id"]), None)
    stop.check("it stands in the set that the ledger names", found is not None, f"it is not in {path}")
    if found is not None:
        expected = set_row(book.config, prompt, page["html"], split, found["extra_info"]["index"])
        stop.check("the row is prompt, checklist and reference", *differing(found, expected))
    out += train.of_data(book, "grpo")
    if split == "train":
        out[-2].facts |= {"answers_to_it": train.rewards_of(book, prompt["id"])}
    return out
