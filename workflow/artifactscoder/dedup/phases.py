"""Near-duplicate removal over files: one path for 300 pages and for 18 million.

1. `signature`, a job a shard: text -> length, exact digest, MinHash signature and sketch (`minhash.py`).
2. `bands`, a group of bands a job: pairs that may be near-duplicates (`bands.py`).
3. `components`, one job, `route`, a job a shard, and `verify`, a part a job: their exact similarity (`verify.py`).
4. `keep`, one job: which pages stay (`keep.py`).
5. `filter`, a job a shard: the rows that stay, and a ledger that names each dropped row's kept twin.

`pairs` is 2 to 4 in one job, part after part, for as many pages as one job can be waited for; `distinct` is all of
them, for tables of short texts (tasks, prompts), where 80 jobs more would cost more than they share. What is compared
is the text of a row's `columns`, joined by line breaks: a page's `html` by default. A shard's tables bear its name in
all steps, and the kept set is the same for any sharding, order and number of jobs.

Memory: `bands` 0.3 KB a page (4.4 GB at 18 million), `keep` and `components` less; `route` the compressed candidates of
one shard; `verify` about 1.5 GB of one chunk.
"""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from artifactscoder import records, tables
from artifactscoder.config.data import DistinctSettings
from artifactscoder.dedup import minhash
from artifactscoder.dedup.bands import Bands, Buckets, agreement, choose, keys
from artifactscoder.dedup.corpus import Corpus, batches
from artifactscoder.dedup.keep import BUILT, keep
from artifactscoder.dedup.minhash import I64, U64
from artifactscoder.dedup.verify import components, route, verify
from artifactscoder.ledger import Ledger, beside
from artifactscoder.progress import Progress, say
from artifactscoder.records import DROPPED, PAIR

__all__ = ["bands", "components", "distinct", "filter", "keep", "pairs", "route", "signature", "verify"]

HTML = ("html",)
GROUP_ROWS = 1 << 16  # rows of a signature table's row group
READ = 256 << 20  # bytes of signatures that are read at once


def signature(settings: DistinctSettings, input: Path, output: Path, columns: Sequence[str] = HTML) -> None:
    """The signatures of the rows of `input`, in its order."""
    schema = records.signature(settings.permutations)
    progress = Progress(f"signature {output.stem}", tables.count(input))
    built = settings.alike != "off" and columns == HTML
    with tables.Writer(output, schema, plain=True) as writer:
        pending: list[pa.RecordBatch] = []
        for ids, texts in batches(input, columns):
            start = 0
            for part in minhash.slices(texts):
                pending.append(_signed(settings, ids.slice(start, len(part)), part, schema, built))
                start += len(part)
            if sum(map(len, pending)) >= GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(pending, schema))
                pending = []
            for _ in range(len(ids)):
                progress.step()
        writer.write_table(pa.Table.from_batches(pending, schema))
    progress.end(f"{writer.rows} signatures")


def _signed(
    settings: DistinctSettings, ids: pa.Array, texts: pa.Array, schema: pa.Schema, built: bool
) -> pa.RecordBatch:
    compared = minhash.normal(texts)
    made = minhash.signatures(compared, settings.shingle, settings.permutations, settings.engine)
    skeletons = [bytes(16)] * len(ids)
    if built:
        from artifactscoder.html import skeleton

        skeletons = [skeleton.digest(html) for html in texts.to_pylist()]
    sketch = pa.py_buffer(made.astype(np.uint8).tobytes())
    columns = [
        ids.cast(pa.string()),
        pa.array(compared.lengths),
        pa.array(compared.exact(), pa.binary(16)),
        pa.array(skeletons, pa.binary(16)),
        pa.Array.from_buffers(pa.binary(settings.permutations), len(ids), [None, sketch]),
        *(pa.array(np.ascontiguousarray(values)) for values in made.T),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def bands(settings: DistinctSettings, signatures: list[Path], output: Path, group: int = 0, groups: int = 1) -> None:
    """The pairs that bands `group`, `group + groups` ... propose and sketches do not exclude."""
    found = np.empty(0, np.int64)
    compared, large, alike = 0, 0, 0
    with Corpus(signatures) as corpus:
        same = corpus.same()
        texts = np.flatnonzero(same == np.arange(corpus.pages))  # each text once, wherever it stands
        chosen = choose(settings, len(texts))
        mine = range(group, chosen.bands, groups)
        progress = Progress(f"bands {group}", len(mine))
        if group == 0:
            say(f"bands: {len(texts)} texts of {corpus.pages}; {chosen}")
        lengths = corpus.numbers("length", texts)

        def first(members: I64) -> int:
            """The longest of some texts, among equals the one that has the first id."""
            longest = texts[members[lengths[members] == lengths[members].max()]]
            copies = np.flatnonzero(np.isin(same, longest))
            return int(np.searchsorted(texts, same[copies[pc.sort_indices(corpus.ids(copies))[0].as_py()]]))

        sketches = corpus.bytes("sketch", settings.permutations, texts)
        for rows, key in _keys(corpus, chosen, mine, texts):
            buckets = Buckets(key, sketches, rows.stop, settings.bucket)
            parts = [*buckets.close(sketches, agreement(settings)), *buckets.stars(first)]
            found = np.union1d(found, np.concatenate([np.empty(0, np.int64), *parts]))
            compared, large, alike = compared + buckets.pairs, large + buckets.large, alike + len(buckets.alike)
            progress.step(f", {compared} pairs compared")
    found = texts[found >> 32] << 32 | texts[found & 0xFFFFFFFF]
    with tables.Writer(output, PAIR) as writer:
        for start in range(0, len(found), 1 << 20):
            writer.write_table(pa.table({"pair": found[start : start + (1 << 20)]}, schema=PAIR))
    capped = f"; {large} buckets of more than {settings.bucket} were cut, {alike} could not be" if large else ""
    progress.end(f"{len(found)} candidates of {compared} pairs in {len(mine)} bands{capped}")


def _keys(corpus: Corpus, chosen: Bands, mine: range, texts: I64) -> Iterator[tuple[range, U64]]:
    """Each band's rows and its key of every text; as many bands are read at once as READ bytes hold."""
    at_once = max(1, READ // (4 * chosen.rows * max(1, len(texts))))
    for start in range(0, len(mine), at_once):
        some = [range(band * chosen.rows, (band + 1) * chosen.rows) for band in mine[start : start + at_once]]
        values = corpus.columns([f"p{row:03d}" for rows in some for row in rows], texts)
        for number, rows in enumerate(some):
            own = values[number * chosen.rows : (number + 1) * chosen.rows]
            yield rows, keys(own, len(texts))


def pairs(
    settings: DistinctSettings, signatures: list[Path], pages: list[Path], output: Path, columns: Sequence[str] = HTML
) -> None:
    """What is dropped (a DROPPED table): bands, components, route, verify and keep in one job."""
    work = output.with_name(f".{output.stem}.work")
    shutil.rmtree(work, ignore_errors=True)
    proposed, chunks, visits = work / "bands/0.parquet", work / "pairs.parquet", work / "visits.parquet"
    bands(settings, signatures, proposed)
    components(signatures, [proposed], chunks, visits)
    routes = [work / "route" / path.name for path in pages]
    for path, target in zip(pages, routes, strict=True):
        route(path, columns, visits, target)
    verify(settings, chunks, routes, work / "verify/0.parquet")
    keep(settings, signatures, [work / "verify/0.parquet"], output)
    shutil.rmtree(work)


def distinct(settings: DistinctSettings, inputs: list[Path], columns: Sequence[str], output: Path) -> None:
    """All steps in one job: beside `output` (the DROPPED table) the kept rows and the ledger of each input.

    A table or ledger whose bytes would stay the same is not touched: a step that reads it has nothing new to do.
    """
    # Not a declared output, and on the same disk: from here each file is moved into place whole.
    work = output.with_name(f".{output.stem}.distinct")
    shutil.rmtree(work, ignore_errors=True)
    signatures = [work / "signature" / path.name for path in inputs]
    for path, target in zip(inputs, signatures, strict=True):
        signature(settings, path, target, columns)
    pairs(settings, signatures, inputs, work / output.name, columns)
    changed = 0
    for path in inputs:
        filter(settings, path, work / output.name, work / path.name)
        for draft in (beside(work / path.name), work / path.name):  # a table that is there has its ledger beside it
            target = output.with_name(draft.name)
            if not target.exists() or not filecmp.cmp(draft, target, shallow=False):
                os.replace(draft, target)
                changed += draft.name == path.name
    dropped = tables.count(work / output.name)
    os.replace(work / output.name, output)
    shutil.rmtree(work)
    Progress(output.parent.name, None).end(f"{dropped} dropped, {changed} of {len(inputs)} tables changed")


def filter(settings: DistinctSettings, input: Path, dropped: Path, output: Path) -> Ledger:
    """The rows of `input` that `dropped` does not drop, and the ledger."""
    ids = tables.column(input, "id")
    between = [("id", ">=", min(ids)), ("id", "<=", max(ids))] if ids else None
    twins = {row["id"]: row for row in tables.read(dropped, DROPPED.names, between).to_pylist()} if ids else {}
    ledger = Ledger(beside(output))
    with tables.open_table(input, ["id"]) as file:
        schema = file.schema_arrow
    with tables.Writer(output, schema) as writer:
        for row in tables.rows(input):
            ledger.enter([row["id"]])
            twin = twins.get(row["id"])
            detail = ""
            if twin and twin["reason"] == BUILT:
                detail = f"built like {twin['twin']}"
            elif twin:
                detail = f"{twin['jaccard']:.4f} like {twin['twin']}"
            if twin and (twin["reason"] != BUILT or settings.alike == "remove"):
                ledger.leave(row["id"], "rejected", twin["reason"], detail)
            else:
                ledger.leave(row["id"], "ok", "", detail)
                writer.write(row)
        ledger.close()
    Progress(f"dedup {output.stem}", None).end(ledger.summary())
    return ledger
