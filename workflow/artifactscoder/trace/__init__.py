"""artifactscoder trace ID: where a record comes from and where it went, each step done over again from the journal.

ID is an id of any table, such as these of the demo: a task or a sample of SFT (game-puzzle/number-place/01,
game-puzzle/number-place/01/layout), a topic, a document or a template of CPT (games-play/02/01, games-play/02/02/004,
templates/0001/05), a row of WebSight (websight/procedural-sample/0000007), an RL prompt
(forms/talk-proposal/web-components), a task of the evaluation or an answer to it
(held-out/forms/talk-proposal/web-components, grpo/held-out/forms/talk-proposal/web-components), a checkpoint
(train/sft, train/grpo/14), or an answer that GRPO learned from (train/grpo/14/SAMPLE). Shown is its way from the seed
on: at each step the requests with the digests of their prompts, the model, the answer; twins; verdicts; scores;
selection; and the training sets that it is in.

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
from artifactscoder.trace import answers, cpt, near, rl, sft, text, train
from artifactscoder.trace import eval as evaluation
from artifactscoder.trace.book import Book, Stop

Kind = tuple[Callable[[Config, str], str], Callable[[Config, str], bool], Callable[[Book, str], Awaitable[list[Stop]]]]


async def _checkpoint(book: Book, id_: str) -> list[Stop]:
    return train.stops(book, id_)


KINDS: tuple[Kind, ...] = (
    (lambda config, id_: "checkpoint", lambda config, id_: train.takes(id_), _checkpoint),
    (lambda config, id_: "answer in GRPO", lambda config, id_: answers.takes(id_), answers.stops),
    (lambda config, id_: "evaluation item", evaluation.takes, evaluation.stops),
    (lambda config, id_: "evaluation task", evaluation.takes_task, evaluation.task),
    (lambda config, id_: "SFT sample" if id_.count("/") == 3 else "SFT task", sft.takes, sft.stops),
    (cpt.what, cpt.takes, cpt.stops),
    (lambda config, id_: "RL prompt", rl.takes, rl.stops),
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
    id_ = id_.rstrip("/")
    for kind, takes, stops in KINDS:
        if takes(config, id_):
            async with Book(config) as book:
                found = Trace(id_, kind(config, id_), await stops(book, id_))
            if stops is not _checkpoint and all(stop.status == "none" for stop in found.stops if stop.id == id_):
                raise UserError(_absent(config, found))
            found.since = record.changed_since(config) if found.doubts else []
            return found
    if table := near.left_over(config, id_):
        raise UserError(
            f"'{id_}' stands in {table}, whose shard the run's configuration no longer names, so nothing says how it "
            "was made; run the workflow with that shard again to trace it"
        )
    raise UserError(
        f"'{id_}' is the id of nothing in {config.results}{near.said(config, id_)}: give one of a table's column `id`, "
        "or train/NAME/STEP; `artifactscoder trace --help` shows one of each kind"
    )


def _absent(config: Config, found: Trace) -> str:
    """Why no table holds an id: what it is made of was left out, or nobody made such a one."""
    left = next(
        (s for s in found.stops if s.status in ("rejected", "failed") and found.id.startswith(f"{s.id}/")), None
    )
    if left is not None:
        return (
            f"'{found.id}' was never made: '{left.id}' was {left.status} at {left.step} ({left.reason}: "
            f"{left.detail}); `artifactscoder trace {left.id}` shows its life"
        )
    if answers.takes(found.id):
        table = found.stops[-1].table
        return f"{table} holds no answer '{found.id}'; its columns `step` and `sample` have those there are"
    known = near.said(config, found.id)
    return f"no table below {config.results} holds '{found.id}'{known}; its column `id` has those there are"


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
