"""artifactscoder trace ID: where a record comes from and where it went, each step done over again from the journal.

ID is an id of any table: a task or a sample of SFT (games-puzzle/sudoku/03, games-puzzle/sudoku/03/dark-mode), a
topic, a template or a document of CPT, a row of WebSight, an RL prompt, an item of the evaluation
(grpo/held-out/forms/sign-up/plain-js), a checkpoint (train/sft, train/grpo/16), or an answer that GRPO learned from
(train/grpo/16/SAMPLE). Shown is its way from the seed on:
at each step the requests with the digests of their prompts, the model, the answer; twins; verdicts; scores; selection;
and the training sets that it is in.

Nothing is taken on trust. Every step's row is made again from the row before and the recorded answer, and compared;
trained data and models are compared with the digests in their manifests. What does not agree is named, and the exit
code is then 1. Nothing is asked and nothing is written. The configuration is that of the run, RESULTS/config.yaml.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from artifactscoder import config as configs
from artifactscoder.audit import record
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.trace import answers, cpt, rl, sft, text, train
from artifactscoder.trace import eval as evaluation
from artifactscoder.trace.book import Book, Stop

Kind = tuple[str, Callable[[Config, str], bool], Callable[[Book, str], Awaitable[list[Stop]]]]


async def _checkpoint(book: Book, id_: str) -> list[Stop]:
    return train.stops(book, id_)


KINDS: tuple[Kind, ...] = (
    ("checkpoint", lambda config, id_: train.takes(id_), _checkpoint),
    ("answer in GRPO", lambda config, id_: answers.takes(id_), answers.stops),
    ("evaluation item", evaluation.takes, evaluation.stops),
    ("evaluation task", evaluation.takes_task, evaluation.task),
    ("SFT sample", sft.takes, sft.stops),
    ("CPT document", cpt.takes, cpt.stops),
    ("RL prompt", rl.takes, rl.stops),
)


@dataclass
class Trace:
    """The way of one record. `since`: where there is a doubt, prompts and seeds that changed after the last run."""

    id: str
    kind: str
    stops: list[Stop] = field(default_factory=list)
    since: list[str] = field(default_factory=list)

    @property
    def doubts(self) -> list[str]:
        """What does not hold."""
        return [f"{s.step}: {c.claim}? {c.note}" for s in self.stops for c in s.checks if not c.holds]

    @property
    def checked(self) -> int:
        return sum(len(stop.checks) for stop in self.stops)

    def to_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        stops = [stop.to_dict() for stop in self.stops]
        return {"id": self.id, "kind": self.kind, "proven": not self.doubts, "doubts": self.doubts,
                "changed_since": self.since, "stops": stops}  # fmt: skip


async def trace(config: Config, id_: str) -> Trace:
    """The way of `id_` through the results of `config`. Raises UserError for an id that no table holds."""
    for kind, takes, stops in KINDS:
        if takes(config, id_):
            async with Book(config) as book:
                found = Trace(id_, kind, await stops(book, id_))
            if kind != "checkpoint" and all(stop.status == "none" for stop in found.stops if stop.id == id_):
                raise UserError(f"no table below {config.results} holds '{id_}'; its column `id` has those there are")
            found.since = record.changed_since(config) if found.doubts else []
            return found
    raise UserError(
        f"'{id_}' is the id of nothing in {config.results}: give one of a table's column `id`, or train/NAME/STEP; "
        "`artifactscoder trace --help` shows one of each kind"
    )


async def run(results: Path, id_: str, as_json: bool) -> int:
    """Print the way of `id_`; returns 0 where all of it holds, else 1."""
    found = await trace(configs.of_run(results), id_)
    if as_json:
        print(json.dumps(found.to_dict(), ensure_ascii=False, indent=1))
    else:
        print(text.lines(found.id, found.kind, found.stops))
        for doubt in found.doubts:
            print(f"DOES NOT HOLD  {doubt}")
        if found.since:
            print(f"changed since the last run: {', '.join(found.since[:12])}{' …' if len(found.since) > 12 else ''}")
        print(f"{found.checked} checks, " + (f"{len(found.doubts)} do not hold" if found.doubts else "all hold"))
    return 1 if found.doubts else 0
