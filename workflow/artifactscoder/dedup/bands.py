"""Which pairs of texts may be near-duplicates: bands of the signatures, without comparing each with each.

Two texts that agree in all `rows` values of one of the `bands` meet in a bucket. A pair of similarity J does so with
probability 1 - (1 - J^rows)^bands. Within a bucket each pair is compared at once by its sketches (the low byte of
each value of the signature, 128 bytes a text), 13 ns a pair, and goes on when these agree as pairs at the threshold
do, less SLACK. So false candidates cost time and neither memory nor disk, and few rows, which find nearly all pairs,
are affordable at 18 million pages.

A bucket of more than `bucket` texts is cut by further values of the signature. Where MORE of them are all the same,
its texts are that like each other, and each is paired with one only: the first in the order in which pages are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from artifactscoder.config.data import DistinctSettings
from artifactscoder.dedup.minhash import I64, U8, U32, U64
from artifactscoder.errors import UserError

SLACK = 0.15  # a pair estimated this far below the threshold is not verified (4 sigma of 128 permutations)
BACKGROUND = 0.1  # similarity of unrelated pages (measured: median 0.074, 99 % below 0.113)
AFFORDED = 100  # false candidates a text, for which fewer rows than recall asks for are taken
MORE = 16  # values of the signature by which a bucket that is too large is cut
HEAD, HEAD_SLACK = 32, 0.35  # places that are compared first, and how far their estimate may be below (4 sigma)
ROOM = 4 << 20  # pairs that a loop writes before they are taken away


class Bands(NamedTuple):
    """The bands that are taken, the share of pairs at the threshold that they find, false candidates expected."""

    bands: int
    rows: int
    recall: float
    false: float

    def __str__(self) -> str:
        return (
            f"{self.bands} bands of {self.rows} rows find {100 * self.recall:.1f} % of the pairs at the threshold, "
            f"about {self.false:.1e} false candidates"
        )


def recall(similarity: float, bands: int, rows: int) -> float:
    """Probability that a pair becomes a candidate."""
    return 1 - (1 - similarity**rows) ** bands


def choose(settings: DistinctSettings, texts: int) -> Bands:
    """The bands for so many texts: those of the settings, or, with `auto`, as few rows as cost little.

    As many rows as still find `recall` of the pairs at the threshold are the most; of these and fewer the fewest are
    taken that leave no more than AFFORDED false candidates a text. All permutations are used.
    """

    def made(bands: int, rows: int) -> Bands:
        false = texts * (texts - 1) / 2 * bands * BACKGROUND**rows
        return Bands(bands, rows, recall(settings.threshold, bands, rows), false)

    if settings.bands != "auto":
        return made(settings.bands, settings.rows)
    k = settings.permutations
    enough = [rows for rows in range(1, k + 1) if recall(settings.threshold, k // rows, rows) >= settings.recall]
    if not enough:  # the configuration refuses it
        raise UserError(f"{k} permutations cannot find {settings.recall:.0%} of the pairs at {settings.threshold}")
    options = [made(k // rows, rows) for rows in enough]
    return next((option for option in options if option.false <= AFFORDED * texts), options[-1])


class Agreement(NamedTuple):
    """Bytes of two sketches that must agree: `first` of the first `head`, `least` of all."""

    head: int
    first: int
    least: int


def agreement(settings: DistinctSettings) -> Agreement:
    """What pairs at the threshold have, less SLACK; unlike values agree in their bytes once in 256."""
    share, head = max(0.0, settings.threshold - SLACK), min(HEAD, settings.permutations)
    least = math.ceil(settings.permutations * (share + (1 - share) / 256) - 1e-9)
    return Agreement(head, math.floor(head * max(0.0, settings.threshold - HEAD_SLACK)), least)


def keys(values: Sequence[U32], texts: int) -> U64:
    """One number a text for its values in a band's rows."""
    key = np.zeros(texts, np.uint64)
    with np.errstate(over="ignore"):
        for value in values:
            key = (key ^ value) * np.uint64(0x9E3779B97F4A7C15)
            key ^= key >> np.uint64(32)
    return key


class Buckets:
    """The buckets of one band over all texts."""

    def __init__(self, key: U64, sketches: U8, column: int, limit: int) -> None:
        """`column`: the first of the sketches' columns that cuts a large bucket."""
        order = np.argsort(key, kind="stable").astype(np.int64)
        ordered = key[order]
        edges = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1], True]) if len(key) else np.zeros(1, np.int64)
        sizes = np.diff(edges)
        several = (sizes > 1) & (sizes <= limit)
        parts = [order[np.repeat(several, sizes)]]
        lengths = [sizes[several]]
        self.alike: list[I64] = []
        for start, end in zip(edges[:-1][sizes > limit], edges[1:][sizes > limit], strict=True):
            for part in _cut(order[start:end], sketches, column, limit, MORE):
                if len(part) > limit:
                    self.alike.append(part)
                elif len(part) > 1:
                    parts.append(part)
                    lengths.append(np.array([len(part)]))
        self.large = int((sizes > limit).sum())
        self.members = np.concatenate(parts)
        self.edges = np.r_[0, np.cumsum(np.concatenate(lengths))].astype(np.int64)

    @property
    def pairs(self) -> int:
        """How many pairs meet."""
        sizes = np.diff(self.edges)
        return int((sizes * (sizes - 1) // 2).sum())

    def close(self, sketches: U8, agree: Agreement) -> Iterator[I64]:
        """Pairs whose sketches agree, as min << 32 | max."""
        from artifactscoder.dedup import kernels

        widest = int(np.diff(self.edges).max(initial=2))
        out = np.empty(max(min(ROOM, self.pairs), widest * (widest - 1) // 2), np.int64)
        bucket = 0
        while bucket < len(self.edges) - 1:
            bucket, written = kernels.close_pairs(self.members, self.edges, bucket, sketches, *agree, out)
            yield out[:written].copy()

    def stars(self, first: Callable[[I64], int]) -> Iterator[I64]:
        """Each member of a bucket that could not be cut with the first of them, as min << 32 | max."""
        for members in self.alike:
            centre = first(members)
            others = members[members != centre]
            yield (np.minimum(others, centre) << 32) | np.maximum(others, centre)


def _cut(members: I64, sketches: U8, column: int, limit: int, left: int) -> Iterator[I64]:
    if len(members) <= limit or not left:
        yield members
        return
    value = sketches[members, column % sketches.shape[1]]
    order = np.argsort(value, kind="stable")
    for part in np.split(members[order], np.flatnonzero(np.diff(value[order])) + 1):
        yield from _cut(part, sketches, column + 1, limit, left - 1)
