"""The gate against loops and the extraction of pages: what they catch, what they let pass, and what they cost."""

from __future__ import annotations

import random
import string
import time
from collections.abc import Callable

import pytest

from artifactscoder.html import repetition
from artifactscoder.html.extract import extract, introduction, thoughts

HEAD = "<!DOCTYPE html>\n<html><head><title>t</title></head><body>\n"
END = "</body></html>"
PASSAGE = (
    '<section class="card"><h2>Weekly plan</h2><p>Seven dinners, one of them new.</p><ul><li>Soup</li><li>Rice</li>'
    '</ul><button type="button">Add</button><button type="button">Drop</button></section>\n'
)
TEXT = "".join(
    f"<p>Paragraph {'abcdefghij'[i % 10] * (i % 7 + 1)} on {chr(97 + i % 26) * 3} number {i}.</p>\n" for i in range(120)
)


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + PASSAGE * 40,
        HEAD + PASSAGE * 40 + PASSAGE[:90],
        HEAD + PASSAGE * 40 + END,
        HEAD + PASSAGE.replace("\n", "") * 40 + END,
        "```html\n" + HEAD + PASSAGE * 40 + END + "\n```",
        HEAD + TEXT + PASSAGE * 150 + TEXT + END,  # a loop in the middle that a normal end follows
        HEAD + "".join(f"<li>item {i}</li>\n" for i in range(1500)),  # a loop that counts and never ends
        HEAD + "<p>ha" + " ha" * 5000,
        HEAD + "<div>" * 2000,
        HEAD + ("*" * 77 + "tnh") * 100,  # of a passage with few different places
        HEAD + ("a" * 40 + " a") * 100,
    ],
)
def test_a_loop_is_caught_wherever_it_stands_closed_or_not(answer: str) -> None:
    assert repetition.repeats(answer)


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + TEXT + END,
        HEAD + TEXT + PASSAGE * 2 + END,
        HEAD + PASSAGE * 8 + TEXT + END,  # a loop that is less than most of the answer
        HEAD + "".join(f"<tr><td>{i}</td><td>{i * i}</td></tr>\n" for i in range(500)) + END,  # a table that is closed
        HEAD + "<pre>" + " " * 5000 + "</pre>" + TEXT + END,
        HEAD + "".join(f"/* {'═' * 74} */\n<p>Section {chr(97 + i) * 9}.</p>\n" for i in range(12)) + END,  # rulers
        "",
        "x" * 199,
    ],
)
def test_what_only_looks_alike_passes(answer: str) -> None:
    assert not repetition.repeats(answer)


def test_a_loop_whose_passage_repeats_something_within_is_one_loop() -> None:
    inner = "<td>0</td>" * 30 + "<td>1</td>"
    assert repetition.loop_share(inner * 10) > 0.99


@pytest.mark.parametrize("letters", ["abcdefgh<>/", "äöü→漢字かな", "ab"])
def test_a_loop_of_any_period_is_measured_wherever_it_stands(letters: str) -> None:
    draw = random.Random(letters)
    for period in [*range(1, 200), 333, 1000]:
        loop = "".join(draw.choices(letters, k=period)) * (3 + 400 // period)
        before, after = ("".join(draw.choices(string.ascii_letters, k=300 + period % 7)) for _ in range(2))
        share = len(loop) / len(before + loop + after)
        assert repetition.loop_share(before + loop + after) == pytest.approx(share, abs=0.01), loop[:period]


def test_of_two_pages_the_last_is_taken_and_both_are_counted() -> None:
    first, last = HEAD + "<p>first</p>" + END, HEAD + "<p>last</p>" + END
    taken = extract(f"{first}\nBetter:\n```html\n{last}\n```")
    assert (taken.html, taken.kind, taken.pages) == (last, "document", 2)


@pytest.mark.parametrize(
    ("answer", "kind", "inside"),
    [
        ("```\n<div>bare</div>", "fragment", "<div>bare</div>"),  # a fence that is never closed
        ("~~~\n<div>bare</div>\n~~~", "none", ""),
        ("```html <svg viewBox='0 0 1 1'></svg>```", "svg", "<svg viewBox"),
        ("```js\nlet a = 1\n```\n```html\n<main>x</main>\n```", "fragment", "<main>x</main>"),
        ("<think>" + HEAD + END, "none", ""),
        (HEAD + "x</body>", "truncated", "x</body>"),
    ],
)
def test_fragments_and_wrong_fences_are_named(answer: str, kind: str, inside: str) -> None:
    taken = extract(answer)
    assert taken.kind == kind and inside in taken.html


HOSTILE = [
    "<svg", "<svg>", "</svg>", "```", "```\n", "``` ", "<!doctype html", "<!doctype html>\n", "<!doctype ", "<think>",
    "</think>", "<html>\n<script>", "</html>", " </p", " ", "\n", "<a", "ab",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_characters_cost_in_proportion(unit: str) -> None:
    """Four times the text costs no more than about four times the time; a square would cost sixteen times."""

    def seconds(call: Callable[[str], object], size: int) -> float:
        text = "```" + unit * (size // len(unit)) + " x"
        best = 9.0
        for _ in range(3):
            start = time.thread_time()
            call(text)
            best = min(best, time.thread_time() - start)
        return best

    for call in (extract, introduction, thoughts, repetition.repeats):
        assert seconds(call, 160_000) < 12 * seconds(call, 40_000) + 0.03, call
