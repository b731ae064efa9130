"""What the report shows, read from the tables: numbers and a few records, never a whole table at once."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from artifactscoder import journal, shards, tables
from artifactscoder.config import Config
from artifactscoder.journal import Paid
from artifactscoder.records import PROCEDURAL
from artifactscoder.report import packs
from artifactscoder.report.accounts import Account

Rows = list[dict[str, Any]]


def failures(results: Path, books: list[Account], models: list[str]) -> Rows:
    """Pages that did not render, or ran into a script error where one is enough: rows of step, cause, pages."""
    found: Counter[tuple[str, str]] = Counter()
    for account in books:
        for (_, reason), count in account.reasons.items():
            if reason.startswith("not_rendered_") or reason == "script_error":
                found[account.step, reason.removeprefix("not_rendered_")] += count
    for model in models:
        for row in tables.rows(results / f"eval/render/{model}.parquet", ["rendered", "reason"], batch=1000):
            if not row["rendered"]:
                found[f"eval/render, {model}", row["reason"]] += 1
    for row in tables.rows(results / "train/grpo/rewards.parquet", ["status", "i_render", "reason"], batch=5000):
        if row["status"] == "ok" and row["i_render"] == 0:
            found["train/grpo", row["reason"]] += 1
    total: Counter[str] = Counter()
    for (_, cause), count in found.items():
        total[cause] += count
    ordered = sorted(found.items(), key=lambda item: (-total[item[0][1]], item[0]))
    return [{"step": step, "cause": cause, "pages": count} for (step, cause), count in ordered]


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


def corpus(config: Config, results: Path) -> Corpus:
    """Sums over the statistics of the configuration's shards."""
    out = Corpus(json.loads((results / "cpt/pack/mixture.json").read_text())["sources"])
    paths = [results / f"cpt/stats/{name}.json" for name in sorted(shards.names(config)["cpt/pack"])]
    for path in paths:
        if not path.exists():
            continue
        found = json.loads(path.read_text())
        for group, counts in found["groups"].items():
            out.groups.setdefault(group, Counter()).update(counts)
        out.languages.update(found["languages"])
        out.libraries.update(found["libraries"])
    return out


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


def rewards_paid(folder: Path) -> Paid | None:
    """What the judge's answers in GRPO's journal cost, those of earlier runs too; None where the journal is gone."""
    return journal.paid(folder / "train/grpo") if (folder / "train/grpo").is_dir() else None


def rewards(path: Path, parts: dict[str, str]) -> Rows:
    """Mean of each part of the reward that the table has, over the samples of each training step."""
    sums: dict[tuple[int, str], list[float]] = {}
    with tables.open_table(path, ["step", "split"]) as file:
        held = {name: label for name, label in parts.items() if name in file.schema_arrow.names}
    for row in tables.rows(path, ["step", "split", *held], batch=5000):
        if row["split"] == "train":
            for name, label in held.items():
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


def side_by_side(config: Config, results: Path, folder: Path, most: int = 6) -> Rows:
    """For a few held-out tasks: the last picture (written to `folder`) and the score of each model's answer."""
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
            name = f"answers/{list(by_task).index(key)}-{len(task['answers'])}"
            picture = packs.picture(folder, name, row["screenshots"][-1]) if row["screenshots"] else ""
            answer = {"model": model, "reason": row["reason"], "points": points.get(row["id"]), "picture": picture}
            task["answers"].append(answer)
    return list(by_task.values())


def tasks(config: Config, results: Path) -> int:
    """How many tasks the models were given."""
    paths = [results / f"eval/render/{model}.parquet" for model in config.eval.models]
    return len({id_.split("/", 1)[1] for path in paths for id_ in tables.column(path, "id")})


def procedural(counter: Counter[str]) -> bool:
    """Whether nothing was made by a model."""
    return set(counter) == {PROCEDURAL}
