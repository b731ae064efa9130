"""eval/table: the models side by side.

In: the tasks, and what eval/judge and eval/score made of every model's answers. Out, all for each set of tasks by
itself, since means over different sets would say nothing:
- table.parquet, a row a model and judge: tasks, judged, failed; the share that rendered; the mean checklist score in
  percent with a 95 % interval, over what was judged and, as the other bound, with failures counted as 0; mean reward,
  tokens, the 25 dimensions' percentage, the pictures that the judge saw, the judge with its revision, and whether the
  requests of SFT and RL were compared with the set's file (held-out tasks are kept out of RL only, and not compared);
- groups.parquet, the same means by class and difficulty;
- pairs.parquet, each later model against each earlier one on the tasks that both were judged on;
- dimensions.parquet, the mean level of each dimension;
- agreement.parquet, how far several judges agree.
All of it holds for one judge: points of different judges, or published ones of another judge, do not compare.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from artifactscoder import seeds, tables
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.eval import compare
from artifactscoder.records import FLAG, INT, REAL, TEXT, columns
from artifactscoder.tables import Row

TABLE = columns(
    set=TEXT, model=TEXT, judge=TEXT, main=FLAG, tasks=INT, judged=INT, failed=INT, rendered=REAL, checklist=REAL,
    low=REAL, high=REAL, checklist_failed_as_0=REAL, low_failed_as_0=REAL, high_failed_as_0=REAL, reward=REAL,
    percent=REAL, tokens=REAL, truncated=REAL, directed=INT, pictures=REAL, used=REAL, decontaminated=FLAG,
)  # fmt: skip
GROUPS = columns(
    set=TEXT, by=TEXT, group=TEXT, model=TEXT, judge=TEXT, tasks=INT, judged=INT, checklist=REAL, low=REAL, high=REAL,
    checklist_failed_as_0=REAL,
)  # fmt: skip
PAIRS = columns(
    set=TEXT, a=TEXT, b=TEXT, judge=TEXT, tasks=INT, difference=REAL, low=REAL, high=REAL, better=INT, equal=INT,
    worse=INT, p=REAL, p_holm=REAL, difference_failed_as_0=REAL,
)  # fmt: skip
DIMENSIONS = columns(set=TEXT, model=TEXT, dimension=TEXT, scored=INT, failed=INT, mean=REAL)
AGREEMENT = columns(set=TEXT, a=TEXT, b=TEXT, answers=INT, rank=REAL, difference=REAL, apart=REAL, order=REAL)
NAMES = {"groups": GROUPS, "pairs": PAIRS, "dimensions": DIMENSIONS, "agreement": AGREEMENT}
WANTED = [
    "id", "model", "rendered", "finish", "tokens", "score", "s_chk", "judge", "votes", "directed", "pictures", "used",
]  # fmt: skip


@dataclass
class Model:
    """A model's answers by the id of their task; `levels`: its rows of eval/score."""

    name: str
    answers: dict[str, Row]
    levels: dict[str, Row]

    def points(self, ids: list[str], judge: str | None = None) -> dict[str, float]:
        """Checklist points [%] of those of the tasks that were judged, by one of several judges."""
        out = {}
        for id_ in ids:
            answer = self.answers.get(id_)
            value = None if answer is None else answer["s_chk"] if judge is None else answer["votes"].get(judge)
            if value is not None:
                out[id_] = 100 * value
        return out


def run(config: Config, tasks: Path, inputs: list[Path], scored: list[Path], output: Path) -> None:
    """Write all tables beside `output`, the first of them; `inputs` and `scored` hold one table a model."""
    rows = list(tables.rows(tasks, ["id", "set", "task", "class", "difficulty"]))
    models = [model(path, scored[number] if scored else None) for number, path in enumerate(inputs)]
    judges = list(dict.fromkeys(judge for model in models for row in model.answers.values() for judge in row["votes"]))
    main = {row["judge"] for model in models for row in model.answers.values()}
    if len(main) > 1:
        raise UserError(f"the models were judged by different judges ({', '.join(sorted(main))}); judge all by one")
    sets = {name: [row for row in rows if row["set"] == name] for name in dict.fromkeys(row["set"] for row in rows)}
    made: dict[str, list[Row]] = {name: [] for name in ("table", *NAMES)}
    for name, own in sets.items():
        made["table"] += [line(config, name, own, model, judge, judges) for model in models for judge in judges]
        made["groups"] += _groups(config, name, own, models, judges[0])
        made["pairs"] += _pairs(config, name, own, models, judges[0])
        made["dimensions"] += _dimensions(config, name, own, models) if scored else []
        made["agreement"] += _agreement(name, own, models, judges)
    for name, schema in NAMES.items():
        tables.write(output.with_name(f"{name}.parquet"), schema, made[name])
    tables.write(output, TABLE, made["table"])


def model(path: Path, scored: Path | None) -> Model:
    """A model's answers as they were judged, and scored where they were."""
    answers = {}
    for row in tables.rows(path, WANTED):
        votes = {vote["judge"]: vote["s_chk"] for vote in json.loads(row["votes"])}
        answers[row["id"].split("/", 1)[1]] = {**row, "votes": votes, "directed": row["directed"] != "[]"}
    if not answers:
        raise UserError(f"{path} holds no judged answer; its ledger says why")
    levels = {} if scored is None else {row["id"].split("/", 1)[1]: row for row in tables.rows(scored)}
    return Model(next(iter(answers.values()))["model"], answers, levels)


def _means(config: Config, own: list[Row], points: dict[str, float]) -> Row:
    """Both bounds of the mean over tasks, some of which have no points because a judge or the endpoint failed."""
    judged = [row for row in own if row["id"] in points]
    values = np.array([points[row["id"]] for row in judged])
    whole = np.array([points.get(row["id"], 0.0) for row in own])
    low, high = compare.interval(values, [row["task"] for row in judged], config.seed)
    low_0, high_0 = compare.interval(whole, [row["task"] for row in own], config.seed)
    return {
        "tasks": len(own), "judged": len(judged), "failed": len(own) - len(judged),
        "checklist": _mean(values), "low": low, "high": high,
        "checklist_failed_as_0": _mean(whole), "low_failed_as_0": low_0, "high_failed_as_0": high_0,
    }  # fmt: skip


def line(config: Config, name: str, own: list[Row], model: Model, judge: str, judges: list[str]) -> Row:
    """The line of a model in the table by one of the judges; `own`: the tasks of the set, with `id` and `task`."""
    ids = [row["id"] for row in own]
    answers = [model.answers[id_] for id_ in ids if id_ in model.answers]
    levels = [model.levels[id_]["percent"] for id_ in ids if id_ in model.levels]
    return {
        "set": name, "model": model.name, "judge": judge, "main": judge == judges[0],
        **_means(config, own, model.points(ids, judge)),
        "rendered": _mean([row["rendered"] for row in answers]),
        "reward": _mean([row["score"] for row in answers]),
        "percent": _mean(levels),
        "tokens": _mean([row["tokens"] for row in answers]),
        "truncated": _mean([row["finish"] == "length" for row in answers]),
        "directed": sum(row["directed"] for row in answers),
        "pictures": _mean([row["pictures"] for row in answers if row["rendered"]]),
        "used": _mean([row["used"] for row in answers if row["rendered"]]),
        "decontaminated": config.decontaminated(name),
    }  # fmt: skip


def _groups(config: Config, name: str, own: list[Row], models: list[Model], judge: str) -> Iterator[Row]:
    for by, of in (("class", lambda row: row["class"]), ("difficulty", lambda row: row["difficulty"])):
        groups: dict[str, list[Row]] = {}
        for row in own:
            groups.setdefault(of(row), []).append(row)
        for group, members in sorted(groups.items()):
            for model in models if group else ():
                means = _means(config, members, model.points([row["id"] for row in members]))
                kept = {key: means[key] for key in GROUPS.names if key in means}
                yield {"set": name, "by": by, "group": group, "model": model.name, "judge": judge, **kept}


def _pairs(config: Config, name: str, own: list[Row], models: list[Model], judge: str) -> list[Row]:
    out = []
    for a, b in combinations(models, 2):
        ids = [row["id"] for row in own]
        of_a, of_b = a.points(ids), b.points(ids)
        both = [row for row in own if row["id"] in of_a and row["id"] in of_b]
        if not both:
            continue
        x, y = (np.array([points[row["id"]] for row in both]) for points in (of_a, of_b))
        found = compare.pair(x, y, [row["task"] for row in both], config.seed)
        bound = _mean([of_b.get(id_, 0.0) - of_a.get(id_, 0.0) for id_ in ids])
        out.append(
            {"set": name, "a": a.name, "b": b.name, "judge": judge, "tasks": len(both), **vars(found),
             "difference_failed_as_0": bound}
        )  # fmt: skip
    for row, p in zip(out, compare.holm([row["p"] for row in out]), strict=True):
        row["p_holm"] = p
    return out


def _dimensions(config: Config, name: str, own: list[Row], models: list[Model]) -> Iterator[Row]:
    for model in models:
        levels = [model.levels[row["id"]] for row in own if row["id"] in model.levels]
        for dimension in seeds.dimensions(config):
            mean = _mean([row[f"score:{dimension['slug']}"] for row in levels])
            counts = {"scored": len(levels), "failed": len(own) - len(levels)}
            yield {"set": name, "model": model.name, "dimension": dimension["slug"], **counts, "mean": mean}


def _agreement(name: str, own: list[Row], models: list[Model], judges: list[str]) -> Iterator[Row]:
    """Over the answers that both of two judges gave points for, and no others: Spearman's rank correlation, the mean of
    b minus a and of the distance [percentage points], and the share of the pairs of models (of those that have such
    answers) whose means both put in the same order."""
    ids = [row["id"] for row in own]
    for a, b in combinations(judges, 2):
        of = []
        for model in models:
            of_a, of_b = model.points(ids, a), model.points(ids, b)
            if both := [(of_a[id_], of_b[id_]) for id_ in ids if id_ in of_a and id_ in of_b]:
                of.append(np.array(both))
        if not of:
            continue
        x, y = np.concatenate(of).T
        varied = len(x) > 2 and np.ptp(x) > 0 and np.ptp(y) > 0
        orders = [np.sign(np.round(one.mean(0) - other.mean(0), compare.DIGITS)) for one, other in combinations(of, 2)]
        same = [by_a == by_b for by_a, by_b in orders]
        yield {
            "set": name, "a": a, "b": b, "answers": len(x),
            "rank": round(float(stats.spearmanr(x, y).statistic), compare.DIGITS) if varied else None,
            "difference": _mean(y - x), "apart": _mean(np.abs(y - x)), "order": _mean(same),
        }  # fmt: skip


def _mean(values: Any) -> float | None:
    return round(float(np.mean(values)), compare.DIGITS) if len(values) else None
