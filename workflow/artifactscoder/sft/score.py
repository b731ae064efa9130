"""sft/score: every page rendered, then judged on 25 dimensions with the evidence of the rendering before the judge.

In: the pages that pass the rules. Out: the page with one column a dimension (0, 2.5, 5, 7.5 or 10), the weighted
percentage computed here, the judge's reasons, the evidence and a picture. A page that does not render is rejected
before anybody pays for its judging; an answer that is not of the form is asked again and then `rejected`; a judge
that cannot be reached stops the job. Renderings are recorded in the journal like answers, so a resumed or repeated
job renders nothing twice and asks with the same evidence.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from artifactscoder import files, seeds, tables
from artifactscoder.config import Config
from artifactscoder.ledger import Ledger
from artifactscoder.llm import generate, prompts
from artifactscoder.llm.client import Client, Unusable
from artifactscoder.llm.forms import Judgement, judgement
from artifactscoder.llm.generate import Outcome, unusable
from artifactscoder.progress import Progress
from artifactscoder.records import PAGE, scored
from artifactscoder.render import RecordedPool, RenderOptions, RenderPool
from artifactscoder.seeds import Seed
from artifactscoder.tables import Row

LEVELS = [0.0, 2.5, 5.0, 7.5, 10.0]


def form(slugs: list[str]) -> type[Judgement]:
    """The form of an answer: every dimension once, each at one of the five levels."""
    return judgement("scores", "dimension", "score", slugs, LEVELS)


def percent(scores: dict[str, float], dimensions: list[Seed]) -> float:
    """Weighted share of the maximum [%]."""
    most = sum(10 * dimension["weight"] for dimension in dimensions)
    return 100 * sum(scores[d["slug"]] * d["weight"] for d in dimensions) / most


async def run(config: Config, input: Path, shard: str, output: Path, browsers: int) -> Ledger:
    """Render and judge every page of `input` and write table and ledger."""
    dimensions = seeds.dimensions(config)
    options = RenderOptions(**config.render.model_dump(), screenshots=max(1, config.sft.score.screenshots))
    async with (
        generate.roles(config, "sft/score", shard, "judge") as [judge],
        RenderPool(options, browsers=browsers) as pool,
    ):
        recorded = RecordedPool(pool, judge.journal)
        return await generate.in_order(
            tables.rows(input, PAGE.names, batch=32),
            lambda row: [row["id"]],
            lambda row: _page(config, judge, recorded, dimensions, row),
            output,
            scored(dimension["slug"] for dimension in dimensions),
            [judge],
            Progress(f"sft/score {shard}", tables.count(input)),
            window=2 * browsers,
        )


async def _page(config: Config, judge: Client, pool: RecordedPool, dimensions: list[Seed], row: Row) -> list[Outcome]:
    render = await pool.render(row["html"])
    verdict = render.verdict
    if not verdict.rendered:
        detail = (verdict.script_errors or verdict.console_errors or [""])[0]
        return [Outcome(row["id"], "rejected", f"not_rendered_{verdict.reason}", detail)]
    settings = config.sft.score
    shown = render.screenshots[: settings.screenshots] if judge.settings.vision else []
    messages = prompts.load("sft_score").fill(
        [files.data_url(shot) for shot in shown],
        prompt=row["prompt"],
        evidence=json.dumps(verdict.evidence(), ensure_ascii=False),
        dimensions="\n".join(_describe(dimension) for dimension in dimensions),
        nonce=hashlib.sha256(row["html"].encode()).hexdigest()[:16],
        html=row["html"],
    )
    slugs = [dimension["slug"] for dimension in dimensions]
    try:
        answer, usage, _ = await judge.ask_json(messages, settings.sampling, form(slugs), settings.asks)
    except Unusable as trouble:
        return unusable([row["id"]], trouble)
    scores = answer.values()
    full = {
        **row,
        "percent": round(percent(scores, dimensions), 4),
        **{f"score:{slug}": scores[slug] for slug in slugs},
        "reasons": json.dumps(answer.reasons(), ensure_ascii=False),
        "evidence": json.dumps(verdict.evidence(), ensure_ascii=False),
        "judge": judge.maker,
        "screenshot": render.screenshots[0],
    }
    return [Outcome(row["id"], usage=usage, row=full)]


def _describe(dimension: Seed) -> str:
    levels = "; ".join(f"{level}: {text}" for level, text in dimension["levels"].items())
    return f"- {dimension['slug']}: {dimension['question']} {levels}"
