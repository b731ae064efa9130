"""What an id that is not there may have meant."""

from __future__ import annotations

from collections.abc import Iterator

from rapidfuzz import fuzz, process

from artifactscoder import tables
from artifactscoder.config import Config

LIKE = 80  # percent that an id must be alike to be named
# Steps that make ids, with few enough ledgers to read.
FIRST = ("sft/tasks", "sft/variants", "cpt/tree", "cpt/templates", "rl/prompts", "eval/tasks", "eval/generate")


def said(config: Config, id_: str) -> str:
    """Words that name the id of the run that is most like `id_`; empty where none is."""
    found = process.extractOne(id_, _known(config, id_.split("/")[0]), scorer=fuzz.ratio, score_cutoff=LIKE)
    return f" (did you mean '{found[0]}'?)" if found and found[0] != id_ else ""


def _known(config: Config, head: str) -> Iterator[str]:
    for step in FIRST:
        for path in sorted((config.results / step).glob("*.ledger.parquet")):
            yield from tables.column(path, "id")
    # Documents, of one root, for there may be millions.
    for path in sorted((config.results / "cpt/prompts").glob(f"{head}-*.ledger.parquet")):
        yield from tables.column(path, "id")
    for path in sorted((config.results / "train").glob("*/manifest.json")):
        yield f"train/{path.parent.name}"
