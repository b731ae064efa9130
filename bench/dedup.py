"""Near-duplicate removal against its peers: docs/s, peak memory, recall and precision by exact Jaccard similarity.

All get the same made pages (16 KB, most with characters beyond ASCII, a fifth with near-duplicates at known distances),
character 5-grams and threshold, and one core each; they take turns, each in a process of its own. `ours` is what the
workflow runs: Parquet in, signatures, candidates, exact similarities, kept rows and ledgers out. The truth is every
pair of the corpus, screened by 256 other permutations and compared exactly.
  signature: MinHash of 128 permutations alone.       end to end: which pages are near-duplicates of which.
CPU seconds are those of the work itself: imports and compiling, once a machine, are left out for all.
`datasketch` gets the bands that find as much as ours (its own choice for 0.7 finds 44 %), `reference` is the algorithm
of the reference implementation, written anew. Peers live in a Python of their own (`make bench-dedup`); without
`--peers PYTHON` only datasketch and the reference's algorithm are measured. The last line is JSON. `--quick`: 2,000
pages and datasketch alone, a minute or two; else 20,000 pages, or as many as --pages says, and slices for slow peers.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dedup_peers
from dedup_peers import PERMUTATIONS, Found, Watch, texts

LEVELS = (0.5, 0.6, 0.7, 0.72, 0.75, 0.8, 0.82, 0.85, 0.9, 0.97, 1.0)
LINES = 225  # of a page
THRESHOLDS = (0.7, 0.8)
PEERS = ("datatrove", "rensa", "text_dedup")
SLOW = {"datasketch": 2000, "reference": 300, "text_dedup": 2000}  # pages that these are measured on


def lines(rng: random.Random, count: int) -> list[str]:
    """Lines of markup, style and script around made words, a tenth of them Chinese."""
    starts = "b br c ch cl d dr f fl g gr h j k l m n p pl qu r s sh st str t tr v w x z".split()
    syllables = [start + vowel + end for start in starts for vowel in "aeiou" for end in ("", "", "n", "r", "l", "st")]
    words = ["".join(rng.choices(syllables, k=rng.choice((1, 2, 2, 3, 3)))) for _ in range(30_000)]
    words += ["".join(chr(rng.randrange(0x4E00, 0x5E00)) for _ in range(rng.randint(1, 4))) for _ in range(3000)]
    forms = (
        '<p class="{}-{}">{} {} {} {} {} {}</p>', "<li><b>{}</b> {} {} {} {}, {}</li>", ".{}-{} {{ margin: {}{}px; }}",
        'const {}{} = document.querySelector("#{}-{}");', "<h3>{} {} {} {}</h3>", "{} {} {} {} {} {} {} {} {} {}",
        "function {}({}, {}) {{ return {}; }}", '<button id="{}-{}" aria-label="{} {}">{}</button>',
    )  # fmt: skip
    made = []
    for _ in range(count):
        form = rng.choice(forms)
        made.append(form.format(*(words[int(len(words) * rng.random() ** 2)] for _ in range(form.count("{}")))))
        if rng.random() < 0.5:
            made[-1] += f" /* {rng.random():.9f} */"
    return made


def pages(count: int, seed: int = 0) -> Iterator[tuple[str, str]]:
    """(id, page): every tenth family has one to four near-duplicates."""
    rng = random.Random(seed)
    pool = lines(random.Random(1), 120_000)
    head = (
        "<!DOCTYPE html>\n<html lang='en'>\n<head><meta charset='utf-8'><meta name='viewport' content='width=device'>"
    )
    number = 0
    while number < count:
        body = rng.choices(pool, k=int(LINES * rng.uniform(0.6, 1.4)))
        family = [body]
        if rng.random() < 0.1:
            for level in rng.choices(LEVELS, k=rng.choice((1, 1, 2, 4))):
                share = (1 - level) / (1 + level) * rng.uniform(0.95, 1.05)
                family.append([line if rng.random() >= share else rng.choice(pool) for line in body])
        for one in family[: count - number]:
            yield f"page/{number:08d}", head + "\n".join(one) + "\n</html>\n"
            number += 1


def write(path: Path, rows: Iterator[tuple[str, str]]) -> None:
    from artifactscoder import tables
    from artifactscoder.records import PAGE

    fixed = {"group": "page", "kind": "k", "prompt": "p", "answer": "", "extracted": "", "maker": "m", "request": "r"}
    tables.write(path, PAGE, ({"id": id_, "html": html, **fixed} for id_, html in rows))


def ours(corpus: Path, threshold: float, folder: Path, limit: int | None) -> Found:
    from artifactscoder import tables
    from artifactscoder.config.data import DedupSettings
    from artifactscoder.dedup import minhash, phases
    from artifactscoder.dedup.corpus import Corpus
    from artifactscoder.dedup.verify import verify as step

    settings = DedupSettings(threshold=threshold)
    write(folder / "warm/pages.parquet", pages(40))
    run_ours(settings, folder / "warm/pages.parquet", folder / "warm")
    held = [text.encode() for text in texts(corpus, 2000)]
    watch = Watch()
    minhash.signatures(minhash.normal(held), settings.shingle, PERMUTATIONS)
    watch.until("signature")
    watch.seconds["signature"] *= tables.count(corpus) / len(held)
    kept: list[Path] = []

    def keeps(*args: Any, **more: Any) -> None:  # the pairs are looked at before the job's folder goes
        step(*args, **more)
        kept.append(folder / "verified.parquet")
        kept[-1].write_bytes(args[3].read_bytes())

    phases.verify = keeps  # type: ignore[assignment]
    watch.start()
    run_ours(settings, corpus, folder / "work")
    watch.until("end_to_end")
    found = tables.read(folder / "verified.parquet", ["left", "right"]).to_pydict()
    with Corpus([folder / "work/signature" / corpus.name]) as signed:
        same = signed.same().tolist()
    # Pages of one text are one page for the workflow; here each counts.
    groups: dict[int, list[int]] = {}
    for page, text in enumerate(same):
        groups.setdefault(text, []).append(page)
    out = [pair for group in groups.values() for pair in itertools.combinations(group, 2)]
    for x, y in zip(found["left"], found["right"], strict=True):
        out += [(min(i, j), max(i, j)) for i in groups[x] for j in groups[y]]
    return watch.seconds, out


def run_ours(settings: Any, corpus: Path, folder: Path) -> None:
    from artifactscoder.dedup import phases

    signatures = folder / "signature" / corpus.name
    phases.signature(settings, corpus, signatures)
    phases.pairs(settings, [signatures], [corpus], folder / "dropped.parquet")
    phases.filter(settings, corpus, folder / "dropped.parquet", folder / "kept.parquet")


def truth(corpus: Path) -> list[tuple[int, int, float]]:
    """All pairs of 0.5 and more: all are screened by 256 permutations that no client uses, and compared exactly."""
    import numpy as np

    from artifactscoder.dedup import kernels, minhash

    made = minhash.normal([text.encode() for text in texts(corpus)])
    signatures = np.empty((len(made), 256), np.uint32)
    kernels.signatures(made.codes, made.starts, made.ends, 5, *minhash.permutations(256, seed=99), signatures)
    small = signatures.astype(np.uint8)
    found = []
    for i in range(len(small)):
        close = np.flatnonzero((small[i + 1 :] == small[i]).sum(axis=1) >= 256 * 0.38) + i + 1
        found += [(i, int(j)) for j in close]
    sets, bounds = minhash.shingle_sets(made, 5)

    def one(i: int) -> Any:
        return sets[bounds[i] : bounds[i + 1]]

    out = []
    for i, j in found:
        common = len(np.intersect1d(one(i), one(j), assume_unique=True))
        value = common / (len(one(i)) + len(one(j)) - common)
        if value >= 0.5:
            out.append((i, j, value))
    return out


def client(name: str, corpus: Path, threshold: float, folder: Path, limit: int) -> None:
    """Run one client in this process and print what it found."""
    call = ours if name == "ours" else getattr(dedup_peers, name)
    seconds, found = call(corpus, threshold, folder, limit)
    # Not ru_maxrss, which a process inherits from the one that started it.
    (peak,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    print(json.dumps({"seconds": seconds, "peak_mb": round(int(peak) / 1024), "pairs": found}))


def measure(name: str, corpus: Path, threshold: float, limit: int, python: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=corpus.parent) as folder:
        command = [python, __file__, "--client", name, str(corpus), str(threshold), folder, str(limit)]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    return json.loads(done.stdout.splitlines()[-1])


def row(name: str, corpus: Path, count: int, threshold: float, exact: list, python: str) -> dict[str, Any]:
    limit = min(count, SLOW.get(name, count))
    made = measure(name, corpus, threshold, limit, python)
    real = {(i, j) for i, j, value in exact if value >= threshold and j < limit}
    found = {(i, j) for i, j in made["pairs"]}
    return {
        "name": name, "threshold": threshold, "pages": limit, "pairs": len(real),
        "signatures_s": round(limit / made["seconds"]["signature"], 1),
        "end_to_end_s": round(limit / made["seconds"]["end_to_end"], 1), "peak_mb": made["peak_mb"],
        "recall": round(len(found & real) / max(1, len(real)), 4),
        "precision": round(len(found & real) / max(1, len(found)), 4),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--pages", type=int, default=20_000)
    parser.add_argument("--peers", help="a Python that has rensa, datatrove and text-dedup")
    parser.add_argument("--only", nargs="+", default=[], help="these clients besides ours")
    parser.add_argument("--client", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.client:
        name, corpus, threshold, folder, limit = args.client
        client(name, Path(corpus), float(threshold), Path(folder), int(limit))
        return
    count = 2000 if args.quick else args.pages
    names = ["datasketch", *([] if args.quick else ["reference", *(PEERS if args.peers else ())])]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.parquet"
        write(corpus, pages(count))
        exact = truth(corpus)
        print(f"{count} pages, {len(exact)} pairs of 0.5 and more", flush=True)
        for threshold in THRESHOLDS:
            for name in ["ours", *(args.only or names)]:
                if args.quick and name != "ours" and threshold != THRESHOLDS[0]:
                    continue
                python = args.peers if name in PEERS else sys.executable
                rows.append(row(name, corpus, count, threshold, exact, python))
                print(json.dumps(rows[-1]), flush=True)
    mine = [one for one in rows if one["name"] == "ours"]
    base = next((one for one in rows if one["name"] == "datasketch"), None)
    last: dict[str, Any] = {
        "recall": min(one["recall"] for one in mine),
        "precision": min(one["precision"] for one in mine),
        "recall_by_threshold": {str(one["threshold"]): one["recall"] for one in mine},
        "signatures_per_s": mine[0]["signatures_s"], "end_to_end_per_s": mine[0]["end_to_end_s"],
    }  # fmt: skip
    if base:
        last["signatures_vs_datasketch"] = round(mine[0]["signatures_s"] / base["signatures_s"], 1)
        last["end_to_end_vs_datasketch"] = round(mine[0]["end_to_end_s"] / base["end_to_end_s"], 1)
    print(json.dumps(last))


if __name__ == "__main__":
    main()
