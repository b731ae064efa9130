"""Texts, shingles, signatures.

A text is compared in lower case, each character by itself (so İ is i and a dot above, and Σ is σ wherever it stands),
without white space at both ends; nothing else is made alike: é as one character and as two are two texts. Its
shingles are the distinct sequences of `n` characters (5 by default), each hashed to 64 bits; a shorter text is one
shingle, the empty one too. A signature is datasketch's, bit for bit: the minimum of `a*h + b mod 2^32` over the low 32
bits of the hashes, once mixed, for each of the permutations that its `affine32` scheme draws. Importing datasketch
would cost two seconds in every job, so they are drawn here; the tests hold both against each other, and
`engine: datasketch` makes them there, 100 times slower, for whoever wants to compare.

Texts come as Arrow columns and are never Python strings on their way: decoding, lower case, hashing and minima take
about 0.34 ms a page of 16 KB in the compiled loops of `kernels.py`, and 4 bytes of memory a character.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from artifactscoder.errors import UserError

U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
SLICE = 4 << 20  # bytes of text that are decoded at once


@dataclass(frozen=True)
class Texts:
    """Normalised texts as code points: text i is codes[starts[i]:ends[i]]."""

    codes: U32
    starts: I64
    ends: I64

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> I64:
        return self.ends - self.starts

    def exact(self) -> list[bytes]:
        """16 bytes for each text that are equal for equal texts."""
        spans = zip(self.starts.tolist(), self.ends.tolist(), strict=True)
        return [xxhash.xxh3_128_digest(self.codes[start:end].data) for start, end in spans]


def normal(texts: pa.Array | list[bytes]) -> Texts:
    """Texts, an Arrow array of strings or a list of UTF-8, as they are compared."""
    from artifactscoder.dedup import kernels

    if isinstance(texts, list):
        data, offsets = _packed(texts)
    else:
        held = texts.cast(pa.large_string()).fill_null("")
        _, places, buffer = held.buffers()
        offsets = np.frombuffer(places, np.int64)[held.offset : held.offset + len(held) + 1] if places else _ZERO
        data = np.frombuffer(buffer, np.uint8) if buffer is not None and buffer.size else np.zeros(1, np.uint8)
    starts, ends = np.empty(len(texts), np.int64), np.empty(len(texts), np.int64)
    codes = np.empty(int(offsets[-1] - offsets[0]), np.uint32)
    kernels.normalise(data, offsets, kernels.LOWER, codes, starts, ends)
    return Texts(codes, starts, ends)


_ZERO = np.zeros(1, np.int64)


def _packed(parts: list[bytes]) -> tuple[U8, I64]:
    offsets = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return np.frombuffer(b"".join(parts) or b"\0", np.uint8), offsets


def slices(texts: pa.Array) -> Iterator[pa.Array]:
    """An Arrow array in parts of at most SLICE bytes, or of one text."""
    start, size = 0, 0
    for i, length in enumerate(pc.binary_length(texts).to_pylist()):
        if i > start and size + (length or 0) > SLICE:
            yield texts[start:i]
            start, size = i, 0
        size += length or 0
    if start < len(texts):
        yield texts[start:]


def permutations(k: int, seed: int = 1) -> tuple[U32, U32]:
    """(a, b) of `k` permutations, uint32 each, `a` odd, so that no two hashes meet: those of datasketch's MinHash."""
    generator = np.random.RandomState(seed)
    a = generator.randint(0, 1 << 31, k, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return a, generator.randint(0, 1 << 32, k, dtype=np.uint32)


def signatures(texts: Texts, n: int, k: int, engine: str = "numba") -> U32:
    """The signature of each text, uint32[len(texts), k]."""
    from artifactscoder.dedup import kernels

    out = np.empty((len(texts), k), np.uint32)
    if engine == "numba":
        kernels.signatures(texts.codes, texts.starts, texts.ends, n, *permutations(k), out)
        return out
    try:
        from datasketch import MinHash
    except ImportError:
        raise UserError("engine: datasketch needs the package: pip install datasketch, or take engine: numba") from None
    sets, bounds = shingle_sets(texts, n)
    for i in range(len(texts)):
        made = MinHash(num_perm=k, seed=1, scheme="affine32", hashfunc=int)
        made.update_batch(sets[bounds[i] : bounds[i + 1]].astype(np.uint32).tolist())
        out[i] = made.hashvalues
    return out


def shingle_sets(texts: Texts, n: int) -> tuple[U64, I64]:
    """Distinct hashes of each text: those of text i are sets[bounds[i]:bounds[i + 1]], in no order."""
    from artifactscoder.dedup import kernels

    room = np.maximum(texts.lengths - n + 1, 1).sum() if len(texts) else 0
    sets, bounds = np.empty(int(room), np.uint64), np.zeros(len(texts) + 1, np.int64)
    kernels.shingle_sets(texts.codes, texts.starts, texts.ends, n, sets, bounds)
    return sets[: bounds[-1]], bounds


def shingles(text: str, n: int = 5) -> U64:
    """The sorted distinct hashes of one text."""
    return np.sort(shingle_sets(normal([text.encode("utf-8", "surrogatepass")]), n)[0])


def jaccard(x: U64, y: U64) -> float:
    """Exact Jaccard similarity of two shingle sets as `shingles` gives them."""
    common = len(np.intersect1d(x, y, assume_unique=True))
    return common / (len(x) + len(y) - common)
