"""S_chk: the vision judge goes through a checklist with the pictures, the measurements and the code before it.

What it reads of the page is html/judged.py's reading, between two lines with a number that the page cannot know: an
HMAC of the page under the run's seed. Every item must be answered, with points in its range; the sum and its share are
computed here. An answer stands for the page, the checklist and the judge: in the journal the request goes by those,
not by its pictures and measurements, so the noise of a rendering asks nothing twice. Used by the reward during
training and by the evaluation, which therefore cannot drift apart.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from artifactscoder import files
from artifactscoder.config import RewardSettings
from artifactscoder.errors import UserError
from artifactscoder.html import judged
from artifactscoder.html.dom import Tree
from artifactscoder.ledger import Usage
from artifactscoder.llm import prompts
from artifactscoder.llm.client import Client
from artifactscoder.llm.forms import Judgement, judgement
from artifactscoder.render import Render
from artifactscoder.render.page import MAX_VISIBLE, Verdict
from artifactscoder.reward.task import Task


@dataclass(frozen=True)
class Judged:
    """`value`: S_chk in 0..1. `points` and `reasons` by item; `usage`: what it cost."""

    value: float
    points: dict[str, float]
    reasons: dict[str, str]
    usage: Usage


def maxima(items: list[dict[str, Any]], default: float) -> dict[str, float]:
    """The most points of each item: its own `max`, or the default. Raises UserError for a list that cannot be used."""
    if not isinstance(items, list) or not items:
        raise UserError("a checklist is a list of objects with id, title and description")
    out: dict[str, float] = {}
    for item in items:
        if not isinstance(item, dict) or not all(isinstance(item.get(key), str) for key in ("id", "title")):
            raise UserError(f"an item of a checklist needs id and title: {json.dumps(item)[:100]}")
        most = item.get("max", default)
        if not isinstance(most, int | float) or isinstance(most, bool) or not 0 < most <= 1000:
            raise UserError(f"max of the checklist item {item['id']} is {most!r}; use a number above 0")
        if item["id"] in out:
            raise UserError(f"a checklist has two items {item['id']}")
        out[item["id"]] = float(most)
    return out


def form(most: dict[str, float]) -> type[Judgement]:
    """The form of an answer: every item once, with 0 to its most points."""
    return judgement("items", "id", "points", list(most), most)


def share(points: dict[str, float], most: dict[str, float]) -> float:
    """S_chk: points over what could be had, so an item counts by its maximum."""
    return sum(points.values()) / sum(most.values())


def read(settings: RewardSettings, html: str | Tree | None, verdict: Verdict, suspect: bool = True) -> judged.Reading:
    """What the judge reads of a page that was rendered; its nodes, where they are given, are rewritten."""
    whole = verdict.text_chars < MAX_VISIBLE - 1000  # the kept text has spaces between its parts
    return judged.reading(html, verdict.visible_text, whole, suspect, settings.read_chars)


def shown(render: Render) -> dict[str, str]:
    """Which picture shows what, where the page was used."""
    after = len(render.verdict.actions)
    if not after:
        return {}
    return {"pictures": f"{len(render.screenshots) - after} over time, then one after each of the actions"}


async def judge(
    client: Client,
    settings: RewardSettings,
    task: Task,
    html: str,
    render: Render,
    seed: int,
    reading: judged.Reading | None = None,
) -> Judged:
    """Ask the judge. Raises Unusable when no usable answer comes, UserError for a checklist that cannot be used."""
    most = maxima(task.checklist, settings.max_item)
    images = [files.data_url(shot) for shot in render.screenshots] if client.settings.vision else None
    reading = reading or read(settings, html, render.verdict)
    page = hmac.new(str(seed).encode(), html.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    fields = {
        "prompt": task.prompt,
        "checklist": "\n".join(
            f"- {item['id']} (0 to {most[item['id']]:g}): {' '.join(item['title'].split())}. "
            f"{' '.join(item.get('description', '').split())}"
            for item in task.checklist
        ),
        "nonce": page[:16],
    }
    template = prompts.load("reward_checklist")
    evidence = json.dumps({**render.verdict.evidence(), **shown(render)}, ensure_ascii=False)
    messages = template.fill(images, **fields, evidence=evidence, html=reading.text)
    same = template.fill(None, **fields, evidence=f"{len(images or [])} pictures", html=page)
    answer, usage, _ = await client.ask_json(messages, settings.sampling, form(most), settings.asks, same=same)
    points = answer.values()
    return Judged(share(points, most), points, answer.reasons(), usage)
