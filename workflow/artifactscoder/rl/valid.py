"""rl/valid: reference pages that a browser shows without a script error.

In: the reference pages. Out: those that break no rule and render, secrets and personal data masked as in sft/rules. A
reference that fails would teach GRPO to be like a broken page, so one uncaught script error is enough to reject it.
"""

from __future__ import annotations

from pathlib import Path

from artifactscoder import tables
from artifactscoder.config import Config
from artifactscoder.html import validate
from artifactscoder.journal import Journal
from artifactscoder.ledger import Ledger
from artifactscoder.llm import generate
from artifactscoder.llm.generate import Outcome
from artifactscoder.progress import Progress
from artifactscoder.records import PAGE
from artifactscoder.render import RecordedPool, RenderOptions, RenderPool
from artifactscoder.tables import Row


def looked(config: Config) -> RenderOptions:
    """How pages are looked at."""
    return RenderOptions(**config.render.model_dump(), screenshots=1)


async def run(config: Config, input: Path, output: Path, browsers: int) -> Ledger:
    """Check and render every reference page and write table and ledger."""
    async with (
        Journal(config.journal / "rl/valid/all") as journal,
        RenderPool(looked(config), browsers=browsers) as pool,
    ):
        recorded = RecordedPool(pool, journal)
        return await generate.in_order(
            tables.rows(input, PAGE.names, batch=32),
            lambda row: [row["id"]],
            lambda row: page(config, recorded, row),
            output,
            PAGE,
            [],
            Progress("rl/valid", tables.count(input)),
            window=4 * browsers,
        )


async def page(config: Config, recorded: RecordedPool, row: Row) -> list[Outcome]:
    """The outcome of one reference page: masked, checked, rendered."""
    row, detail, broken = validate.cleared(row, config.sft.rules, config.mask)
    if broken:
        return [Outcome(row["id"], "rejected", *broken)]
    verdict = (await recorded.render(row["html"])).verdict
    if not verdict.rendered:
        return [Outcome(row["id"], "rejected", f"not_rendered_{verdict.reason}")]
    if verdict.script_errors:
        return [Outcome(row["id"], "rejected", "script_error", verdict.script_errors[0])]
    return [Outcome(row["id"], detail=detail, row=row)]
