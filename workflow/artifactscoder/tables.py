"""Parquet in, Parquet out, without holding a table in memory.

Rows are read in batches and written in row groups of at most `GROUP_ROWS` rows or `GROUP_BYTES` bytes of text,
zstd-compressed, to a temporary name beside the target and moved into place at the end: a killed step leaves
either the old file or none. A page of 40 KB keeps a row group near 32 MB, so a step passes any number of pages in
a few hundred MB.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from artifactscoder.errors import UserError
from artifactscoder.files import temporary

GROUP_ROWS = 2_000
GROUP_BYTES = 32 << 20

Row = dict[str, Any]


class Writer:
    """Write rows to `path` in the order given; the file appears only when the block ends without an error."""

    def __init__(
        self, path: Path, schema: pa.Schema, metadata: dict[str, str] | None = None, plain: bool = False
    ) -> None:
        """`plain`: numbers that neither repeat nor compress are written as they are."""
        self.path = Path(path)
        self.schema = schema.with_metadata({**(schema.metadata or {}), **(metadata or {})})
        self.rows = 0
        self._compression = "none" if plain else "zstd"
        self._draft = temporary(self.path)
        self._pending: list[Row] = []
        self._bytes = 0
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Writer:
        self._writer = pq.ParquetWriter(
            self._draft, self.schema, compression=self._compression, use_dictionary=self._compression != "none"
        )
        return self

    def write(self, row: Row) -> None:
        self._pending.append(row)
        self._bytes += sum(len(value) for value in row.values() if isinstance(value, str | bytes))
        self.rows += 1
        if len(self._pending) >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def write_table(self, table: pa.Table) -> None:
        """Write a table as a row group of its own."""
        self._flush()
        if table.num_rows and self._writer is not None:
            self._writer.write_table(table, row_group_size=table.num_rows)
        self.rows += table.num_rows

    def _flush(self) -> None:
        if self._pending and self._writer is not None:
            self._writer.write_table(pa.Table.from_pylist(self._pending, schema=self.schema))
        self._pending, self._bytes = [], 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._writer is not None
        try:
            if kind is None:
                self._flush()
            with nullcontext() if kind is None else suppress(OSError):  # a second error would hide the first
                self._writer.close()
            if kind is None:
                with open(self._draft, "rb+") as file:
                    os.fsync(file.fileno())
                os.replace(self._draft, self.path)
        finally:
            self._draft.unlink(missing_ok=True)


def write(path: Path, schema: pa.Schema, rows: Iterable[Row], metadata: dict[str, str] | None = None) -> int:
    """Write all rows; returns how many."""
    with Writer(path, schema, metadata) as writer:
        for row in rows:
            writer.write(row)
    return writer.rows


def open_table(path: Path, columns: Iterable[str] = ()) -> pq.ParquetFile:
    """Open a Parquet file that has at least `columns`; anything else is one sentence."""
    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError:
        raise UserError(f"there is no file {path}; run the step that makes it, or correct the path") from None
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read as Parquet ({_short(error)}); make it again") from None
    missing = [name for name in columns if name not in file.schema_arrow.names]
    if missing:
        raise UserError(
            f"{path} has no column {', '.join(missing)} (it has {', '.join(file.schema_arrow.names)}); "
            "give the table that the step before this one wrote"
        )
    return file


def rows(path: Path, columns: list[str] | None = None, batch: int = 256) -> Iterator[Row]:
    """All rows of a table in its order, `batch` of them in memory at a time."""
    for part in arrays(path, columns, batch):
        yield from part.to_pylist()


def arrays(path: Path, columns: list[str] | None = None, batch: int = 256) -> Iterator[pa.RecordBatch]:
    """The same as Arrow's batches."""
    file = open_table(path, columns or ())
    try:
        yield from file.iter_batches(batch_size=batch, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is damaged ({_short(error)}); make it again") from None
    finally:
        file.close()


def batches(path: Path, columns: list[str], size: int) -> Iterator[list[Row]]:
    """The rows of a table in lists of `size`."""
    part: list[Row] = []
    for row in rows(path, columns, size):
        part.append(row)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


def column(path: Path, name: str) -> list[Any]:
    """One column as a list."""
    with open_table(path, [name]) as file:
        return file.read([name]).column(0).to_pylist()


def read(path: Path, columns: list[str], where: list[tuple[str, str, Any]] | None = None) -> pa.Table:
    """Columns of a table at once; with `where` the rows that meet it, and only the row groups that may hold one."""
    with open_table(path, columns) as file:
        if where is None:
            return whole(file, columns)
    try:
        return pq.read_table(path, columns=columns, filters=where, use_threads=False, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is damaged ({_short(error)}); make it again") from None


def whole(file: pq.ParquetFile, columns: list[str], group: int | None = None) -> pa.Table:
    """Columns of an open table, or of one of its row groups."""
    try:
        if group is None:
            return file.read(columns, use_threads=False)
        return file.read_row_group(group, columns, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"a table is damaged ({_short(error)}); make it again") from None


def count(path: Path) -> int:
    """Number of rows, from the footer alone."""
    with open_table(path) as file:
        return file.metadata.num_rows


def as_json(value: Any) -> str:
    """A list or an object as the text that a column holds of it."""
    return json.dumps(value, ensure_ascii=False)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
