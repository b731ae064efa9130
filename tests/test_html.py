"""Pages out of answers, and what is wrong with them."""

from __future__ import annotations

import time

import pytest

from artifactscoder.config.data import RulesSettings
from artifactscoder.html import dom, repetition, validate
from artifactscoder.html.extract import extract, introduction, thoughts

BODY = "<h1>Title</h1><p>Some words that a reader sees on this page.</p>"
PAGE = f"<!DOCTYPE html>\n<html lang='en'><head><title>t</title></head><body>{BODY}</body></html>"
RULES = RulesSettings(min_chars=50)


def broken(html: str, kind: str = "document", rules: RulesSettings = RULES) -> list[str]:
    return [rule for rule, _ in validate.check(html, kind, rules)]


@pytest.mark.parametrize(
    ("answer", "html", "kind"),
    [
        (PAGE, PAGE, "document"),
        (f"Here it is:\n```html\n{PAGE}\n```\nEnjoy!", PAGE, "document"),
        (f"First try:\n{PAGE.replace('Title', 'Old')}\nBetter:\n{PAGE}", PAGE, "document"),
        (f"<think>maybe {PAGE.replace('Title', 'Thought')}</think>\n{PAGE}", PAGE, "document"),
        (f"thinking...</think>{PAGE}", PAGE, "document"),
        ("```html\n<!DOCTYPE html>\n<html><body><p>cut o", "<!DOCTYPE html>\n<html><body><p>cut o", "truncated"),
        ("I cannot do that.", "", "none"),
        ("", "", "none"),
    ],
)
def test_the_last_complete_page_is_taken(answer: str, html: str, kind: str) -> None:
    found = extract(answer)
    assert (found.html, found.kind) == (html, kind)


def test_a_page_that_begins_again_is_taken_from_its_second_beginning() -> None:
    answer = f"<!DOCTYPE html>\n<html><body>oh no, again:\n{PAGE}"
    assert extract(answer).html == PAGE


def test_a_doctype_inside_a_script_is_text() -> None:
    page = PAGE.replace("</body>", "<script>const s = `\n<!DOCTYPE html>\n<html></html>`;</script></body>")
    assert extract(page).html == page


def test_svg_and_fragments_are_wrapped_and_said_to_be_so() -> None:
    svg = '<svg viewBox="0 0 9 9"><g><svg><path d="M0 0"/></svg></g></svg>'
    assert extract(f"A drawing:\n{svg}\n").kind == "svg" and svg in extract(svg).html
    fragment = extract("```html\n<div>hello <b>you</b></div>\n```")
    assert fragment.kind == "fragment" and "<div>hello <b>you</b></div>" in fragment.html


def test_thoughts_are_kept_apart() -> None:
    assert thoughts("<think>a</think>b") == ("b", "<think>a</think>")
    assert thoughts("b <think>never closed") == ("b", "<think>never closed")
    assert introduction(f"<think>x</think>A fine page.\n\n```html\n{PAGE}\n```") == "A fine page."


def test_ordinary_code_is_not_taken_for_a_skeleton() -> None:
    page = PAGE.replace(
        "</body>",
        "<h2>TODO list</h2><p>Loading...</p><input placeholder='Your name'><br><img src='data:,'>"
        "<svg><path d='M0 0'/><circle r='1'/></svg><p>one<p>two<ul><li>a<li>b</ul>"
        "<script>const all = [...a, ...b]; // TODO list entries\nif (1 < 2) { run(`${all.length}`) }</script></body>",
    )
    assert broken(page) == []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda p: p.replace("</body>", "<script>function f( {</script></body>"), "javascript_syntax"),
        (lambda p: p.replace("</body>", "<script>// your code here\n</script></body>"), "placeholder"),
        (lambda p: p.replace(BODY, "<p>Content goes here</p>"), "placeholder"),
        (lambda p: p.replace(BODY, ""), "no_content"),
        (lambda p: p.replace(BODY, BODY + "<div><section><span><article>"), "unclosed"),
        (lambda p: p.replace(BODY, "<p>the very same sentence, over and over</p>" * 200), "repetition"),
        (lambda p: p[:60], "too_short"),
    ],
)
def test_what_is_broken_is_named(change, rule: str) -> None:
    html = change(PAGE)
    kind = "document" if rule != "too_short" else "fragment"
    rules = RULES if rule != "too_short" else RulesSettings(min_chars=600)
    assert rule in broken(html, kind, rules)


def test_json_and_module_scripts_are_read_as_what_they_are() -> None:
    page = PAGE.replace(
        "</body>",
        '<script type="application/json">{"a": </script><script type="module">import x from "y"</script></body>',
    )
    assert broken(page) == []


def test_loops_are_seen_closed_or_not() -> None:
    loop = "<!DOCTYPE html><html><body><h1>x</h1>" + "<div class='card'>the same again</div>\n" * 300
    assert repetition.repeats(loop) and repetition.repeats(loop + "</body></html>")
    assert not repetition.repeats(PAGE)
    cards = "".join(f"<div class='card'>item {i} costs {i * 7 % 90}</div>\n" for i in range(40))
    assert not repetition.repeats(PAGE.replace(BODY, BODY * 3 + cards))


def test_repetition_is_linear() -> None:
    def seconds(n: int) -> float:
        start = time.perf_counter()
        repetition.repeats("ab" * n)
        return time.perf_counter() - start

    seconds(1000)
    assert seconds(400_000) < 2.0


def test_a_page_is_read_as_elements_roles_and_words() -> None:
    page = dom.parse(
        "<html><body><nav><a href='#'>Home</a></nav><main><h1>Hi</h1><input type=range>"
        "<div role='alert'>careful</div><p hidden>secret</p></main><script>let hidden_word</script></body></html>"
    )
    assert page.tags[-7:] == ["main", "h1", "input", "div", "p", "script"][-7:] or page.tags[-1] == "script"
    assert page.roles["navigation"] == page.roles["slider"] == page.roles["alert"] == 1
    assert page.text == "Home Hi careful"
