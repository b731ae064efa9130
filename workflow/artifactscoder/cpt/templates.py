"""cpt/templates: distinct prompt templates with placeholders.

Out: TEMPLATE rows, `templates/0007/03` is place 3 of batch 7. A template must hold {topic}, may hold {audience},
{style} and {feature} and no other placeholder, and must differ from all others in its words. Batches are asked for
until there are enough or the rounds are used up. Paper scale: 2,000 templates, about 100 requests.
"""

from __future__ import annotations

import asyncio
import re
from math import ceil
from pathlib import Path

from pydantic import BaseModel, Field

from artifactscoder import tables
from artifactscoder.config import Config
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


async def run(config: Config, output: Path) -> Ledger:
    """Ask for templates until there are enough and write table and ledger."""
    settings = config.cpt.templates
    ledger = Ledger(beside(output))
    progress = Progress("cpt/templates", settings.count)
    seen: set[str] = set()
    batch = 0
    async with generate.roles(config, "cpt/templates", "all", "teacher") as [teacher]:
        with tables.Writer(output, TEMPLATE) as writer:
            for _ in range(settings.rounds):
                missing = settings.count - writer.rows
                if not missing:
                    break
                numbers = range(batch, batch + ceil(missing / settings.per_request))
                batch = numbers.stop
                for outcomes in await asyncio.gather(*(_batch(config, teacher, n) for n in numbers)):
                    ledger.enter(outcome.id for outcome in outcomes)
                    for outcome in outcomes:
                        if outcome.row is not None:
                            words = " ".join(re.findall(r"\w+", outcome.row["template"].lower()))
                            if words in seen:
                                outcome.status, outcome.reason = "rejected", "same_words"
                            elif writer.rows == settings.count:
                                outcome.status, outcome.reason = "rejected", "not_needed"
                            else:
                                seen.add(words)
                                writer.write(outcome.row)
                                progress.step()
                        ledger.leave(outcome.id, outcome.status, outcome.reason, outcome.detail, outcome.usage)
            if writer.rows < settings.count:
                raise UserError(
                    f"only {writer.rows} distinct templates of {settings.count} came in {settings.rounds} rounds; "
                    "raise cpt.templates.rounds or its temperature, or lower cpt.templates.count"
                )
            ledger.close()
    progress.end(ledger.summary())
    return ledger


async def _batch(config: Config, teacher: Client, number: int) -> list[Outcome]:
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
