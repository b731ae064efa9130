"""An SFT sample's way: seed, task, variant, page, twins, rules, scores, selection, the training set."""

from __future__ import annotations

import json

from artifactscoder import seeds, tables
from artifactscoder.config import Config
from artifactscoder.dedup.contamination import Benchmarks
from artifactscoder.errors import UserError
from artifactscoder.html import tokens
from artifactscoder.ledger import beside
from artifactscoder.llm.generate import Outcome
from artifactscoder.sft import code, rules, score, tasks, variants
from artifactscoder.tables import Row
from artifactscoder.trace import near, train, twins
from artifactscoder.trace.book import Book, Stop, differing


def takes(config: Config, id_: str) -> bool:
    """Whether an id is a task's or a variant's."""
    parts = id_.split("/")
    return parts[0] in seeds.subcategories(config) and len(parts) in (3, 4) and parts[2].isdigit()


async def stops(book: Book, id_: str) -> list[Stop]:
    """The way of a task (three parts) or of a variant and its page (four)."""
    parts = id_.split("/")
    category, task = parts[0], "/".join(parts[:3])
    out = [_seed(book, category, id_)]
    stop, row = await _task(book, category, task)
    out.append(stop)
    if row is None:
        return out
    stop, row = twins.distinct(book, "sft/distinct_tasks", book.config.sft.distinct_tasks, "sft/tasks", row)
    out.append(stop)
    if row is None:
        return out
    if len(parts) == 3:
        out.append(_children(book, category, task))
        return out
    stop, row = await _variant(book, category, id_, row)
    out.append(stop)
    if row is None:
        return out
    return out + await _page(book, category, row)


def _seed(book: Book, category: str, id_: str) -> Stop:
    config, subcategory = book.config, "/".join(id_.split("/")[:2])
    stop = Stop("seed", subcategory, str(config.seeds.subcategories))
    row = next((row for row in seeds.subcategories(config)[category] if row["id"] == subcategory), None)
    if row is None:
        raise UserError(
            f"there is no subcategory '{subcategory}' among those that the run's configuration takes"
            + near.said(config, id_)
        )
    of = next(row for row in seeds.categories(config) if row["slug"] == category)
    stop.facts |= {"category": of["name"], "name": row["name"], "brief": row["brief"]}
    return stop


async def _task(book: Book, category: str, id_: str) -> tuple[Stop, Row | None]:
    config = book.config
    stop, row = book.stop("sft/tasks", book.table("sft/tasks", category), id_)
    teacher = await book.client("sft/tasks", category, "teacher")
    of = next(row for row in seeds.categories(config) if row["slug"] == category)
    seed = next(row for row in seeds.subcategories(config)[category] if row["id"] == id_.rpartition("/")[0])
    await book.again(stop, row, tasks.subcategory(config, teacher, of["name"], seed), [teacher])
    stop.facts |= {name: row[name] for name in ("title", "description", "maker")} if row else {}
    return stop, row


def _children(book: Book, category: str, task: str) -> Stop:
    table = book.table("sft/variants", category)
    stop = Stop("sft/variants", f"{task}/*", str(table), "none")
    if table.exists():
        found = tables.read(table, ["id", "task"], [("task", "==", task)]).to_pylist()
        stop.status, stop.facts["variants"] = "ok", [row["id"] for row in found]
    return stop


async def _variant(book: Book, category: str, id_: str, task: Row) -> tuple[Stop, Row | None]:
    stop, row = book.stop("sft/variants", book.table("sft/variants", category), id_)
    teacher = await book.client("sft/variants", category, "teacher")
    await book.again(stop, row, variants.task(book.config, teacher, seeds.variants(book.config), task), [teacher])
    stop.facts |= {name: row[name] for name in ("kind", "prompt", "maker")} if row else {}
    return stop, row


async def _page(book: Book, category: str, variant: Row) -> list[Stop]:
    config, id_ = book.config, variant["id"]
    stop, row = book.stop("sft/decontaminate", book.table("sft/decontaminate", category), id_)
    await book.again(stop, row, _decontaminated(config, variant))
    out = [stop]
    if row is None:
        return out
    made = "sft/decontaminate"
    stop, row = twins.distinct(book, "sft/distinct_variants", config.sft.distinct_variants, made, row)
    out.append(stop)
    if row is None:
        return out
    stop, page = book.stop("sft/code", book.table("sft/code", category), id_)
    coder = await book.client("sft/code", category, "coder")
    await book.again(stop, page, code.page(config, coder, row), [coder])
    stop.facts |= {name: page[name] for name in ("html", "extracted", "maker")} if page else {}
    out.append(stop)
    if page is None:
        return out
    stop, row = twins.pages(book, "sft", lambda id_: book.table("sft/code", id_.split("/")[0]), page, category)
    out.append(stop)
    if row is None:
        return out
    stop, kept = book.stop("sft/rules", book.table("sft/rules", category), id_)
    await book.again(stop, kept, _outcome(rules.checked(config, row)))
    out.append(stop)
    return out if kept is None else out + await _scored(book, category, kept)


async def _decontaminated(config: Config, row: Row) -> list[Outcome]:
    overlap = Benchmarks(config.decontaminate).overlap(row["prompt"])
    return [Outcome(row["id"], "rejected", "contaminated", overlap) if overlap else Outcome(row["id"], row=row)]


async def _outcome(outcome: Outcome) -> list[Outcome]:
    return [outcome]


async def _scored(book: Book, category: str, page: Row) -> list[Stop]:
    config, id_ = book.config, page["id"]
    stop, row = book.stop("sft/score", book.table("sft/score", category), id_)
    judges = await book.judges("sft/score", category, config.judges)
    recorded = await book.recorded("sft/score", category, score.looked(config))
    work = score.page(config, list(judges), recorded, seeds.dimensions(config), page)
    await book.again(stop, row, work, judges)
    if row is None:
        return [stop]
    scores = {name.removeprefix("score:"): row[name] for name in row if name.startswith("score:")}
    stop.facts |= {"percent": row["percent"], "scores": scores, "judge": row["judge"], "spread": row["spread"]}
    stop.facts["evidence"] = json.loads(row["evidence"])
    return [stop, *_selected(book, row)]


def _selected(book: Book, row: Row) -> list[Stop]:
    config, settings = book.config, book.config.sft.select
    path = config.results / "sft/select/sft_train.parquet"
    stop, chosen = book.stop("sft/select", path, row["id"])
    if stop.status == "none":
        return [stop]
    try:
        tokenizer = tokens.load(train.base(config))
    except UserError as error:
        stop.check("its tokens are counted again", False, str(error))
        return [stop]
    size = tokens.count(tokenizer, [f"{settings.system}\n{row['prompt']}\n{row['html']}"])[0]
    stop.facts |= {"percent": row["percent"], "tokens": size}
    reason = "below_min_percent" if row["percent"] < settings.min_percent else ""
    reason = reason or ("too_many_tokens" if size > settings.max_tokens else "")
    if reason or stop.status == "ok":
        stop.check("it is left out for what it is", stop.reason == reason, f"it should be: {reason or 'chosen'}")
    if chosen is None:
        return [stop]
    said = zip(("system", "user", "assistant"), (settings.system, row["prompt"], row["html"]), strict=True)
    messages = [{"role": role, "content": text} for role, text in said]
    same = {name: row[name] for name in ("id", "kind", "percent", "maker")}
    stop.check(
        "the training row is the scored page",
        *differing(chosen, {**same, "messages": messages, "category": row["group"], "tokens": size}),
    )
    line = book.row(beside(path), row["id"]) or {}
    stop.check("the ledger counts its tokens", line.get("tokens_out") == size, f"{line.get('tokens_out')}, not {size}")
    return [stop, *train.of_data(book, "sft")]
