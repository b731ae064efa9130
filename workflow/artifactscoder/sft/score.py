"""sft/score: every page rendered, then judged on 25 dimensions with the evidence of the rendering before the judges.

In: the pages that pass the rules. Out: the page with one column a dimension, the weighted percentage computed here,
every single answer (`votes`), how far they differ, the evidence and a picture. One judge is asked once for all
dimensions, unless `sft.score` names several `judges`, more `times`, or a smaller `group`: the cost is their product.
Asked for everything at once, a judge lets one dimension colour the next; one by one, the page is paid for 25 times.

All of a page's requests go out together. A page is scored when every judge has answered on every dimension, and only
then: the mean of fewer votes would not compare. A page that does not render is rejected before anybody pays for its
judging; an answer that is not of the form is asked again and then `rejected`; a judge that cannot be reached stops the
job. Renderings are recorded in the journal like answers, so a resumed or repeated job renders nothing twice and asks
with the same evidence.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from artifactscoder import seeds, tables
from artifactscoder.config import Config
from artifactscoder.ledger import Ledger
from artifactscoder.llm import generate
from artifactscoder.llm.client import Client
from artifactscoder.llm.generate import Outcome
from artifactscoder.progress import Progress
from artifactscoder.records import PAGE, scored
from artifactscoder.render import RecordedPool, RenderOptions, RenderPool
from artifactscoder.reward import scoring
from artifactscoder.seeds import Seed
from artifactscoder.tables import Row


def looked(config: Config) -> RenderOptions:
    """How pages are looked at."""
    return RenderOptions(**config.render.model_dump(), screenshots=max(1, config.sft.score.screenshots))


async def run(config: Config, input: Path, shard: str, output: Path, browsers: int) -> Ledger:
    """Render and judge every page of `input` and write table and ledger."""
    rows = tables.rows(input, PAGE.names, batch=32)
    return await judged(config, "sft/score", shard, rows, tables.count(input), output, browsers)


async def judged(
    config: Config, step: str, shard: str, rows: Iterable[Row], count: int, output: Path, browsers: int
) -> Ledger:
    """Render and judge `count` pages through the journal of (step, shard); write table and ledger."""
    dimensions = seeds.dimensions(config)
    settings = config.sft.score
    async with (
        generate.roles(config, step, shard, endpoints=config.judges) as judges,
        RenderPool(looked(config), browsers=browsers) as pool,
    ):
        recorded = RecordedPool(pool, judges[0].journal)
        return await generate.in_order(
            rows,
            lambda row: [row["id"]],
            lambda row: page(config, judges, recorded, dimensions, row),
            output,
            scored(dimension["slug"] for dimension in dimensions),
            judges,
            Progress(f"{step} {shard}", count),
            window=2 * browsers,
            per_row=settings.times * len(scoring.groups(dimensions, settings.group)),
        )


async def page(
    config: Config, judges: list[Client], pool: RecordedPool, dimensions: list[Seed], row: Row
) -> list[Outcome]:
    """The outcome of one page: rendered, then judged."""
    render = await pool.render(row["html"])
    verdict = render.verdict
    if not verdict.rendered:
        detail = (verdict.script_errors or verdict.console_errors or [""])[0]
        return [Outcome(row["id"], "rejected", f"not_rendered_{verdict.reason}", detail)]
    return await scoring.scores(config, judges, dimensions, row, render)
