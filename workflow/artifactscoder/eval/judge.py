"""eval/judge: every rendering judged by its checklist, and the reward's other parts beside it.

In: a model's rendered answers. Out: points of every item, S_chk, and the parts of the reward, so that training and
evaluation can be compared. A page that did not render has 0 points without asking; a judge that does not answer makes
the row `failed`, never a 0.
"""

from __future__ import annotations

import json
from pathlib import Path

from artifactscoder import tables
from artifactscoder.config import Config
from artifactscoder.eval.render import RENDERED
from artifactscoder.html import dom
from artifactscoder.ledger import Ledger, Usage
from artifactscoder.llm import generate
from artifactscoder.llm.client import Unusable
from artifactscoder.llm.generate import Outcome, unusable
from artifactscoder.progress import Progress
from artifactscoder.records import FLAG, INT, REAL, TEXT, columns
from artifactscoder.render import Render
from artifactscoder.render.page import Verdict
from artifactscoder.reward import checklist, components
from artifactscoder.tables import Row

PARTS = ("score", "i_rep", "i_render", "s_chk", "s_sim", "s_struct", "s_sem", "s_len")
JUDGED = columns(
    id=TEXT, model=TEXT, task=TEXT, rendered=FLAG, reason=TEXT, finish=TEXT, tokens=INT,
    **dict.fromkeys(PARTS, REAL), points=TEXT, judge=TEXT,
)  # fmt: skip
TAKEN = [name for name in RENDERED.names]


async def run(config: Config, input: Path, name: str, output: Path) -> Ledger:
    """Judge every rendering of `input` and write table and ledger."""
    async with generate.roles(config, "eval/judge", name, "vision_judge") as [judge]:

        async def work(row: Row) -> list[Outcome]:
            parts = dict.fromkeys(PARTS, 0.0)
            usage = Usage()
            points: dict[str, float] = {}
            settings = config.reward
            parts["i_rep"] = components.i_rep(row["answer"])
            parts["s_len"] = components.s_len(row["tokens"], settings.length_full, settings.length_zero)
            if row["html"]:
                page, reference = dom.parse(row["html"]), dom.parse(row["reference"])
                parts["s_struct"] = components.s_struct(page, reference)
                parts["s_sem"] = components.s_sem(page, reference)
            if row["rendered"]:
                parts["i_render"] = 1.0
                render = Render(Verdict.from_dict(json.loads(row["render"])), row["screenshots"])
                items = json.loads(row["checklist"])
                try:
                    parts["s_chk"], points, usage = await checklist.judge(
                        judge, settings, row["prompt"], row["html"], render, items
                    )
                except Unusable as trouble:
                    return unusable([row["id"]], trouble)
            share = settings.structure
            parts["s_sim"] = share * parts["s_struct"] + (1 - share) * parts["s_sem"]
            parts["score"] = components.total(settings, parts)
            kept = {key: row[key] for key in ("id", "model", "task", "rendered", "reason", "finish", "tokens")}
            full = {**kept, **parts, "points": json.dumps(points), "judge": judge.maker}
            return [Outcome(row["id"], usage=usage, row=full)]

        return await generate.in_order(
            tables.rows(input, TAKEN, batch=32),
            lambda row: [row["id"]],
            work,
            output,
            JUDGED,
            [judge],
            Progress(f"eval/judge {name}", tables.count(input)),
        )
