"""From candidates to near-duplicates: each pair's exact Jaccard similarity, wherever its two pages stand.

1. `components`: pairs of all bands, ordered so that those of one connected component follow each other, and cut into
   chunks of CHUNK characters of text. A component of any size is cut like all others, so memory is bounded.
2. `route`, a shard each: the texts that its chunks need, compressed, a row group a chunk. So a page is read once, and
   travels only where it is compared.
3. `verify`, a part of the chunks each: shingles of a chunk's texts, similarities of its pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from artifactscoder import tables
from artifactscoder.config.data import DistinctSettings
from artifactscoder.dedup import minhash
from artifactscoder.dedup.corpus import Corpus, batches, pairs_of
from artifactscoder.dedup.minhash import I64, U64
from artifactscoder.progress import Progress
from artifactscoder.records import ALIKE, CHUNK, ROUTE, VISIT

CHUNK_CHARS = 100_000_000  # characters of the texts whose shingles are in memory at once


def components(signatures: list[Path], bands: list[Path], pairs: Path, visits: Path) -> None:
    """Write the pairs of all bands in chunks, and which rows of which shard each chunk needs."""
    progress = Progress("components", None)
    left, right = pairs_of(bands)
    pages = np.unique(np.concatenate([left, right]))
    with Corpus(signatures) as corpus:
        lengths, names, spans = corpus.numbers("length", pages), corpus.names, corpus.spans
    order, count = _by_component(np.searchsorted(pages, left), np.searchsorted(pages, right), len(pages))
    left, right = left[order], right[order]
    chunk = _chunks(np.searchsorted(pages, left), np.searchsorted(pages, right), lengths)
    chunks = int(chunk[-1]) + 1 if len(chunk) else 0
    with tables.Writer(pairs, CHUNK, {"chunks": str(chunks)}) as writer:
        for number, (start, end) in enumerate(_runs(chunk)):
            part = {"chunk": np.full(end - start, number), "left": left[start:end], "right": right[start:end]}
            writer.write_table(pa.table(part, schema=CHUNK))
    codes = np.unique(np.concatenate([left << 32 | chunk, right << 32 | chunk]))
    page, chunk = codes >> 32, codes & 0xFFFFFFFF
    with tables.Writer(visits, VISIT) as writer:
        for shard, (start, end) in enumerate(spans):
            a, b = np.searchsorted(page, [start, end])
            name = pa.array([names[shard]] * int(b - a), pa.string())
            part = {"shard": name, "row": page[a:b] - start, "page": page[a:b], "chunk": chunk[a:b]}
            writer.write_table(pa.table(part, schema=VISIT))
    progress.end(f"{len(left)} pairs of {len(pages)} pages, {count} components, {chunks} chunks")


def _by_component(left: I64, right: I64, n: int) -> tuple[I64, int]:
    """The order of the pairs by component, then left, then right; and how many components there are."""
    if not len(left):
        return np.empty(0, np.int64), 0
    from scipy.sparse import coo_array  # a second of import, needed here only
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(n, n))
    count, labels = connected_components(graph, directed=False)
    return np.lexsort((right, left, labels[left])), int(count)


def _chunks(left: I64, right: I64, lengths: I64) -> I64:
    if not len(left):
        return np.empty(0, np.int64)
    from artifactscoder.dedup import kernels

    out = np.empty(len(left), np.int64)
    kernels.chunks(left, right, lengths, CHUNK_CHARS, out)
    return out


def _runs(numbers: I64) -> list[tuple[int, int]]:
    """(start, end) of the runs of equal numbers."""
    edges = np.flatnonzero(np.diff(numbers)) + 1
    return list(zip([0, *edges.tolist()], [*edges.tolist(), len(numbers)], strict=True)) if len(numbers) else []


def route(input: Path, columns: Sequence[str], visits: Path, output: Path) -> None:
    """Write the texts of `input` that chunks need, by chunk; the shard is the input's name."""
    wanted = tables.read(visits, ["row", "page", "chunk"], [("shard", "=", input.stem)])
    rows, pages, chunks = (wanted[name].to_numpy() for name in ("row", "page", "chunk"))
    found: dict[int, tuple[int, bytes]] = {}  # row -> size and compressed text
    start = 0
    for _, texts in batches(input, columns):
        a, b = np.searchsorted(rows, [start, start + len(texts)])
        for row in np.unique(rows[a:b]).tolist():
            text = texts[row - start].as_py().encode()
            found[row] = (len(text), pa.compress(text, codec="zstd", asbytes=True))
        start += len(texts)
    order = np.lexsort((pages, chunks))
    rows, pages, chunks = rows[order], pages[order], chunks[order]
    with tables.Writer(output, ROUTE, plain=True) as writer:
        for a, b in _runs(chunks):
            part = {
                "chunk": chunks[a:b],
                "page": pages[a:b],
                "size": [found[row][0] for row in rows[a:b].tolist()],
                "text": [found[row][1] for row in rows[a:b].tolist()],
            }
            writer.write_table(pa.table(part, schema=ROUTE))


class _Groups:
    """A table whose row groups hold a chunk each."""

    def __init__(self, path: Path) -> None:
        self.file = tables.open_table(path, ["chunk"])
        place = self.file.schema_arrow.names.index("chunk")
        found = (self.file.metadata.row_group(i) for i in range(self.file.metadata.num_row_groups))
        self.groups = {group.column(place).statistics.min: i for i, group in enumerate(found)}

    def read(self, chunk: int) -> pa.Table:
        if chunk in self.groups:
            return tables.whole(self.file, self.file.schema_arrow.names, self.groups[chunk])
        return self.file.schema_arrow.empty_table()


def verify(
    settings: DistinctSettings, pairs: Path, routes: list[Path], output: Path, part: int = 0, parts: int = 1
) -> None:
    """Write the pairs of chunks `part`, `part + parts` ... that are near-duplicates, with their similarity."""
    chunks = int(pq.read_metadata(pairs).metadata[b"chunks"])
    mine = range(part, chunks, parts)
    listed, sources = _Groups(pairs), [_Groups(path) for path in sorted(routes)]
    progress = Progress(f"verify {part}", len(mine))
    compared = 0
    with tables.Writer(output, ALIKE) as writer:
        for chunk in mine:
            found = listed.read(chunk)
            left, right = found["left"].to_numpy(), found["right"].to_numpy()
            pages, sets, bounds = _sets(settings, [source.read(chunk) for source in sources])
            likeness = np.empty(len(left))
            from artifactscoder.dedup import kernels

            kernels.similarities(
                sets, bounds, np.searchsorted(pages, left), np.searchsorted(pages, right), settings.threshold, likeness
            )
            near = likeness >= settings.threshold
            kept = {"left": left[near], "right": right[near], "jaccard": likeness[near]}
            writer.write_table(pa.table(kept, schema=ALIKE))
            compared += len(left)
            progress.step(f", {compared} pairs")
    progress.end(f"{writer.rows} near-duplicates of {compared} pairs")


def _sets(settings: DistinctSettings, parts: list[pa.Table]) -> tuple[I64, U64, I64]:
    """The pages of a chunk, rising, and their shingle sets end to end with their bounds."""
    table = pa.concat_tables(parts)
    pages = table["page"].to_numpy()
    order = np.argsort(pages)
    sizes, texts = table["size"].to_numpy()[order], table["text"].take(pa.array(order)).to_pylist()
    sets: list[U64] = []
    bounds = np.zeros(len(pages) + 1, np.int64)
    start = 0
    while start < len(texts):
        end = start + max(1, int(np.searchsorted(np.cumsum(sizes[start:]), minhash.SLICE, "right")))
        whole = [
            pa.decompress(text, int(size), codec="zstd", asbytes=True)
            for text, size in zip(texts[start:end], sizes[start:end], strict=True)
        ]
        some, inner = minhash.shingle_sets(minhash.normal(whole), settings.shingle)
        sets.append(some.copy())
        bounds[start + 1 : end + 1] = bounds[start] + inner[1:]
        start = end
    return pages[order], np.concatenate([np.empty(0, np.uint64), *sets]), bounds
