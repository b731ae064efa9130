"""All pages of all shards as numbers: what the signature tables say of each, by row, in the order of their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from artifactscoder import tables
from artifactscoder.dedup.minhash import I64, U8, U64


def batches(path: Path, columns: Sequence[str], batch: int = 256) -> Iterator[tuple[pa.Array, pa.Array]]:
    """(ids, texts) of a table: what is compared of a row is its `columns`, joined by line breaks."""
    line = pa.scalar("\n", pa.large_string())  # pyarrow joins texts of one type only
    for part in tables.arrays(path, ["id", *columns], batch):
        parts = [part.column(name).cast(pa.large_string()) for name in columns]
        yield part.column("id"), parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, line)


def pairs_of(bands: list[Path]) -> tuple[I64, I64]:
    """The distinct pairs of tables of bands, by left, then right."""
    found = np.empty(0, np.int64)
    for path in bands:
        found = np.union1d(found, tables.read(path, ["pair"])["pair"].to_numpy())
    return found >> 32, found & 0xFFFFFFFF


class Corpus:
    """The signature tables of all shards; `close` them, or use as a context."""

    def __init__(self, signatures: list[Path]) -> None:
        paths = sorted(signatures)
        self.names = [path.stem for path in paths]
        self.files = [tables.open_table(path, ["id", "length", "exact", "sketch"]) for path in paths]
        ends = np.cumsum([0, *(file.metadata.num_rows for file in self.files)])
        self.spans = list(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True))
        self.pages = int(ends[-1])

    def __enter__(self) -> Corpus:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self.files:
            file.close()

    def numbers(self, name: str, pages: I64 | None = None) -> np.ndarray:
        """A column of numbers of all pages, or of those given (rising)."""
        return self.columns([name], pages)[0]

    def columns(self, names: list[str], pages: I64 | None = None) -> list[np.ndarray]:
        """Several columns of numbers, in one pass over the files."""
        parts: list[list[np.ndarray]] = [[] for _ in names]
        for some, table in self._tables(names, pages):
            for name, part in zip(names, parts, strict=True):
                part.append(table[name].to_numpy()[some])
        return [np.concatenate(part) if part else np.empty(0, np.uint32) for part in parts]

    def bytes(self, name: str, width: int, pages: I64 | None = None) -> U8:
        """A column of `width` bytes a page, uint8[pages, width]."""
        out = np.empty((self.pages if pages is None else len(pages), width), np.uint8)
        at = 0
        for some, table in self._tables([name], pages):
            values = _fixed(table[name].combine_chunks(), width)[some]
            out[at : at + len(values)] = values
            at += len(values)
        return out

    def _tables(self, names: list[str], pages: I64 | None) -> Iterator[tuple[slice | I64, pa.Table]]:
        """Each shard's columns, and which of its rows are wanted."""
        for file, (start, end) in zip(self.files, self.spans, strict=True):
            some: slice | I64 = slice(None)
            if pages is not None:
                a, b = np.searchsorted(pages, [start, end])
                if a == b:
                    continue
                some = slice(None) if b - a == end - start else pages[a:b] - start
            yield some, tables.whole(file, names)

    def same(self) -> I64:
        """For each page the first one with the same text: its own number, where no page before it has it."""
        exact = self.bytes("exact", 16).view(np.uint64).reshape(self.pages, 2)
        return first_alike(exact[:, 0], exact[:, 1])

    def ids(self, pages: I64) -> pa.Array:
        """The ids of the pages given (rising)."""
        parts = []
        for some, table in self._tables(["id"], pages):
            column = table["id"].combine_chunks()
            parts.append((column if isinstance(some, slice) else column.take(pa.array(some))).cast(pa.large_string()))
        return pa.concat_arrays(parts) if parts else pa.array([], pa.large_string())


def first_alike(high: U64, low: U64) -> I64:
    """For each place the first one with the same two numbers."""
    order = np.lexsort((low, high))
    new = np.ones(len(order), bool)
    if len(order):
        new[1:] = (high[order[1:]] != high[order[:-1]]) | (low[order[1:]] != low[order[:-1]])
    out = np.empty(len(order), np.int64)
    out[order] = order[new][np.cumsum(new) - 1]
    return out


def _fixed(column: pa.Array, width: int) -> U8:
    """Fixed-size binary as uint8[n, width], without a copy."""
    if not len(column):
        return np.empty((0, width), np.uint8)
    whole = np.frombuffer(column.buffers()[1], np.uint8)
    return whole[column.offset * width : (column.offset + len(column)) * width].reshape(len(column), width)
