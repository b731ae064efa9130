"""The SFT and RL sets as datasets: Parquet shards, a card, a licence.

SFT rows get their 25 scores, their judge and their request beside them. A shard holds at most SHARD_BYTES of text, and
is written as it is read: memory is that of the scores of one category.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from artifactscoder import seeds, tables
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.progress import Progress
from artifactscoder.publish import cards, secrets
from artifactscoder.records import REAL, TEXT
from artifactscoder.rl import parquet
from artifactscoder.sft import select
from artifactscoder.tables import Row

MADE = ("sft", "rl")
SHARD_BYTES = 1 << 30  # of text; zstd leaves about a quarter
MORE = {
    "sft": "its ledger says why; lower sft.select.min_percent or make more pages, then run the workflow again",
    "rl": "the ledgers of rl/valid and rl/parquet say why; raise rl.prompts.count, then run the workflow again",
}
ADVICE = "set `mask: true` and run the workflow again, or take those rows out"


def sources(config: Config, name: str) -> dict[str, Path]:
    """The table of each split."""
    if name == "sft":
        return {"train": config.results / "sft/select/sft_train.parquet"}
    folder = config.results / "rl/parquet"
    return {"train": folder / "rl_train.parquet", "validation": folder / "rl_val.parquet"}


def there(config: Config, name: str) -> bool:
    """Whether all tables of a set are there."""
    return all(path.exists() for path in sources(config, name).values())


def prepare(config: Config, name: str, licence: str, target: Path) -> None:
    """Write the folder of a set. Raises UserError where it is empty, or a text must not be published."""
    for path in sources(config, name).values():
        if not tables.count(path):
            raise UserError(f"{path} holds no row; nothing to publish as dataset-{name}: {MORE[name]}")
    draft = target.with_name(f".{target.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    search, rows = secrets.Search(config), {}
    try:
        for split, path in sources(config, name).items():
            made = _with_scores(config, path) if name == "sft" else tables.rows(path)
            rows[split] = _shards(draft / "data", split, made, _schema(config, name), search, tables.count(path))
        search.refuse(target, ADVICE)
        card = cards.dataset(config, name, licence, rows)
        search.text("README.md", card)
        search.refuse(target, "look at the seeds and names that the card quotes")
        (draft / "README.md").write_text(card)
        cards.put_licence(draft, licence)
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _schema(config: Config, name: str) -> pa.Schema:
    if name == "rl":
        return parquet.SCHEMA
    schema = select.SCHEMA
    scores = pa.struct([(dimension["slug"], REAL) for dimension in seeds.dimensions(config)])
    for field in (("scores", scores), ("judge", TEXT), ("request", TEXT)):
        schema = schema.append(pa.field(*field))
    return schema


def _with_scores(config: Config, path: Path) -> Iterator[Row]:
    """The training rows with what was scored; those of a category stand together."""
    names = [f"score:{dimension['slug']}" for dimension in seeds.dimensions(config)]
    category, scored = "", dict[str, Row]()
    for row in tables.rows(path):
        if row["category"] != category:
            category = row["category"]
            table = config.results / f"sft/score/{category}.parquet"
            scored = {one["id"]: one for one in tables.rows(table, ["id", "judge", "request", *names])}
        one = scored[row["id"]]
        scores = {name.removeprefix("score:"): one[name] for name in names}
        yield {**row, "scores": scores, "judge": one["judge"], "request": one["request"]}


def _shards(
    folder: Path, split: str, rows: Iterable[Row], schema: pa.Schema, search: secrets.Search, count: int
) -> int:
    """Write the rows of a split as SPLIT-00000-of-00003.parquet ...; returns how many rows."""
    progress = Progress(f"publish {split}", count)
    drafts: list[Path] = []
    writer: tables.Writer | None = None
    size = total = 0
    try:
        for row in rows:
            if writer is None or size >= SHARD_BYTES:
                if writer is not None:
                    writer.__exit__(None, None, None)
                drafts.append(folder / f"{split}-{len(drafts):05d}.parquet")
                writer, size = tables.Writer(drafts[-1], schema).__enter__(), 0
            search.row(row)
            writer.write(row)
            size += _size(row)
            total += 1
            progress.step()
    finally:
        if writer is not None:
            writer.__exit__(None, None, None)
    for number, path in enumerate(drafts):
        path.rename(folder / f"{split}-{number:05d}-of-{len(drafts):05d}.parquet")
    progress.end(f"{total} rows in {len(drafts)} shards")
    return total


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(_size, inner))
