"""sft/distinct_tasks: near-duplicates among the tasks of all categories, removed before their variants are paid for.

In: the tasks of all categories. Out: beside the list of what is dropped, a table for each category with the tasks that
are kept, and its ledger, which names each dropped task's kept twin and their exact likeness (the engine is `dedup/`).
Compared are title and description. Two tasks of one subject share its words; from 0.7 on they say the same sentences.
One job: 20K tasks take about 20 s and 300 MB. A table that stays the same is not touched, so that a changed seed of
one category sends only those categories to sft/variants whose tasks changed.
"""

from __future__ import annotations

from pathlib import Path

from artifactscoder.config import Config
from artifactscoder.dedup import phases

COLUMNS = ("title", "description")


def run(config: Config, inputs: list[Path], output: Path) -> None:
    """Write the kept tasks of every table of `inputs`, and their ledgers, beside `output`."""
    phases.distinct(config.sft.distinct_tasks, inputs, COLUMNS, output)
