"""sft/select: the best pages, at most `keep`, with a fair share for every category and every kind in it.

In: the scored pages of all categories. Out: sft_train.parquet, whose `messages` verl trains on. A page must reach
`min_percent` and, with its prompt, stay within `max_tokens` of the model's own tokenizer. The places are dealt to
the categories in equal shares; what a category cannot fill goes to the others, again in equal shares. A category's
places are dealt to its kinds in the same way. Within a kind the better page wins, and of equals the one with the
smaller id: the same input gives the same file. The log says how even it came out.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from artifactscoder import tables
from artifactscoder.config import Config, digest
from artifactscoder.html import tokens
from artifactscoder.ledger import Ledger, Usage, beside
from artifactscoder.progress import Progress
from artifactscoder.records import INT, REAL, TEXT

SCHEMA = pa.schema(
    [
        ("id", TEXT),
        ("messages", pa.list_(pa.struct([("role", TEXT), ("content", TEXT)]))),
        ("category", TEXT),
        ("kind", TEXT),
        ("percent", REAL),
        ("tokens", INT),
        ("maker", TEXT),
    ]
)
COLUMNS = ["id", "group", "kind", "prompt", "html", "percent", "maker"]


def quotas(sizes: dict[str, int], keep: int) -> dict[str, int]:
    """Places for each category: equal shares of `keep`, what one cannot fill dealt to the others."""
    out = dict.fromkeys(sizes, 0)
    left = min(keep, sum(sizes.values()))
    while left:
        open_ = [name for name in sizes if out[name] < sizes[name]]
        share = left // len(open_)
        # Fewer places than categories: one each to the first ones. Never before, or the last round would be uneven.
        for name in open_ if share else open_[:left]:
            take = min(sizes[name] - out[name], max(1, share))
            out[name] += take
            left -= take
    return out


def choose(
    fit: dict[str, dict[str, list[tuple[float, str]]]], keep: int
) -> tuple[set[str], dict[tuple[str, str], int]]:
    """The chosen ids among (rank, id) by category and kind, and how many each (category, kind) got."""
    chosen: set[str] = set()
    cells: dict[tuple[str, str], int] = {}
    places = quotas({category: sum(map(len, kinds.values())) for category, kinds in sorted(fit.items())}, keep)
    for category, kinds in fit.items():
        # Places left over go to the first kinds: in an order of its own for each category, or the same ones always win.
        order = sorted(kinds, key=lambda kind: digest(category, kind))
        for kind, count in quotas({kind: len(kinds[kind]) for kind in order}, places[category]).items():
            cells[(category, kind)] = count
            chosen.update(id_ for _, id_ in sorted(kinds[kind])[:count])
    return chosen, cells


def run(config: Config, inputs: list[Path], model: Path, output: Path) -> Ledger:
    """Choose among all scored pages and write the training file and the ledger."""
    settings = config.sft.select
    tokenizer = tokens.load(model)
    ledger = Ledger(beside(output))
    progress = Progress("sft/select", sum(tables.count(path) for path in inputs))
    fit: dict[str, dict[str, list[tuple[float, str]]]] = {}  # category -> kind -> (-percent, id)
    sizes: dict[str, int] = {}
    for path in inputs:
        for rows in tables.batches(path, COLUMNS, 64):
            texts = [f"{settings.system}\n{row['prompt']}\n{row['html']}" for row in rows]
            for row, size in zip(rows, tokens.count(tokenizer, texts), strict=True):
                progress.step()
                ledger.enter([row["id"]])
                if row["percent"] < settings.min_percent:
                    ledger.leave(row["id"], "rejected", "below_min_percent", f"{row['percent']:.1f} %")
                elif size > settings.max_tokens:
                    ledger.leave(row["id"], "rejected", "too_many_tokens", f"{size} tokens")
                else:
                    kinds = fit.setdefault(row["group"], {})
                    kinds.setdefault(row["kind"], []).append((-row["percent"], row["id"]))
                    sizes[row["id"]] = size
    chosen, cells = choose(fit, settings.keep)
    with tables.Writer(output, SCHEMA) as writer:
        for path in sorted(inputs):
            for row in tables.rows(path, COLUMNS):
                if row["id"] not in sizes:
                    continue
                if row["id"] not in chosen:
                    ledger.leave(row["id"], "rejected", "over_quota", f"{row['percent']:.1f} %")
                    continue
                ledger.leave(row["id"], "ok", usage=Usage(tokens_out=sizes[row["id"]]))
                messages = [
                    {"role": "system", "content": settings.system},
                    {"role": "user", "content": row["prompt"]},
                    {"role": "assistant", "content": row["html"]},
                ]
                keep = {name: row[name] for name in ("id", "kind", "percent", "maker")}
                writer.write({**keep, "messages": messages, "category": row["group"], "tokens": sizes[row["id"]]})
        ledger.close()
    spread = f", {min(cells.values())} to {max(cells.values())} a cell" if cells else ""
    progress.end(f"{ledger.summary()}; {len(cells)} cells of category and kind{spread}")
    return ledger
