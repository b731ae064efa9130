"""Throughput of masking: `python bench/mask.py [FILE ...]`, on pages composed here or on files of your own.

Prints MB of text a second of CPU, and for files what was masked in which, so that a false alarm can be looked at.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from artifactscoder.html.mask import Mask, detail
from artifactscoder.llm.procedural.compose import compose

SUBJECTS = ("a shop's checkout", "contacts", "the state of servers", "payments", "an SVG drawing", "a game of chess")


def main() -> None:
    files = [Path(name) for name in sys.argv[1:]]
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in files]
    texts = texts or [compose(f"Make a page about {SUBJECTS[i % 6]}, edition {i}", i, 1.0) for i in range(300)]
    start = time.process_time()
    masks = [Mask() for _ in texts]
    new = [mask.text(text) for mask, text in zip(masks, texts, strict=True)]
    seconds = time.process_time() - start
    for path, mask in zip(files, masks, strict=False):
        if mask.counts:
            print(f"{path}: {detail(mask.counts)}")
    size = sum(map(len, texts)) / 1e6
    changed = sum(a != b for a, b in zip(texts, new, strict=True))
    print(f"{len(texts)} pages, {size:.1f} MB: {size / seconds:.1f} MB/s, {changed} pages masked")


if __name__ == "__main__":
    main()
