"""S_chk: the vision judge goes through a checklist with the pictures, the measurements and the code before it.

Every item must be answered, with points in range; the sum and its share are computed here. Used by the reward during
training and by the evaluation, which therefore cannot drift apart.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from artifactscoder import files
from artifactscoder.config import RewardSettings
from artifactscoder.ledger import Usage
from artifactscoder.llm import prompts
from artifactscoder.llm.client import Client
from artifactscoder.llm.forms import Judgement, judgement
from artifactscoder.render import Render


def form(ids: list[str], maximum: float) -> type[Judgement]:
    """The form of an answer: every item of `ids`, once, with 0 to `maximum` points."""
    return judgement("items", "id", "points", ids, maximum)


async def judge(
    client: Client,
    settings: RewardSettings,
    prompt: str,
    html: str,
    render: Render,
    items: list[dict[str, Any]],
) -> tuple[float, dict[str, float], Usage]:
    """S_chk in 0..1, the points of each item, and the cost. Raises Unusable when no usable answer comes."""
    images = [files.data_url(shot) for shot in render.screenshots] if client.settings.vision else None
    messages = prompts.load("reward_checklist").fill(
        images,
        prompt=prompt,
        evidence=json.dumps(render.verdict.evidence(), ensure_ascii=False),
        maximum=f"{settings.max_item:g}",
        checklist="\n".join(f"- {item['id']}: {item['title']}. {item['description']}" for item in items),
        nonce=hashlib.sha256(html.encode()).hexdigest()[:16],
        html=html,
    )
    shape = form([item["id"] for item in items], settings.max_item)
    answer, usage, _ = await client.ask_json(messages, settings.sampling, shape, settings.asks)
    points = answer.values()
    return sum(points.values()) / (settings.max_item * len(items)), points, usage
