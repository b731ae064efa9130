"""All of a reward that needs neither browser nor judge: from an answer to its page, from page and verdict to parts.

`taken` comes before the rendering, `measured` after it. Both are pure and bounded: a page that is too long or nests
deeper than browsers keep is not parsed at all. About 15 ms for an answer of 47 KB and 1,500 elements, on a quiet
machine. Used by the engine, which calls them on a thread of their own, and by the evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from tokenizers import Tokenizer

from artifactscoder.config import RewardSettings
from artifactscoder.html import dom, tokens
from artifactscoder.html.directed import directed
from artifactscoder.html.extract import Extraction, extract
from artifactscoder.html.judged import Reading
from artifactscoder.render.page import Verdict
from artifactscoder.reward import checklist, components
from artifactscoder.reward.task import Task

_reference = lru_cache(maxsize=64)(dom.parse)  # all answers of a group have the same


@dataclass(frozen=True)
class Taken:
    """What an answer holds. `reason`: why there is no page to render; empty when there is one."""

    extraction: Extraction
    reason: str
    i_rep: float
    tokens: int

    @property
    def html(self) -> str:
        return "" if self.reason else self.extraction.html


@dataclass(frozen=True)
class Measured:
    """`parts`: every gate and component but S_chk. `reading`: what the judge reads; None where training asks none."""

    parts: dict[str, float]
    directed: list[str]
    reading: Reading | None


def taken(settings: RewardSettings, answer: str, tokenizer: Tokenizer, count: int | None = None) -> Taken:
    """The page of an answer. `count`: the tokens that were generated, if the trainer says so."""
    extraction = extract(answer)
    if count is None:
        count = tokens.count(tokenizer, [answer])[0]
    return Taken(extraction, unfit(settings, extraction), components.i_rep(answer), count)


def unfit(settings: RewardSettings, extraction: Extraction) -> str:
    """Why there is no page to render, in training and in the evaluation; empty when there is one."""
    if extraction.kind in ("none", "truncated"):
        return "no_page" if extraction.kind == "none" else "truncated"
    if len(extraction.html) > settings.max_chars:
        return "too_long"
    return "too_deep" if dom.too_deep(extraction.html) else ""


def measured(settings: RewardSettings, found: Taken, answer: str, task: Task, verdict: Verdict | None) -> Measured:
    """The parts of an answer; without a verdict (there was no page to render) those of an empty page."""
    names = dict.fromkeys([*components.gates(settings), *components.weights(settings), "s_struct", "s_sem"], 0.0)
    parts = names | {
        "i_rep": found.i_rep,
        "i_render": 0.0,
        "s_len": components.s_len(found.tokens, settings.length_full, settings.length_zero),
    }
    if verdict is None or not found.html:
        return Measured(parts, directed(found.extraction.html[: settings.max_chars]), None)
    tree = dom.tree(found.html)
    added = components.added(settings)
    page = components.visible(dom.Page() if tree is None else dom.read(tree, attributes=bool(added)), verdict)
    reference = _reference(task.reference)
    said = directed(found.html, verdict.visible_text)
    sample = components.Sample(answer, task.prompt, found.html, page, reference, verdict, found.tokens, tuple(said))
    parts["i_render"] = float(verdict.rendered)
    parts["s_struct"] = components.s_struct(page, reference)
    parts["s_sem"] = components.s_sem(page, reference)
    parts |= {name: components.value(name, part, sample) for name, part in added.items()}
    asked = settings.checklist > 0 and verdict.rendered and all(parts[name] for name in components.gates(settings))
    asked = asked and not begs(settings, said)
    reading = checklist.read(settings, tree, verdict, suspect=bool(said)) if asked else None
    return Measured(parts, said, reading)


def begs(settings: RewardSettings, said: list[str]) -> bool:
    """Whether a page has no points of a judge, without asking, for what speaks to one."""
    return bool(said) and settings.judge_directed != "record"


def total(settings: RewardSettings, parts: dict[str, float], said: list[str]) -> float:
    """The reward; 0 for a page that speaks to its judge where configuration says so."""
    return 0.0 if said and settings.judge_directed == "reward" else components.total(settings, parts)
