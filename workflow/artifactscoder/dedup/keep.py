"""Which pages stay.

In the order (longest first, then by id) a page is kept unless one that is kept already is at least `threshold` similar
to it. So the kept set does not depend on shards, order or number of jobs, every dropped page has a kept twin at least
as long, and a chain A~B~C does not drop C for its likeness to B when B itself is dropped. Pages of one text are one
page here; of these the one with the first id stands for all. Length is that of the normalised text.

With `structure`, of the pages that are kept and have one skeleton (`html/skeleton.py`) the first in the same order
stays, the others are reported or removed.

Memory: 0.1 KB a page, and 0.3 KB a page that has a twin.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from artifactscoder import tables
from artifactscoder.config.data import DistinctSettings
from artifactscoder.dedup.corpus import Corpus, first_alike
from artifactscoder.dedup.minhash import I64
from artifactscoder.progress import Progress
from artifactscoder.records import ALIKE, DROPPED

NEAR, BUILT = "near_duplicate", "same_structure"


class _Ranked:
    """Some pages in the order (longest first, then by id)."""

    def __init__(self, corpus: Corpus, pages: I64) -> None:
        """`pages`: rising."""
        ids, lengths = corpus.ids(pages), corpus.numbers("length", pages)
        table = pa.table({"length": lengths, "id": ids})
        order = pc.sort_indices(table, [("length", "descending"), ("id", "ascending")]).to_numpy().astype(np.int64)
        self.pages = pages[order]  # by rank
        self.ids = ids.take(pa.array(order))
        self._rising = pages
        self._rank = np.empty(len(pages), np.int64)
        self._rank[order] = np.arange(len(pages))

    def rank(self, pages: I64) -> I64:
        return self._rank[np.searchsorted(self._rising, pages)]


def keep(settings: DistinctSettings, signatures: list[Path], verified: list[Path], output: Path) -> None:
    """Write a DROPPED row (id, kept twin, exact Jaccard, reason) for every page with a twin, sorted by id."""
    parts = [tables.read(path, ALIKE.names) for path in sorted(verified)]
    alike = pa.concat_tables(parts) if parts else ALIKE.empty_table()
    left, right, likeness = (alike[name].to_numpy() for name in ALIKE.names)
    with Corpus(signatures) as corpus:
        progress = Progress("keep", corpus.pages)
        same = corpus.same()
        copied = same != np.arange(corpus.pages)
        ranked = _Ranked(corpus, np.unique(np.concatenate([left, right, same[copied], np.flatnonzero(copied)])))
        twin, best = _twins(ranked, same, left, right, likeness)
        found = [_dropped(ranked, twin, best, NEAR)]
        gone = np.zeros(corpus.pages, bool)
        gone[ranked.pages[twin >= 0]] = True
        if settings.alike != "off":
            built = corpus.bytes("skeleton", 16).view(np.uint64)
            found.append(_built_alike(corpus, np.flatnonzero(~gone & built.any(axis=1)), built))
    table = pa.concat_tables(found).sort_by("id")
    with tables.Writer(output, DROPPED) as writer:
        for start in range(0, table.num_rows, tables.GROUP_ROWS * 10):
            writer.write_table(table.slice(start, tables.GROUP_ROWS * 10).cast(DROPPED))
    structure = f", {found[1].num_rows} built alike" if len(found) > 1 else ""
    progress.end(f"{corpus.pages} texts, {len(left)} near-duplicate pairs, {int(gone.sum())} dropped{structure}")


def _twins(ranked: _Ranked, same: I64, left: I64, right: I64, likeness: np.ndarray) -> tuple[I64, np.ndarray]:
    """By rank: the rank of a page's kept twin, -1 for a page that is kept, and their similarity."""
    n = len(ranked.pages)
    # A text is represented by the first of the pages that have it.
    group = ranked.rank(same[ranked.pages])
    stands = np.full(n, n, np.int64)
    np.minimum.at(stands, group, np.arange(n))
    x, y = stands[group[ranked.rank(left)]], stands[group[ranked.rank(right)]]
    x, y = np.minimum(x, y), np.maximum(x, y)
    order = np.lexsort((x, y))
    x, y, likeness = x[order], y[order], likeness[order]
    twin, best = np.full(n, -1, np.int64), np.zeros(n)
    if len(x):
        from artifactscoder.dedup import kernels

        kernels.keep(np.searchsorted(y, np.arange(n + 1)), x, likeness, twin, best)
    copies = np.flatnonzero(stands[group] != np.arange(n))
    original = stands[group[copies]]
    kept = twin[original] < 0
    twin[copies] = np.where(kept, original, twin[original])
    best[copies] = np.where(kept, 1.0, best[original])
    return twin, best


def _dropped(ranked: _Ranked, twin: I64, best: np.ndarray, reason: str) -> pa.Table:
    gone = np.flatnonzero(twin >= 0)
    return pa.table({
        "id": ranked.ids.take(pa.array(gone)),
        "twin": ranked.ids.take(pa.array(twin[gone])),
        "jaccard": pa.array(best[gone], from_pandas=True),  # none for NaN
        "reason": pa.array([reason] * len(gone), pa.string()),
    })  # fmt: skip


def _built_alike(corpus: Corpus, kept: I64, built: np.ndarray) -> pa.Table:
    """Of the kept pages those whose skeleton an earlier one has; there is no similarity to tell."""
    group = kept[first_alike(built[kept, 0], built[kept, 1])]
    numbers, counts = np.unique(group, return_counts=True)
    ranked = _Ranked(corpus, kept[np.isin(group, numbers[counts > 1])])
    if not len(ranked.pages):
        return _dropped(ranked, np.empty(0, np.int64), np.empty(0), BUILT)
    group = ranked.rank(group[np.searchsorted(kept, ranked.pages)])
    stands = np.full(len(group), len(group), np.int64)
    np.minimum.at(stands, group, np.arange(len(group)))
    twin = np.where(stands[group] == np.arange(len(group)), -1, stands[group])
    return _dropped(ranked, twin, np.full(len(group), np.nan), BUILT)
