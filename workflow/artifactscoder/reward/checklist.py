"""S_chk: the vision judge goes through a checklist with the pictures, the measurements and the code before it.

Every item must be answered, with points in range; the sum and its share are computed here. Used by the reward during
training and by the evaluation, which therefore cannot drift apart.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, Field, create_model, field_validator

from artifactscoder.config import RewardSettings
from artifactscoder.ledger import Usage
from artifactscoder.llm import prompts
from artifactscoder.llm.client import Client
from artifactscoder.render import Render


class _Answer(BaseModel):
    items: list[Any]


def form(ids: list[str], maximum: float) -> type[_Answer]:
    """The form of an answer: every item of `ids`, once, with 0 to `maximum` points."""
    item = create_model(
        "Item",
        id=(Literal[tuple(ids)], ...),  # type: ignore[arg-type]
        points=(float, Field(ge=0, le=maximum)),
        reason=(str, Field(max_length=400)),
    )

    class Checklist(_Answer):
        items: list[item]  # type: ignore[valid-type]

        @field_validator("items")
        @classmethod
        def each_once(cls, items: list[Any]) -> list[Any]:
            given = [entry.id for entry in items]
            missing = [id_ for id_ in ids if id_ not in given]
            if missing or len(given) != len(ids):
                raise ValueError(f"every item must be answered once; missing: {', '.join(missing) or 'none'}")
            return items

    return Checklist


async def judge(
    client: Client,
    settings: RewardSettings,
    prompt: str,
    html: str,
    render: Render,
    items: list[dict[str, Any]],
) -> tuple[float, dict[str, float], Usage]:
    """S_chk in 0..1, the points of each item, and the cost. Raises Unusable when no usable answer comes."""
    images = None
    if client.settings.vision:
        kind = "png" if render.screenshots and render.screenshots[0][:4] == b"\x89PNG" else "jpeg"
        images = [f"data:image/{kind};base64,{base64.b64encode(shot).decode()}" for shot in render.screenshots]
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
    points = {entry.id: float(entry.points) for entry in answer.items}
    return sum(points.values()) / (settings.max_item * len(items)), points, usage
