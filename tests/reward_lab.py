"""A reward engine with real browsers and the procedural judge, for tests and measurements: tasks, honest answers."""

from __future__ import annotations

import asyncio
import statistics
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models
from tokenizers.pre_tokenizers import ByteLevel

from artifactscoder import config as configs
from artifactscoder import seeds
from artifactscoder.config import Config
from artifactscoder.llm import prompts
from artifactscoder.llm.procedural import endpoint
from artifactscoder.llm.procedural.compose import compose
from artifactscoder.llm.request import Request
from artifactscoder.render import Render, RenderOptions, RenderPool
from artifactscoder.reward import task as asked
from artifactscoder.reward.engine import RewardEngine
from attacks import attacks

FAMILIES = ("quick-tools", "forms", "dashboards")
HONEST = 7
FAIR = 0.3  # craftsmanship of the page that an attacker would lift


class Task:
    """A request with its checklist, a good page, a reference and honest answers, as the demo makes them."""

    def __init__(self, request: str, checklist: list[dict[str, Any]]) -> None:
        self.request, self.checklist = request, checklist
        self.good = compose(request, 3, 1.0)
        self.reference = compose(request, endpoint.seed_of("reference", request, "0"), 1.0)
        self.honest = [self._answer(index) for index in range(HONEST)]
        self.asked = asked.Task("", request, checklist, self.reference)
        self.fair = compose(request, 5, FAIR)
        self.attacks = attacks(request, checklist, self.good, self.fair, self.reference)

    def _answer(self, index: int) -> str:
        messages = prompts.load("sft_code").fill(prompt=self.request)
        return endpoint.answer(Request(messages, {}, None, index))[0]


class Recorded:
    """Renders each page once."""

    def __init__(self, pool: RenderPool) -> None:
        self.pool = pool
        self.seen: dict[str, asyncio.Task[Render]] = {}

    async def render(self, html: str, options: RenderOptions | None = None) -> Render:
        if html not in self.seen:
            self.seen[html] = asyncio.ensure_future(self.pool.render(html, options))
        return await self.seen[html]


def tokenizer(folder: Path) -> Path:
    """A tokenizer of single bytes; the lab gives token counts itself."""
    model = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(sorted(ByteLevel.alphabet()))}, merges=[]))
    model.pre_tokenizer = ByteLevel(add_prefix_space=False)
    folder.mkdir(parents=True, exist_ok=True)
    model.save(str(folder / "tokenizer.json"))
    return folder


def tasks(count: int = 3) -> list[Task]:
    """The first task of some families, with the families' checklists, as rl/prompts makes them."""
    config = configs.load([Path("config.yaml")])
    universal, stack = seeds.rl_universal(config), seeds.tech_stacks(config)[0]
    families = [family for family in seeds.rl_families(config) if family["slug"] in FAMILIES][:count]
    out = []
    for family in families:
        task = family["tasks"][0]
        fields = {"title": task["title"], "brief": task["brief"], "stack": stack["instruction"]}
        request = prompts.load("rl_task").fill(**fields)[1]["content"]
        out.append(Task(request, [*universal, *family["checklist"]]))
    return out


class Lab:
    """`async with Lab(config, folder) as lab`: scores answers, rendering each page once."""

    def __init__(self, config: Config, folder: Path) -> None:
        self.config, self.folder = config, folder

    async def __aenter__(self) -> Lab:
        options = RenderOptions(**self.config.render.model_dump())
        self.pool = RenderPool(options, browsers=2)
        await self.pool.__aenter__()
        self.renderer = Recorded(self.pool)
        self.tokenizer = tokenizer(self.folder / "tokenizer")
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.pool.close()

    async def scores(self, task: Task, answers: dict[str, str]) -> dict[str, dict[str, Any]]:
        """The engine's answer for each."""
        engine = RewardEngine(self.config, self.tokenizer, self.renderer)
        try:
            asked = task.asked
            calls = [engine.score(answer, asked, name, tokens=len(answer) // 4) for name, answer in answers.items()]
            scores = await asyncio.gather(*calls)
            return {name: score.parts for name, score in zip(answers, scores, strict=True)}
        finally:
            await engine.close()


def median(results: dict[str, dict[str, Any]]) -> float:
    return statistics.median(float(result["score"]) for result in results.values())
