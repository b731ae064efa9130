"""sft/calibrate: how far the judges' scores of pages of known levels are from those levels, and whether they are fit.

In: the gold pages of `seeds.gold`, short ones that plainly show a fault or its absence, with the level that the
dimension's own words then give; where no level is plain, none is given. Their levels are the authors' reading of those
words, not the vote of a panel of people: a judge far from them misreads the dimensions, one close to them is not
thereby a good judge of fine differences. Out: every judge's answers (`N-JUDGE.parquet`), and in `calibrate.parquet`,
for each judge and dimension: how many levels were compared, mean distance, bias (above or below gold), quadratically
weighted kappa with gold, and `repeat`, the standard deviation between its own times. The exit code is 0 if every judge
is fit by `sft.calibrate`, otherwise 1.

Each judge is asked as `sft.score` would ask it (times, group, pictures), by itself and through the journal; the
17 pages that come with this project cost 17 requests of about 5K tokens with everything in one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from artifactscoder import seeds, tables
from artifactscoder.config import Config
from artifactscoder.ledger import Usage, beside
from artifactscoder.llm import drain
from artifactscoder.progress import table
from artifactscoder.records import INT, PROCEDURAL, REAL, TEXT, columns, slug
from artifactscoder.reward import scoring
from artifactscoder.seeds import Seed
from artifactscoder.sft import score
from artifactscoder.sft.agreement import kappa
from artifactscoder.tables import Row

TABLE = columns(judge=TEXT, dimension=TEXT, levels=INT, error=REAL, bias=REAL, kappa=REAL, repeat=REAL)
ALL = "all"


def run(config: Config, folder: Path | None, browsers: int) -> int:
    """Ask every judge, print and write what comes out; returns the exit code."""
    folder = folder or config.results / "sft/calibrate"
    pages = seeds.gold(config)
    rows: list[Row] = []
    fit = True
    for number, name in enumerate(config.judges, 1):
        alone = config.sft.score.model_copy(update={"judges": [name]})
        asked = config.model_copy(update={"sft": config.sft.model_copy(update={"score": alone})})
        table = folder / f"{number}-{slug(name)}.parquet"
        drain.run(score.judged(asked, "sft/calibrate", "gold", _rows(pages), len(pages), table, browsers))
        found = measure(pages, list(tables.rows(table, ["id", "votes"])))
        rows += [{"judge": config.endpoints[name].label, **row} for row in found]
        lost = Counter(row["reason"] for row in tables.rows(beside(table)) if row["status"] != "ok")
        trouble = unfit(config, found[0], lost, len(pages))
        fit = fit and not trouble
        print("\n".join(_lines(config, name, found, beside(table))))
        print(f"{name} is not fit: {trouble}\n" if trouble else f"{name} is fit to judge by these levels\n")
    tables.write(folder / "calibrate.parquet", TABLE, rows)
    return 0 if fit else 1


def measure(pages: list[Seed], judged: list[Row]) -> list[dict[str, Any]]:
    """Rows of the table for one judge: all gold levels together first, then those of each dimension.

    `judged`: id and votes. Units of error are points of 10; of several times each is compared.
    """
    gold = {page["slug"]: page["levels"] for page in pages}
    given: dict[str, list[tuple[float, list[float]]]] = {}
    for row in judged:
        votes = [vote["scores"] for vote in json.loads(row["votes"])]
        for dimension, level in gold[row["id"]].items():
            given.setdefault(dimension, []).append((float(level), [vote[dimension] for vote in votes]))
    everything = [pair for pairs in given.values() for pair in pairs]
    return [_row(ALL, everything), *(_row(dimension, given[dimension]) for dimension in sorted(given))]


def _row(dimension: str, pairs: list[tuple[float, list[float]]]) -> dict[str, Any]:
    if not pairs:
        return {"dimension": dimension, "levels": 0, **dict.fromkeys(("error", "bias", "kappa", "repeat"))}
    gold = np.array([[level] * len(votes) for level, votes in pairs])
    votes = np.array([votes for _, votes in pairs])
    places = np.searchsorted(scoring.LEVELS, np.stack([gold.ravel(), votes.ravel()])).astype(np.uint8)
    numbers = {
        "error": float(np.abs(votes - gold).mean()),
        "bias": float((votes - gold).mean()),
        "kappa": kappa(places),
        "repeat": float(votes.std(axis=1).mean()) if votes.shape[1] > 1 else None,
    }
    rounded = {name: value if value is None else round(value, 6) for name, value in numbers.items()}
    return {"dimension": dimension, "levels": len(pairs), **rounded}


def unfit(config: Config, whole: dict[str, Any], lost: Counter[str], pages: int) -> str:
    """What speaks against a judge, in words; empty when it is fit."""
    wanted = config.sft.calibrate
    against = []
    if lost:
        reasons = ", ".join(f"{count} {reason}" for reason, count in lost.most_common())
        against.append(f"{sum(lost.values())} of {pages} gold pages have no verdict ({reasons})")
    if whole["error"] is not None and whole["error"] > wanted.max_error:
        against.append(f"its mean error is {whole['error']:.2f} points (sft.calibrate.max_error is {wanted.max_error})")
    if whole["levels"] and (whole["kappa"] is None or whole["kappa"] < wanted.min_agreement):
        against.append(
            f"its agreement with gold is {_number(whole['kappa'])} "
            f"(sft.calibrate.min_agreement is {wanted.min_agreement})"
        )
    return "; ".join(against)


def _rows(pages: list[Seed]) -> Iterator[Row]:
    for page in pages:
        yield {
            "id": page["slug"], "group": "gold", "kind": "gold", "prompt": page["prompt"], "html": page["html"],
            "answer": "", "extracted": "document", "maker": "gold", "request": "",
        }  # fmt: skip


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.2f}"


def _lines(config: Config, name: str, found: list[dict[str, Any]], ledger: Path) -> Iterator[str]:
    """The screen of one judge."""
    endpoint = config.endpoints[name]
    what = "procedural: built-in rules, no model" if endpoint.maker == PROCEDURAL else endpoint.label
    left = list(tables.rows(ledger))
    cost = sum((Usage(**{key: row[key] for key in Usage().__dict__}) for row in left), Usage())
    groups = len(scoring.groups(seeds.dimensions(config), config.sft.score.group))
    least = sum(row["status"] == "ok" for row in left) * groups * config.sft.score.times
    yield f"{name} ({what}), against the gold levels of {config.seeds.gold}"
    screen = [["dimension", "levels", "error", "bias", "kappa", "repeat"]]
    for row in found:
        numbers = [_number(row["error"]), _number(row["bias"], "+"), _number(row["kappa"]), _number(row["repeat"])]
        screen.append([row["dimension"], str(row["levels"]), *numbers])
    yield from table(screen, left={0})
    tokens = f"{cost.tokens_in:,} prompt and {cost.tokens_out:,} answer tokens"
    yield f"{cost.attempts} attempts for {least} answers, {tokens}, cost {cost.cost:.2f}"
