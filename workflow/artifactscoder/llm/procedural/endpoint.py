"""The procedural endpoint: messages in, an answer out, as from a model, but composed and judged by rules.

It understands a request by reading the prompt template's fields back out of the messages, so it sees what a model
would see and no more. Some of its pages are broken, cut off or near-duplicates on purpose, so that every filter of the
pipeline has something to do.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from artifactscoder.llm import prompts
from artifactscoder.llm.procedural import flaws, ideas, judge
from artifactscoder.llm.procedural.compose import compose
from artifactscoder.llm.request import Answer, Refused, Request

CHARS_PER_TOKEN = 3.6  # of the counts it reports, which stand in for a server's
TWINS = 12  # one page in so many is a near-duplicate of one that another request of the same task gets
SAME = 8  # one list of tasks or variants in so many ends with its first entry under another name


def seed_of(*parts: str) -> int:
    """A number that depends on the texts alone."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:6], "big")


class ProceduralEndpoint:
    """Answers every prompt of `workflow/prompts/`, and a plain request for an HTML file; anything else is refused."""

    async def __aenter__(self) -> ProceduralEndpoint:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def ask(self, request: Request) -> Answer:
        start = time.perf_counter()
        text, finish = answer(request)
        asked = sum(len(prompts.text_of(message)) for message in request.messages)
        return Answer(
            text=text,
            finish=finish,
            tokens_in=round(asked / CHARS_PER_TOKEN),
            tokens_out=round(len(text) / CHARS_PER_TOKEN),
            seconds=round(time.perf_counter() - start, 4),
        )


def answer(request: Request) -> tuple[str, str]:
    """The text of the answer and how it ended. Raises Refused for a prompt that it does not know."""
    for name, handler in _HANDLERS.items():
        fields = prompts.load(name).read(request.messages)
        if fields is not None:
            return handler(fields, request.index)
    system, *asked = (prompts.text_of(message) for message in request.messages)
    if request.schema is None and "HTML file" in system and len(asked) == 1:  # as trained models are asked
        html = compose(asked[0], seed_of(asked[0], str(request.index)), 1.0)
        return f"```html\n{html}\n```\n", "stop"
    raise Refused("unknown_prompt", "the procedural endpoint answers only the prompts of workflow/prompts")


def _json(value: Any) -> tuple[str, str]:
    return json.dumps(value, ensure_ascii=False), "stop"


def _tasks(f: dict[str, str], index: int) -> tuple[str, str]:
    seed = seed_of(f["name"], f["round"], str(index))
    taken = [] if f["taken"] == "none" else f["taken"].split("; ")
    tasks = ideas.tasks(f["category"], f["name"], f["brief"], int(f["count"]), seed, taken)
    if seed % SAME == 0:
        tasks[-1]["description"] = tasks[0]["description"]
    return _json({"tasks": tasks})


def _variants(f: dict[str, str], index: int) -> tuple[str, str]:
    kinds = [
        {"slug": slug, "instruction": instruction}
        for slug, instruction in re.findall(r"^- ([a-z0-9-]+): (.*)$", f["kinds"], re.MULTILINE)
    ]
    seed = seed_of(f["title"], str(index))
    written = ideas.variants(f["title"], f["description"], kinds, seed)
    if seed % SAME == 0:
        written[kinds[-1]["slug"]] = written[kinds[0]["slug"]].rstrip(".")
    return _json({"variants": [{"kind": kind, "prompt": text} for kind, text in written.items()]})


def _care(seed: int) -> float:
    """Craftsmanship of a page: mostly good, some middling, few poor."""
    draw = (seed >> 8) % 100
    return 1.0 if draw < 60 else 0.8 if draw < 78 else 0.5 if draw < 92 else 0.1


def _page(f: dict[str, str], index: int) -> tuple[str, str]:
    """A page, flawed for some requests; what a flaw cuts off ends as a model's answer does at max_tokens."""
    prompt = f["prompt"]
    seed = seed_of(prompt, str(index))
    kind = flaws.choose(prompt, seed)
    html = compose(prompt, seed, _care(seed))
    if seed % TWINS == 0:
        # The near-duplicate: the page that the request's first sentence alone would give, a little changed.
        first = prompt.split(". ")[0]
        html = flaws.twin(compose(first, seed_of(first), 1.0), seed)
    if kind:
        html = flaws.flaw(html, kind, seed)
    if kind in ("cut-off", "loop"):
        return f"Here is the page.\n\n```html\n{html}", "length" if seed % 2 else "stop"
    return f"Here is the page.\n\n```html\n{html}\n```\n", "stop"


def _reference(f: dict[str, str], index: int) -> tuple[str, str]:
    seed = seed_of("reference", f["prompt"], str(index))
    html = compose(f["prompt"], seed, 1.0)
    if seed % 16 == 0:
        html = flaws.flaw(html, "broken-script", seed)
    return f"```html\n{html}\n```\n", "stop"


def _rewrite(f: dict[str, str], index: int) -> tuple[str, str]:
    text, finish = _page(f, index)
    return text.replace("Here is the page.", "The page follows the brief and works without a network.", 1), finish


def _tree(f: dict[str, str], index: int) -> tuple[str, str]:
    path = f["path"].split(" > ")
    return _json({"topics": ideas.children(path, int(f["count"]), seed_of(f["path"], str(index)))})


def _templates(f: dict[str, str], index: int) -> tuple[str, str]:
    return _json({"templates": ideas.templates(int(f["count"]), seed_of(f["batch"], str(index)))})


def _seed(f: dict[str, str], index: int) -> tuple[str, str]:
    return ideas.seed_idea(f.get("idea") or _heading(f["html"]), f["html"]), "stop"


def _heading(html: str) -> str:
    """What a page calls itself."""
    found = re.search(r"<(title|h1)\b[^<>]*>([^<>]+)", html, re.IGNORECASE)
    return found.group(2).strip() if found else ""


def _expand(f: dict[str, str], index: int) -> tuple[str, str]:
    return ideas.expand(f["seed"]), "stop"


def _score(f: dict[str, str], index: int) -> tuple[str, str]:
    slugs = re.findall(r"^- ([a-z-]+): ", f["dimensions"], re.MULTILINE)
    return _json({"scores": judge.dimensions(f["html"], json.loads(f["evidence"]), f["prompt"], slugs)})


def _checklist(f: dict[str, str], index: int) -> tuple[str, str]:
    found = re.findall(r"^- (\S+) \(0 to ([\d.]+)\): (.*)$", f["checklist"], re.MULTILINE)
    items = [(id_, text, float(most)) for id_, most, text in found]
    points = judge.checklist(f["html"], json.loads(f["evidence"]), f["prompt"], items)
    return _json({"items": points})


_HANDLERS: dict[str, Callable[[dict[str, str], int], tuple[str, str]]] = {
    "sft_tasks": _tasks,
    "sft_variants": _variants,
    "sft_code": _page,
    "sft_score": _score,
    "cpt_seed": _seed,
    "cpt_seed_page": _seed,
    "cpt_expand": _expand,
    "cpt_rewrite": _rewrite,
    "cpt_tree": _tree,
    "cpt_templates": _templates,
    "cpt_code": _page,
    "rl_reference": _reference,
    "reward_checklist": _checklist,
}
