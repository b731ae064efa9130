"""sft/distinct_variants: near-duplicates among the prompts of all categories, removed before their pages are paid for.

In: the variants of all categories that no benchmark holds. Out: beside the list of what is dropped, a table for each
category with the variants that are kept, and its ledger, which names each dropped one's kept twin (the engine is
`dedup/`). Compared is the whole prompt. The kinds of one task share its words by design (procedural ones measure 0.2 to
0.6 to each other), as do requests of one kind for sister tasks (up to 0.8); from 0.85 on it is one request in the same
sentences with a name exchanged. One job: 240K prompts take 4 minutes and 0.9 GB. A table that stays the same is not
touched, so that a changed seed of one category sends only those categories to sft/code whose requests changed.
"""

from __future__ import annotations

from pathlib import Path

from artifactscoder.config import Config
from artifactscoder.dedup import phases

COLUMNS = ("prompt",)


def run(config: Config, inputs: list[Path], output: Path) -> None:
    """Write the kept variants of every table of `inputs`, and their ledgers, beside `output`."""
    phases.distinct(config.sft.distinct_variants, inputs, COLUMNS, output)
