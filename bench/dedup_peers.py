"""Who else removes near-duplicates, for bench/dedup.py: each as its own documentation would have it, on one core.

A client takes a Parquet file of pages, a threshold, a folder of its own and how many pages to take (None: all); it
returns the CPU seconds of its signatures and from end to end, and the pairs of rows that it calls near-duplicates.
Imported by a Python of the peers' own as well, so nothing of this project is imported at the top.
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

PERMUTATIONS = 128


def texts(corpus: Path, limit: int | None = None) -> list[str]:
    import pyarrow.parquet as pq

    return pq.read_table(corpus, columns=["html"])["html"].to_pylist()[:limit]


def shingles(text: str) -> set[str]:
    text = text.lower().strip()
    return {text[i : i + 5] for i in range(max(1, len(text) - 4))}


class Watch:
    """CPU seconds from the start to what is named, of this process and its children."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.start()

    @staticmethod
    def _now() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in used)

    def start(self) -> None:
        self._began = self._now()

    def until(self, name: str) -> None:
        self.seconds[name] = self._now() - self._began


Found = tuple[dict[str, float], list[tuple[int, int]]]  # CPU seconds; pairs of rows said to be near-duplicates


def verified(sets: list[set[str]], pairs: set[tuple[int, int]], threshold: float) -> list[tuple[int, int]]:
    def jaccard(x: set[str], y: set[str]) -> float:
        common = len(x & y)
        return common / (len(x) + len(y) - common)

    return [(i, j) for i, j in sorted(pairs) if jaccard(sets[i], sets[j]) >= threshold]


def datasketch(corpus: Path, threshold: float, folder: Path, limit: int | None) -> Found:
    """Its default hash and permutations; candidates verified exactly, as ours are."""
    from datasketch import MinHash, MinHashLSH

    from artifactscoder.config.data import DedupSettings
    from artifactscoder.dedup.bands import choose

    held = texts(corpus, limit)
    chosen = choose(DedupSettings(threshold=threshold), len(held))
    watch = Watch()
    sets, made = [], []
    for text in held:
        sets.append(shingles(text))
        one = MinHash(num_perm=PERMUTATIONS)
        one.update_batch([part.encode() for part in sets[-1]])
        made.append(one)
    watch.until("signature")
    index = MinHashLSH(num_perm=PERMUTATIONS, params=(chosen.bands, chosen.rows))
    candidates = set()
    for i, one in enumerate(made):
        candidates |= {(j, i) for j in index.query(one)}
        index.insert(i, one)
    found = verified(sets, candidates, threshold)
    watch.until("end_to_end")
    return watch.seconds, found


def reference(corpus: Path, threshold: float, folder: Path, limit: int | None) -> Found:
    """Sets of all pages in memory, 128 affine functions of 64-bit integers, 16 bands of 8 rows at any threshold."""
    import hashlib

    import numpy as np

    held = texts(corpus, limit)
    rng = np.random.default_rng(42)
    prime = (1 << 61) - 1
    a, b = rng.integers(1, prime, PERMUTATIONS), rng.integers(0, prime, PERMUTATIONS)
    watch = Watch()
    sets, made = [], []
    for text in held:
        sets.append(shingles(text))
        row = np.full(PERMUTATIONS, np.iinfo(np.int64).max)
        for part in sets[-1]:
            value = int.from_bytes(hashlib.md5(part.encode()).digest()[:4], "little")
            with np.errstate(over="ignore"):
                np.minimum(row, (a * value + b) % prime, out=row)
        made.append(row)
    watch.until("signature")
    buckets: dict[tuple[int, bytes], list[int]] = {}
    for i, row in enumerate(made):
        for band in range(16):
            buckets.setdefault((band, row[band * 8 : band * 8 + 8].tobytes()), []).append(i)
    candidates = {(i, j) for held_ in buckets.values() for j in held_ for i in held_ if i < j}
    found = verified(sets, candidates, threshold)
    watch.until("end_to_end")
    return watch.seconds, found


def rensa(corpus: Path, threshold: float, folder: Path, limit: int | None) -> Found:
    """Its R-MinHash and LSH index; what the index proposes is filtered by its own estimate."""
    from rensa import RMinHash, RMinHashLSH

    held = texts(corpus, limit)
    bands = 32 if threshold < 0.8 else 16
    watch = Watch()
    made = []
    for text in held:
        one = RMinHash(num_perm=PERMUTATIONS, seed=42)
        one.update(list(shingles(text)))
        made.append(one)
    watch.until("signature")
    index = RMinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, num_bands=bands)
    found = []
    for i, one in enumerate(made):
        found += [(j, i) for j in index.query(one) if made[j].jaccard(one) >= threshold]
        index.insert(i, one)
    watch.until("end_to_end")
    return watch.seconds, found


def text_dedup(corpus: Path, threshold: float, folder: Path, limit: int | None) -> Found:
    """Its embedding function and bands, around which its command reads and writes datasets; nothing is verified."""
    from collections import defaultdict

    import numpy as np
    import text_dedup.minhash
    from text_dedup.minhash import embed_func
    from text_dedup.utils.hashfunc import xxh3_32hash

    class Characters:  # in place of its words
        split = staticmethod(list)

    text_dedup.minhash.NON_ALPHA = Characters()
    held = texts(corpus, limit)
    bands, rows = (25, 5) if threshold < 0.8 else (18, 7)
    ranges = [(i * rows, (i + 1) * rows) for i in range(bands)]
    rng = np.random.RandomState(42)
    dtype, limit_, prime = np.uint32, np.uint32((1 << 32) - 1), np.uint32((1 << 32) - 5)
    permutations = (
        rng.randint(1, prime, size=(PERMUTATIONS,), dtype=dtype),
        rng.randint(0, prime, size=(PERMUTATIONS,), dtype=dtype),
    )
    watch = Watch()
    tables: list[dict[bytes, list[int]]] = [defaultdict(list) for _ in ranges]
    for i, text in enumerate(held):
        made = embed_func(
            content=text, idx=i, num_perm=PERMUTATIONS, ngram_size=5, min_length=0, hashranges=ranges,
            permutations=permutations, hash_func=xxh3_32hash, dtype=dtype, max_hash=limit_, modulo_prime=prime,
        )  # fmt: skip
        for key, table in zip(made["__signatures__"], tables, strict=True):
            table[key].append(i)
    watch.until("signature")
    found = {(i, j) for table in tables for same in table.values() for j in same for i in same if i < j}
    watch.until("end_to_end")
    return watch.seconds, sorted(found)


def datatrove(corpus: Path, threshold: float, folder: Path, limit: int | None) -> Found:
    """Its stages 1 and 2 as one task each and one worker; character 5-grams are given in place of its words."""
    import struct

    import numpy as np
    from datatrove.data import Document
    from datatrove.pipeline.dedup import minhash as stages

    held = texts(corpus, limit)
    bands, rows = (25, 5) if threshold < 0.8 else (18, 7)
    settings = stages.MinhashConfig(n_grams=1, num_buckets=bands, hashes_per_bucket=rows)

    class Characters(stages.MinhashDedupSignature):
        def get_shingles(self, text: str) -> Any:
            made = shingles(text)
            return np.fromiter(map(self._hash_func, made), np.uint64, len(made)).reshape(-1, 1)

    watch = Watch()
    first = Characters(str(folder / "signatures"), config=settings)
    first.run((Document(text=text, id=str(i)) for i, text in enumerate(held)), 0, 1)
    watch.until("signature")
    for rank in range(bands):
        stage = stages.MinhashDedupBuckets(str(folder / "signatures"), str(folder / "buckets"), config=settings)
        stage.run(None, rank, bands)
    found = set()
    for path in (folder / "buckets").rglob("*.dups"):
        for _, i, _, j in struct.iter_unpack("<4I", path.read_bytes()):
            found.add((min(i, j), max(i, j)))
    watch.until("end_to_end")
    return watch.seconds, sorted(found)
