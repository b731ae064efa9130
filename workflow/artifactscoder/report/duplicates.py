"""Clusters of near-duplicates, by the ledgers of a deduplication: how many of each size, and examples to look at."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from artifactscoder import ledger, tables
from artifactscoder.html import mask

LARGEST, MEMBERS = 8, 4  # clusters shown as examples, and dropped pages of each
TEXT = 60_000  # characters of a page's source in an example


def clusters(deduplicated: Iterable[Path]) -> Counter[int]:
    """How many clusters of near-duplicates there are of each size, the kept page counted, by the ledgers of a dedup.

    A kept page is known by 64 bits of its id's digest: 8 bytes a dropped page, whatever the corpus.
    """
    _, sizes = _sizes(deduplicated)
    return Counter((sizes + 1).tolist())


def examples(deduplicated: list[Path], pages: list[Path], masked: bool) -> list[dict[str, Any]]:
    """The largest clusters: `size`, and `members` as {id, alike, prompt, html}, the kept page first.

    Beside the tables `deduplicated` lie the ledgers, `pages` are the tables that entered. `alike` is the Jaccard
    similarity to the kept page; that page has none, nor has one that is only built like it. `masked`: secrets and
    personal data are, as sft/rules would have done.
    """
    hashes, sizes = _sizes(deduplicated)
    largest = heapq.nlargest(LARGEST, zip(sizes.tolist(), hashes.tolist(), strict=True))
    wanted: dict[int, dict[str, Any]] = {hash_: {"size": size + 1, "members": []} for size, hash_ in largest}
    of: dict[str, dict[str, Any]] = {}
    for id_, twin, alike in _dropped(deduplicated):
        found = wanted.get(xxhash.xxh3_64_intdigest(twin.encode()))
        if found is None:
            continue
        if not found["members"]:
            found["members"].append({"id": twin, "alike": None, "prompt": "", "html": ""})
            of[twin] = found["members"][0]
        if len(found["members"]) <= MEMBERS:
            found["members"].append({"id": id_, "alike": alike, "prompt": "", "html": ""})
            of[id_] = found["members"][-1]
    for path in pages:
        if of.keys().isdisjoint(tables.column(path, "id")):
            continue
        for row in tables.rows(path, ["id", "prompt", "html"], batch=64):
            if row["id"] in of:
                if masked:
                    row, _ = mask.masked(row, ["prompt", "html"])
                of[row["id"]] |= {"prompt": row["prompt"], "html": row["html"][:TEXT]}
    return [wanted[hash_] for _, hash_ in largest if wanted[hash_]["members"]]


def _dropped(deduplicated: Iterable[Path]) -> Iterator[tuple[str, str, float | None]]:
    """(id, id of the page kept in its place, similarity) of every page that a deduplication dropped."""
    for table in deduplicated:
        for row in tables.rows(ledger.beside(table), ["id", "status", "detail"], batch=5000):
            alike, _, twin = row["detail"].partition(" like ")
            if row["status"] == "rejected" and twin:
                yield row["id"], twin, None if alike == "built" else float(alike)


def _sizes(deduplicated: Iterable[Path]) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
    """Digests of the kept pages, and how many pages each stands for besides itself."""
    found = np.fromiter((xxhash.xxh3_64_intdigest(twin.encode()) for _, twin, _ in _dropped(deduplicated)), np.uint64)
    return np.unique(found, return_counts=True)
