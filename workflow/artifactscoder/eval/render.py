"""eval/render: every answer's page in a browser, looked at and then used.

In: a model's answers. Out: what was extracted, the verdict, `eval.screenshots` pictures a second of page time apart,
and one more after each of at most `eval.interactions` things that the page offers (render/explore.py); the verdict says
what was done and how much of the picture it changed. An answer without a page that can be rendered is a result too
(`reason` no_page, truncated, too_long, too_deep, as in training): it scores 0, it is not left out.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from artifactscoder import tables
from artifactscoder.config import Config
from artifactscoder.eval.generate import ANSWER
from artifactscoder.html.extract import extract
from artifactscoder.journal import Journal
from artifactscoder.ledger import Ledger
from artifactscoder.llm import generate
from artifactscoder.llm.generate import Outcome
from artifactscoder.progress import Progress
from artifactscoder.records import BYTES, FLAG, TEXT
from artifactscoder.render import RecordedPool, RenderOptions, RenderPool
from artifactscoder.render.page import Action
from artifactscoder.reward import measure
from artifactscoder.tables import Row

RENDERED = ANSWER
for _field in (("html", TEXT), ("extracted", TEXT), ("rendered", FLAG), ("reason", TEXT), ("render", TEXT)):
    RENDERED = RENDERED.append(pa.field(*_field))
RENDERED = RENDERED.append(pa.field("screenshots", pa.list_(BYTES)))


def looked(config: Config) -> RenderOptions:
    """How pages are looked at, and used."""
    used = [Action("explore", times=config.eval.interactions)] if config.eval.interactions else []
    options = config.render.model_dump() | ({"full_page": False} if used else {})  # hands reach the viewport only
    return RenderOptions(**options, screenshots=config.eval.screenshots, actions=tuple(used))


async def run(config: Config, input: Path, name: str, output: Path, browsers: int) -> Ledger:
    """Render every answer of `input` and write table and ledger."""
    async with (
        Journal(config.journal / "eval/render" / name) as journal,
        RenderPool(looked(config), browsers=browsers) as pool,
    ):
        recorded = RecordedPool(pool, journal)
        return await generate.in_order(
            tables.rows(input, ANSWER.names, batch=32),
            lambda row: [row["id"]],
            lambda row: rendered(config, recorded, row),
            output,
            RENDERED,
            [],
            Progress(f"eval/render {name}", tables.count(input)),
            window=4 * browsers,
        )


async def rendered(config: Config, recorded: RecordedPool, row: Row) -> list[Outcome]:
    """One answer's page, extracted and rendered."""
    taken = extract(row["answer"])
    full = {**row, "html": taken.html, "extracted": taken.kind, "rendered": False, "render": "{}"}
    if reason := measure.unfit(config.reward, taken):
        return [Outcome(row["id"], row={**full, "reason": reason, "screenshots": []})]
    render = await recorded.render(taken.html)
    verdict = render.verdict
    full |= {"rendered": verdict.rendered, "reason": verdict.reason, "screenshots": render.screenshots}
    return [Outcome(row["id"], row={**full, "render": json.dumps(verdict.to_dict())})]
