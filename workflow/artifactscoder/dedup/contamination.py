"""Whether a prompt is taken from a benchmark.

In: benchmark items (`benchmarks.py`) and a prompt. Out: the item that the prompt overlaps, and by how much. Two
measures, either is enough:
- a sequence of `ngram` words in common (13 by default, as in the GPT-3 and later reports). Words are compared without
  case, punctuation and width; a Chinese, Japanese or Korean character is a word. A text of fewer words than that, but
  of `LEAST` or more, counts when all of it stands in the other.
- `threshold` or more Jaccard similarity of character 5-grams, which finds what was reworded here and there.
What `COMMON` items or more share word for word (a preamble, a closing sentence) says nothing and is left out.

Hashes and signatures only propose: every overlap that is reported was found again in the words or the shingles
themselves. Each prompt is compared with the signature of every item, so none is missed: 0.5 ms for 2,000 items, beside
1 ms for the prompt's own. Memory: about 12 KB an item.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

import numpy as np
import xxhash

from artifactscoder import benchmarks
from artifactscoder.config.data import DecontaminateSettings
from artifactscoder.dedup import minhash
from artifactscoder.dedup.bands import SLACK

COMMON = 10  # items
LEAST = 6  # words
PERMUTATIONS, SHINGLE = 128, 5

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n+")


def words(text: str) -> list[str]:
    """The words that are compared."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def _line(found: list[str]) -> str:
    """Words as one text, in which `in` finds whole words only."""
    return f" {' '.join(found)} "


class Benchmarks:
    """The items of all files that the settings name, ready to be compared with."""

    def __init__(self, settings: DecontaminateSettings) -> None:
        self.settings = settings
        self.items = benchmarks.read(settings.benchmarks)
        texts = _without_boilerplate([item.text for item in self.items])
        found = [words(text) for text in texts]
        self.lines = [_line(one) for one in found]
        self.short = [i for i, one in enumerate(found) if LEAST <= len(one) < settings.ngram]
        grams = [np.unique(_grams(one, settings.ngram)) for one in found]
        hashes = np.concatenate([np.empty(0, np.uint64), *grams])
        owners = np.repeat(np.arange(len(grams)), [len(one) for one in grams])
        order = np.argsort(hashes, kind="stable")
        hashes, owners = hashes[order], owners[order]
        _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
        rare = counts[inverse] < COMMON
        self.hashes, self.owners = hashes[rare], owners[rare]
        self.shingles = [minhash.shingles(text, SHINGLE) for text in texts]
        self.signatures = _signatures(texts)

    def overlap(self, prompt: str) -> str:
        """What a prompt has in common with an item, in words for the ledger; empty when that is not enough."""
        if not self.items:
            return ""
        return self._words(words(prompt)) or self._likeness(prompt)

    def _words(self, found: list[str]) -> str:
        n, line = self.settings.ngram, _line(found)
        if LEAST <= len(found) < n:
            for i, other in enumerate(self.lines):
                if line in other:
                    return f"all {len(found)} words stand in {self.items[i].name}"
        for i in self.short:
            if self.lines[i] in line:
                return f"{self.items[i].name} stands in it ({len(self.lines[i].split())} words)"
        grams = _grams(found, n)
        starts, ends = np.searchsorted(self.hashes, grams, "left"), np.searchsorted(self.hashes, grams, "right")
        shared: Counter[int] = Counter()
        for at in np.flatnonzero(ends > starts).tolist():
            sequence = _line(found[at : at + n])
            shared.update(i for i in self.owners[starts[at] : ends[at]].tolist() if sequence in self.lines[i])
        if not shared:
            return ""
        item, count = min(shared.items(), key=lambda pair: (-pair[1], pair[0]))
        share = f"{count} of {len(grams)} sequences of {n} words"
        return f"{share} ({100 * count / len(grams):.0f} %) stand in {self.items[item].name}"

    def _likeness(self, prompt: str) -> str:
        mine = minhash.shingles(prompt, SHINGLE)
        estimates = (self.signatures == _signatures([prompt])).mean(axis=1)
        best, most = -1, 0.0
        for i in np.flatnonzero(estimates >= self.settings.threshold - SLACK).tolist():
            value = minhash.jaccard(mine, self.shingles[i])
            if value >= self.settings.threshold and value > most:
                best, most = i, value
        return f"{most:.4f} like {self.items[best].name}" if best >= 0 else ""


def _signatures(texts: list[str]) -> minhash.U32:
    if not texts:  # nothing to compile
        return np.empty((0, PERMUTATIONS), np.uint32)
    encoded = [text.encode("utf-8", "replace") for text in texts]
    return minhash.signatures(minhash.normal(encoded), SHINGLE, PERMUTATIONS)


def _grams(found: list[str], n: int) -> np.ndarray:
    """Hashes of the sequences of `n` words, uint64[max(0, len(found) - n + 1)]."""
    single = np.array([xxhash.xxh3_64_intdigest(word.encode()) for word in found], np.uint64)
    count = max(0, len(found) - n + 1)
    out = np.zeros(count, np.uint64)
    with np.errstate(over="ignore"):
        for i in range(n):
            out = out * np.uint64(0x9E3779B97F4A7C15) + single[i : i + count]
    return out


def _without_boilerplate(texts: list[str]) -> list[str]:
    """The texts without the sentences that COMMON of them share; a text that is nothing else stays whole."""
    parts = [[part for part in _SENTENCE.split(text) if part.strip()] for text in texts]
    counts = Counter(part.strip() for one in parts for part in {part.strip(): part for part in one}.values())
    own = [" ".join(part for part in one if counts[part.strip()] < COMMON) for one in parts]
    return [kept or text for kept, text in zip(own, texts, strict=True)]
