"""The parts of the reward, each a pure function with values in 0..1.

R = I_rep * I_render * (w_chk * S_chk + w_sim * S_sim + w_len * S_len), the gates multiplying everything: a page that
does not render, or an answer that runs in circles, earns nothing, whatever else it shows. Configuration may name more
gates and more components: functions of this module (config/engines.py says which), or any `module:function` that takes
a `Sample`. The weights are divided by their sum, so that a component more needs no change of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from math import isfinite, log, prod, sqrt

from rapidfuzz.distance import LCSseq

from artifactscoder.config import RewardSettings
from artifactscoder.config.engines import OWN
from artifactscoder.errors import UserError
from artifactscoder.html import dom, repetition
from artifactscoder.html.dom import Page
from artifactscoder.render.page import Verdict

MOST_ELEMENTS = 20_000  # of a page that are compared; the comparison takes their product by 64


@dataclass(frozen=True)
class Sample:
    """What a component may look at: one answer, the page in it, and what a browser saw of that page."""

    answer: str
    prompt: str
    html: str
    page: Page  # words and roles are those that are visible
    reference: Page
    verdict: Verdict
    tokens: int
    directed: tuple[str, ...] = ()


def i_rep(answer: str) -> float:
    """Gate: 0 when the raw answer, closed or not, is for the most part a loop or the same lines; else 1."""
    return 0.0 if repetition.repeats(answer) else 1.0


def s_len(tokens: int, full: int, zero: int) -> float:
    """1 up to `full` tokens, 0 from `zero` tokens, a straight line between."""
    return min(1.0, max(0.0, (zero - tokens) / (zero - full)))


def s_struct(page: Page, reference: Page) -> float:
    """Longest common subsequence of the element names in document order, over the longer of both.

    Names only: renaming classes changes nothing. Bit-parallel, well under a millisecond for 1,500 elements.
    """
    if not page.tags or not reference.tags:
        return 0.0
    return float(LCSseq.normalized_similarity(page.tags[:MOST_ELEMENTS], reference.tags[:MOST_ELEMENTS]))


def s_sem(page: Page, reference: Page) -> float:
    """Half how far the roles agree (sum of the smaller over sum of the larger counts), half the cosine of the words.

    Roles are ARIA roles, given or implied by elements; words are those a reader sees, weighted by 1 + log(count).
    A page without roles or without words earns nothing for that half, also when the reference has none.
    """
    names = set(page.roles) | set(reference.roles)
    larger = sum(max(page.roles[name], reference.roles[name]) for name in names)
    smaller = sum(min(page.roles[name], reference.roles[name]) for name in names)
    return 0.5 * (smaller / larger if larger else 0.0) + 0.5 * _cosine(page.words, reference.words)


def _cosine(x: Counter[str], y: Counter[str]) -> float:
    # In the order of the words of a page, not of a set: that one differs by process, and with it the last digit.
    dot = sum(_weight(count) * _weight(y[word]) for word, count in x.items() if word in y)
    norm = sqrt(_square(x) * _square(y))
    return dot / norm if norm else 0.0


@lru_cache(maxsize=1024)
def _weight(count: int) -> float:
    return 1 + log(count)


def _square(words: Counter[str]) -> float:
    return sum(often * _weight(count) ** 2 for count, often in sorted(Counter(words.values()).items()))


def visible(page: Page, verdict: Verdict) -> Page:
    """The page with the words and roles that its source holds and the browser showed.

    What scripts add is not counted, for it is not in the reference's source either; what styles hide is not, for a
    page could hide the whole vocabulary of its task.
    """
    seen: Counter[str] = Counter()
    for kind, count in verdict.seen.items():
        if role := dom.role_of(kind):
            seen[role] += count
    shown = dom.words_of(verdict.visible_text)
    words = Counter({word: min(count, shown[word]) for word, count in page.words.items() if word in shown})
    return replace(page, roles=page.roles & seen, words=words)


# Components and gates that configuration may add: `EXTRA` and `GATES` of config/engines.py.


def error_free(sample: Sample) -> float:
    """1 without errors; an uncaught one costs a half, one on the console a quarter."""
    return max(0.0, 1.0 - 0.5 * len(sample.verdict.script_errors) - 0.25 * len(sample.verdict.console_errors))


def self_contained(sample: Sample) -> float:
    """1 when the page asked for nothing that it does not hold."""
    return float(not sample.verdict.requests_refused_count)


def accessible(sample: Sample) -> float:
    """A quarter each: the language is given, there is one main heading, there is a main landmark, fields have names."""
    page = sample.page
    fields = sum(sample.page.tags.count(tag) for tag in ("input", "select", "textarea"))
    named = page.attributes["aria-label"] + page.attributes["aria-labelledby"] + page.tags.count("label")
    named_share = min(1.0, named / fields) if fields else 1.0
    return (bool(page.attributes["lang"]) + (page.tags.count("h1") == 1) + ("main" in page.tags) + named_share) / 4


def no_errors(sample: Sample) -> float:
    """Gate: 0 when a script stopped with an uncaught error."""
    return float(not sample.verdict.script_errors)


def undirected(sample: Sample) -> float:
    """Gate: 0 when the page speaks to its judge."""
    return float(not sample.directed)


Component = Callable[[Sample], float]


def added(settings: RewardSettings) -> dict[str, Component]:
    """What configuration adds, by the name of its column. Raises UserError for a function that is not there."""
    extra = {f"s_{column(name)}": _function(name) for name in settings.extra}
    return extra | {f"i_{column(name)}": _function(name) for name in settings.gates if name not in OWN["gates"]}


def column(name: str) -> str:
    """`module:function` is called by its function."""
    return name.rpartition(":")[2]


def _function(name: str) -> Component:
    module, _, attribute = name.rpartition(":")
    try:
        function: Component = getattr(import_module(module or __name__), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"reward: '{name}' names no function: {error}") from None
    return function


def value(name: str, component: Component, sample: Sample) -> float:
    """What a component says of a sample. Raises UserError unless it is a number in 0..1: a bug is never a score."""
    try:
        said = float(component(sample))
    except Exception as error:  # whatever the user's function does
        raise UserError(f"reward: {name} fails with {type(error).__name__}: {error}") from error
    if not isfinite(said) or not 0 <= said <= 1:
        raise UserError(f"reward: {name} says {said:g}; a component is a number from 0 to 1")
    return said


def s_sim(settings: RewardSettings, parts: dict[str, float]) -> float:
    """Similarity to the reference: structure and meaning by their shares."""
    return settings.structure * parts["s_struct"] + (1 - settings.structure) * parts["s_sem"]


def weights(settings: RewardSettings) -> dict[str, float]:
    """The weight of each component, by its column; they add up to 1."""
    own = {"s_chk": settings.checklist, "s_sim": settings.similarity, "s_len": settings.length}
    all_ = own | {f"s_{column(name)}": weight for name, weight in settings.extra.items()}
    return {name: weight / sum(all_.values()) for name, weight in all_.items()}


def gates(settings: RewardSettings) -> list[str]:
    """The columns of the gates."""
    return [f"i_{column(name)}" for name in settings.gates]


def total(settings: RewardSettings, parts: dict[str, float]) -> float:
    """The formula, from the parts: gates, components, s_struct and s_sem."""
    parts = {**parts, "s_sim": s_sim(settings, parts)}
    weighted = sum(weight * parts[name] for name, weight in weights(settings).items() if weight)
    return prod(parts[name] for name in gates(settings)) * weighted
