"""Selection: the best, fairly spread, the same every time."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from artifactscoder import tables
from artifactscoder.ledger import beside
from artifactscoder.records import scored
from artifactscoder.sft import select


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A tokenizer that counts words."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    (tmp_path / "model").mkdir()
    tokenizer.save(str(tmp_path / "model" / "tokenizer.json"))
    return tmp_path / "model"


def write(folder: Path, category: str, percents: list[float], words: int = 10, kinds: list[str] | None = None) -> Path:
    rows = (
        {
            "id": f"{category}/{i:03d}", "group": category, "kind": (kinds or ["layout"])[i % len(kinds or [1])],
            "prompt": "p", "html": "w " * words,
            "maker": "procedural", "percent": percent,
        }
        for i, percent in enumerate(percents)
    )  # fmt: skip
    tables.write(folder / f"{category}.parquet", scored([]), rows)
    return folder / f"{category}.parquet"


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(0, 40), max_size=8), st.integers(1, 120))
def test_quotas_fill_what_there_is_and_are_as_even_as_can_be(sizes: dict[str, int], keep: int) -> None:
    places = select.quotas(sizes, keep)
    assert sum(places.values()) == min(keep, sum(sizes.values()))
    assert all(0 <= places[name] <= sizes[name] for name in sizes)
    short = [places[name] for name in sizes if places[name] < sizes[name]]
    if short:
        assert max(places.values()) <= min(short) + 1


def test_each_category_gets_its_share_and_its_best(tmp_path, configure, model) -> None:
    rng = random.Random(0)
    inputs = [
        write(tmp_path, "a", [round(rng.uniform(60, 100), 1) for _ in range(200)]),
        write(tmp_path, "b", [round(rng.uniform(60, 100), 1) for _ in range(60)]),
        write(tmp_path, "c", [85.0] * 5),
    ]
    config = configure(sft={"select": {"keep": 65, "min_percent": 80}})
    outputs = []
    for number, order in enumerate((inputs, inputs[::-1])):
        output = tmp_path / f"train{number}.parquet"
        select.run(config, order, model, output)
        outputs.append(list(tables.rows(output)))
    assert outputs[0] == outputs[1], "the order of the files changes nothing"
    rows = outputs[0]
    assert Counter(row["category"] for row in rows) == {"a": 30, "b": 30, "c": 5} or len(rows) == 65
    for category in "ab":
        kept = {row["id"]: row["percent"] for row in rows if row["category"] == category}
        others = [r["percent"] for r in tables.rows(tmp_path / f"{category}.parquet") if r["id"] not in kept]
        assert min(kept.values()) >= max((p for p in others if p >= 80), default=0)
    assert [m["role"] for m in rows[0]["messages"]] == ["system", "user", "assistant"]
    ledger = list(tables.rows(beside(tmp_path / "train0.parquet")))
    assert len(ledger) == 265 and Counter(r["status"] for r in ledger)["ok"] == 65
    assert {r["reason"] for r in ledger if r["status"] == "rejected"} == {"below_min_percent", "over_quota"}


def test_a_categorys_places_are_dealt_to_its_kinds_and_the_best_of_each_is_taken(
    tmp_path, configure, model, capsys
) -> None:
    rng = random.Random(1)
    wide = ["motion", "motion", "motion", "layout", "games"]  # many of one kind, and the better ones
    percents = [round(rng.uniform(90 if i % 5 < 3 else 80, 100 if i % 5 < 3 else 90), 2) for i in range(200)]
    inputs = [write(tmp_path, "a", percents, kinds=wide), write(tmp_path, "b", [85.0] * 40, kinds=["motion", "layout"])]
    select.run(configure(sft={"select": {"keep": 100, "min_percent": 80}}), inputs, model, tmp_path / "train.parquet")
    rows = list(tables.rows(tmp_path / "train.parquet"))
    cells = Counter((row["category"], row["kind"]) for row in rows)
    assert cells == {
        ("a", "motion"): 20,
        ("a", "layout"): 20,
        ("a", "games"): 20,
        ("b", "motion"): 20,
        ("b", "layout"): 20,
    }
    scored_ = list(tables.rows(inputs[0], ["id", "kind", "percent"]))
    for kind in ("motion", "layout", "games"):
        best = sorted((row for row in scored_ if row["kind"] == kind), key=lambda row: (-row["percent"], row["id"]))
        assert {row["id"] for row in best[:20]} == {r["id"] for r in rows if (r["category"], r["kind"]) == ("a", kind)}
    assert "5 cells of category and kind, 20 to 20 a cell" in capsys.readouterr().err


def test_what_a_kind_cannot_fill_goes_to_the_others_of_its_category() -> None:
    fit = {c: {"x": [(-90.0, f"{c}/x")], "y": [(-80.0 - i, f"{c}/y{i}") for i in range(30)]} for c in "ab"}
    chosen, cells = select.choose(fit, 20)
    assert len(chosen) == 20 and cells == {("a", "x"): 1, ("a", "y"): 9, ("b", "x"): 1, ("b", "y"): 9}


def test_places_left_over_do_not_all_go_to_the_same_kinds() -> None:
    kinds = [f"k{i}" for i in range(12)]
    fit = {f"c{n}": {kind: [(-90.0, f"c{n}/{kind}/{i}") for i in range(9)] for kind in kinds} for n in range(80)}
    _, cells = select.choose(fit, 80 * 30)
    by_kind = Counter({kind: sum(n for (_, k), n in cells.items() if k == kind) for kind in kinds})
    assert set(cells.values()) == {2, 3} and max(by_kind.values()) - min(by_kind.values()) < 40


def test_length_is_counted_by_the_models_tokenizer(tmp_path, configure, model) -> None:
    config = configure(sft={"select": {"max_tokens": 40, "min_percent": 0, "system": "s"}})
    inputs = [write(tmp_path, "a", [90.0], words=38), write(tmp_path, "b", [90.0], words=39)]
    select.run(config, inputs, model, tmp_path / "train.parquet")
    [row] = tables.rows(tmp_path / "train.parquet")
    assert row["category"] == "a" and row["tokens"] == 40
