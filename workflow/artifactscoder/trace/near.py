"""What an id that is not there may have meant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rapidfuzz import fuzz, process

from artifactscoder import shards, tables
from artifactscoder.config import Config
from artifactscoder.config.train import TRAINED
from artifactscoder.ledger import beside

LIKE = 80  # percent that an id must be alike to be named
# Steps that make ids, with few enough ledgers to read.
FIRST = ("sft/tasks", "sft/variants", "cpt/tree", "cpt/templates", "rl/prompts", "eval/tasks", "eval/generate")


def left_over(config: Config, id_: str) -> Path | None:
    """The table that an id stands in, where that is of a shard which the configuration does not run."""
    head = id_.split("/")[0]
    for table in shards.left_over(config, config.results):
        if head in (table.stem, table.stem.rpartition("-")[0]) and id_ in tables.column(beside(table), "id"):
            return table
    return None


def said(config: Config, id_: str) -> str:
    """Words that name the id of the run that is most like `id_`; empty where none is."""
    found = process.extractOne(id_, _known(config, id_.split("/")[0]), scorer=fuzz.ratio, score_cutoff=LIKE)
    return f" (did you mean '{found[0]}'?)" if found and found[0] != id_ else ""


def _known(config: Config, head: str) -> Iterator[str]:
    for step in FIRST:
        for table in shards.done(config, config.results, step):
            yield from tables.column(beside(table), "id")
    # Documents, of one root, for there may be millions.
    for table in shards.done(config, config.results, "cpt/prompts"):
        if table.stem.rpartition("-")[0] == head:
            yield from tables.column(beside(table), "id")
    for name in TRAINED:
        if (config.results / "train" / name / "manifest.json").exists():
            yield f"train/{name}"
