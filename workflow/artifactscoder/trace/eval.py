"""The way of an evaluation's item: the task, the model's answer, its rendering, the judges' points; and the model's."""

from __future__ import annotations

import json
from pathlib import Path

from artifactscoder import seeds, tables
from artifactscoder.config import Config
from artifactscoder.config.train import EVALUATED
from artifactscoder.errors import UserError
from artifactscoder.eval import generate, judge, render, score, table, tasks
from artifactscoder.html.extract import extract
from artifactscoder.llm import folder
from artifactscoder.llm.generate import Outcome
from artifactscoder.models import fingerprint
from artifactscoder.tables import Row
from artifactscoder.trace import rl, train
from artifactscoder.trace.book import Book, NotRecorded, Recalled, Stop, differing


def takes(config: Config, id_: str) -> bool:
    """Whether an id is MODEL/SET/...: a model's answer to a task."""
    model, *rest = id_.split("/")
    return model in (*EVALUATED, *config.asked_models) and len(rest) > 1 and rest[0] in config.eval.tasks


def takes_task(config: Config, id_: str) -> bool:
    """Whether an id is SET/...: a task that models answer."""
    return id_.split("/")[0] in config.eval.tasks and "/" in id_


async def task(book: Book, id_: str) -> list[Stop]:
    """The way of one task."""
    return [*await _before(book, id_), _task(book, id_)[0]]


async def stops(book: Book, id_: str) -> list[Stop]:
    """The way of one answer."""
    config, (name, _, task_id) = book.config, id_.partition("/")
    out = await _before(book, task_id)
    out += train.line(book, name) if name in EVALUATED else []
    stop, asked = _task(book, task_id)
    out.append(stop)
    if asked is None:
        return out
    stop, row = book.stop("eval/generate", book.table("eval/generate", name), id_)
    await _answered(book, name, stop, row, asked)
    out.append(stop)
    if row is None:
        return out
    stop.facts |= {name: row[name] for name in ("answer", "finish", "tokens")}
    stop, shown = book.stop("eval/render", book.table("eval/render", name), id_)
    recorded = await book.recorded("eval/render", name, render.looked(config))
    await book.again(stop, shown, render.rendered(config, recorded, row))
    out.append(stop)
    if shown is None:
        return out
    stop.facts |= {name: shown[name] for name in ("extracted", "rendered", "reason")}
    return [*out, *await _points(book, name, shown)]


async def _before(book: Book, task_id: str) -> list[Stop]:
    """Where a held-out task comes from."""
    name, _, inner = task_id.partition("/")
    if book.config.eval.tasks[name].path is None and rl.takes(book.config, inner):
        found = await rl.stops(book, inner)
        return [stop for stop in found if not stop.step.startswith("train/")]
    return []


def _task(book: Book, id_: str) -> tuple[Stop, Row | None]:
    config, name = book.config, id_.split("/")[0]
    stop, row = book.stop("eval/tasks", book.table("eval/tasks", "tasks"), id_)
    one = config.eval.tasks[name]
    source = one.path or book.results / "rl/parquet/rl_val.parquet"
    stop.facts["source"] = str(source)
    if row is not None:
        try:
            found = next((r for r in tasks.rows(config, name, one, source) if r["id"] == id_), None)
        except UserError:
            found = None
        expected = {**(found or {}), "set": name, "system": config.sft.select.system}
        claim = "the task is that of its source"
        stop.check(claim, *(differing(row, expected) if found else (False, f"it is not in {source}")))
        stop.facts |= {"prompt": row["prompt"], "class": row["class"]}
    return stop, row


async def _answered(book: Book, name: str, stop: Stop, row: Row | None, task: Row) -> None:
    """The answer again: an endpoint's by its request, a folder's by the batch in which it was decoded."""
    config = book.config
    if name not in EVALUATED:
        client = await book.client("eval/generate", name, endpoint=name)
        await book.again(stop, row, generate.answered(config, client, name, task), [client])
    elif config.eval.engine == "vllm":
        served = folder.served(config, name, _folder(book, name))
        client = Recalled(served, "eval/generate", await book.journal("eval/generate", name), endpoint=name)
        await book.again(stop, row, generate.answered(served, client, name, task), [client])
    else:
        await book.again(stop, row, _decoded(book, name, stop, task))


def _folder(book: Book, name: str) -> Path:
    return train.base(book.config) if name == "base" else book.results / "train" / name / "export"


async def _decoded(book: Book, name: str, stop: Stop, task: Row) -> list[Outcome]:
    """What transformers decoded: found by the model's fingerprint and all requests of the batch."""
    config, path = book.config, book.table("eval/tasks", "tasks")
    journal, weights = await book.journal("eval/generate", name), fingerprint(_folder(book, name))
    for part in tables.batches(path, tasks.TASKS.names, config.eval.batch):
        place = next((n for n, row in enumerate(part) if row["id"] == task["id"]), None)
        if place is None:
            continue
        key = generate.batch_key(config, weights, [generate.conversation(r["system"], r["prompt"]) for r in part])
        entry = journal.get(key)
        if entry is None:
            raise NotRecorded
        stop.facts |= {"model": weights, "journal": str(journal.folder), "key": key}
        text, count, finish = entry["answers"][place]
        usage = generate.decoded_usage(count)
        return [Outcome(stop.id, usage=usage, row=generate.with_answer(task, name, text, finish, count))]
    return []


async def _points(book: Book, name: str, shown: Row) -> list[Stop]:
    config, id_ = book.config, shown["id"]
    stop, row = book.stop("eval/judge", book.table("eval/judge", name), id_)
    judges = await book.judges("eval/judge", name, config.checklist_judges)
    await book.again(stop, row, judge.judged(config, list(judges), shown), judges)
    if row is not None:
        stop.facts |= {part: row[part] for part in (*judge.PARTS, "judge")}
        stop.facts["points"] = json.loads(row["points"])
    other, scored = book.stop("eval/score", book.table("eval/score", name), id_)
    if other.status != "none":
        judges = await book.judges("eval/score", name, config.judges)
        work = score.judged(config, list(judges), seeds.dimensions(config), shown)
        await book.again(other, scored, work, judges)
        if scored is not None:
            levels = {key.removeprefix("score:"): scored[key] for key in scored if key.startswith("score:")}
            other.facts |= {"percent": scored["percent"], "scores": levels, "judge": scored["judge"]}
    kind = extract(shown["answer"]).kind
    stop.check("what was extracted is what the answer holds", kind == shown["extracted"], f"{kind}")
    return [stop, other, _table(book, name, shown)]


def _table(book: Book, name: str, shown: Row) -> Stop:
    """The line of the table of results in which it is counted, and whether its answers give that line."""
    path = book.results / "eval/table.parquet"
    stop = Stop("eval/table", f"{shown['set']} {name}", str(path), "none")
    if not path.exists():
        return stop
    where = [("set", "==", shown["set"]), ("model", "==", name), ("main", "==", True)]
    found = tables.read(path, table.TABLE.names, where).to_pylist()
    if found:
        stop.status = "ok"
        stop.facts |= found[0]
        judged, scored = book.table("eval/judge", name), book.table("eval/score", name)
        own = list(tables.rows(book.table("eval/tasks", "tasks"), ["id", "set", "task"]))
        answers = table.model(judged, scored if book.config.eval.dimensions and scored.exists() else None)
        own, judge = [row for row in own if row["set"] == shown["set"]], found[0]["judge"]
        gives = table.line(book.config, shown["set"], own, answers, judge, [judge])
        stop.check("the table's line is what its answers give", *differing(found[0], gives))
    return stop
