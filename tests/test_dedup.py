"""Near-duplicates: the same pages are kept however they are sharded, and each dropped one has a kept twin."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

from artifactscoder import config as configs
from artifactscoder import tables
from artifactscoder.config.data import DedupSettings
from artifactscoder.dedup import minhash, phases, verify
from artifactscoder.html import skeleton
from artifactscoder.ledger import beside
from artifactscoder.records import PAGE, TASK, VARIANT
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


def write(path: Path, docs: dict[str, str]) -> Path:
    fixed = {"group": "s", "kind": "k", "prompt": "p", "answer": "", "extracted": "", "maker": "m", "request": "r"}
    tables.write(path, PAGE, ({"id": id_, "html": html, **fixed} for id_, html in docs.items()))
    return path


def sharded(docs: dict[str, str], shards: int, seed: int, folder: Path) -> list[Path]:
    ids = list(docs)
    random.Random(seed).shuffle(ids)
    return [write(folder / f"code/{n:02d}.parquet", {id_: docs[id_] for id_ in ids[n::shards]}) for n in range(shards)]


def removed(made: DedupSettings, docs: dict[str, str], shards: int, seed: int, jobs: int, folder: Path) -> list[dict]:
    """What is dropped, by one job that compares, or by `jobs` of each kind."""
    pages = sharded(docs, shards, seed, folder)
    signatures = [folder / "signature" / path.name for path in pages]
    for path, target in zip(pages, signatures, strict=True):
        phases.signature(made, path, target)
    output = folder / "dropped.parquet"
    if jobs == 1:
        phases.pairs(made, signatures, pages, output)
    else:
        proposed = [folder / f"bands/{part}.parquet" for part in range(jobs)]
        for part, path in enumerate(proposed):
            phases.bands(made, signatures, path, part, jobs)
        phases.components(signatures, proposed, folder / "pairs.parquet", folder / "visits.parquet")
        routes = [folder / "route" / path.name for path in pages]
        for path, target in zip(pages, routes, strict=True):
            phases.route(path, phases.HTML, folder / "visits.parquet", target)
        verified = [folder / f"verify/{part}.parquet" for part in range(jobs)]
        for part, path in enumerate(verified):
            phases.verify(made, folder / "pairs.parquet", routes, path, part, jobs)
        phases.keep(made, signatures, verified, output)
    for path in pages:
        phases.filter(made, path, output, folder / "kept" / path.name)
    return list(tables.rows(output))


def brute_force(docs: dict[str, str], threshold: float = 0.8) -> set[str]:
    sets = {id_: minhash.shingles(text) for id_, text in docs.items()}
    kept: list[str] = []
    for id_ in sorted(docs, key=lambda i: (-len(docs[i].strip()), i)):
        if all(minhash.jaccard(sets[id_], sets[other]) < threshold for other in kept):
            kept.append(id_)
    return set(docs) - set(kept)


@cache
def once(threshold: float) -> tuple[dict[str, str], set[str]]:
    return corpus(), brute_force(corpus(), threshold)


@pytest.mark.parametrize(("shards", "jobs"), [(1, 1), (7, 3), (64, 2)])
def test_any_sharding_order_and_number_of_jobs_drops_what_brute_force_drops(shards, jobs, tmp_path) -> None:
    """Each with the same twin; the few bands of few rows that so few pages afford miss none."""
    docs, truth = once(0.8)
    made = DedupSettings(threshold=0.8)
    rows = removed(made, docs, shards, shards, jobs, tmp_path)
    assert {row["id"] for row in rows} == truth and len(truth) > 90
    assert rows == removed(made, docs, 3, 0, 1, tmp_path / "again")


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text("ab ", min_size=0, max_size=14), min_size=1, max_size=30),
    shards=st.sampled_from((1, 7, 16)), jobs=st.integers(1, 3), seed=st.integers(0, 99), cap=st.integers(2, 5),
)  # fmt: skip
def test_the_kept_set_depends_on_texts_and_ids_alone(texts, shards, jobs, seed, cap, tmp_path_factory) -> None:
    """Texts of few letters: copies, chains, and buckets above the cap."""
    docs = {f"s/{i:02d}": text for i, text in enumerate(texts)}
    made = DedupSettings(threshold=0.5, bucket=cap)
    first = removed(made, docs, 1, 0, 1, tmp_path_factory.mktemp("one"))
    assert removed(made, docs, shards, seed, jobs, tmp_path_factory.mktemp("other")) == first


def test_of_three_thousand_pages_at_most_two_in_a_thousand_fare_otherwise_than_by_brute_force(tmp_path) -> None:
    docs = corpus(1464)
    order = sorted(docs, key=lambda i: (-len(docs[i].strip()), i))
    sets = [np.unique(minhash.shingles(docs[id_])) for id_ in order]
    _, columns = np.unique(np.concatenate(sets), return_inverse=True)
    sizes = np.array([len(one) for one in sets])
    rows = sparse.csr_matrix((np.ones(len(columns), np.int32), columns, np.concatenate([[0], np.cumsum(sizes)])))
    shared = (rows @ rows.T).tocoo()
    alike = shared.data >= 0.8 * (sizes[shared.row] + sizes[shared.col] - shared.data)
    twins: dict[int, set[int]] = {}
    for row, column in zip(shared.row[alike].tolist(), shared.col[alike].tolist(), strict=True):
        twins.setdefault(row, set()).add(column)
    kept: set[int] = set()
    for i in range(len(order)):
        if not twins[i] & kept:
            kept.add(i)
    truth = {id_ for i, id_ in enumerate(order) if i not in kept}
    ours = {row["id"] for row in removed(DedupSettings(threshold=0.8), docs, 7, 1, 1, tmp_path)}
    assert len(docs) > 3000 and len(truth) > 500
    assert len(ours ^ truth) <= 0.002 * len(docs)


def test_what_the_bands_of_the_recipe_miss_is_a_small_part_of_the_pairs_at_the_threshold(tmp_path) -> None:
    docs, truth = once(0.8)
    ours = {row["id"] for row in removed(SETTINGS, docs, 3, 0, 1, tmp_path)}
    assert len(ours ^ truth) <= 2, "1.4 % of the pairs at 0.8, fewer above"


def test_each_dropped_page_has_a_kept_twin_at_least_as_long_named_in_the_ledger(tmp_path) -> None:
    docs = corpus()
    rows = removed(SETTINGS, docs, 2, 0, 1, tmp_path)
    gone = {row["id"] for row in rows}
    for row in rows:
        assert row["twin"] not in gone and len(docs[row["twin"]].strip()) >= len(docs[row["id"]].strip())
        exact = minhash.jaccard(minhash.shingles(docs[row["id"]]), minhash.shingles(docs[row["twin"]]))
        assert row["jaccard"] == pytest.approx(exact) and exact >= SETTINGS.threshold
    kept = [tmp_path / f"kept/{shard:02d}.parquet" for shard in range(2)]
    ids = [id_ for path in kept for id_ in tables.column(path, "id")]
    assert set(ids) == set(docs) - gone and len(ids) == len(set(ids))
    ledger = {line["id"]: line for path in kept for line in tables.rows(beside(path))}
    assert all(ledger[row["id"]]["detail"] == f"{row['jaccard']:.4f} like {row['twin']}" for row in rows)


def test_no_pages_and_one_page_pass(tmp_path) -> None:
    assert removed(SETTINGS, {}, 1, 0, 1, tmp_path / "a") == removed(SETTINGS, {}, 2, 0, 2, tmp_path / "b") == []
    assert removed(SETTINGS, {"s/1": "x"}, 2, 1, 2, tmp_path / "c") == []


def test_a_component_is_compared_in_chunks_of_bounded_text(tmp_path, monkeypatch) -> None:
    """120 versions of one page: one component, cut into many chunks, and no verdict changes."""
    rng, words = random.Random(5), random.Random(4).choices(WORDS, k=150)
    docs = {f"s/{i:03d}": " ".join(w if rng.random() > 0.025 else rng.choice(WORDS) for w in words) for i in range(120)}
    monkeypatch.setattr(verify, "CHUNK_CHARS", 30_000)
    rows = removed(SETTINGS, docs, 4, 0, 2, tmp_path)
    assert len(set(tables.column(tmp_path / "visits.parquet", "chunk"))) > 10
    assert {row["id"] for row in rows} == brute_force(docs)


def test_a_bucket_above_the_cap_is_cut_and_what_cannot_be_cut_meets_its_longest(tmp_path, capfd) -> None:
    """200 texts that differ in one character, which no row of a band sees, and the pages of the corpus."""
    body = " ".join(random.Random(1).choices(WORDS, k=400))
    docs = {f"t/{i:03d}": body[: 1000 + 2 * i] + "#" + body[1000 + 2 * i :] for i in range(200)} | once(0.8)[0]
    made = DedupSettings(threshold=0.8, bucket=20)
    rows = removed(made, docs, 3, 0, 1, tmp_path)
    assert {row["id"] for row in rows} == brute_force(docs)
    assert "buckets of more than 20 were cut" in capfd.readouterr().err


STAGES = [
    "dedup-signature --input {f}/code/00.parquet --output {f}/signature/00.parquet",
    "dedup-bands --signatures {f}/signature/00.parquet {f}/signature/01.parquet --part 1 --parts 2"
    " --output {f}/bands/1.parquet",
    "dedup-components --signatures {f}/signature/00.parquet {f}/signature/01.parquet --bands {f}/bands/0.parquet"
    " {f}/bands/1.parquet --visits {f}/visits.parquet --output {f}/pairs.parquet",
    "dedup-route --input {f}/code/01.parquet --visits {f}/visits.parquet --output {f}/route/01.parquet",
    "dedup-verify --candidates {f}/pairs.parquet --routes {f}/route/00.parquet {f}/route/01.parquet --part 0 --parts 2"
    " --output {f}/verify/0.parquet",
    "dedup-keep --signatures {f}/signature/00.parquet {f}/signature/01.parquet --verified {f}/verify/0.parquet"
    " {f}/verify/1.parquet --output {f}/dropped.parquet",
    "dedup --input {f}/code/01.parquet --dropped {f}/dropped.parquet --output {f}/kept/01.parquet",
    "dedup-pairs --signatures {f}/signature/00.parquet {f}/signature/01.parquet --pages {f}/code/00.parquet"
    " {f}/code/01.parquet --output {f}/dropped.parquet",
]
DIES = (
    "import os, sys; from artifactscoder import cli, tables; "
    "tables.Writer.__exit__ = lambda *_: os.kill(os.getpid(), 9); cli.main(sys.argv[1:])"
)


def test_a_stage_killed_while_it_writes_leaves_nothing_and_its_rerun_the_same_bytes(configure, tmp_path) -> None:
    """Each stage as its rule calls it, killed when its table is written and not yet in place."""
    from artifactscoder import cli

    config = tmp_path / "config.yaml"
    configs.write(configure(cpt={"dedup": {"threshold": 0.8, "jobs": 2}}), config)
    folder = tmp_path / "run"
    removed(DedupSettings(threshold=0.8), corpus(40), 2, 0, 2, folder)
    victims = []
    for line in STAGES:
        words = line.format(f=folder).split()
        output = Path(words[-1])
        before = output.read_bytes()
        output.unlink()
        command = ["cpt", words[0], "--config", str(config), *words[1:]]
        victims.append((command, output, before, subprocess.Popen([sys.executable, "-c", DIES, *command])))
        victims[-1][3].wait()
        assert victims[-1][3].returncode == -signal.SIGKILL and not output.exists(), words[0]
        assert cli.main(command) == 0 and output.read_bytes() == before, words[0]


CARDS = "<body><main><h1>{title}</h1><section>{cards}</section><form><input type=number><button>Go</button></form>"
LINKS = "<nav><ul><li><a>1</a></li></ul></nav><footer><p>end</p><table><tr><td>1</td></tr></table></footer>"


def built(title: str, cards: int, card: str = "<article><h2>{n}</h2><p>text {n}</p></article>") -> str:
    made = "".join(card.replace("{n}", f"{title} {n}") for n in range(cards))
    return CARDS.format(title=title, cards=made) + f"<style>{title}</style>" + LINKS


def test_a_skeleton_is_what_stays_when_texts_styles_and_the_length_of_lists_change() -> None:
    assert skeleton.skeleton(built("a", 3)) == skeleton.skeleton(built("Something else", 5)) != ""
    assert "section(article(h2,p)),form(input:number,button)" in skeleton.skeleton(built("a", 2))
    assert skeleton.skeleton(built("a", 3)) != skeleton.skeleton(built("a", 3, "<article><h2>{n}</h2></article>"))
    assert skeleton.skeleton("<p>short") == "" == skeleton.skeleton("<div>" * 5000)
    assert skeleton.digest("<p>short") == bytes(16)


@pytest.mark.parametrize("structure", ["off", "report", "remove"])
def test_pages_built_alike_are_left_reported_or_removed(structure: str, tmp_path) -> None:
    docs = {"s/1": built("a", 3), "s/2": built("something else entirely", 5), "s/3": "<p>short", "s/4": "<p>small"}
    removed(DedupSettings(threshold=0.9, structure=structure), docs, 2, 0, 1, tmp_path)
    lines = {line["id"]: line for n in range(2) for line in tables.rows(beside(tmp_path / f"kept/{n:02d}.parquet"))}
    assert lines["s/1"]["detail"] == ("" if structure == "off" else "built like s/2")
    assert (lines["s/1"]["status"], lines["s/1"]["reason"]) == (
        ("rejected", "same_structure") if structure == "remove" else ("ok", "")
    )
    assert {line["status"] for id_, line in lines.items() if id_ != "s/1"} == {"ok"}
    assert DedupSettings.model_validate({"threshold": 0.7, "structure": False}).structure == "off", "as YAML reads off"


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
