"""eval/judge: every rendering judged by its checklist, and the reward's other parts beside it.

In: a model's rendered answers. Out: points of every item, S_chk, and the parts of the reward, so that training and
evaluation can be compared. A page that did not render has 0 points without asking, nor has one that speaks to its
judge (`reward.judge_directed`); a judge that does not answer makes the row `failed`, never a 0.
"""

from __future__ import annotations

import json
from pathlib import Path

from artifactscoder import tables
from artifactscoder.config import Config
from artifactscoder.eval.render import RENDERED
from artifactscoder.html.extract import Extraction
from artifactscoder.ledger import Ledger, Usage
from artifactscoder.llm import generate
from artifactscoder.llm.client import Unusable
from artifactscoder.llm.generate import Outcome, unusable
from artifactscoder.progress import Progress
from artifactscoder.records import FLAG, INT, REAL, TEXT, columns
from artifactscoder.render import Render
from artifactscoder.render.page import Verdict
from artifactscoder.reward import checklist, components, measure
from artifactscoder.tables import Row

PARTS = ("score", "i_rep", "i_render", "s_chk", "s_sim", "s_struct", "s_sem", "s_len")
JUDGED = columns(
    id=TEXT, model=TEXT, task=TEXT, rendered=FLAG, reason=TEXT, finish=TEXT, tokens=INT,
    **dict.fromkeys(PARTS, REAL), points=TEXT, directed=TEXT, judge=TEXT,
)  # fmt: skip
TAKEN = [name for name in RENDERED.names]


async def run(config: Config, input: Path, name: str, output: Path) -> Ledger:
    """Judge every rendering of `input` and write table and ledger."""
    async with generate.roles(config, "eval/judge", name, "vision_judge") as [judge]:

        async def work(row: Row) -> list[Outcome]:
            settings = config.reward
            kind = row["extracted"]
            reason = row["reason"] if not row["html"] or row["render"] == "{}" else ""
            found = measure.Taken(Extraction(row["html"], kind), reason, components.i_rep(row["answer"]), row["tokens"])
            verdict = Verdict.from_dict(json.loads(row["render"])) if found.html else None
            measured = measure.measured(settings, found, row["answer"], row["prompt"], row["reference"], verdict)
            parts, usage, points = measured.parts, Usage(), dict[str, float]()
            if verdict is not None and measured.reading is not None:
                render, items = Render(verdict, row["screenshots"]), json.loads(row["checklist"])
                try:
                    judged = await checklist.judge(
                        judge, settings, row["prompt"], row["html"], render, items, config.seed, measured.reading
                    )
                except Unusable as trouble:
                    return unusable([row["id"]], trouble)
                parts["s_chk"], points, usage = judged.value, judged.points, judged.usage
            parts["s_sim"] = components.s_sim(settings, parts)
            parts["score"] = measure.total(settings, parts, measured.directed)
            kept = {key: row[key] for key in ("id", "model", "task", "rendered", "reason", "finish", "tokens")}
            full = {
                **kept, **{name: parts.get(name, 0.0) for name in PARTS},
                "points": json.dumps(points), "directed": json.dumps(measured.directed, ensure_ascii=False),
                "judge": judge.maker,
            }  # fmt: skip
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
