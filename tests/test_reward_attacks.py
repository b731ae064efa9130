"""No page fools the reward: none of the attacks scores above the median honest page of its task.

And with any one of the defences broken, one does, so each of them is needed and each is tested here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from artifactscoder.config import Config
from artifactscoder.html import judged, signals
from artifactscoder.render import Render, RenderOptions
from artifactscoder.reward import checklist, components
from reward_lab import Lab, Recorded, Task, median, tasks

SETTINGS: dict[str, Any] = {"render": {"width": 640, "height": 400, "first_ms": 300, "timeout_s": 6}}
HONEST = "honest/"


async def scores(lab: Lab, task: Task, names: list[str] | None = None) -> tuple[float, dict[str, dict[str, Any]]]:
    """The median of the task's honest answers, and the attacks' scores, of these names or all."""
    honest = await lab.scores(task, {f"{HONEST}{i}": answer for i, answer in enumerate(task.honest)})
    chosen = {name: answer for name, answer in task.attacks.items() if names is None or name in names}
    return median(honest), await lab.scores(task, chosen)


def above(limit: float, results: dict[str, dict[str, Any]]) -> dict[str, float]:
    """The attacks that got through."""
    return {name: float(result["score"]) for name, result in results.items() if result["score"] > limit}


def no_loop_gate(patch: pytest.MonkeyPatch, config: Config) -> Config:
    patch.setattr(components, "i_rep", lambda answer: 1.0)
    return config


def no_render_gate(patch: pytest.MonkeyPatch, config: Config) -> Config:
    """The renderer calls every page rendered, and what the judge hears of blankness with it."""
    real = Recorded.render

    async def render(self: Recorded, html: str, options: RenderOptions | None = None) -> Render:
        seen = await real(self, html, options)
        verdict = dataclasses.replace(seen.verdict, rendered=True, reason="ok", dominant_share=0.6, colours=200)
        return Render(verdict, seen.screenshots)

    patch.setattr(Recorded, "render", render)
    return config


def no_search_for_pleas(patch: pytest.MonkeyPatch, config: Config) -> Config:
    reward = config.reward.model_copy(update={"judge_directed": "record"})
    return config.model_copy(update={"reward": reward})


def judge_reads_the_source(patch: pytest.MonkeyPatch, config: Config) -> Config:
    patch.setattr(checklist, "read", lambda settings, tree, verdict, suspect: judged.Reading(tree.root.html, 0))
    return config


def words_of_the_source_count(patch: pytest.MonkeyPatch, config: Config) -> Config:
    patch.setattr(components, "visible", lambda page, verdict: page)
    return config


def copies_count(patch: pytest.MonkeyPatch, config: Config) -> Config:
    patch.setattr(signals, "original", lambda text, source: text)
    return config


Break = Callable[[pytest.MonkeyPatch, Config], Config]
DEFENCES: list[tuple[Break, list[str]]] = [
    (no_loop_gate, ["lifted/looping"]),
    (no_render_gate, ["lifted/covered"]),
    (no_search_for_pleas, ["plea/comment", "plea/visible", "plea/canvas", "plea/chinese"]),
    (judge_reads_the_source, ["lifted/hidden-words", "lifted/comment-words"]),
    (words_of_the_source_count, ["lifted/reference-all", "lifted/reference-words"]),
    (copies_count, ["lifted/copied-checklist"]),
]


def lab_config(configure: Callable[..., Config], folder: Path) -> Config:
    return configure(**SETTINGS, journal=str(folder / "journal"))


async def test_no_attack_on_a_task_passes_its_median_honest_page_and_each_defence_is_needed(
    configure: Callable[..., Config], tmp_path: Path
) -> None:
    await claims(configure, tmp_path, tasks()[:1], sample=6)


@pytest.mark.slow
async def test_no_attack_passes_on_any_of_three_tasks(configure: Callable[..., Config], tmp_path: Path) -> None:
    await claims(configure, tmp_path, tasks(), sample=1)


async def claims(configure: Callable[..., Config], folder: Path, chosen: list[Task], sample: int) -> None:
    """Of each family one attack in `sample`, and all that a defence is tried on."""
    config = lab_config(configure, folder)
    through = dict.fromkeys((broken.__name__ for broken, _ in DEFENCES), 0)
    needed = {name for _, names in DEFENCES for name in names}
    async with Lab(config, folder) as lab:
        for task in chosen:
            assert len(task.attacks) >= 100
            names = [name for i, name in enumerate(task.attacks) if i % sample == 0 or name in needed]
            limit, results = await scores(lab, task, names)
            assert limit > 0.5 and above(limit, results) == {}, task.request
            for number, (broken, tried) in enumerate(DEFENCES):
                with pytest.MonkeyPatch.context() as patch:
                    lab.config = lab_config(configure, folder / f"{number}-{len(task.request)}")
                    lab.config = broken(patch, lab.config)
                    limit, results = await scores(lab, task, tried)
                    through[broken.__name__] += len(above(limit, results))
            lab.config = config
    assert all(through.values()), f"a defence that changes nothing: {through}"
