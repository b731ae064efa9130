"""The seeds: complete, broad, distinct, with ids that stay."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from artifactscoder import config as configs
from artifactscoder import seeds
from artifactscoder.errors import UserError

CONFIG = configs.load([Path("config.yaml")])


def test_80_categories_of_25_subcategories_each() -> None:
    rows = seeds.subcategories(CONFIG)
    assert len(rows) == 80 and {len(found) for found in rows.values()} == {25}
    names = Counter(row["name"].lower() for found in rows.values() for row in found)
    assert max(names.values()) == 1


def test_briefs_are_specific_and_do_not_repeat_each_other() -> None:
    briefs = [row["brief"] for found in seeds.subcategories(CONFIG).values() for row in found]
    assert all(10 <= len(brief.split()) <= 40 for brief in briefs)
    openings = Counter(" ".join(brief.lower().split()[:4]) for brief in briefs)
    assert max(openings.values()) <= 3
    assert not [b for b in briefs if re.search(r"lorem|various features|and more\b|user-friendly|todo:", b, re.I)]
    words = [set(re.findall(r"[a-z]{4,}", brief.lower())) for brief in briefs]
    by_word: dict[str, list[int]] = {}
    for i, found in enumerate(words):
        for word in found:
            by_word.setdefault(word, []).append(i)
    for i, found in enumerate(words):
        near = Counter(j for word in found if len(by_word[word]) < 200 for j in by_word[word] if j > i)
        for j, shared in near.most_common(3):
            assert shared / len(found | words[j]) < 0.6, (briefs[i], briefs[j])


def test_25_roots_12_kinds_25_dimensions_6_stacks() -> None:
    assert len(seeds.cpt_roots(CONFIG)) == 25
    assert [kind["slug"] for kind in seeds.variants(CONFIG)] == [
        "colour-scheme", "layout", "interaction-mode", "responsive", "animation", "accessibility",
        "advanced-features", "minimalist", "data-visualisation", "real-time", "gamification", "internationalisation",
    ]  # fmt: skip
    assert len(seeds.tech_stacks(CONFIG)) == 6
    dimensions = seeds.dimensions(CONFIG)
    assert len(dimensions) == 25
    levels = [text for dimension in dimensions for text in dimension["levels"].values()]
    assert len(levels) == 125 == len(set(levels))
    assert all(list(dimension["levels"]) == ["0", "2.5", "5", "7.5", "10"] for dimension in dimensions)


def test_rl_families_give_2000_distinct_prompts() -> None:
    families = seeds.rl_families(CONFIG)
    assert len(families) >= 20
    weights = [json.loads(line)["weight"] for line in CONFIG.seeds.rl_families.read_text().splitlines()]
    assert round(sum(weights), 9) == 1
    assert len(seeds.rl_universal(CONFIG)) == 10
    briefs = []
    for family in families:
        assert len(family["tasks"]) >= 12 and len(family["checklist"]) == 10
        assert len(family["tasks"]) * 6 >= family["weight"] * CONFIG.rl.prompts.count - 1
        briefs += [task["brief"] for task in family["tasks"]]
    assert len(set(briefs)) == len(briefs)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"slug": "a"', "line 2 is not JSON"),
        ('{"slug": "a"}', "line 2 lacks name, brief"),
        ('{"slug": "A b", "name": "n", "brief": "b"}', "lower-case words"),
        ('{"slug": "one", "name": "n", "brief": "b"}', "stands already on line 1"),
    ],
)
def test_a_malformed_seed_is_one_sentence_with_its_line(line: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "categories.jsonl"
    path.write_text('{"slug": "one", "name": "n", "brief": "b"}\n' + line + "\n")
    changed = CONFIG.model_copy(update={"seeds": CONFIG.seeds.model_copy(update={"categories": path})})
    with pytest.raises(UserError, match=sentence):
        seeds.categories(changed)


def with_file(name: str, rows: list[object], folder: Path) -> configs.Config:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return CONFIG.model_copy(update={"seeds": CONFIG.seeds.model_copy(update={name: path})})


def family(**changes: object) -> dict[str, object]:
    task = {"slug": "t", "title": "T", "brief": "b"}
    item = {"id": "i", "title": "I", "description": "d"}
    return {"slug": "f", "name": "F", "weight": 1, "tasks": [task], "checklist": [item], **changes}


ITEM = {"title": "I", "description": "d"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"weight": "x"}, "line 1: 'weight' is \"x\""),
        ({"weight": -1}, "'weight' is -1"),
        ({"weight": 0}, "are all 0"),
        ({"tasks": {"slug": "t"}}, '\'tasks\' is {"slug": "t"}'),
        ({"tasks": [{"slug": "t", "title": "T"}]}, "line 1 lacks tasks.1.brief"),
        ({"tasks": 2 * [{"slug": "t", "title": "T", "brief": "b"}]}, "'t' stands there twice"),
        (
            {"tasks": [{"slug": "a/b", "title": "T", "brief": "b"}]},
            "'tasks.1.slug' is \"a/b\": must be lower-case words",
        ),
        ({"checklist": [{"id": "i", **ITEM}, ITEM]}, "line 1 lacks checklist.2.id"),
        ({"checklist": [{"id": "i", **ITEM}, {"id": "i", **ITEM}]}, "'i' stands there twice"),
        ({"checklist": [{"id": "i", "max": 0, **ITEM}]}, "'checklist.1.max' is 0"),
        ({"checklist": [{"id": "i", "max": True, **ITEM}]}, "'checklist.1.max' is true"),
        ({"checklist": [{"id": "universal-01", **ITEM}]}, "'universal-01', which every task has"),
    ],
)
def test_a_mistake_inside_a_task_family_is_one_sentence(changes: dict, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)) as error:
        seeds.rl_families(with_file("rl_families", [family(**changes)], tmp_path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("levels", "sentence"),
    [
        (["0", "5"], '\'levels\' is ["0", "5"]'),
        ({"good": "g"}, "'levels.good' is \"good\": must be a number"),
        ({"5": 1}, "'levels.5' is 1"),
    ],
)
def test_levels_of_a_dimension_are_numbers_with_words(levels: object, sentence: str, tmp_path: Path) -> None:
    row = {"slug": "d", "name": "D", "question": "q", "levels": levels}
    with pytest.raises(UserError, match=re.escape(sentence)):
        seeds.dimensions(with_file("dimensions", [row], tmp_path))


def test_a_family_needs_no_more_than_its_columns(tmp_path: Path) -> None:
    [found] = seeds.rl_families(with_file("rl_families", [family(weight=2, note="mine")], tmp_path))
    assert found == family(note="mine")


def test_a_row_that_is_no_object_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="line 1 is not a JSON object"):
        seeds.tech_stacks(with_file("tech_stacks", [["a"]], tmp_path))


def test_seeds_and_gold_pages_that_are_not_utf_8_are_one_sentence(tmp_path: Path) -> None:
    row = {"slug": "g", "page": "g.html", "prompt": "p", "levels": {}}
    config = with_file("gold", [row], tmp_path)
    (tmp_path / "g.html").write_bytes("<p>für dich</p>".encode("latin-1"))
    with pytest.raises(UserError, match=r"gold.jsonl: the page .*g.html is not text in UTF-8"):
        seeds.gold(config)
    config = with_file("variants", [], tmp_path)
    config.seeds.variants.write_bytes("für".encode("latin-1"))
    with pytest.raises(UserError, match="variants.jsonl is not text in UTF-8"):
        seeds.variants(config)
