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
