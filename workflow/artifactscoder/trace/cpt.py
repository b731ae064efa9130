"""The way of a CPT document: root, topic, template, prompt or WebSight's row; page, twins, tokens, the training."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np

from artifactscoder import indexed, seeds, tables
from artifactscoder.config import Config
from artifactscoder.cpt import code, pack, prompts, templates, tree, websight
from artifactscoder.errors import UserError
from artifactscoder.ledger import beside
from artifactscoder.llm.generate import Outcome
from artifactscoder.records import NODE, TEMPLATE, part
from artifactscoder.tables import Row
from artifactscoder.trace import train, twins
from artifactscoder.trace.book import Book, Stop, differing, rejected


def takes(config: Config, id_: str) -> bool:
    """Whether an id is a topic's, a prompt's, a template's, or a page's of the CPT stage."""
    head, *rest = id_.split("/")
    known = head in {root["slug"] for root in seeds.cpt_roots(config)} and all(part.isdigit() for part in rest)
    return bool(rest) and (known or head in ("websight", "templates"))


def what(config: Config, id_: str) -> str:
    """What such an id names, in words."""
    parts = id_.split("/")
    if parts[0] in ("templates", "websight"):
        return {"templates": "CPT template", "websight": "row of WebSight"}[parts[0]]
    return "CPT topic" if len(parts) <= len(config.cpt.tree.children) + 1 else "CPT document"


async def stops(book: Book, id_: str) -> list[Stop]:
    """The way of a document, or of what it is made of."""
    parts = id_.split("/")
    if parts[0] == "templates":
        return [await _template(book, id_)]
    if parts[0] == "websight":
        return await _websight(book, id_)
    depth = len(book.config.cpt.tree.children)
    node = parts[: depth + 1]
    out, row = [_root(book, parts[0])], None
    for level in range(2, len(node) + 1):
        stop, row = await _topic(book, "/".join(node[:level]))
        out.append(stop)
        if row is None:
            return out
    if len(parts) == len(node) or row is None:
        return out
    return out + await _document(book, row, id_)


def _root(book: Book, root: str) -> Stop:
    found = next(row for row in seeds.cpt_roots(book.config) if row["slug"] == root)
    facts = {"name": found["name"], "brief": found["brief"]}
    return Stop("seed", root, str(book.config.seeds.cpt_roots), facts=facts)


async def _topic(book: Book, id_: str) -> tuple[Stop, Row | None]:
    """A place in the tree."""
    config, (root, *_), parent = book.config, id_.split("/"), id_.rpartition("/")[0]
    path = book.table("cpt/tree", root)
    stop, row = book.stop("cpt/tree", path, id_)
    seed = next(one for one in seeds.cpt_roots(config) if one["slug"] == root)
    above = {"id": root, "path": [seed["name"]]} if parent == root else book.row(path, parent)
    if above is None:
        return stop, None
    teacher = await book.client("cpt/tree", root, "teacher")
    count = config.cpt.tree.children[id_.count("/") - 1]

    async def work() -> list[Outcome]:
        found = await tree.children(config, teacher, seed["brief"], above, count)
        return [_against_the_tree(stop, one) for one in found]

    await book.again(stop, row, work(), [teacher])
    stop.facts |= {"topic": " > ".join(row["path"]), "maker": row["maker"]} if row else {}
    return stop, row


def _against_the_tree(stop: Stop, one: Outcome) -> Outcome:
    """What the rest of the tree left of a topic: taken from the ledger, and the name must be what it says."""
    if one.id == stop.id and one.row and stop.reason in ("cycle", "same_name", "no_name"):
        return rejected(one, stop.reason, one.row["path"][-1])
    return one


async def _template(book: Book, id_: str) -> Stop:
    stop, row = book.stop("cpt/templates", book.table("cpt/templates", "templates"), id_)
    teacher = await book.client("cpt/templates", "all", "teacher")

    async def work() -> list[Outcome]:
        found = await templates.batch(book.config, teacher, int(id_.split("/")[1]))
        late = stop.reason in ("not_needed", "near_duplicate")  # what other batches decided
        return [rejected(one, stop.reason, stop.detail) if late and one.id == id_ else one for one in found]

    await book.again(stop, row, work(), [teacher])
    stop.facts |= {"template": row["template"], "maker": row["maker"]} if row else {}
    return stop


async def _document(book: Book, leaf: Row, id_: str) -> list[Stop]:
    config, root = book.config, leaf["root"]
    leaves = [row["id"] for row in tables.rows(book.table("cpt/tree", root), ["id", "leaf"]) if row["leaf"]]
    if leaf["id"] not in leaves:
        return []
    shard = f"{root}-{leaves.index(leaf['id']) % config.cpt.prompts.shards:02d}"
    stop, row = book.stop("cpt/prompts", book.table("cpt/prompts", shard), id_)
    if row is None:
        return [stop]
    stop.facts |= {name: row[name] for name in ("template", "prompt")}
    stop.check("the prompt is what leaf and templates give", *differing(row, _drawn(book, leaf, id_)))
    out = [await _template(book, row["template"]), stop]
    stop, page = book.stop("cpt/code", book.table("cpt/code", shard), id_)
    coder = await book.client("cpt/code", shard, "coder")
    await book.again(stop, page, code.page(config, coder, row), [coder])
    out.append(stop)
    return out if page is None else out + _packed(book, page, shard, stop)


def _drawn(book: Book, leaf: Row, id_: str) -> Row:
    """The prompt that is drawn for a place of a leaf."""
    config = book.config
    texts = prompts.texts(tables.rows(book.table("cpt/templates", "templates"), TEMPLATE.names))
    fillers = prompts.fillers(config.seeds.cpt_fillers)
    draw = random.Random(f"{config.seed}/{leaf['id']}")
    drawn = list(prompts.draw(draw, leaf, texts, fillers, config.cpt.prompts.per_leaf))
    template, prompt = drawn[int(id_.rpartition("/")[2]) - 1]
    return {"root": leaf["root"], "leaf": leaf["id"], "template": template, "prompt": prompt}


async def _websight(book: Book, id_: str) -> list[Stop]:
    config, source = book.config, book.results / "cpt/websight/source.json"
    if not source.exists():
        raise UserError(f"there is no file {source}; run the rule cpt_websight_source")
    listed = json.loads(source.read_text())["files"]
    found = websight.place(listed, id_)
    if found is None:
        raise UserError(f"there is no row '{id_}' in the files that {source} lists")
    number, total = found, sum(file["rows"] for file in listed)
    name = _shard_of(book, listed, number)
    teacher = await book.client("cpt/websight", name, "teacher")
    coder = await book.client("cpt/websight", name, "coder")
    seed = Stop("seed", id_, str(source), facts={"row": number, "of": total})
    stop, page = book.stop("cpt/websight", book.table("cpt/websight", f"websight-{name}"), id_)
    try:
        row = next(websight.between(listed, number, number + 1, teacher.settings.vision))
    except UserError as error:
        stop.check("the row of WebSight is there", False, str(error))
    else:
        await book.again(stop, page, websight.page(config, teacher, coder, row), [teacher, coder])
    return [seed, stop] if page is None else [seed, stop, *_packed(book, page, f"websight-{name}", stop)]


def _packed(book: Book, page: Row, shard: str, made: Stop) -> list[Stop]:
    """A page's twins, and its tokens."""
    made.facts |= {name: page[name] for name in ("prompt", "html", "extracted", "maker")}
    stop, row = twins.pages(book, "cpt", lambda id_: _table_of(book, id_), page, shard)
    out = [stop]
    if row is None:
        return out
    name = book.results / "cpt/pack" / shard
    stop, _ = book.stop("cpt/pack", name.with_name(f"{shard}.parquet"), page["id"])
    stop.table = str(indexed.idx_path(name))
    out.append(stop)
    line = book.row(beside(name), page["id"])
    if line is None:
        return out
    stop.status, stop.checks = line["status"], []
    number = tables.column(beside(name), "id").index(page["id"])
    reader = indexed.Reader(name)
    held = reader.tokens[int(reader.starts[number]) : int(reader.starts[number + 1])]
    try:
        encoder = pack.Encoder(book.config, train.base(book.config))
    except UserError as error:
        stop.check("its tokens are made again", False, str(error))
        return out
    [(_, ids, detail)] = encoder([row])
    stop.facts |= {"document": number, "tokens": len(held), "of": len(reader)}
    stop.check("the tokens are those of the page", np.array_equal(held, ids), "the page's tokens are others")
    stop.check("the ledger says so", (line["tokens_out"], line["detail"]) == (len(ids), detail), str(line["detail"]))
    return [*out, _mixed(book, shard), *train.of_data(book, "cpt")]


def _mixed(book: Book, shard: str) -> Stop:
    path = book.results / "cpt/pack/mixture.json"
    stop = Stop("cpt/mixture", shard, str(path), "none")
    if path.exists():
        told = json.loads(path.read_text())
        for source in told["sources"]:
            for one in source["shards"]:
                if Path(one["path"]).name == shard:
                    stop.status = "ok"
                    stop.facts |= {"source": source["name"], "weight": source["weight"], "tokens": one["tokens"]}
                    size = int(indexed.Reader(book.results / "cpt/pack" / shard).starts[-1])
                    stop.check("it counts the shard's tokens", size == one["tokens"], f"{one['tokens']}, not {size}")
    return stop


def _shard_of(book: Book, listed: list[dict[str, Any]], number: int) -> str:
    """The WebSight shard of a row, by its number among those of all files."""
    total, shards = sum(file["rows"] for file in listed), book.config.cpt.websight.shards
    return next(f"{n:04d}" for n in range(shards) if number in part(total, n, shards))


def _table_of(book: Book, id_: str) -> Path:
    """Where the page of an id stands, if there is one."""
    if id_.startswith("websight/"):
        listed = json.loads((book.results / "cpt/websight/source.json").read_text())["files"]
        return book.table("cpt/websight", f"websight-{_shard_of(book, listed, websight.place(listed, id_) or 0)}")
    root, leaf = id_.split("/")[0], id_.rpartition("/")[0]
    leaves = [row["id"] for row in tables.rows(book.table("cpt/tree", root), NODE.names) if row["leaf"]]
    shard = leaves.index(leaf) % book.config.cpt.prompts.shards if leaf in leaves else 0
    return book.table("cpt/code", f"{root}-{shard:02d}")
