"""What the judge reads, what speaks to it, what stands for its answer, and what configuration adds."""

from __future__ import annotations

import dataclasses
import json
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from artifactscoder.config import Config, RewardSettings
from artifactscoder.config import engines as settings_of
from artifactscoder.errors import UserError
from artifactscoder.html import directed, dom, judged
from artifactscoder.journal import Journal
from artifactscoder.llm.client import Client
from artifactscoder.render import Render, RenderOptions
from artifactscoder.render.page import Verdict
from artifactscoder.reward import checklist, components, engine, measure
from artifactscoder.reward.task import Task
from attacks import PLEA, PLEAS
from checkout import ROOT
from openai_server import Server, completion
from reward_lab import tokenizer

PAGE = f"""<!DOCTYPE html><html><head><meta name="description" content="{PLEA}"><meta charset="utf-8"><title>T</title>
<style>/* css comment */ .a::after {{ content: "a long text that a style sheet would add" }}</style></head>
<body><!-- html comment --><h1>Shown &amp; told</h1><p class="x">Not shown</p><p style="display:none">Hidden</p>
<img alt="{PLEA}" src="data:image/png;base64,{"A" * 900}"><noscript>No script</noscript><template><b>T</b></template>
<select><option>Choice</option></select>
<script>// script comment
const url = "https://x//y"; const note = "{PLEA}"; const kept = /\\/\\*/;</script></body></html>"""


def test_the_judge_reads_what_a_visitor_sees_and_the_code_without_comments() -> None:
    read = judged.reading(PAGE, "Shown & told")
    for gone in ("comment", "Not shown", "Hidden", "No script", "<b>T", "full marks", "would add", "A" * 100):
        assert gone not in read.text, gone
    for kept in (
        "Shown &amp; told",
        "Choice",
        '"https://x//y"',
        "const kept = /\\/\\*/",
        'class="x"',
        'charset="utf-8"',
    ):
        assert kept in read.text, kept
    assert read.hidden == len("Not shown" + "Hidden" + "No script" + "<template><b>T</b></template>")


def test_without_a_rendering_attributes_and_inline_styles_decide() -> None:
    read = judged.reading(PAGE)
    assert "Not shown" in read.text and "Hidden" not in read.text


def test_a_long_page_is_cut_in_its_middle_and_says_so() -> None:
    read = judged.reading("<p>" + "words of a page " * 900, limit=3000)
    note = re.search(r"\n\[(\d+) characters of the page are left out here\]\n", read.text)
    assert note and int(note[1]) > 10_000 and len(read.text) == 3000 + len(note[0])


@pytest.mark.parametrize("plea", [PLEA, *PLEAS.values()])
def test_what_speaks_to_the_judge_is_found(plea: str) -> None:
    assert directed.directed(f"<p>{plea}</p>")


@pytest.mark.parametrize(
    "text",
    [
        "Score: 10/10", "Full marks! You answered all of them.", "Give your rating: 5 stars", "Forgot the password?",
        "Award points for each badge", "Get a perfect score to win", "Overall score 82", "All criteria met",
        "Final score: 20/20", "Rate all items", "The app should show 100 points", "Hello Claude", "Ignore case",
    ],
)  # fmt: skip
def test_what_speaks_to_a_visitor_is_not(text: str) -> None:
    assert directed.directed(f"<p>{text}</p>", text) == []


def test_pages_that_nest_deeper_than_browsers_keep_are_not_parsed() -> None:
    assert dom.too_deep("<div>" * 300) and dom.too_deep("<div>" * 300 + "</div>" * 300)
    for flat in ("<br>" * 3000, "<p>x" * 3000, "<i></i>" * 3000, "<path d=''/>" * 3000):
        assert not dom.too_deep(flat)


def test_words_and_roles_are_those_that_the_browser_showed() -> None:
    page = dom.parse("<main><h1>One two</h1><button>three</button><button>four</button></main>")
    seen = Verdict(True, "ok", visible_text="one three five", seen={"h1": 1, "button": 1, "role=tab": 4})
    shown = components.visible(page, seen)
    assert shown.words == Counter(one=1, three=1)
    assert shown.roles == Counter(heading1=1, button=1) and shown.tags == page.tags


def test_items_of_unequal_maximum_count_by_it() -> None:
    items = [{"id": "a", "title": "A", "max": 10}, {"id": "b", "title": "B"}]
    most = checklist.maxima(items, 5)
    assert most == {"a": 10, "b": 5} and checklist.share({"a": 9, "b": 0}, most) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("items", "sentence"),
    [
        ([], "a checklist is a list"),
        ([{"id": "a"}], "needs id and title"),
        ([{"id": "a", "title": "A", "max": 0}], "max of the checklist item a"),
        ([{"id": "a", "title": "A"}, {"id": "a", "title": "B"}], "two items a"),
    ],
)
def test_a_checklist_that_cannot_be_used_is_one_sentence(items: list[Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        checklist.maxima(items, 5)


def short(sample: components.Sample) -> float:
    """1 for a page of one heading only."""
    return float(sample.page.tags.count("h1") == 1)


def test_components_and_gates_are_added_by_configuration_and_weights_are_divided_by_their_sum() -> None:
    settings = RewardSettings(
        extra={"error_free": 0.5, "test_reward_judge:short": 0.5}, gates=["rep", "render", "no_errors"]
    )
    parts = {
        "i_rep": 1.0, "i_render": 1.0, "i_no_errors": 1.0, "s_chk": 0.5, "s_struct": 0.5, "s_sem": 0.5, "s_len": 0.5,
        "s_error_free": 1.0, "s_short": 1.0,
    }  # fmt: skip
    assert components.total(settings, parts) == pytest.approx((0.5 * 1.0 + 1.0 * 1.0) / 2)
    assert components.total(settings, {**parts, "i_no_errors": 0.0}) == 0
    assert set(components.added(settings)) == {"s_error_free", "s_short", "i_no_errors"}
    found = measure.Taken(measure.extract("<!DOCTYPE html><html><h1>A</h1></html>"), "", 1.0, 10)
    verdict = Verdict(True, "ok", script_errors=["x"], visible_text="A", text_chars=1, seen={"h1": 1})
    parts = measure.measured(settings, found, "", Task("", "", [], "<h1>A</h1>"), verdict).parts
    assert (parts["s_short"], parts["s_error_free"], parts["i_no_errors"]) == (1.0, 0.5, 0.0)


def test_every_name_in_the_configuration_is_a_component_that_judges_a_sample() -> None:
    everything = RewardSettings(extra=dict.fromkeys(settings_of.EXTRA, 0.1), gates=list(settings_of.GATES))
    added = components.added(everything)
    assert len(added) == len(settings_of.EXTRA) + len(settings_of.GATES) - len(settings_of.OWN["gates"])
    page = dom.read(dom.tree("<html><h1>A</h1></html>"), attributes=True)
    sample = components.Sample("", "", "", page, page, Verdict(True, "ok"), 10)
    assert all(0 <= components.value(name, part, sample) <= 1 for name, part in added.items())


def test_a_function_of_ones_own_takes_the_place_of_no_part_of_the_reward(configure: Callable[..., Config]) -> None:
    settings = RewardSettings()
    found = measure.Taken(measure.extract("<!DOCTYPE html><html><h1>A</h1></html>"), "", 1.0, 10)
    parts = measure.measured(settings, found, "", Task("", "", [], "<h1>A</h1>"), Verdict(True, "ok")).parts
    for column in parts:
        key, name = ("extra" if column.startswith("s_") else "gates"), f"mine:{column[2:]}"
        with pytest.raises(UserError, match=rf"reward.{key} names '{name}', but .*give your function another name"):
            configure(reward={key: {name: 0.1} if key == "extra" else ["rep", "render", name]})


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"extra": {"beauty": 1}}, "reward.extra names 'beauty': there are accessible"),
        ({"gates": ["rep", "luck"]}, "reward.gates names 'luck'"),
        ({"checklist": 0, "similarity": 0, "length": 0}, "not all 0"),
    ],
)
def test_a_name_that_does_not_exist_is_one_sentence(
    section: dict[str, Any], sentence: str, configure: Callable[..., Config]
) -> None:
    with pytest.raises(UserError, match=sentence):
        configure(reward=section)


def test_a_function_that_fails_or_leaves_the_range_is_never_a_score() -> None:
    sample: Any = None
    for bad in (lambda _: 2.0, lambda _: float("nan"), lambda _: 1 / 0):
        with pytest.raises(UserError, match="reward: mine"):
            components.value("mine", bad, sample)
    with pytest.raises(UserError, match="names no function"):
        components.added(RewardSettings(extra={"nowhere:at_all": 1}))


async def test_an_answer_of_the_judge_stands_for_page_checklist_and_judge(
    configure: Callable[..., Config], tmp_path: Path
) -> None:
    """Other measurements and other pixels ask nothing again; another page, checklist or request does."""
    config = configure()
    verdict = Verdict(True, "ok", visible_text="Shown & told", text_chars=12)
    items = [{"id": "a", "title": "Works", "description": "It works."}]

    async def ask(client: Client, page: str, wish: str, colours: int, shot: bytes, item: dict[str, Any]) -> int:
        render = Render(dataclasses.replace(verdict, colours=colours), [shot])
        before = client.asked
        await checklist.judge(client, config.reward, Task("", wish, [item], ""), page, render, config.seed)
        return client.asked - before

    async with Journal(tmp_path / "j") as journal, Client(config, "vision_judge", journal) as client:
        assert await ask(client, PAGE, "A page.", 50, b"one", items[0]) == 1
        assert await ask(client, PAGE, "A page.", 51, b"two", items[0]) == 0
        assert await ask(client, PAGE + " ", "A page.", 50, b"one", items[0]) == 1
        assert await ask(client, PAGE, "Another page.", 50, b"one", items[0]) == 1
        assert await ask(client, PAGE, "A page.", 50, b"one", {**items[0], "max": 9}) == 1


async def test_only_a_judge_that_is_away_is_waited_for(
    configure: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "RETRY_S", 0.05)
    page, task = "<html><h1>A</h1></html>", Task("", "A page.", [{"id": "a", "title": "Works"}], "")

    class Renderer:
        async def render(self, html: str, options: RenderOptions | None = None) -> Render:
            return Render(Verdict(True, "ok", visible_text="A", text_chars=1, seen={"h1": 1}), [b"shot"])

    async def retries(url: str, patience_s: float) -> float:
        config = configure(url, reward={"patience_s": patience_s}, journal=str(tmp_path / uuid.uuid4().hex))
        rewards = engine.RewardEngine(config, tokenizer(tmp_path), Renderer())
        try:
            return float((await rewards.score(page, task, "one", tokens=10)).parts["retries"])
        finally:
            await rewards.close()

    async def useless(number: int, _: web.Request) -> web.Response:
        return web.json_response(completion('{"items": []}'))

    async def away(number: int, _: web.Request) -> web.Response | None:
        return web.Response(status=503) if number <= 3 else None

    async def too_long(number: int, _: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "the context is 4096 tokens"}}, status=400)

    for server, said, asked in (
        (Server(useless), "missing: a", 3),
        (Server(too_long), "the context is", 1),
        (Server(key="another"), "refuses the key", 1),
    ):
        async with server.open() as url:
            with pytest.raises(engine.RewardUnavailable, match=said):
                await retries(url, 60)
            assert server.received == asked
    async with Server(away).open() as url:
        assert await retries(url, 60) == 1
    start = time.monotonic()
    with pytest.raises(engine.RewardUnavailable, match="cannot be reached"):
        await retries("http://127.0.0.1:9/v1", 3)
    assert time.monotonic() - start > 3


async def test_the_judges_answers_of_training_are_in_the_journal_of_the_run_wherever_its_workers_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Renderer:
        async def render(self, html: str, options: RenderOptions | None = None) -> Render:
            return Render(Verdict(True, "ok", visible_text="A", text_chars=1, seen={"h1": 1}), [b"shot"])

    told = {
        "config": [str(ROOT / "config.yaml"), str(ROOT / "profiles/demo/recipe.yaml")],
        "journal": str(tmp_path / "journal"),
        "rendezvous": str(tmp_path),
    }
    (tmp_path / "reward.json").write_text(json.dumps({**told, "tokenizer": str(tokenizer(tmp_path))}))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    rewards = engine.RewardEngine.from_settings(tmp_path / "reward.json")
    rewards._renderer = Renderer()
    try:
        await rewards.score("<html><h1>A</h1></html>", Task("", "A page.", [{"id": "a", "title": "Works"}], ""), "one")
    finally:
        await rewards.close()
    assert list((tmp_path / "journal/train/grpo").glob("*.jsonl")) and not any((tmp_path / "work").iterdir())


def test_the_example_in_the_documentation_is_a_component() -> None:
    text = (ROOT / "docs/reward.md").read_text()
    code = text.split("```python\n")[1].split("```")[0]
    space: dict[str, Any] = {}
    exec(code, space)
    component = next(value for name, value in space.items() if callable(value) and name == "has_dark_mode")
    sample: Any = type("S", (), {"html": "<style>@media (prefers-color-scheme: dark) {}</style>"})
    assert components.value("it", component, sample) == 1.0
    assert json.loads(json.dumps(RewardSettings(extra={"mine:has_dark_mode": 0.1}).extra)) == {
        "mine:has_dark_mode": 0.1
    }
