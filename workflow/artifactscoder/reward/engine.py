"""The reward of one answer, as GRPO asks for it: through the render service and the judge's endpoint.

What the page does decides the reward; what the machinery does never does: an outage of rendering or of the judge is
waited out for `reward.patience_s` and then raised, so that training halts with its checkpoint instead of learning
from zeros. Everything that went into a number is returned with it.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from artifactscoder import config as configs
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.html import dom, tokens
from artifactscoder.html.extract import extract
from artifactscoder.journal import Journal
from artifactscoder.llm.client import Client, Unusable
from artifactscoder.render import Render, RenderClient, RenderOptions
from artifactscoder.reward import checklist as checklists
from artifactscoder.reward import components

RETRY_S = 5.0


class RewardUnavailable(Exception):
    """The machinery gave no verdict in time; the answer has no reward, which is not the same as a reward of 0."""


class RewardEngine:
    """Scores answers; opened on the first use, inside the event loop that uses it."""

    def __init__(self, config: Config, tokenizer: Path, rendezvous: Path) -> None:
        self.config = config
        self.settings = config.reward
        self._tokenizer = tokens.load(tokenizer)
        self._options = RenderOptions(**config.render.model_dump(), screenshots=self.settings.screenshots)
        self._render = RenderClient(rendezvous=rendezvous, patience_s=self.settings.patience_s)
        self._stack = AsyncExitStack()
        self._judge: Client | None = None
        self._opening = asyncio.Lock()

    @classmethod
    def from_settings(cls, path: Path) -> RewardEngine:
        """From the JSON file that the grpo step writes: config (files), tokenizer, rendezvous."""
        values = json.loads(path.read_text())
        config = configs.load([Path(name) for name in values["config"]])
        return cls(config, Path(values["tokenizer"]), Path(values["rendezvous"]))

    async def _client(self) -> Client:
        async with self._opening:
            if self._judge is None:
                # Several reward workers share the folder, each with a file of its own: no folding here.
                journal = Journal(self.config.journal / "train" / "grpo", shared=True)
                await self._stack.enter_async_context(journal)
                client = Client(self.config, "vision_judge", journal)
                self._judge = await self._stack.enter_async_context(client)
        return self._judge

    async def close(self) -> None:
        await self._render.close()
        await self._stack.aclose()

    async def score(
        self, answer: str, prompt: str, reference_html: str, checklist: list[dict[str, Any]], sample_id: str
    ) -> dict[str, float | str]:
        """The reward and all its parts. Raises RewardUnavailable when the machinery gives no verdict.

        Keys: score, i_rep, i_render, s_chk, s_sim, s_struct, s_sem, s_len (all 0..1), tokens, extracted, reason (why
        the page counts as not rendered), points (JSON: item id -> points).
        """
        taken = extract(answer)
        parts: dict[str, float] = dict.fromkeys(("i_rep", "i_render", "s_chk", "s_struct", "s_sem", "s_len"), 0.0)
        count = (await asyncio.to_thread(tokens.count, self._tokenizer, [answer]))[0]
        parts["i_rep"] = await asyncio.to_thread(components.i_rep, answer)
        parts["s_len"] = components.s_len(count, self.settings.length_full, self.settings.length_zero)
        reason = "no_page"
        points: dict[str, float] = {}
        if taken.kind not in ("none", "truncated"):
            page, reference = await asyncio.to_thread(lambda: (dom.parse(taken.html), dom.parse(reference_html)))
            parts["s_struct"] = await asyncio.to_thread(components.s_struct, page, reference)
            parts["s_sem"] = components.s_sem(page, reference)
            render = await self._render.render(taken.html, self._options)
            reason = render.verdict.reason
            parts["i_render"] = float(render.verdict.rendered)
            if parts["i_rep"] and parts["i_render"]:  # a gate that is shut makes the judge's answer worthless
                parts["s_chk"], points = await self._checklist(prompt, taken.html, render, checklist, sample_id)
        elif taken.kind == "truncated":
            reason = "truncated"
        share = self.settings.structure
        return {
            "score": components.total(self.settings, parts),
            **parts,
            "s_sim": share * parts["s_struct"] + (1 - share) * parts["s_sem"],
            "tokens": float(count),
            "extracted": taken.kind,
            "reason": reason,
            "points": json.dumps(points),
        }

    async def _checklist(
        self, prompt: str, html: str, render: Render, items: list[dict[str, Any]], sample_id: str
    ) -> tuple[float, dict[str, float]]:
        start = time.monotonic()
        while True:
            try:
                client = await self._client()
                value, points, _ = await checklists.judge(client, self.settings, prompt, html, render, items)
                return value, points
            except (Unusable, UserError) as trouble:
                if time.monotonic() - start >= self.settings.patience_s:
                    raise RewardUnavailable(f"no verdict of the judge on {sample_id}: {trouble}") from None
                await asyncio.sleep(RETRY_S)
