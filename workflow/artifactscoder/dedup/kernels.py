"""The loops of near-duplicate removal, compiled by numba: a signature of a page of 16 KB costs 0.08 ms of a core.

Compiling takes seconds, so it happens once a machine: the compiled code is kept in the first of these folders that can
be written: NUMBA_CACHE_DIR, `artifactscoder` in XDG_CACHE_HOME or ~/.cache, or a folder of this user's in the
temporary directory, which serves read-only images without a home. Numba keeps them apart by source and processor and
moves each file into place whole, so jobs and nodes may share them. Importing numba and loading the first loop costs a
job 1.2 s; the module is imported where loops run and nowhere else.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numba
import numpy as np
from numba import njit

from artifactscoder.errors import UserError


def _folders() -> Iterator[Path]:
    if named := os.environ.get("NUMBA_CACHE_DIR"):
        yield Path(named)
        return
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    yield Path(caches) / "artifactscoder" / "numba"
    yield Path(tempfile.gettempdir()) / f"artifactscoder-{os.getuid()}" / "numba"


def cache_folder() -> Path:
    """Where compiled loops are kept: a folder that can be written, and by nobody else (what lies there is executed)."""
    tried = []
    for folder in _folders():
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
            if folder.stat().st_uid == folder.parent.stat().st_uid == os.getuid() or "NUMBA_CACHE_DIR" in os.environ:
                return folder
        except OSError:
            pass
        tried.append(str(folder))
    raise UserError(f"none of {', '.join(tried)} can be written; name a folder for compiled code in NUMBA_CACHE_DIR")


numba.config.CACHE_DIR = str(cache_folder())  # type: ignore[attr-defined]

BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX1, _MIX2, _SHIFT = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53), np.uint64(33)
_ONE = np.uint64(1)
_TOP = np.uint32(0xFFFFFFFF)
BLOCK = 1 << 12  # shingles looked at together: they stay in the processor's fastest cache


def _lower_table() -> np.ndarray:
    """The lower case of every character that is one character; U+0130, which becomes two, is the decoder's own case."""
    size = 0x20000  # above it there are no cases
    codes = np.arange(size, dtype=np.uint32)
    text = codes.copy()
    text[0xD800:0xE000] = text[0x130] = 0
    lowered = np.frombuffer(text.tobytes().decode("utf-32-le").lower().encode("utf-32-le"), np.uint32)
    out = np.where(text == codes, lowered, codes).astype(np.uint32)
    out[0x3A3] = 0x3C3  # Python looks at its neighbours here; a sigma is a sigma
    return out


LOWER = _lower_table()


@njit(nogil=True, cache=True, inline="always")
def _space(c):
    """What `str.strip` takes away."""
    if c < 0x80:
        return c == 32 or 9 <= c <= 13 or 28 <= c <= 31
    if c < 0x1680:
        return c == 0x85 or c == 0xA0
    wide = 0x2000 <= c <= 0x200A or c == 0x2028 or c == 0x2029
    return wide or c == 0x1680 or c == 0x202F or c == 0x205F or c == 0x3000


@njit(nogil=True, cache=True)
def normalise(data, offsets, lower, out, starts, ends):
    """UTF-8 texts as lower-case code points without white space at both ends: text i is out[starts[i]:ends[i]].

    `out` needs a place for every byte. Bytes that are no UTF-8 give some code point, and are never read beyond.
    """
    k = 0
    for text in range(offsets.size - 1):
        i, stop = offsets[text], offsets[text + 1]
        last = stop - 1
        first = k
        while i < stop:
            c = np.uint32(data[i])
            if c < 0x80:
                i += 1
                if 65 <= c <= 90:
                    c += np.uint32(32)
            elif c < 0xE0:
                c = ((c & np.uint32(31)) << np.uint32(6)) | (np.uint32(data[min(i + 1, last)]) & np.uint32(63))
                i += 2
            elif c < 0xF0:
                c = (
                    ((c & np.uint32(15)) << np.uint32(12))
                    | ((np.uint32(data[min(i + 1, last)]) & np.uint32(63)) << np.uint32(6))
                    | (np.uint32(data[min(i + 2, last)]) & np.uint32(63))
                )
                i += 3
            else:
                c = (
                    ((c & np.uint32(7)) << np.uint32(18))
                    | ((np.uint32(data[min(i + 1, last)]) & np.uint32(63)) << np.uint32(12))
                    | ((np.uint32(data[min(i + 2, last)]) & np.uint32(63)) << np.uint32(6))
                    | (np.uint32(data[min(i + 3, last)]) & np.uint32(63))
                )
                i += 4
            if c >= 0x80:
                if c == 0x130:
                    out[k] = np.uint32(105)
                    k += 1
                    c = np.uint32(0x307)
                elif c < lower.size:
                    c = lower[c]
            if k > first or not _space(c):
                out[k] = c
                k += 1
        end = k
        while end > first and _space(out[end - 1]):
            end -= 1
        starts[text], ends[text] = first, end


@njit(nogil=True, cache=True, inline="always")
def _mix(x):
    x ^= x >> _SHIFT
    x *= _MIX1
    x ^= x >> _SHIFT
    x *= _MIX2
    return x ^ (x >> _SHIFT)


@njit(nogil=True, cache=True, inline="always")
def _mix32(x):
    """datasketch's step between a hash and the permutations."""
    x ^= x >> np.uint32(16)
    x = np.uint32(x * np.uint32(0x85EBCA6B))
    x ^= x >> np.uint32(13)
    x = np.uint32(x * np.uint32(0xC2B2AE35))
    return x ^ (x >> np.uint32(16))


@njit(nogil=True, cache=True)
def hashes(codes, start, count, n, out):
    """64-bit hashes of `count` sequences of `n` code points, the first at `start`."""
    top = _ONE
    for _ in range(n):
        top *= BASE
    base = np.uint64(n + 1) * top  # so that no length gives 0, nor the hash of another one
    rolling = np.uint64(0)
    for i in range(start, start + n):
        rolling = rolling * BASE + np.uint64(codes[i])
    out[0] = _mix(base + rolling)
    for i in range(1, count):
        at = start + i
        rolling = rolling * BASE + np.uint64(codes[at + n - 1]) - np.uint64(codes[at - 1]) * top
        out[i] = _mix(base + rolling)


@njit(nogil=True, cache=True)
def minima(values, count, a, b, row):
    """Lower `row` to the minimum of every permutation over `values[:count]`, mixed 32-bit hashes.

    Four permutations at once, so that each value is fetched once for four; half as long as one by one.
    """
    for k in range(0, a.size - 3, 4):
        a0, a1, a2, a3 = a[k], a[k + 1], a[k + 2], a[k + 3]
        b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
        least0, least1, least2, least3 = row[k], row[k + 1], row[k + 2], row[k + 3]
        for j in range(count):
            value = values[j]
            least0 = min(least0, np.uint32(a0 * value + b0))
            least1 = min(least1, np.uint32(a1 * value + b1))
            least2 = min(least2, np.uint32(a2 * value + b2))
            least3 = min(least3, np.uint32(a3 * value + b3))
        row[k], row[k + 1], row[k + 2], row[k + 3] = least0, least1, least2, least3
    for k in range(a.size - a.size % 4, a.size):
        factor, shift, least = a[k], b[k], row[k]
        for j in range(count):
            least = min(least, np.uint32(factor * values[j] + shift))
        row[k] = least


@njit(nogil=True, cache=True)
def signatures(codes, starts, ends, n, a, b, out):
    """The signature of each text; a text shorter than `n` is one shingle, the empty one included.

    Shingles that stand more than once are taken each time: to find them costs more.
    """
    hashed = np.empty(BLOCK, np.uint64)
    values = np.empty(BLOCK, np.uint32)
    for text in range(starts.size):
        out[text, :] = _TOP
        width = min(n, ends[text] - starts[text])
        left = ends[text] - starts[text] - width + 1
        at = starts[text]
        while left > 0:
            count = min(left, BLOCK)
            hashes(codes, at, count, width, hashed)
            for j in range(count):
                values[j] = _mix32(np.uint32(hashed[j]))
            minima(values, count, a, b, out[text])
            at += count
            left -= count


@njit(nogil=True, cache=True)
def _capacity(count):
    size = 16
    while size < 2 * count:
        size *= 2
    return size


@njit(nogil=True, cache=True)
def shingle_sets(codes, starts, ends, n, out, bounds):
    """The distinct hashes of each text, unsorted: those of text i are out[bounds[i]:bounds[i + 1]]."""
    hashed = np.empty(0, np.uint64)
    table = np.empty(0, np.uint64)
    k = 0
    bounds[0] = 0
    for text in range(starts.size):
        width = min(n, ends[text] - starts[text])
        count = ends[text] - starts[text] - width + 1
        if hashed.size < count:
            hashed = np.empty(count, np.uint64)
        hashes(codes, starts[text], count, width, hashed)
        size = _capacity(count)
        if table.size < size:
            table = np.empty(size, np.uint64)
        table[:size] = 0
        mask = np.uint64(size - 1)
        for j in range(count):
            value = max(hashed[j], _ONE)  # 0 marks an empty place
            place = value & mask
            while table[place] != 0 and table[place] != value:
                place = (place + _ONE) & mask
            if table[place] == 0:
                table[place] = value
                out[k] = value
                k += 1
        bounds[text + 1] = k


@njit(nogil=True, cache=True)
def similarities(sets, bounds, left, right, least, out):
    """Exact Jaccard similarity of each pair of sets, fast where `left` stays the same for several pairs in a row.

    A pair whose sizes alone keep it below `least` gets 0.
    """
    table = np.empty(0, np.uint64)
    mask = np.uint64(0)
    held = -1
    for pair in range(left.size):
        i, j = left[pair], right[pair]
        mine, other = bounds[i + 1] - bounds[i], bounds[j + 1] - bounds[j]
        if min(mine, other) < least * max(mine, other):
            out[pair] = 0.0
            continue
        if i != held:
            size = _capacity(mine)
            if table.size < size:
                table = np.empty(size, np.uint64)
            table[:size] = 0
            mask = np.uint64(size - 1)
            for k in range(bounds[i], bounds[i + 1]):
                place = sets[k] & mask
                while table[place] != 0:
                    place = (place + _ONE) & mask
                table[place] = sets[k]
            held = i
        common = 0
        for k in range(bounds[j], bounds[j + 1]):
            place = sets[k] & mask
            while table[place] != 0 and table[place] != sets[k]:
                place = (place + _ONE) & mask
            common += table[place] != 0
        out[pair] = common / (mine + other - common)


@njit(nogil=True, cache=True)
def close_pairs(members, edges, bucket, sketches, head, first, least, out):
    """Pairs within buckets whose sketches agree in `least` places or more, from `bucket` on until `out` is full.

    Most pairs differ so much that the first `head` places, of which `first` must agree, say so in a third of the time.
    Bucket i is members[edges[i]:edges[i + 1]]; a pair is min << 32 | max. Returns (next bucket, pairs written).
    """
    width = sketches.shape[1]
    widest = 2
    for i in range(edges.size - 1):
        widest = max(widest, edges[i + 1] - edges[i])
    rows = np.empty((widest, width), np.uint8)
    written = 0
    while bucket < edges.size - 1:
        start = edges[bucket]
        count = edges[bucket + 1] - start
        if written + count * (count - 1) // 2 > out.size:
            break
        for x in range(count):
            rows[x, :] = sketches[members[start + x]]
        for x in range(count):
            for y in range(x + 1, count):
                same = np.uint16(0)
                for k in range(head):
                    same += np.uint16(rows[x, k] == rows[y, k])
                if same < first:
                    continue
                for k in range(head, width):
                    same += np.uint16(rows[x, k] == rows[y, k])
                if same >= least:
                    i, j = members[start + x], members[start + y]
                    out[written] = (min(i, j) << 32) | max(i, j)
                    written += 1
        bucket += 1
    return bucket, written


@njit(nogil=True, cache=True)
def keep(bounds, before, likeness, twin, best):
    """The keep rule over ranks: those similar to y that come before it are before[bounds[y]:bounds[y + 1]].

    y is kept (its `twin` stays -1) unless one of these is kept; its twin is the likest of them, then the first.
    """
    for y in range(bounds.size - 1):
        for pair in range(bounds[y], bounds[y + 1]):
            x, value = before[pair], likeness[pair]
            if twin[x] < 0 and (value > best[y] or (value == best[y] and x < twin[y])):
                twin[y], best[y] = x, value


@njit(nogil=True, cache=True)
def chunks(left, right, sizes, limit, out):
    """A number for each pair, rising, so that the distinct texts of one number are of at most `limit` characters."""
    seen = np.full(sizes.size, -1, np.int64)
    chunk, total = 0, 0
    for pair in range(left.size):
        i, j = left[pair], right[pair]
        more = (seen[i] != chunk) * sizes[i] + (seen[j] != chunk) * sizes[j]
        if total > 0 and total + more > limit:
            chunk += 1
            total, more = 0, sizes[i] + sizes[j]
        seen[i] = seen[j] = chunk
        total += more
        out[pair] = chunk
