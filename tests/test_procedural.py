"""Claims about the procedural teacher: its pages work, differ, and are as good or bad as they are asked to be."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page

from artifactscoder.html import repetition, signals, validate
from artifactscoder.llm.procedural import flaws, ideas
from artifactscoder.llm.procedural.compose import MAX_LINES, compose
from artifactscoder.llm.procedural.style import LAYOUTS, PALETTES
from artifactscoder.llm.procedural.widgets import WIDGETS

SEEDS = Path(__file__).parents[1] / "workflow" / "seeds"
ROWS = [json.loads(line) for line in (SEEDS / "subcategories.jsonl").read_text().splitlines()]
KINDS = [json.loads(line) for line in (SEEDS / "variants.jsonl").read_text().splitlines()]
BAKERY = "Bakery stock board: flour sacks, sugar bags, butter tubs and salt jars."


def requests(step: int, count: int) -> list[str]:
    """Different requests all over the seeds."""
    return [f"{row['name']}. {row['brief']}" for row in ROWS[::step][:count]]


class Tab:
    """A browser tab that shows one page at a time and notes what goes wrong in it."""

    def __init__(self, browser: Browser, width: int = 900) -> None:
        self.page: Page = browser.new_page(viewport={"width": width, "height": 900})
        self.html, self.errors, self.shown = "", [""], 0
        self.page.route("**/*", lambda route: route.fulfill(body=self.html, content_type="text/html; charset=utf-8"))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)

    def show(self, html: str) -> list[str]:
        """Load the page afresh and return the list that its errors go to."""
        self.html, self.errors = html, []
        self.shown += 1
        self.page.goto(f"http://page{self.shown}.test/")  # an origin of its own: nothing is stored yet
        return self.errors


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Tab:
    return Tab(browser)


def click(name: str, times: int = 1) -> Callable[[Locator], None]:
    def run(part: Locator) -> None:
        for _ in range(times):
            part.get_by_role("button", name=name, exact=True).first.click()

    return run


def button(at: int) -> Callable[[Locator], None]:
    return lambda part: part.locator("button").nth(at).click()


def fill(text: str) -> Callable[[Locator], None]:
    return lambda part: part.locator("input, textarea").first.fill(text)


def wait(ms: int) -> Callable[[Locator], None]:
    return lambda part: part.page.wait_for_timeout(ms)


def key(name: str) -> Callable[[Locator], None]:
    return lambda part: part.page.keyboard.press(name)


def drag(part: Locator) -> None:
    box = part.locator("canvas").bounding_box()
    assert box
    mouse = part.page.mouse
    mouse.move(box["x"] + 40, box["y"] + 40)
    mouse.down()
    mouse.move(box["x"] + 200, box["y"] + 80, steps=5)
    mouse.up()


def polygon(part: Locator) -> None:
    part.locator("polygon").nth(1).dispatch_event("click")


def mail(part: Locator) -> None:
    part.locator("input").nth(0).fill("Ada")
    part.locator("input").nth(1).fill("ada@example.org")


# What is done with each widget, and what then stands in its part (a pattern); "" where it is enough that it changed.
USES: dict[str, list[tuple[list[Callable[[Locator], None]], str]]] = {
    "tabs": [([button(1)], "Sugar bags:")],
    "accordion": [([click("Open or close all")], "")],
    "modal": [([button(2)], "Butter tubs"), ([key("Escape")], "")],
    "form": [([click("Send")], "Please check your name"), ([mail, click("Send")], "Thank you")],
    "settings": [([button(0)], "Flour sacks is on"), ([button(0)], "is off")],
    "rating": [([click("1")], r"3\.50 \(4\)")],
    "carousel": [([click("Next")], "Sugar bags, 2 of 4"), ([click("Back"), click("Back")], "4 of 4"),
                 ([key("ArrowRight")], "1 of 4")],
    "search": [([fill("sug")], "1 found"), ([fill("zzz")], "Nothing found")],
    "stopwatch": [([click("Start or pause"), wait(300), click("Lap")], r"0\.[1-9] s\n(.|\n)*0\.[1-9] s"),
                  ([click("Reset"), wait(150)], r"0\.0 s")],
    "countdown": [([click("More")], "6 min 0 s"), ([click("Less", 7)], "Time is up")],
    "clock": [([click("12 or 24 hours")], "AM|PM")],
    "calendar": [([button(3)], ""), ([click("Next")], "")],
    "booking": [([button(1)], "Flour sacks is booked for")],
    "habit": [([button(0)], "1 of 28"), ([button(0)], "0 of 28")],
    "timeline": [([fill("3")], "2005 Salt jars")],
    "stats": [([click("Week")], ""), ([click("Day")], "")],
    "bars": [([click("Largest first")], "")],
    "lines": [([click("More")], "13 values"), ([click("Less", 13)], "2 values")],
    "donut": [([button(2)], r"Butter tubs: \d+ %")],
    "table": [([fill("salt")], "1 found"), ([fill("")], "4 found"), ([click("Largest first")], "")],
    "map": [([button(3)], "Salt jars:"), ([polygon], "Sugar bags:")],
    "sorting": [([click("Step")], ""), ([click("Ten steps", 13)], "Sorted")],
    "network": [([button(1)], "Sugar bags:")],
    "quiz": [([button(0)], "Score [01] of 1"), ([click("Reset")], "Score 0")],
    "memory": [([button(0), button(1), wait(650)], "pair"), ([click("New round")], "")],
    "noughts": [([button(4)], "X(.|\n)*7 left"), ([click("New round")], "")],
    "dodge": [([click("Left"), wait(120)], r"Score \d+")],
    "dice": [([fill("3"), click("Roll")], r"\d \+ \d \+ \d = \d"), ([click("Choose for me")], "sacks|bags|tubs|jars")],
    "word": [([click("e")], r"\(1\)"), ([key("a")], r"\(2\)")],
    "clicker": [([click("Gather", 3)], "15 coins"), ([button(0)], "5 coins, 1 helpers")],
    "snake": [([click("Down"), wait(400)], r"Length \d")],
    "particles": [([fill("90")], "Number: 90")],
    "sketch": [([drag], ""), ([click("Clear")], "")],
    "ball": [([click("Kick"), wait(60)], "Kicked"), ([fill("90")], "Gravity: 90")],
    "scene": [([fill("18")], "18:00")],
    "pads": [([click("3")], "Tone 3"), ([key("5")], "Tone 5")],
    "palette": [([fill("100")], "Hue: 100")],
    "cube": [([fill("200")], "Turn: 200")],
    "orbit": [([fill("80"), wait(60)], "Speed: 80")],
    "pixels": [([button(1)], ""), ([click("Clear")], "0 of 64"), ([click("Invert")], "64 of 64")],
    "todo": [([click("Add")], "Please"), ([fill("Yeast"), click("Add")], "5 of 5 open"),
             ([click("Done")], "4 of 5 open"), ([click("Remove", 5)], "Nothing here|is empty")],
    "kanban": [([fill("Yeast"), click("Add")], "5 cards"), ([click("Yeast")], "")],
    "calculator": [([click("7"), click("*"), click("8"), click("=")], "56"),
                   ([click("/"), click("0"), click("=")], "Not possible"), ([key("C"), key("4")], "4")],
    "converter": [([fill("100")], r"62\.14"), ([click("kg to pounds")], r"220\.46"), ([fill("")], r"0\.00")],
    "counter": [([fill("one two three")], "3 words, 13 characters"), ([click("Clear")], "0 words")],
    "password": [([fill("20")], r"(?m)^[a-z2-9!]{20}$"), ([click("Another one")], r"(?m)^[a-z2-9!]{20}$")],
    "gate": [([click("Switch B")], "1 AND 1 is 1"), ([click("XOR")], "1 XOR 1 is 0")],
    "chat": [([fill("Hello"), click("Add"), wait(800)], "5 messages")],
    "feed": [([fill("Open late"), click("Add")], "5 posts"), ([click("Like 0")], "Like 1")],
    "cart": [([click("More")], "Flour sacks, 2 at"), ([click("Less", 3)], "Flour sacks, 0 at")],
    "plans": [([click("Yearly")], ""), ([button(0)], "is chosen")],
    "bill": [([fill("1000"), click("Add")], r"Total 1\d\d\d\.00 EUR")],
    "votes": [([click("Up")], "")],
    "bids": [([fill("1"), click("Bid")], "Please bid"), ([fill("500"), click("Bid")], r"Now: 500\.00 EUR")],
    "live": [([wait(1100)], ""), ([click("Start or pause")], "")],
    "points": [([lambda part: part.page.locator("#tabs button").first.click()], "5 points")],
    "language": [([click("es")], "Bienvenido"), ([click("ar")], "")],
    "reader": [([click("Large text")], "130"), ([click("High contrast")], "High contrast")],
    "keys": [([click("Next")], "Part [12]"), ([key("Alt+ArrowRight")], "Part [12]")],
    "export": [([click("Add")], "5 rows"), ([click("Undo", 6)], "Nothing to export")],
    "theme": [([click("Dark")], "Colours: Dark")],
}  # fmt: skip

# All that can change in a part: markup with its states, what is typed in, and the pixels of a canvas.
STATE = """(part) => part.innerHTML + [...part.querySelectorAll('input, textarea, select')].map((f) => f.value)
  + [...part.querySelectorAll('canvas')].map((c) => c.toDataURL()) + document.documentElement.style.cssText
  + document.body.style.cssText + [...part.querySelectorAll('dialog')].map((d) => d.open)"""


def test_every_widget_has_a_use() -> None:
    assert set(USES) == set(WIDGETS)
    assert len(WIDGETS) >= 36


def test_every_widget_alone_runs_and_does_something_when_used(tab: Tab) -> None:
    """Seeds differ: the helpers are written in several ways."""
    for seed, (slug, uses) in enumerate(USES.items()):
        parts = ["tabs", "points"] if slug == "points" else [slug]
        errors = tab.show(compose(f"{BAKERY} {slug}", seed, parts=parts))
        part = tab.page.locator(f"#{slug}")
        for steps, expected in uses:
            before: Any = part.evaluate(STATE)
            for step in steps:
                step(part)
            assert part.evaluate(STATE) != before, f"{slug} does not change when used"
            assert re.search(expected, part.inner_text()), f"{slug}: '{expected}' is not in {part.inner_text()!r}"
        assert errors == [], f"{slug}: {errors}"


def test_state_is_kept_for_the_next_visit(tab: Tab) -> None:
    tab.show(compose(BAKERY, 1, parts=["todo"]))
    tab.page.locator("#todo input").fill("Yeast")
    tab.page.get_by_role("button", name="Add").click()
    tab.page.reload()
    assert tab.page.locator("#todo li").count() == 5


def test_the_export_is_a_file(tab: Tab) -> None:
    tab.show(compose(BAKERY, 1, parts=["export"]))
    with tab.page.expect_download() as waiting:
        tab.page.get_by_role("button", name="Download").click()
    assert json.loads(Path(waiting.value.path()).read_text())[0] == "Flour sacks"


def test_composed_pages_are_whole_and_of_the_size_they_should_be() -> None:
    for seed, request in enumerate(requests(10, 200)):
        html = compose(request, seed)
        assert html.startswith("<!DOCTYPE html>") and html.endswith("</html>\n")
        assert validate.unclosed(html, 0) == ""
        assert [validate.javascript_error(script) for script in validate.scripts(html)] == [""]
        assert 40 <= html.count("\n") <= MAX_LINES and 1500 <= len(html.encode()) <= 5000
        assert max(map(len, html.splitlines())) < 140
        assert not repetition.repeats(html) and "@" not in html.replace("@media", "").replace("@keyframes", "")


def test_composed_pages_run_without_errors_and_fit_a_phone(browser: Browser) -> None:
    tab = Tab(browser, width=400)
    for seed, request in enumerate(requests(50, 40)):
        errors = tab.show(compose(request, seed))
        assert errors == [], f"{request}: {errors}"
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 400, request
        assert len(tab.page.locator("main").inner_text()) > 20


def test_the_same_arguments_give_the_same_bytes_and_another_seed_another_page() -> None:
    for request in (BAKERY, "", "x", "请做一个待办事项网页", "<script>alert('1')</script> a page's \"quotes\""):
        assert compose(request, 5) == compose(request, 5)
        assert compose(request, 5) != compose(request, 6)
        assert "alert(" not in compose(request, 5)


def test_fewer_than_three_pages_in_a_hundred_are_near_duplicates() -> None:
    grams = [flaws._grams(compose(request, seed)) for seed, request in enumerate(requests(20, 100))]
    near = {i for i, x in enumerate(grams) for j, y in enumerate(grams) if i != j and len(x & y) >= 0.8 * len(x | y)}
    assert len(near) < 0.03 * len(grams)


def test_the_variants_of_a_task_become_different_pages() -> None:
    brief = "Slots, reminders and a waiting list for a practice."
    task = ideas.tasks("Booking", "Dental visit planner", brief, 1, 1)[0]
    pages = [compose(text, 1) for text in ideas.variants(**task, kinds=KINDS, seed=1).values()]
    alike = [flaws.similarity(x, y) for i, x in enumerate(pages) for y in pages[:i]]
    assert max(alike) < 0.9 and mean(alike) < 0.6


def test_a_wish_shows_in_the_page() -> None:
    base = "Harbour watch: ships, tides and moorings. "
    wished = {
        "A switch between light and dark, and a second colour scheme.": 'id="theme"',
        "Values change by themselves in real time.": 'id="live"',
        "Gamification: points and badges.": 'id="points"',
        "Internationalisation in three languages.": "Intl.DateTimeFormat",
        "Accessibility for screen readers comes first.": 'id="reader"',
        "Every keyboard shortcut is listed, gestures too.": 'id="keys"',
        "For power users, with undo history and export.": 'id="export"',
        "Purposeful animation for entry and change.": "@keyframes",
        "Responsive on mobile phones.": "pointer: coarse",
        "Lay it out as a sidebar workspace.": LAYOUTS[2].css[0],
        "All dark, inky and midnight blue.": next(p.line for p in PALETTES if "inky" in p.words),
    }
    for wish, sign in wished.items():
        assert sum(sign in compose(base + wish, seed) for seed in range(8)) >= 6, wish
    assert all(compose(base + "Keep it minimal.", seed).count("<section") == 1 for seed in range(8))


def test_more_care_makes_a_better_page() -> None:
    scores = []
    for care in (1.0, 0.75, 0.5, 0.3, 0.1):
        pages = [(compose(request, 1, care), request) for request in requests(40, 40)]
        assert all(validate.javascript_error(s) == "" for html, _ in pages for s in validate.scripts(html))
        scores.append(mean(mean(signals.measure(html, None, request).values()) for html, request in pages))
    assert all(a > b + 0.02 for a, b in zip(scores, scores[1:], strict=False)), scores


def test_careless_pages_still_run(tab: Tab) -> None:
    for seed, request in enumerate(requests(95, 20)):
        assert tab.show(compose(request, seed, 0.1)) == [], request
        assert "<label" not in tab.html and "const " not in tab.html and 'onload="begin()"' in tab.html


def test_flaws_do_what_they_say(tab: Tab) -> None:
    for seed, request in enumerate(requests(250, 8)):
        html = compose(request, seed)
        made = {kind: flaws.flaw(html, kind, seed) for kind in flaws.KINDS}
        assert tab.show(made["broken-script"]) != []
        assert "</html>" not in made["cut-off"] and html.startswith(made["cut-off"])
        assert "TODO" in made["placeholder"] and "start('" not in made["placeholder"]
        assert tab.show(made["blank"]) == [] and tab.page.inner_text("body").strip() == ""
        assert "<style" not in made["no-style"]
        assert repetition.repeats(made["loop"]) and "</html>" not in made["loop"]
    with pytest.raises(ValueError, match="no kind of flaw"):
        flaws.flaw(html, "ugly", 1)


def test_about_one_page_in_six_is_flawed_and_always_the_same_ones() -> None:
    texts = requests(2, 1000)
    chosen = [flaws.choose(text, 1) for text in texts]
    assert chosen == [flaws.choose(text, 1) for text in texts]
    assert 0.14 < sum(kind is not None for kind in chosen) / len(chosen) < 0.22
    assert {kind for kind in chosen if kind} == set(flaws.KINDS)


def test_a_twin_is_close_to_its_original_and_not_the_same() -> None:
    for seed, request in enumerate(requests(100, 20)):
        html = compose(request, seed)
        twin = flaws.twin(html, seed)
        assert twin != html and twin == flaws.twin(html, seed)
        assert flaws.similarity(html, twin) > 0.85


def test_tasks_are_distinct_and_complete() -> None:
    for row in ROWS[::200]:
        tasks = ideas.tasks("Any", row["name"], row["brief"], 25, 7)
        assert len(tasks) == 25 == len({task["title"].lower() for task in tasks})
        assert len({task["description"] for task in tasks}) == 25
        for task in tasks:
            assert 3 <= len(task["title"].split()) <= 8, task
            assert 30 <= len(task["description"].split()) <= 70, task
        assert tasks == ideas.tasks("Any", row["name"], row["brief"], 25, 7)


def test_each_variant_stands_alone_and_names_its_kind() -> None:
    signs = ("scheme|theme", "column|half|sidebar|tile", "keyboard", "phone", "motion", "screen reader", "undo",
             "minimal|essential", "chart", "real time", "points", "languages")  # fmt: skip
    for row in ROWS[::200]:
        task = ideas.tasks("Any", row["name"], row["brief"], 1, 3)[0]
        variants = ideas.variants(**task, kinds=KINDS, seed=3)
        assert list(variants) == [kind["slug"] for kind in KINDS]
        for sign, text in zip(signs, variants.values(), strict=True):
            assert 30 <= len(text.split()) <= 80 and text.startswith(task["title"]), text
            assert re.search(sign, text, re.IGNORECASE), (sign, text)
    own = [{"slug": "tactile", "instruction": "Rewrite the task for fingers that feel, with raised edges and haptics."}]
    assert "haptics" in ideas.variants(**task, kinds=own, seed=1)["tactile"]


def test_topics_below_a_path_are_new_and_short() -> None:
    path = ["Retail and commerce"]
    for _ in range(4):
        names = ideas.children(path, 25, 1)
        assert len({name.lower() for name in names}) == 25
        assert not {name.lower() for name in names} & {name.lower() for name in path}
        assert all(2 <= len(name.split()) <= 6 for name in names), names
        path.append(names[0])


def test_templates_are_distinct_and_have_their_topic() -> None:
    made = ideas.templates(200, 1)
    assert len(set(made)) == 200 and all("{topic}" in text for text in made)
    assert {hole for text in made for hole in re.findall(r"{(\w+)}", text)} == {"topic", "audience", "style", "feature"}


def test_an_idea_is_short_and_its_expansion_a_full_brief() -> None:
    told = "Fitness Center: A page with a logo on the left and class schedules."
    idea = ideas.seed_idea(told, "<h1>Fit</h1> Yoga classes")
    assert 12 <= len(idea.split()) <= 45 and "Fitness Center" in idea
    for text in (idea, "", "A shop."):
        assert 60 <= len(ideas.expand(text).split()) <= 120
