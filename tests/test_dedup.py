"""Near-duplicates: the same pages are kept however they are sharded, and each dropped one has a kept twin."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from artifactscoder import tables
from artifactscoder.config.data import DedupSettings
from artifactscoder.dedup import minhash, phases
from artifactscoder.ledger import beside
from artifactscoder.records import TASK, VARIANT
from artifactscoder.sft import distinct_tasks, distinct_variants

SETTINGS = DedupSettings(threshold=0.8, bands=18, rows=7)
WORDS = ["".join(random.Random(i).choices("abcdefghijklmnop", k=3 + i % 6)) for i in range(3000)]


def corpus(n: int = 120, seed: int = 0) -> dict[str, str]:
    """Pages of 200 words; every third has near-duplicates at several distances, some are exact copies."""
    rng = random.Random(seed)
    out: dict[str, str] = {}
    for i in range(n):
        words = rng.choices(WORDS, k=200)
        out[f"s/{i:03d}/a"] = " ".join(words)
        if i % 3 == 0:
            for name, rate in (("b", 0.015), ("c", 0.03), ("d", 0.06)):
                changed = [w if rng.random() > rate else rng.choice(WORDS) for w in words]
                out[f"s/{i:03d}/{name}"] = " ".join(changed)
        if i % 20 == 0:
            out[f"s/{i:03d}/copy"] = out[f"s/{i:03d}/a"].upper() + "\n"
    return out


def dropped(docs: dict[str, str], shards: int, seed: int, folder: Path, write) -> list[dict]:
    ids = list(docs)
    random.Random(seed).shuffle(ids)
    pages, signatures = [], []
    for shard in range(shards):
        path = write(f"{shards}-{seed}-{shard}", {id_: docs[id_] for id_ in ids[shard::shards]})
        phases.signature(SETTINGS, path, folder / f"sig-{path.name}")
        pages.append(path)
        signatures.append(folder / f"sig-{path.name}")
    output = folder / f"dropped-{shards}-{seed}.parquet"
    phases.pairs(SETTINGS, signatures, pages, output)
    for path in pages:
        phases.filter(path, output, folder / f"kept-{path.name}")
    return list(tables.rows(output))


def brute_force(docs: dict[str, str]) -> set[str]:
    sets = {id_: minhash.shingles(text) for id_, text in docs.items()}
    kept: list[str] = []
    for id_ in sorted(docs, key=lambda i: (-len(docs[i]), i)):
        if all(minhash.jaccard(sets[id_], sets[other]) < SETTINGS.threshold for other in kept):
            kept.append(id_)
    return set(docs) - set(kept)


def test_any_sharding_and_order_drops_the_same_pages_with_the_same_twins(tmp_path, pages) -> None:
    docs = corpus()
    results = [dropped(docs, shards, seed, tmp_path, pages) for shards, seed in ((1, 0), (5, 1), (9, 2))]
    assert results[0] == results[1] == results[2]


def test_what_is_dropped_is_what_brute_force_drops(tmp_path, pages) -> None:
    """But for the pairs that 18 bands of 7 rows miss: 1.4 % of those just at the threshold."""
    docs = corpus()
    ours, truth = {row["id"] for row in dropped(docs, 3, 0, tmp_path, pages)}, brute_force(docs)
    assert len(truth) > 90 and len(ours ^ truth) <= 2


def test_each_dropped_page_has_a_kept_twin_at_least_as_long_named_in_the_ledger(tmp_path, pages) -> None:
    docs = corpus()
    rows = dropped(docs, 2, 0, tmp_path, pages)
    gone = {row["id"] for row in rows}
    for row in rows:
        assert row["twin"] not in gone and len(docs[row["twin"]].strip()) >= len(docs[row["id"]].strip())
        exact = minhash.jaccard(minhash.shingles(docs[row["id"]]), minhash.shingles(docs[row["twin"]]))
        assert row["jaccard"] == pytest.approx(exact) and exact >= SETTINGS.threshold
    kept = [row["id"] for shard in range(2) for row in tables.rows(tmp_path / f"kept-2-0-{shard}.parquet")]
    assert set(kept) == set(docs) - gone and len(kept) == len(set(kept))
    ledger = {r["id"]: r for s in range(2) for r in tables.rows(beside(tmp_path / f"kept-2-0-{s}.parquet"))}
    assert all(row["twin"] in ledger[row["id"]]["detail"] for row in rows)


def test_no_pages_and_one_page_pass(tmp_path, pages) -> None:
    assert dropped({}, 1, 0, tmp_path, pages) == []
    assert dropped({"s/1": "x"}, 1, 1, tmp_path, pages) == []


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=400))
def test_signatures_are_datasketchs_own(text: str) -> None:
    """Bit for bit: datasketch's MinHash, fed the same hashes, gives the same signature."""
    hashed = minhash.shingles(text)
    a, b = minhash.permutations(64)
    oracle = MinHash(num_perm=64, scheme="affine32", hashfunc=lambda value: value, seed=1)
    ours = minhash.signature(hashed, a, b)
    low = hashed.astype(np.uint32)
    theirs = ((low[:, None] * oracle.permutations[0][None, :]) + oracle.permutations[1][None, :]).astype(np.uint32)
    assert np.array_equal(ours, theirs.min(axis=0))


def test_the_estimate_is_unbiased() -> None:
    rng = random.Random(3)
    a, b = minhash.permutations(128)
    errors = []
    for _ in range(60):
        words = rng.choices(WORDS, k=150)
        changed = [w if rng.random() > 0.1 else rng.choice(WORDS) for w in words]
        x, y = minhash.shingles(" ".join(words)), minhash.shingles(" ".join(changed))
        errors.append((minhash.signature(x, a, b) == minhash.signature(y, a, b)).mean() - minhash.jaccard(x, y))
    assert abs(np.mean(errors)) < 0.015 and np.std(errors) < 0.06


def test_short_and_strange_texts_have_shingles() -> None:
    for text in ("", "a", "ab", "  ", "日本語のページ", "\ud800 broken", "İstanbul ΣΑΣ"):
        assert len(minhash.shingles(text)) >= 1
    assert np.array_equal(minhash.shingles(" Hello World "), minhash.shingles("hello world"))
    assert minhash.jaccard(minhash.shingles("abc"), minhash.shingles("abd")) == 0


def write_tasks(path: Path, tasks: dict[str, tuple[str, str]]) -> Path:
    category = path.stem
    rows = (
        {"id": f"{category}/{name}", "category": category, "subcategory": f"{category}/s", "title": title,
         "description": description, "maker": "procedural", "request": "r"}
        for name, (title, description) in tasks.items()
    )  # fmt: skip
    tables.write(path, TASK, rows)
    return path


TIMER = (
    "Kitchen timer with several bells",
    "Cooks run up to six timers at once, each with a name and a colour; a timer that ends rings until it is stopped, "
    "and a page that is reloaded goes on where it was. Times below zero and empty names are refused with a hint.",
)
CHESS = (
    "Chess clock for two players",
    "Two large halves of the screen count down in turn; a tap passes the move, increments are added, and a lost game "
    "is shown in red. Start times and increments can be set before the first move and not after it.",
)


def test_one_task_in_two_categories_stays_once_and_a_table_that_stays_the_same_is_not_touched(
    configure, tmp_path: Path
) -> None:
    output = tmp_path / "distinct/dropped.parquet"
    reworded = ("Kitchen timers with bells", TIMER[1].replace("six timers", "seven timers"))
    first = write_tasks(tmp_path / "games.parquet", {"s/01": CHESS, "s/02": reworded})
    second = write_tasks(tmp_path / "tools.parquet", {"s/01": TIMER})
    distinct_tasks.run(configure(), [first, second], output)
    kept = {name: tmp_path / f"distinct/{name}.parquet" for name in ("games", "tools")}
    assert [tables.column(path, "id") for path in kept.values()] == [["games/s/01"], ["tools/s/01"]]
    gone = {row["id"]: row for row in tables.rows(beside(kept["games"]))}["games/s/02"]
    likeness = minhash.jaccard(minhash.shingles("\n".join(reworded)), minhash.shingles("\n".join(TIMER)))
    assert likeness >= 0.7 and gone["detail"] == f"{likeness:.4f} like tools/s/01"
    assert tables.open_table(kept["games"]).schema_arrow.names == TASK.names

    times = {path: path.stat().st_mtime_ns for path in output.parent.iterdir()}
    write_tasks(second, {"s/01": TIMER, "s/02": ("Sand glass", "A glass of sand that can be turned over at any time.")})
    distinct_tasks.run(configure(), [second, first], output)
    changed = {path.name for path, before in times.items() if path.stat().st_mtime_ns != before}
    assert changed == {"dropped.parquet", "tools.parquet", "tools.ledger.parquet"}
    assert tables.column(kept["tools"], "id") == ["tools/s/01", "tools/s/02"]
    assert sorted(path.name for path in output.parent.iterdir()) == sorted(path.name for path in times)


def test_the_kinds_of_a_task_are_not_each_others_duplicates(configure, tmp_path: Path) -> None:
    """They share their task's words by design; what is dropped is a request that comes again with a word changed."""
    from artifactscoder import seeds
    from artifactscoder.llm.procedural import ideas

    config = configure(sft={"variants": {"kinds": "all"}})
    kinds = seeds.variants(config)
    prompts = {f"c/{kind}": text for kind, text in ideas.variants(*CHESS, kinds, 1).items()}
    again = prompts["c/layout"].replace("two players", "three players").replace("Chess", "Go")
    fixed = {"category": "c", "task": "c", "kind": "k", "maker": "procedural", "request": "r"}
    rows = ({"id": id_, "prompt": prompt, **fixed} for id_, prompt in {**prompts, "c/twin": again}.items())
    tables.write(tmp_path / "c.parquet", VARIANT, rows)
    distinct_variants.run(config, [tmp_path / "c.parquet"], tmp_path / "out/dropped.parquet")
    [row] = tables.rows(tmp_path / "out/dropped.parquet")
    assert {row["id"], row["twin"]} == {"c/layout", "c/twin"} and tables.count(tmp_path / "out/c.parquet") == 12
