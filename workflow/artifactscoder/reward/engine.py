"""The reward of one answer, as GRPO asks for it: through the render service and the judge's endpoint.

What the page does decides the reward; what the machinery does never does: an outage of rendering or of the judge is
waited out for `reward.patience_s` and then raised, so that the answer teaches nothing instead of a zero. What no
waiting mends (a judge whose answers are of no use, a wrong key, a spent budget) is raised at once. Everything
that went into a number is returned with it. The processor's part runs on one thread, which leaves the event loop to
the many renderings and requests under way; on more threads it would be no faster.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol, TypeVar

from artifactscoder import config as configs
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.html import tokens
from artifactscoder.html.judged import Reading
from artifactscoder.journal import Journal
from artifactscoder.llm.client import Client, Unusable
from artifactscoder.llm.request import Unreachable
from artifactscoder.render import Render, RenderClient, RenderOptions, RenderUnavailable
from artifactscoder.reward import checklist as checklists
from artifactscoder.reward import components, measure
from artifactscoder.reward.checklist import Judged
from artifactscoder.reward.task import Score, Task
from artifactscoder.tables import as_json

RETRY_S = 5.0
LASTING = ("http_400", "http_404", "http_413", "http_422")  # the request is at fault, and would be again
Value = TypeVar("Value")


class RewardUnavailable(Exception):
    """The machinery gave no verdict in time; the answer has no reward, which is not the same as a reward of 0."""


class Renderer(Protocol):
    """A RenderClient or a RenderPool."""

    async def render(self, html: str, options: RenderOptions | None = None) -> Render: ...


class RewardEngine:
    """Scores answers; the judge is opened on the first use, inside the event loop that uses it."""

    def __init__(self, config: Config, tokenizer: Path, renderer: Renderer, journal: str = "train/grpo") -> None:
        """`journal`: the step whose journal the judge's answers go to. Raises UserError for a bad `reward` section."""
        self.config = config
        self.settings = config.reward
        components.added(self.settings)  # a name that names nothing is said now
        self._tokenizer = tokens.load(tokenizer)
        self._options = RenderOptions(**config.render.model_dump(), screenshots=self.settings.screenshots)
        self._renderer = renderer
        self._journal = config.journal / journal
        self._stack = AsyncExitStack()
        self._judge: Client | None = None
        self._opening = asyncio.Lock()
        # A full collection looks at all that was ever imported, tens of milliseconds in which the loop stands.
        gc.freeze()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reward")

    @classmethod
    def from_settings(cls, path: Path) -> RewardEngine:
        """From the JSON file that the grpo step writes: config (files), journal, tokenizer, rendezvous."""
        values = json.loads(path.read_text())
        config = configs.load([Path(name) for name in values["config"]])
        config = config.model_copy(update={"journal": Path(values["journal"])})
        client = RenderClient(rendezvous=Path(values["rendezvous"]), patience_s=config.reward.patience_s)
        engine = cls(config, Path(values["tokenizer"]), client)
        engine._stack.push_async_callback(client.close)
        return engine

    async def _client(self) -> Client:
        async with self._opening:
            if self._judge is None:
                # Several reward workers share the folder, each with a file of its own: no folding here.
                journal = Journal(self._journal, shared=True)
                await self._stack.enter_async_context(journal)
                client = Client(self.config, "vision_judge", journal)
                self._judge = await self._stack.enter_async_context(client)
        return self._judge

    async def close(self) -> None:
        self._worker.shutdown(cancel_futures=True)
        await self._stack.aclose()

    async def _computed(self, call: Callable[..., Value], *arguments: Any) -> Value:
        return await asyncio.get_running_loop().run_in_executor(self._worker, _uncollected, call, *arguments)

    async def score(self, answer: str, task: Task, sample: str, tokens: int | None = None) -> Score:
        """The reward of an answer to this task. Raises RewardUnavailable when the machinery gives no verdict.

        `sample`: by which name a failure speaks of it. `tokens`: how many were generated, thoughts included, if the
        trainer knows; else the answer's are counted.
        Parts: score, a column each gate (i_...) and component (s_...; all 0..1), s_struct, s_sem, tokens, pages
        (complete ones in the answer), extracted, reason (why the page counts as not rendered); as JSON: points and
        reasons (of each item), directed (quotes that speak to the judge), verdict (what the browser saw), screenshots
        (digests); hidden (characters of text that no visitor saw, nor the judge), replica (address of the service that
        rendered the page), render_attempts, render_seconds (waiting included), judge_seconds, judge_attempts, retries.
        """
        settings = self.settings
        found = await self._computed(measure.taken, settings, answer, self._tokenizer, tokens)
        render = None
        start = time.monotonic()
        if found.html:
            try:
                render = await self._renderer.render(found.html, self._options)
            except RenderUnavailable as trouble:
                raise RewardUnavailable(f"no rendering of {sample}: {trouble}") from None
        rendered_s = time.monotonic() - start
        verdict = render.verdict if render else None
        measured = await self._computed(measure.measured, settings, found, answer, task, verdict)
        parts, judged, retries = measured.parts, None, 0
        start = time.monotonic()
        if render is not None and measured.reading is not None:
            judged, retries = await self._asked(task, found.html, render, sample, measured.reading)
            parts["s_chk"] = judged.value
        shown = {} if verdict is None else {k: v for k, v in verdict.to_dict().items() if k != "visible_text"}
        reading, route = measured.reading, render.route if render else None
        kept = {
            "score": measure.total(settings, parts, measured.directed),
            **parts,
            "s_sim": components.s_sim(settings, parts),
            "tokens": float(found.tokens),
            "pages": float(found.extraction.pages),
            "hidden": float(reading.hidden if reading else 0),
            "render_seconds": route.seconds if route else round(rendered_s, 3),
            "judge_seconds": round(time.monotonic() - start, 3),
            "render_attempts": float(route.attempts if route else render is not None),
            "judge_attempts": float(judged.usage.attempts if judged else 0),
            "retries": float(retries),
            "extracted": found.extraction.kind,
            "reason": found.reason or (verdict.reason if verdict else ""),
            "points": as_json(judged.points if judged else {}),
            "reasons": as_json(judged.reasons if judged else {}),
            "directed": as_json(measured.directed),
            "verdict": as_json(shown),
            "replica": route.replica if route else "",
            "screenshots": as_json([hashlib.sha256(shot).hexdigest() for shot in render.screenshots] if render else []),
        }
        return Score(kept, render)

    async def _asked(self, task: Task, html: str, render: Render, sample: str, reading: Reading) -> tuple[Judged, int]:
        """The judge's answer, and how often it was waited for: only while nobody answers, for an answer of no use is
        in the journal and would come again."""
        start, retries = time.monotonic(), 0
        checklists.maxima(task.checklist, self.settings.max_item)  # no waiting mends a checklist
        while True:
            try:
                client = await self._client()
                seed = self.config.seed
                return await checklists.judge(client, self.settings, task, html, render, seed, reading), retries
            except (Unusable, UserError) as trouble:
                if isinstance(trouble, Unusable):
                    away = trouble.status == "failed" and trouble.reason not in LASTING
                else:
                    away = isinstance(trouble, Unreachable)
                if not away or time.monotonic() - start >= self.settings.patience_s:
                    raise RewardUnavailable(f"no verdict of the judge on {sample}: {trouble}") from None
                retries += 1
                await asyncio.sleep(RETRY_S)


def _uncollected(call: Callable[..., Value], *arguments: Any) -> Value:
    """What a call says, without collections meanwhile: the thousands of nodes of a page end by their count, and to look
    through them for cycles again and again took a quarter of the time."""
    gc.disable()
    try:
        return call(*arguments)
    finally:
        gc.enable()
