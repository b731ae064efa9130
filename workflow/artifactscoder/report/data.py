"""What the report shows, read from the tables: numbers and a few records, never a whole table at once."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from artifactscoder import files, ledger, seeds, tables
from artifactscoder.config import Config
from artifactscoder.records import PROCEDURAL
from artifactscoder.report.accounts import shards

Rows = list[dict[str, Any]]
BEST, BORDER, WORST = 24, 8, 8


@dataclass
class Scores:
    """What the scored pages show together, and the ones for the gallery. `levels` counts single votes."""

    pages: int = 0
    votes: int = 0
    makers: Counter[str] = field(default_factory=Counter)
    judges: Counter[str] = field(default_factory=Counter)
    levels: dict[str, Counter[float]] = field(default_factory=dict)
    percents: list[float] = field(default_factory=list)
    gallery: dict[str, Rows] = field(default_factory=dict)


def scores(config: Config, results: Path) -> Scores:
    """One pass over sft/score: level counts by dimension, percentages, and the pages of the gallery."""
    slugs = [dimension["slug"] for dimension in seeds.dimensions(config)]
    out = Scores(levels={slug: Counter() for slug in slugs})
    selected = set(tables.column(results / "sft/select/sft_train.parquet", "id"))
    small = ["id", "group", "percent", "maker", "judge", "votes"]
    best: dict[str, list[tuple[float, str]]] = {}
    worst: list[tuple[float, str]] = []
    border: list[tuple[float, str]] = []
    for path in shards(results / "sft/score"):
        for row in tables.rows(path, small, batch=2000):
            out.pages += 1
            out.makers[row["maker"]] += 1
            out.judges[row["judge"]] += 1
            out.percents.append(row["percent"])
            for vote in json.loads(row["votes"]):
                out.votes += 1
                for slug, score in vote["scores"].items():
                    out.levels[slug][score] += 1
            if row["id"] in selected:
                best.setdefault(row["group"], []).append((-row["percent"], row["id"]))
            worst.append((row["percent"], row["id"]))
            border.append((abs(row["percent"] - config.sft.select.min_percent), row["id"]))
            if len(worst) > 10_000:  # only the ends are shown
                worst, border = heapq.nsmallest(WORST, worst), heapq.nsmallest(BORDER, border)
    chosen = {
        "best": _spread(best),
        "borderline": [id_ for _, id_ in heapq.nsmallest(BORDER, border)],
        "lowest": [id_ for _, id_ in heapq.nsmallest(WORST, worst)],
    }
    out.gallery = _cards(config, results, chosen, slugs, selected)
    return out


def _spread(best: dict[str, list[tuple[float, str]]]) -> list[str]:
    """The best page of different tasks, from every category in turn, at most BEST."""
    queues: list[list[str]] = []
    for rows in best.values():
        by_task: dict[str, str] = {}
        for _, id_ in sorted(rows):
            by_task.setdefault(id_.rpartition("/")[0], id_)
        queues.append(list(by_task.values()))
    rounds = range(max(map(len, queues), default=0))
    return [queue[i] for i in rounds for queue in queues if i < len(queue)][:BEST]


def _cards(
    config: Config, results: Path, chosen: dict[str, list[str]], slugs: list[str], selected: set[str]
) -> dict[str, Rows]:
    wanted = {id_ for ids in chosen.values() for id_ in ids}
    cards: dict[str, dict[str, Any]] = {}
    for path in shards(results / "sft/score"):
        if not wanted.intersection(tables.column(path, "id")):
            continue
        for row in tables.rows(path, batch=64):
            if row["id"] in wanted:
                cards[row["id"]] = {
                    "id": row["id"],
                    "prompt": row["prompt"],
                    "percent": row["percent"],
                    "maker": row["maker"],
                    "selected": row["id"] in selected,
                    "picture": files.data_url(row["screenshot"]),
                    "html": row["html"],
                    "scores": [(slug, row[f"score:{slug}"]) for slug in slugs],
                    "reasons": json.loads(row["reasons"]),
                }
    return {name: [cards[id_] for id_ in ids if id_ in cards] for name, ids in chosen.items()}


def coverage(config: Config, results: Path) -> tuple[Rows, Rows]:
    """Selected pages for each of the 80 categories, and for each (category that ran, kind)."""
    by_category: Counter[str] = Counter()
    by_kind: Counter[tuple[str, str]] = Counter()
    for row in tables.rows(results / "sft/select/sft_train.parquet", ["category", "kind"], batch=5000):
        by_category[row["category"]] += 1
        by_kind[(row["category"], row["kind"])] += 1
    everything = config.model_copy(update={"sft": config.sft.model_copy(update={"categories": "all"})})
    running = {row["slug"] for row in seeds.categories(config)}
    tiles = [
        {
            "slug": row["slug"],
            "name": row["name"],
            "domain": row["domain"],
            "pages": by_category[row["slug"]],
            "runs": row["slug"] in running,
        }
        for row in seeds.categories(everything)
    ]
    kinds = [
        {"category": row["slug"], "kind": kind["slug"], "pages": by_kind[(row["slug"], kind["slug"])]}
        for row in seeds.categories(config)
        for kind in seeds.variants(config)
    ]
    return tiles, kinds


def judges(path: Path) -> dict[str, Any]:
    """The table of sft/agreement as the report shows it: `whole` by judge, all votes first, and `dimensions`."""
    rows = list(tables.rows(path))
    whole = [row for row in rows if row["dimension"] == "percent"]
    names = [row["judge"] for row in whole if row["judge"]]
    biases = {(row["dimension"], row["judge"]): row["bias"] for row in rows}
    dimensions = [
        {**row, "biases": [biases[row["dimension"], name] for name in names] if len(names) > 1 else []}
        for row in rows
        if not row["judge"] and row["dimension"] != "percent"
    ]
    return {"whole": whole if len(whole) > 2 else whole[:1], "names": names, "dimensions": dimensions}


@dataclass
class Corpus:
    """The data of continual pre-training: sources of mixture.json, and what cpt/stats counted, over all shards."""

    sources: Rows = field(default_factory=list)
    groups: dict[str, Counter[str]] = field(default_factory=dict)
    languages: Counter[str] = field(default_factory=Counter)
    libraries: Counter[str] = field(default_factory=Counter)

    @property
    def pages(self) -> int:
        return sum(self.languages.values())


def corpus(results: Path) -> Corpus:
    """Sums over the shards' statistics."""
    out = Corpus(json.loads((results / "cpt/pack/mixture.json").read_text())["sources"])
    for path in sorted((results / "cpt/stats").glob("*.json")):
        found = json.loads(path.read_text())
        for group, counts in found["groups"].items():
            out.groups.setdefault(group, Counter()).update(counts)
        out.languages.update(found["languages"])
        out.libraries.update(found["libraries"])
    return out


def clusters(folder: Path) -> Counter[int]:
    """How many clusters of near-duplicates there are of each size, the kept page counted, by the ledgers of a dedup.

    A kept page is known by 64 bits of its id's digest: 8 bytes a dropped page, whatever the corpus.
    """
    twins: list[NDArray[np.uint64]] = [np.empty(0, np.uint64)]
    for table in shards(folder):
        rows = tables.rows(ledger.beside(table), ["status", "detail"], batch=5000)
        ids = (row["detail"].partition(" like ")[2] for row in rows if row["status"] == "rejected")
        twins.append(np.fromiter((xxhash.xxh3_64_intdigest(id_.encode()) for id_ in ids if id_), np.uint64))
    _, sizes = np.unique(np.concatenate(twins), return_counts=True)
    return Counter((sizes + 1).tolist())


def curve(path: Path, names: dict[str, str]) -> Rows:
    """Rows of step, series, value from a training curve; columns that it lacks, or that are empty, are left out."""
    if not path.exists():
        return []
    out = []
    for row in tables.rows(path):
        for column, label in names.items():
            value = row.get(column)
            if value is not None:
                out.append({"step": row["step"], "series": label, "value": value})
    return out


def manifest(path: Path) -> dict[str, Any]:
    """What a training step says of its run."""
    return dict(json.loads(path.read_text()))


def rewards(path: Path, parts: dict[str, str]) -> Rows:
    """Mean of each part of the reward over the samples of each training step."""
    sums: dict[tuple[int, str], list[float]] = {}
    with tables.open_table(path, ["step", "split", *parts]) as file:
        read = ["step", "split", *(name for name in parts if name in file.schema_arrow.names)]
    for row in tables.rows(path, read, batch=5000):
        if row["split"] == "train":
            for name, label in parts.items():
                if row[name] is not None:
                    sums.setdefault((row["step"], label), []).append(row[name])
    order = list(parts.values())
    keys = sorted(sums, key=lambda key: (key[0], order.index(key[1])))
    return [{"step": k[0], "series": k[1], "value": sum(sums[k]) / len(sums[k])} for k in keys]


def spread(path: Path) -> tuple[int, int]:
    """(steps in which rewards of different rollouts differ, steps)."""
    by_step: dict[int, set[float]] = {}
    for row in tables.rows(path, ["step", "split", "score"], batch=5000):
        if row["split"] == "train" and row["score"] is not None:
            by_step.setdefault(row["step"], set()).add(round(row["score"], 6))
    return sum(len(values) > 1 for values in by_step.values()), len(by_step)


def evaluation(results: Path) -> list[dict[str, Any]]:
    """The tables of eval/table by set of tasks: `rows` by the judge whose points are the result, `others` by others."""
    names = ("table", "groups", "pairs", "dimensions", "agreement")
    found = {name: list(tables.rows(results / f"eval/{name}.parquet")) for name in names}
    out = []
    for name in dict.fromkeys(row["set"] for row in found["table"]):
        own = {kind: [row for row in rows if row["set"] == name] for kind, rows in found.items()}
        rows = [row for row in own["table"] if row["main"]]
        levels: dict[str, dict[str, float | None]] = {}
        for row in own["dimensions"]:
            levels.setdefault(row["dimension"], {})[row["model"]] = row["mean"]
        others = [row for row in own["table"] if not row["main"]]
        out.append({**own, "name": name, "rows": rows, "others": others, "levels": levels})
    return out


def side_by_side(config: Config, results: Path, most: int = 6) -> Rows:
    """For a few held-out tasks: the last picture and the score of each model's answer."""
    by_task: dict[str, dict[str, Any]] = {}
    for model in config.eval.models:
        points = {
            row["id"]: row["s_chk"] for row in tables.rows(results / f"eval/judge/{model}.parquet", ["id", "s_chk"])
        }
        columns = ["id", "prompt", "rendered", "reason", "screenshots"]
        for row in tables.rows(results / f"eval/render/{model}.parquet", columns, batch=16):
            key = row["id"].split("/", 1)[1]
            if key not in by_task and len(by_task) >= most:
                continue
            task = by_task.setdefault(key, {"id": key, "prompt": row["prompt"], "answers": []})
            task["answers"].append(
                {
                    "model": model,
                    "reason": row["reason"],
                    "points": points.get(row["id"]),
                    "picture": files.data_url(row["screenshots"][-1]) if row["screenshots"] else "",
                }
            )
    return list(by_task.values())


def procedural(counter: Counter[str]) -> bool:
    """Whether nothing was made by a model."""
    return set(counter) == {PROCEDURAL}
