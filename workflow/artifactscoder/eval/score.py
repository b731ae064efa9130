"""eval/score: the 25 dimensions of every answer, beside its checklist.

In: a model's rendered answers. Out: one column a dimension and the weighted percentage, by the judges and the very
requests of sft/score, with the pictures that eval/render took. An answer that did not render, or that speaks to its
judge (`reward.judge_directed`), has level 0 everywhere without asking, so that all models are measured on all tasks; a
judge that does not answer makes the row `failed`.
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
from artifactscoder.llm.generate import Outcome
from artifactscoder.progress import Progress
from artifactscoder.records import REAL, TEXT, columns
from artifactscoder.sft import score
from artifactscoder.tables import Row

COMMON = ("id", "model", *LABELS)


async def run(config: Config, input: Path, name: str, output: Path) -> Ledger:
    """Score every rendering of `input` and write table and ledger."""
    dimensions = seeds.dimensions(config)
    columns_ = [f"score:{dimension['slug']}" for dimension in dimensions]
    schema = columns(
        **dict.fromkeys(COMMON, TEXT), percent=REAL, **dict.fromkeys(columns_, REAL), votes=TEXT, judge=TEXT
    )
    async with generate.roles(config, "eval/score", name, endpoints=config.judges) as judges:
        nothing = {"percent": 0.0, **dict.fromkeys(columns_, 0.0), "votes": "[]"}
        nothing["judge"] = ", ".join(dict.fromkeys(judge.maker for judge in judges))

        async def work(row: Row) -> list[Outcome]:
            render, kept = rendering(row), {key: row[key] for key in COMMON}
            if render is None or not render.verdict.rendered or _begs(config, row["html"], render.verdict.visible_text):
                return [Outcome(row["id"], row={**kept, **nothing})]
            [outcome] = await score.scores(config, judges, dimensions, row, render)
            if outcome.row is not None:
                outcome.row = {name: outcome.row[name] for name in schema.names}
            return [outcome]

        return await generate.in_order(
            tables.rows(input, RENDERED.names, batch=32),
            lambda row: [row["id"]],
            work,
            output,
            schema,
            judges,
            Progress(f"eval/score {name}", tables.count(input)),
            per_row=config.sft.score.times * len(score.groups(dimensions, config.sft.score.group)),
        )


def _begs(config: Config, html: str, seen: str) -> bool:
    return config.reward.judge_directed != "record" and bool(directed(html, seen))
