"""cpt/templates: distinct prompt templates with placeholders.

Out: TEMPLATE rows, `templates/0007/03` is place 3 of batch 7. A template must hold {topic}, may hold {audience},
{style} and {feature} and no other placeholder, and must differ from all that were taken before it: by its words, case
and punctuation apart, it is less than `threshold` like each of them (Jaccard of character 5-grams, compared exactly,
one with all: 2,000 templates are seconds). Batches are asked for until there are enough or the rounds are used up.
Paper scale: 2,000 templates, about 100 requests and those for what fell out.
"""

from __future__ import annotations

import asyncio
import re
from math import ceil
from pathlib import Path

from pydantic import BaseModel, Field

from artifactscoder import tables
from artifactscoder.config import Config
from artifactscoder.dedup.minhash import U64, jaccard, shingles
from artifactscoder.errors import UserError
from artifactscoder.ledger import Ledger, beside
from artifactscoder.llm import generate, prompts
from artifactscoder.llm.client import Client, Unusable
from artifactscoder.llm.generate import Outcome, unusable
from artifactscoder.progress import Progress
from artifactscoder.records import TEMPLATE, slots

PLACEHOLDERS = frozenset({"topic", "audience", "style", "feature"})
_HOLE = re.compile(r"\{([^{}]*)\}")


class Templates(BaseModel):
    templates: list[str] = Field(min_length=1)


def fault(template: str) -> str:
    """Why a template cannot be used; empty when it can."""
    holes = _HOLE.findall(template)
    if "topic" not in holes:
        return "it has no {topic}"
    unknown = sorted(set(holes) - PLACEHOLDERS)
    if unknown:
        return f"it has the unknown placeholder {{{unknown[0]}}}"
    if _HOLE.sub("", template).count("{") or _HOLE.sub("", template).count("}"):
        return "its braces do not match"
    return "" if 20 <= len(template) <= 2000 else f"it has {len(template)} characters"


class Taken:
    """The templates taken so far, to compare the next one with."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._known: list[tuple[str, U64]] = []

    def add(self, id_: str, template: str) -> str:
        """Take a template; if it is like one taken before, say which instead, as dedup does."""
        new = shingles(" ".join(re.findall(r"\w+", template)))
        for other, known in self._known:
            short, long = sorted((len(new), len(known)))
            if short >= self.threshold * long and (likeness := jaccard(new, known)) >= self.threshold:
                return f"{likeness:.4f} like {other}"
        self._known.append((id_, new))
        return ""


async def run(config: Config, output: Path) -> Ledger:
    """Ask for templates until there are enough and write table and ledger."""
    settings = config.cpt.templates
    ledger = Ledger(beside(output))
    progress = Progress("cpt/templates", settings.count)
    taken = Taken(settings.threshold)
    number = 0
    async with generate.roles(config, "cpt/templates", "all", "teacher") as [teacher]:
        with tables.Writer(output, TEMPLATE) as writer:
            for _ in range(settings.rounds):
                missing = settings.count - writer.rows
                if not missing:
                    break
                numbers = range(number, number + ceil(missing / settings.per_request))
                number = numbers.stop
                for outcomes in await asyncio.gather(*(batch(config, teacher, n) for n in numbers)):
                    ledger.enter(outcome.id for outcome in outcomes)
                    for outcome in outcomes:
                        if outcome.row is not None:
                            if writer.rows == settings.count:
                                outcome.status, outcome.reason = "rejected", "not_needed"
                            elif twin := taken.add(outcome.id, outcome.row["template"]):
                                outcome.status, outcome.reason = "rejected", "near_duplicate"
                                outcome.detail = twin
                            else:
                                writer.write(outcome.row)
                                progress.step()
                        ledger.leave(outcome.id, outcome.status, outcome.reason, outcome.detail, outcome.usage)
            if writer.rows < settings.count:
                raise UserError(
                    f"only {writer.rows} distinct templates of {settings.count} came in {settings.rounds} rounds; "
                    "raise cpt.templates.rounds, its temperature or its threshold, or lower cpt.templates.count"
                )
            ledger.close()
    progress.end(ledger.summary())
    return ledger


async def batch(config: Config, teacher: Client, number: int) -> list[Outcome]:
    """The templates of one request, one outcome a place; not yet compared with each other."""
    settings = config.cpt.templates
    ids = list(slots(f"templates/{number:04d}", settings.per_request))
    messages = prompts.load("cpt_templates").fill(batch=str(number + 1), count=str(settings.per_request))
    try:
        answer, usage, key = await teacher.ask_json(messages, settings.sampling, Templates, 2)
    except Unusable as trouble:
        return unusable(ids, trouble)
    outcomes = []
    for i, (id_, share) in enumerate(zip(ids, usage.split(len(ids)), strict=True)):
        if i >= len(answer.templates):
            detail = f"{len(answer.templates)} came"
            outcomes.append(Outcome(id_, "rejected", "missing", detail, share))
            continue
        template = " ".join(answer.templates[i].split())
        if why := fault(template):
            outcomes.append(Outcome(id_, "rejected", "bad_template", why, share))
            continue
        row = {"id": id_, "template": template, "maker": teacher.maker, "request": key}
        outcomes.append(Outcome(id_, usage=share, row=row))
    return outcomes
