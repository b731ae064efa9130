"""cpt/websight: WebSight rows made into better pages, in three requests each.

In: WebSight's Parquet files: v0.1 has `image` and `text` (823K rows), v0.2 `llm_generated_idea` too (1.9M rows).
L1, the seed: what the page is, said from the page, its idea where the version has one, and its picture where the
endpoint can see; the ledger says from which of them. L2: the seed expanded into a full brief. Then the page rewritten
by that brief, with its introduction. Out: PAGE rows whose prompt is the brief.

A shard is a range of rows, so that any number of jobs reads the files once; pictures (200 KB each) are read only for
an endpoint that can see, and a few at a time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from artifactscoder import files, seeds, tables
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.ledger import Ledger, Usage
from artifactscoder.llm import generate, pages, prompts
from artifactscoder.llm.client import Client, Unusable
from artifactscoder.llm.generate import Outcome, unusable
from artifactscoder.llm.prompts import Message
from artifactscoder.progress import Progress
from artifactscoder.records import PAGE, TEXT, columns, part, slug
from artifactscoder.tables import Row

TEXT_COLUMN, IDEA, IMAGE = "text", "llm_generated_idea", "image"
AT_ONCE = 32  # rows that are read at a time


def source(paths: list[Path], output: Path) -> None:
    """Write which files there are and how many rows each has; the shards' ranges follow from it."""
    if not paths:
        raise UserError(
            "no file matches cpt.websight.input; give the path of WebSight's Parquet files, or set "
            "cpt.websight.shards to 0 to leave WebSight out"
        )
    found = []
    named: dict[str, Path] = {}
    for path in sorted(paths):
        if (other := named.setdefault(slug(path.stem), path)) is not path:
            raise UserError(f"{other} and {path} would give their rows the same ids; rename one of the two")
        with tables.open_table(path, [TEXT_COLUMN]) as file:
            found.append({"path": str(path), "rows": file.metadata.num_rows})
    files.write_bytes(output, json.dumps({"files": found}, indent=1).encode())


def sample(config: Config, count: int, output: Path) -> None:
    """DEMO ONLY: `count` rows of WebSight's form, composed procedurally about the SFT seeds; the name says so."""
    from artifactscoder.llm.procedural.compose import compose

    rows_of = [row for found in seeds.subcategories(config).values() for row in found]

    def rows() -> Iterator[Row]:
        for i in range(count):
            row = rows_of[i % len(rows_of)]
            idea = f"{row['name']}: {row['brief']}"
            yield {"llm_generated_idea": idea, "text": compose(idea, config.seed + i, care=0.5)}

    tables.write(output, columns(llm_generated_idea=TEXT, text=TEXT), rows())


async def run(config: Config, source: Path, shard: int, output: Path) -> Ledger:
    """Rewrite the rows of shard `shard` of `config.cpt.websight.shards` and write table and ledger."""
    shards = config.cpt.websight.shards
    if not 0 <= shard < shards:
        raise UserError(f"cpt.websight has the shards 0 to {shards - 1}; {shard} is none of them")
    try:
        listed = json.loads(source.read_text())["files"]
    except (OSError, ValueError, KeyError):
        raise UserError(f"{source} is not a list of WebSight files; run the rule cpt_websight_source") from None
    total = sum(file["rows"] for file in listed)
    rows = part(total, shard, shards)
    name = f"{shard:04d}"
    async with generate.roles(config, "cpt/websight", name, "teacher", "coder") as [teacher, coder]:
        return await generate.in_order(
            between(listed, rows.start, rows.stop, teacher.settings.vision),
            lambda row: [row["id"]],
            lambda row: page(config, teacher, coder, row),
            output,
            PAGE,
            [teacher, coder],
            Progress(f"cpt/websight {name}", len(rows)),
        )


def place(listed: list[dict[str, Any]], id_: str) -> int | None:
    """The number of a row among those of all files, by its id; None for an id of none."""
    first = 0
    for entry in listed:
        head, _, number = id_.rpartition("/")
        if head == f"websight/{slug(Path(entry['path']).stem)}" and number.isdigit() and int(number) < entry["rows"]:
            return first + int(number)
        first += entry["rows"]
    return None


def between(listed: list[dict[str, Any]], start: int, end: int, pictures: bool) -> Iterator[Row]:
    """Rows `start` to `end` of all files in their order; row groups outside are not read."""
    wanted = [TEXT_COLUMN, IDEA, *([IMAGE] if pictures else [])]
    first = 0
    for entry in listed:
        last = first + entry["rows"]
        if first < end and start < last:
            path = Path(entry["path"])
            with tables.open_table(path, [TEXT_COLUMN]) as file:
                if file.metadata.num_rows != entry["rows"]:
                    raise UserError(f"{path} has changed since its rows were counted; run the workflow again")
                names = [name for name in wanted if name in file.schema_arrow.names]
                at = first
                for group in range(file.metadata.num_row_groups):
                    size = file.metadata.row_group(group).num_rows
                    if at < end and start < at + size:
                        parts = file.iter_batches(AT_ONCE, row_groups=[group], columns=names)
                        rows = (row for part in parts for row in part.to_pylist())
                        for number, row in enumerate(rows, at):
                            if start <= number < end:
                                yield {"id": f"websight/{slug(path.stem)}/{number - first:07d}", **row}
                    at += size
        first = last


async def page(config: Config, teacher: Client, coder: Client, row: Row) -> list[Outcome]:
    """The page that is made of one row of WebSight."""
    settings = config.cpt.websight
    html = row[TEXT_COLUMN]
    if not html:
        return [Outcome(row["id"], "rejected", "malformed", "text is empty")]
    total = Usage()
    try:
        messages, read = _seed(row)
        seed, usage, _ = await teacher.ask(messages, settings.sampling)
        total += usage
        messages = prompts.load("cpt_expand").fill(seed=seed.text.strip())
        brief, usage, _ = await teacher.ask(messages, settings.sampling)
        total += usage
    except Unusable as trouble:
        trouble.usage = total + trouble.usage
        return unusable([row["id"]], trouble)
    prompt = brief.text.strip()
    draft = {"id": row["id"], "group": "websight", "kind": "websight", "prompt": prompt}
    messages = prompts.load("cpt_rewrite").fill(prompt=prompt)
    outcome = await pages.page(coder, messages, settings.sampling, draft)
    outcome.usage = total + outcome.usage
    outcome.detail = "; ".join(filter(None, [read, outcome.detail]))
    return [outcome]


def _seed(row: Row) -> tuple[list[Message], str]:
    """The request for the seed, and what it is said from."""
    html, idea, picture = row[TEXT_COLUMN], row.get(IDEA), _picture(row)
    given = {"html": html, "nonce": hashlib.sha256(html.encode()).hexdigest()[:16]}
    if idea:
        messages = prompts.load("cpt_seed").fill([picture] if picture else None, idea=idea, **given)
    else:
        messages = prompts.load("cpt_seed_page").fill([picture] if picture else None, **given)
    return messages, "seen: " + ", ".join(["text", *(["idea"] if idea else []), *(["picture"] if picture else [])])


def _picture(row: Row) -> str | None:
    """The picture of a row as a data URL: bytes, or a struct with them, as the `datasets` library writes it."""
    image = row.get(IMAGE)
    data = image.get("bytes") if isinstance(image, dict) else image
    return files.data_url(data) if data else None
