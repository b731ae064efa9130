"""eval/score: the 25 dimensions of every answer, beside its checklist.

In: a model's rendered answers. Out: one column a dimension and the weighted percentage, by the judges and the very
requests of sft/score, with the first `sft.score.screenshots` of the pictures that eval/render took. An answer that did
not render, or that speaks to its judge (`reward.judge_directed`), has level 0 everywhere without asking, so that all
models are measured on all tasks; a judge that does not answer makes the row `failed`.
"""

from __future__ import annotations

from pathlib import Path

from artifactscoder import seeds, tables
from artifactscoder.config import Config
from artifactscoder.eval.judge import LABELS, rendering
from artifactscoder.eval.render import RENDERED
from artifactscoder.html.directed import directed
from artifactscoder.ledger import Ledger
from artifactscoder.llm import generate
from artifactscoder.llm.client import Client
from artifactscoder.llm.generate import Outcome
from artifactscoder.progress import Progress
from artifactscoder.records import REAL, TEXT, columns
from artifactscoder.reward import measure, scoring
from artifactscoder.seeds import Seed
from artifactscoder.tables import Row

COMMON = ("id", "model", *LABELS)


async def run(config: Config, input: Path, name: str, output: Path) -> Ledger:
    """Score every rendering of `input` and write table and ledger."""
    dimensions = seeds.dimensions(config)
    levels = dict.fromkeys(_names(dimensions), REAL)
    schema = columns(**dict.fromkeys(COMMON, TEXT), percent=REAL, **levels, votes=TEXT, judge=TEXT)
    async with generate.roles(config, "eval/score", name, endpoints=config.judges) as judges:
        return await generate.in_order(
            tables.rows(input, RENDERED.names, batch=32),
            lambda row: [row["id"]],
            lambda row: judged(config, judges, dimensions, row),
            output,
            schema,
            judges,
            Progress(f"eval/score {name}", tables.count(input)),
            per_row=config.sft.score.times * len(scoring.groups(dimensions, config.sft.score.group)),
        )


async def judged(config: Config, judges: list[Client], dimensions: list[Seed], row: Row) -> list[Outcome]:
    """One rendering judged on all dimensions."""
    render, kept = rendering(row), {key: row[key] for key in COMMON}
    judge = ", ".join(dict.fromkeys(judge.maker for judge in judges))
    if render is None or not render.verdict.rendered or _begs(config, row["html"], render.verdict.visible_text):
        nothing = {"percent": 0.0, **dict.fromkeys(_names(dimensions), 0.0), "votes": "[]", "judge": judge}
        return [Outcome(row["id"], row={**kept, **nothing})]
    [outcome] = await scoring.scores(config, judges, dimensions, row, render)
    if outcome.row is not None:
        taken = ("percent", *_names(dimensions), "votes", "judge")
        outcome.row = {**kept, **{name: outcome.row[name] for name in taken}}
    return [outcome]


def _names(dimensions: list[Seed]) -> list[str]:
    return [f"score:{dimension['slug']}" for dimension in dimensions]


def _begs(config: Config, html: str, seen: str) -> bool:
    return measure.begs(config.reward, directed(html, seen))
