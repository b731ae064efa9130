"""The three phases of near-duplicate removal, over files.

1. `signature`, one job a shard: text -> length, exact digest, MinHash signature.
2. `pairs`, one job: candidates of all shards by LSH, each verified by the exact Jaccard similarity of its shingles,
   then the keep rule.
3. `filter`, one job a shard: the rows that are kept, and a ledger that names each dropped row's kept twin.

`distinct` is all three in one job, for tables of short texts (tasks, prompts), where 80 jobs more would cost more than
they share. What is compared is the text of a row's `columns`, joined by line breaks: a page's `html` by default.

The keep rule: in the order (longest first, then by id) a row is kept unless one that is kept already is at least
`threshold` similar to it. So the kept set does not depend on shards, order or number of jobs, every dropped row has
a kept twin at least as long, and a chain A~B~C does not drop C for its likeness to B when B itself is dropped.

Memory: about 1 KB a row for the signatures, plus the shingles of the candidates of one chunk of `CHUNK` characters.
"""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from artifactscoder import tables
from artifactscoder.config.data import DedupSettings
from artifactscoder.dedup import minhash
from artifactscoder.ledger import Ledger, beside
from artifactscoder.progress import Progress
from artifactscoder.records import DROPPED, SIGNATURE
from artifactscoder.tables import Row

HTML = ("html",)
CHUNK = 100_000_000  # characters of candidates whose shingles are in memory at once
PAIRS = 100_000  # candidate pairs whose signatures are compared at once
SLACK = 0.15  # a pair estimated this far below the threshold is not verified (4 sigma of 128 permutations)


def text(row: Row, columns: Sequence[str]) -> str:
    """What is compared of a row."""
    return "\n".join(row[name] for name in columns)


def signatures(settings: DedupSettings, input: Path, columns: Sequence[str] = HTML) -> Iterator[Row]:
    """A SIGNATURE row for every row of `input`."""
    a, b = minhash.permutations(settings.permutations)
    for row in tables.rows(input, ["id", *columns]):
        compared = text(row, columns)
        hashed = minhash.shingles(compared, settings.shingle)
        yield {
            "id": row["id"],
            "length": len(compared),
            "exact": minhash.exact(compared),
            "signature": minhash.signature(hashed, a, b).tobytes(),
        }


def signature(settings: DedupSettings, input: Path, output: Path) -> None:
    """Phase 1: the signatures of the pages of `input`."""
    progress = Progress(f"signature {output.stem}", tables.count(input))
    with tables.Writer(output, SIGNATURE) as writer:
        for row in signatures(settings, input):
            writer.write(row)
            progress.step()
    progress.end(f"{writer.rows} signatures")


def pairs(settings: DedupSettings, signatures: list[Path], pages: list[Path], output: Path) -> None:
    """Phase 2: a DROPPED row (id, kept twin, exact Jaccard) for every page that is not kept, sorted by id.

    `signatures[i]` and `pages[i]` are the two tables of one shard, in any order of shards.
    """
    shards = (tables.rows(path, SIGNATURE.names, batch=2000) for path in signatures)
    tables.write(output, DROPPED, find(settings, shards, pages))


def distinct(settings: DedupSettings, inputs: list[Path], columns: Sequence[str], output: Path) -> None:
    """All phases in one job: beside `output` (the DROPPED table) the kept rows and the ledger of each input.

    A table or ledger whose bytes would stay the same is not touched: a step that reads it has nothing new to do.
    """
    inputs = sorted(inputs)
    dropped = find(settings, (signatures(settings, path, columns) for path in inputs), inputs, columns)
    # Not a declared output, and on the same disk: from here each file is moved into place whole.
    work = output.with_name(f".{output.stem}.work")
    shutil.rmtree(work, ignore_errors=True)
    tables.write(work / output.name, DROPPED, dropped)
    changed = 0
    for path in inputs:
        filter(path, work / output.name, work / path.name)
        for draft in (beside(work / path.name), work / path.name):  # a table that is there has its ledger beside it
            target = output.with_name(draft.name)
            if not target.exists() or not filecmp.cmp(draft, target, shallow=False):
                os.replace(draft, target)
                changed += draft.name == path.name
    os.replace(work / output.name, output)
    shutil.rmtree(work)
    Progress(output.parent.name, None).end(f"{len(dropped)} dropped, {changed} of {len(inputs)} tables changed")


def find(
    settings: DedupSettings, shards: Iterable[Iterable[Row]], pages: list[Path], columns: Sequence[str] = HTML
) -> list[Row]:
    """The DROPPED rows of all shards, sorted by id; `shards` holds the SIGNATURE rows of each table of `pages`."""
    ids: list[str] = []
    lengths: list[int] = []
    exact: list[bytes] = []
    blocks: list[bytes] = []
    where: list[tuple[int, int]] = []  # (shard, row in it)
    for shard, rows in enumerate(shards):
        for number, row in enumerate(rows):
            ids.append(row["id"])
            lengths.append(row["length"])
            exact.append(row["exact"])
            blocks.append(row["signature"])
            where.append((shard, number))
    progress = Progress("pairs", len(ids))
    # Everything below is in the order (longest first, then id): an index is a page's rank in the keep rule.
    order = sorted(range(len(ids)), key=lambda i: (-lengths[i], ids[i]))
    first: dict[bytes, int] = {}
    rank: list[int] = []  # positions of distinct texts, by rank
    copies: dict[int, list[int]] = {}
    for i in order:
        if exact[i] in first:
            copies.setdefault(first[exact[i]], []).append(i)
        else:
            first[exact[i]] = i
            rank.append(i)
    matrix = np.frombuffer(b"".join(blocks[i] for i in rank), np.uint32)
    matrix = matrix.reshape(len(rank), settings.permutations)
    sizes = np.array([lengths[i] for i in rank], np.int64)
    found = minhash.candidates(matrix, sizes, settings.bands, settings.rows, settings.bucket)
    if len(found):
        parts = np.array_split(found, len(found) // PAIRS + 1)  # a pair's two signatures take 1 KB
        found = np.concatenate([p[minhash.estimates(matrix, p) >= settings.threshold - SLACK] for p in parts])
    twins: dict[int, tuple[int, float]] = {}  # rank -> (rank of its kept twin, Jaccard)
    for component in _chunks(found, sizes):
        texts = _read([where[rank[i]] for i in component], pages, columns)
        sets = {i: minhash.shingles(texts[where[rank[i]]], settings.shingle) for i in component}
        twins.update(_keep(component, found, sets, settings.threshold))
    dropped = [(ids[rank[i]], ids[rank[twin]], value) for i, (twin, value) in twins.items()]
    ranks = {position: i for i, position in enumerate(rank)}
    for original, others in copies.items():
        twin, value = twins.get(ranks[original], (ranks[original], 1.0))
        dropped += [(ids[i], ids[rank[twin]], value) for i in others]
    progress.end(f"{len(ids)} texts, {len(found)} candidate pairs, {len(dropped)} dropped")
    return [{"id": i, "twin": twin, "jaccard": value} for i, twin, value in sorted(dropped)]


def filter(input: Path, dropped: Path, output: Path) -> Ledger:
    """Phase 3: the rows of `input` that `dropped` does not name, and the ledger."""
    twins = {row["id"]: row for row in tables.rows(dropped, DROPPED.names, batch=10_000)}
    ledger = Ledger(beside(output))
    with tables.open_table(input, ["id"]) as file:
        schema = file.schema_arrow
    with tables.Writer(output, schema) as writer:
        for row in tables.rows(input):
            ledger.enter([row["id"]])
            if twin := twins.get(row["id"]):
                detail = f"{twin['jaccard']:.4f} like {twin['twin']}"
                ledger.leave(row["id"], "rejected", "near_duplicate", detail)
            else:
                ledger.leave(row["id"], "ok")
                writer.write(row)
        ledger.close()
    Progress(f"dedup {output.stem}", None).end(ledger.summary())
    return ledger


def _chunks(found: np.ndarray, sizes: np.ndarray) -> Iterator[list[int]]:
    """Whole connected components of the candidate graph, together at most CHUNK characters (or one component)."""
    if not len(found):
        return
    from scipy.sparse import coo_array  # a second of import, needed in one phase of three
    from scipy.sparse.csgraph import connected_components

    n = len(sizes)
    ones = np.ones(len(found), np.int8)
    _, labels = connected_components(coo_array((ones, (found[:, 0], found[:, 1])), shape=(n, n)), directed=False)
    touched = np.unique(found)
    touched = touched[np.lexsort((touched, labels[touched]))]
    chunk: list[int] = []
    total = 0
    starts = np.flatnonzero(np.r_[True, labels[touched][1:] != labels[touched][:-1]])
    for members in np.split(touched, starts[1:]):
        size = int(sizes[members].sum())
        if chunk and total + size > CHUNK:
            yield chunk
            chunk, total = [], 0
        chunk += members.tolist()
        total += size
    yield chunk


def _read(places: list[tuple[int, int]], pages: list[Path], columns: Sequence[str]) -> dict[tuple[int, int], str]:
    """The texts at (shard, row), reading only the row groups that hold one."""
    wanted: dict[int, list[int]] = {}
    for shard, number in places:
        wanted.setdefault(shard, []).append(number)
    out: dict[tuple[int, int], str] = {}
    for shard, numbers in wanted.items():
        with tables.open_table(pages[shard], columns) as file:
            left = sorted(numbers)
            start = 0
            for group in range(file.metadata.num_row_groups):
                end = start + file.metadata.row_group(group).num_rows
                inside = [number for number in left if start <= number < end]
                if inside:
                    part = file.read_row_group(group, columns=list(columns))
                    for number in inside:
                        values = {name: part[name][number - start].as_py() for name in columns}
                        out[(shard, number)] = text(values, columns)
                start = end
    return out


def _keep(
    component: list[int], found: np.ndarray, sets: dict[int, np.ndarray], threshold: float
) -> dict[int, tuple[int, float]]:
    """The keep rule on the members (ranks) of whole components."""
    inside = np.zeros(int(found.max()) + 1, bool)
    inside[component] = True
    before: dict[int, list[int]] = {}  # candidates that come earlier in the keep order
    for i, j in found[inside[found[:, 0]]].tolist():
        before.setdefault(j, []).append(i)
    twins: dict[int, tuple[int, float]] = {}
    for page in sorted(component):
        best: tuple[float, int] | None = None
        for other in before.get(page, ()):
            if other in twins:
                continue
            value = minhash.jaccard(sets[page], sets[other])
            if value >= threshold and (best is None or (-value, other) < best):
                best = (-value, other)
        if best:
            twins[page] = (best[1], -best[0])
    return twins
