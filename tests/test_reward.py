"""The reward's parts against values computed by hand."""

from __future__ import annotations

from collections import Counter
from math import log, sqrt
from pathlib import Path

import pytest
from pydantic import ValidationError

from artifactscoder import config as configs
from artifactscoder.config import RewardSettings
from artifactscoder.html import directed, dom
from artifactscoder.render import Render, RenderOptions
from artifactscoder.render.page import Route, Verdict
from artifactscoder.reward import components
from artifactscoder.reward.checklist import form
from artifactscoder.reward.engine import RewardEngine
from artifactscoder.reward.task import Task
from reward_lab import tokenizer

SETTINGS = RewardSettings()
FULL = {"i_rep": 1.0, "i_render": 1.0, "s_chk": 0.8, "s_struct": 0.6, "s_sem": 0.4, "s_len": 1.0}


def test_the_formula() -> None:
    # 0.6 * 0.8 + 0.3 * (0.5 * 0.6 + 0.5 * 0.4) + 0.1 * 1 = 0.48 + 0.15 + 0.1
    assert components.total(SETTINGS, FULL) == pytest.approx(0.73)


@pytest.mark.parametrize("gate", ["i_rep", "i_render"])
def test_each_gate_multiplies_everything(gate: str) -> None:
    assert components.total(SETTINGS, {**FULL, gate: 0.0}) == 0


@pytest.mark.parametrize(
    ("tokens", "value"), [(0, 1), (12_000, 1), (13_000, 0.75), (14_000, 0.5), (16_000, 0), (20_000, 0)]
)
def test_length_is_full_to_12k_tokens_and_nothing_from_16k(tokens: int, value: float) -> None:
    assert components.s_len(tokens, 12_000, 16_000) == pytest.approx(value)


def test_structure_is_the_common_subsequence_of_elements() -> None:
    page, reference = dom.Page(tags=list("abcdx")), dom.Page(tags=list("abyd"))
    assert components.s_struct(page, reference) == pytest.approx(3 / 5)
    assert components.s_struct(dom.Page(), reference) == 0


def test_renaming_classes_changes_no_structure() -> None:
    html = "<html><body><div class='a'><p id='b'>x</p></div></body></html>"
    renamed = html.replace("'a'", "'zebra'").replace("'b'", "'q'")
    assert components.s_struct(dom.parse(html), dom.parse(renamed)) == 1.0


def test_meaning_is_roles_and_words() -> None:
    page = dom.Page(roles=Counter(button=2, heading1=1), words=Counter(cat=1, dog=1))
    reference = dom.Page(roles=Counter(button=1, main=1), words=Counter(cat=2))
    roles = 1 / (2 + 1 + 1)
    words = (1 + log(2)) / (sqrt(2) * (1 + log(2)))
    assert components.s_sem(page, reference) == pytest.approx(0.5 * roles + 0.5 * words)


def test_an_empty_page_is_like_nothing() -> None:
    empty, full = dom.parse("<html><body></body></html>"), dom.parse("<main><h1>Words</h1></main>")
    assert components.s_sem(empty, full) == 0 and components.s_sem(empty, empty) == 0


def test_an_endless_loop_earns_nothing_closed_or_not() -> None:
    loop = "<!DOCTYPE html><html><body>" + "<p>and again and again</p>\n" * 200
    assert components.i_rep(loop) == components.i_rep(loop + "</body></html>") == 0
    assert components.i_rep("<!DOCTYPE html><html><body><h1>fine</h1></body></html>") == 1


def test_a_checklist_answer_has_every_item_once_and_points_in_range() -> None:
    shape = form({"a-1": 5, "a-2": 2})
    good = shape.model_validate(
        {"items": [{"id": "a-1", "points": 5, "reason": ""}, {"id": "a-2", "points": 0.5, "reason": ""}]}
    )
    assert list(good.values().values()) == [5, 0.5]
    for items in (
        [{"id": "a-1", "points": 5, "reason": ""}],
        [{"id": "a-1", "points": 5, "reason": ""}, {"id": "a-2", "points": 2.5, "reason": ""}],
        [{"id": "a-1", "points": 5.5, "reason": ""}, {"id": "a-2", "points": 0, "reason": ""}],
        [{"id": "a-1", "points": 5, "reason": ""}, {"id": "a-1", "points": 0, "reason": ""}],
        [{"id": "a-1", "points": 5, "reason": ""}, {"id": "a-3", "points": 0, "reason": ""}],
    ):
        with pytest.raises(ValueError):
            shape.model_validate({"items": items})


def test_a_judge_that_says_half_of_a_surrogate_pair_is_asked_again_and_a_whole_one_is_a_character() -> None:
    said = '{"items": [{"id": "a", "points": 5, "reason": "plays %s"}]}'
    with pytest.raises(ValidationError) as refused:
        form({"a": 5}).model_validate_json(said % r"\ud83d")
    assert refused.value.errors()[0]["type"] == "json_invalid", "for which the client asks again"
    assert form({"a": 5}).model_validate_json(said % r"\ud83d\ude00").reasons() == {"a": "plays \U0001f600"}


async def test_a_record_names_the_replica_that_rendered_the_page_and_the_attempts_it_took(tmp_path: Path) -> None:
    class Service:
        async def render(self, html: str, options: RenderOptions | None = None) -> Render:
            return Render(Verdict(False, "blank"), [], Route("http://replica:8000", 3, 1.5))

    engine = RewardEngine(configs.load([Path("config.yaml")]), tokenizer(tmp_path), Service())
    try:
        task = Task("one", "Say hello.", [], "<p>Hi</p>")
        kept = (await engine.score("<html><p>Hello</p></html>", task, "one", tokens=10)).parts
    finally:
        await engine.close()
    assert (kept["replica"], kept["render_attempts"], kept["render_seconds"]) == ("http://replica:8000", 3.0, 1.5)


def test_the_search_for_pleas_knows_each_word_that_one_begins_with() -> None:
    words = {word for words, _ in directed._PATTERNS for word in words}
    assert all(len(word.encode()) >= 3 for word in words)
    for word in words:
        assert directed._code(word) in directed._begun(f"nothing but {word} stands here"), word
