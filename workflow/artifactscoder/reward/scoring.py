"""A rendered page scored on 25 dimensions by judges, with the evidence of its rendering before them.

A judge is asked once for all dimensions, unless `sft.score` names several `judges`, more `times`, or a smaller `group`.
All of a page's requests go out together. A page is scored when every judge has answered on every dimension, and only
then: the mean of fewer votes would not compare. Used by sft/score and the evaluation, which therefore ask the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import statistics
from dataclasses import dataclass
from typing import Any

from artifactscoder import files
from artifactscoder.config import Config
from artifactscoder.ledger import Usage
from artifactscoder.llm import prompts
from artifactscoder.llm.client import Client, Unusable
from artifactscoder.llm.forms import Judgement, judgement
from artifactscoder.llm.generate import Outcome, unusable
from artifactscoder.render import Render
from artifactscoder.seeds import Seed
from artifactscoder.tables import Row, as_json

LEVELS = [0.0, 2.5, 5.0, 7.5, 10.0]
Scores = dict[str, float]


def form(slugs: list[str]) -> type[Judgement]:
    """The form of an answer: every dimension once, each at one of the five levels."""
    return judgement("scores", "dimension", "score", slugs, LEVELS)


def percent(scores: Scores, dimensions: list[Seed]) -> float:
    """Weighted share of the maximum [%]."""
    most = sum(10 * dimension["weight"] for dimension in dimensions)
    return 100 * sum(scores[d["slug"]] * d["weight"] for d in dimensions) / most


def groups(dimensions: list[Seed], size: int) -> list[list[Seed]]:
    """The dimensions of each request, `size` at a time in their order; 0: all in one."""
    size = size or len(dimensions)
    return [dimensions[start : start + size] for start in range(0, len(dimensions), size)]


def spread(votes: list[Scores]) -> float | None:
    """Mean over the dimensions of the standard deviation between votes [points of 10]; none for a single vote."""
    if len(votes) < 2:
        return None
    return statistics.fmean(statistics.pstdev(vote[slug] for vote in votes) for slug in votes[0])


@dataclass
class _Reply:
    """What one request gave: an answer for one group of dimensions, or the trouble that stands in its place."""

    judge: str
    time: int
    usage: Usage
    answer: Judgement | None = None
    trouble: Unusable | None = None


async def scores(
    config: Config, judges: list[Client], dimensions: list[Seed], row: Row, render: Render
) -> list[Outcome]:
    """The outcome of a page (`id`, `prompt`, `html` and whatever else its row is to keep) that was rendered."""
    verdict = render.verdict
    material = _material(config, row, render)
    asked = [
        _ask(config, judge, time, group, material)
        for judge in judges
        for time in range(config.sft.score.times)
        for group in groups(dimensions, config.sft.score.group)
    ]
    replies = await _together(asked)
    usage = sum((reply.usage for reply in replies), Usage())
    troubles = [reply for reply in replies if reply.trouble is not None]
    if troubles:
        return _lost(row["id"], troubles, usage, alone=len(judges) == 1)
    votes = _votes(replies)
    slugs = [dimension["slug"] for dimension in dimensions]
    means = {slug: statistics.fmean(vote["scores"][slug] for vote in votes) for slug in slugs}
    apart = spread([vote["scores"] for vote in votes])
    full = {
        **row,
        "percent": round(percent(means, dimensions), 4),
        "spread": None if apart is None else round(apart, 4),
        **{f"score:{slug}": means[slug] for slug in slugs},
        "reasons": as_json(votes[0]["reasons"]),
        "votes": as_json(votes),
        "evidence": as_json(verdict.evidence()),
        "judge": ", ".join(dict.fromkeys(judge.maker for judge in judges)),
        "screenshot": render.screenshots[0],
    }
    return [Outcome(row["id"], usage=usage, row=full)]


def _material(config: Config, row: Row, render: Render) -> tuple[list[str], dict[str, str]]:
    """What every judge of a page is shown: the pictures as data URLs, and the values of the prompt."""
    values = {
        "prompt": row["prompt"],
        "evidence": as_json(render.verdict.evidence()),
        "nonce": hashlib.sha256(row["html"].encode()).hexdigest()[:16],
        "html": row["html"],
    }
    return [files.data_url(shot) for shot in render.screenshots[: config.sft.score.screenshots]], values


async def _ask(
    config: Config, judge: Client, time: int, group: list[Seed], material: tuple[list[str], dict[str, str]]
) -> _Reply:
    settings = config.sft.score
    pictures, values = material
    messages = prompts.load("sft_score").fill(
        pictures if judge.settings.vision else [],
        **values,
        dimensions="\n".join(_describe(dimension) for dimension in group),
    )
    shape = form([dimension["slug"] for dimension in group])
    label = judge.settings.label
    try:
        answer, usage, _ = await judge.ask_json(messages, settings.sampling, shape, settings.asks, sample=time)
    except Unusable as trouble:
        return _Reply(label, time, trouble.usage, trouble=trouble)
    return _Reply(label, time, usage, answer)


async def _together(work: list[Any]) -> list[_Reply]:
    """All at once, in their order; an error that ends the job (a judge that is not there) ends the others too."""
    under_way = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*under_way)
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def _lost(id_: str, troubles: list[_Reply], usage: Usage, alone: bool) -> list[Outcome]:
    """A page that some request gave no answer for: the first failure names it, or else the first rejection."""
    first = min(troubles, key=lambda reply: reply.trouble is not None and reply.trouble.status != "failed")
    trouble = first.trouble
    assert trouble is not None
    detail = trouble.detail if alone else f"{first.judge}: {trouble.detail}"
    return unusable([id_], Unusable(trouble.status, trouble.reason, detail, usage))


def _votes(replies: list[_Reply]) -> list[dict[str, Any]]:
    """The answers on all groups put together, one vote a judge and time, in the order of asking."""
    votes: dict[tuple[str, int], dict[str, Any]] = {}
    for reply in replies:
        assert reply.answer is not None
        empty = {"judge": reply.judge, "time": reply.time, "scores": {}, "reasons": {}}
        vote = votes.setdefault((reply.judge, reply.time), empty)
        vote["scores"].update(reply.answer.values())
        vote["reasons"].update(reply.answer.reasons())
    return list(votes.values())


def _describe(dimension: Seed) -> str:
    levels = "; ".join(f"{level}: {text}" for level, text in dimension["levels"].items())
    return f"- {dimension['slug']}: {dimension['question']} {levels}"
