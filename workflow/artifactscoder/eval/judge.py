"""eval/judge: every rendering judged by its checklist, and the reward's other parts beside it.

In: a model's rendered answers. Out: points of every item, S_chk, and the parts of the reward, so that training and
evaluation can be compared. A page that did not render has 0 points without asking, as has one that speaks to its
judge (`reward.judge_directed`); all others are judged, whatever weights and gates the reward of training has. A judge
that does not answer makes the row `failed`, never a 0. Where `eval.judges` names several, each goes through the same
checklist with the same pictures: the first one's points are the result, and what the others gave stands in `votes`. An
item may be worth what its benchmark says: shares are of the maximum.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from artifactscoder import tables
from artifactscoder.config import Config
from artifactscoder.eval.generate import KEPT
from artifactscoder.eval.render import RENDERED
from artifactscoder.html.extract import Extraction
from artifactscoder.html.judged import Reading
from artifactscoder.ledger import Ledger, Usage
from artifactscoder.llm import generate
from artifactscoder.llm.client import Client, Unusable
from artifactscoder.llm.generate import Outcome, unusable
from artifactscoder.progress import Progress
from artifactscoder.records import FLAG, INT, REAL, TEXT, columns
from artifactscoder.render import Render
from artifactscoder.render.page import Verdict
from artifactscoder.reward import checklist, components, measure
from artifactscoder.reward.checklist import Judged
from artifactscoder.reward.task import Task
from artifactscoder.tables import Row, as_json

PARTS = ("score", "i_rep", "i_render", "s_chk", "s_sim", "s_struct", "s_sem", "s_len")
LABELS = [name for name in KEPT if name not in ("prompt", "checklist", "reference")]
# `votes`: JSON list of {judge, s_chk, points, reasons, trouble}, one a judge; s_chk is null where one gave no answer.
# `pictures`: shown to the judge. `used`: things done on the page.
JUDGED = columns(
    id=TEXT, model=TEXT, **dict.fromkeys(LABELS, TEXT), rendered=FLAG, reason=TEXT, finish=TEXT, tokens=INT,
    **dict.fromkeys(PARTS, REAL), points=TEXT, directed=TEXT, judge=TEXT, votes=TEXT, pictures=INT, used=INT,
)  # fmt: skip


async def run(config: Config, input: Path, name: str, output: Path) -> Ledger:
    """Judge every rendering of `input` and write table and ledger."""
    async with generate.roles(config, "eval/judge", name, endpoints=config.checklist_judges) as judges:
        return await generate.in_order(
            tables.rows(input, RENDERED.names, batch=32),
            lambda row: [row["id"]],
            lambda row: judged(config, judges, row),
            output,
            JUDGED,
            judges,
            Progress(f"eval/judge {name}", tables.count(input)),
        )


def rendering(row: Row) -> Render | None:
    """What the browser saw of an answer; None where there was no page to render."""
    if not row["html"] or row["render"] == "{}":
        return None
    return Render(Verdict.from_dict(json.loads(row["render"])), row["screenshots"])


async def judged(config: Config, judges: list[Client], row: Row) -> list[Outcome]:
    """One rendering judged by all judges."""
    settings, render = config.reward, rendering(row)
    taken = Extraction(row["html"], row["extracted"])
    found = measure.Taken(taken, "" if render else row["reason"], components.i_rep(row["answer"]), row["tokens"])
    verdict = render.verdict if render else None
    task = Task(row["task"], row["prompt"], json.loads(row["checklist"]), row["reference"])
    measured = measure.measured(settings, found, row["answer"], task, verdict)
    parts, usage = measured.parts, Usage()
    votes = [{"judge": judge.settings.label, "s_chk": 0.0, "points": {}, "reasons": {}} for judge in judges]
    if render is not None and render.verdict.rendered and not measure.begs(settings, measured.directed):
        reading = checklist.read(settings, row["html"], render.verdict, suspect=bool(measured.directed))
        asks = (_ask(config, judge, task, row["html"], render, reading) for judge in judges)
        replies = await asyncio.gather(*asks)
        usage = sum((reply.usage for reply in replies), Usage())
        if isinstance(replies[0], Unusable):
            first = replies[0]
            return unusable([row["id"]], Unusable(first.status, first.reason, first.detail, usage))
        parts["s_chk"] = replies[0].value
        votes = [_vote(judge, reply) for judge, reply in zip(judges, replies, strict=True)]
    parts["s_sim"] = components.s_sim(settings, parts)
    parts["score"] = measure.total(settings, parts, measured.directed)
    kept = ("id", "model", *LABELS, "rendered", "reason", "finish", "tokens")
    full = {
        **{key: row[key] for key in kept}, **{name: parts.get(name, 0.0) for name in PARTS},
        "points": as_json(votes[0]["points"]), "directed": as_json(measured.directed), "judge": votes[0]["judge"],
        "votes": as_json(votes), "pictures": len(row["screenshots"]) if judges[0].settings.vision else 0,
        "used": sum(one["done"] for one in verdict.actions) if verdict else 0,
    }  # fmt: skip
    return [Outcome(row["id"], usage=usage, row=full)]


async def _ask(
    config: Config, judge: Client, task: Task, html: str, render: Render, reading: Reading
) -> Judged | Unusable:
    try:
        return await checklist.judge(judge, config.reward, task, html, render, config.seed, reading)
    except Unusable as trouble:
        return trouble


def _vote(judge: Client, reply: Judged | Unusable) -> dict[str, Any]:
    name = judge.settings.label
    if isinstance(reply, Unusable):
        return {"judge": name, "s_chk": None, "points": {}, "reasons": {}, "trouble": f"{reply.status}: {reply.reason}"}
    return {"judge": name, "s_chk": reply.value, "points": reply.points, "reasons": reply.reasons}
