"""Near-duplicates of one record: its kept twin, or those that were dropped for it, compared once more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from artifactscoder import tables
from artifactscoder.config.data import DistinctSettings
from artifactscoder.dedup import minhash
from artifactscoder.dedup.keep import BUILT
from artifactscoder.html import skeleton
from artifactscoder.records import DROPPED
from artifactscoder.sft import distinct_tasks, distinct_variants
from artifactscoder.tables import Row
from artifactscoder.trace.book import Book, Stop, differing

SHOWN = 50  # of those dropped for one page
_DISTINCT: dict[str, Sequence[str]] = {
    "sft/distinct_tasks": distinct_tasks.COLUMNS, "sft/distinct_variants": distinct_variants.COLUMNS,
}  # fmt: skip


def distinct(book: Book, step: str, settings: DistinctSettings, before: str, row: Row) -> tuple[Stop, Row | None]:
    """A task or a variant, among those of all categories."""
    table = book.table(step, row["id"].split("/")[0])
    dropped = book.results / step / "dropped.parquet"
    return _kept(book, step, settings, table, dropped, _DISTINCT[step], lambda id_: _table(book, before, id_), row)


def pages(book: Book, stage: str, table_of: Callable[[str], Path], row: Row, shard: str) -> tuple[Stop, Row | None]:
    """A page, among those of all shards of its stage; `table_of`: where the page of an id stands."""
    settings = getattr(book.config, stage).dedup
    dropped = book.results / stage / "dedup/pairs/dropped.parquet"
    table = book.table(f"{stage}/dedup", shard)
    return _kept(book, f"{stage}/dedup", settings, table, dropped, ("html",), table_of, row)


def _table(book: Book, step: str, id_: str) -> Path:
    return book.table(step, id_.split("/")[0])


def _kept(
    book: Book,
    step: str,
    settings: DistinctSettings,
    table: Path,
    dropped: Path,
    columns: Sequence[str],
    table_of: Callable[[str], Path],
    row: Row,
) -> tuple[Stop, Row | None]:
    stop, kept = book.stop(step, table, row["id"])
    if not dropped.exists():
        return stop, kept
    found = book.row(dropped, row["id"])
    if found:
        stop.facts |= {"twin": found["twin"], "likeness": found["jaccard"]}
        _alike(book, stop, settings, columns, table_of, row, found)
    gone = bool(found and (found["reason"] != BUILT or settings.alike == "remove"))
    what = "it has a twin" if gone else "it has no twin"
    stop.check("the ledger says what the list of twins says", (stop.status == "rejected") == gone, what)
    followers = tables.read(dropped, DROPPED.names, [("twin", "==", row["id"])]).to_pylist()
    if followers:
        stop.facts["dropped_for_it"] = len(followers)
        stop.facts["dropped"] = [{"id": one["id"], "likeness": one["jaccard"]} for one in followers[:SHOWN]]
    if kept is not None:
        stop.check("the row is that of the table before", *differing(kept, row))
    return stop, kept


def _alike(
    book: Book,
    stop: Stop,
    settings: DistinctSettings,
    columns: Sequence[str],
    table_of: Callable[[str], Path],
    row: Row,
    found: Row,
) -> None:
    """Compare with the twin again."""
    twin = book.row(table_of(found["twin"]), found["twin"])
    if twin is None:
        stop.check("its twin stands in the table before", False, f"{found['twin']} is not in {table_of(found['twin'])}")
        return
    if found["reason"] == BUILT:
        same = skeleton.digest(row["html"]) == skeleton.digest(twin["html"])
        stop.check("it is built like its twin", same, "their skeletons differ")
        return
    sets = [minhash.shingles("\n".join(one[name] for name in columns), settings.shingle) for one in (row, twin)]
    likeness = minhash.jaccard(*sets)
    near = abs(likeness - found["jaccard"]) < 1e-6 and likeness >= settings.threshold
    stop.check("it is as much like its twin as was said", near, f"{likeness:.4f}, and {found['jaccard']:.4f} was said")
    said = f"{found['jaccard']:.4f} like {found['twin']}"
    stop.check("the ledger names its twin", (stop.reason, stop.detail) == (found["reason"], said), stop.detail)
