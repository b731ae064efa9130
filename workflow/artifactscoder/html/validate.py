"""What a page must be before it is worth rendering: checks of its source, each with a name.

They look for what is broken, not for words: a spread operator, a "Loading..." text, a to-do list and an input's
placeholder are ordinary code. JavaScript is parsed by tree-sitter, so a script that cannot run is found without a
browser. About 5 ms for 20 KB.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

from artifactscoder.config.data import RulesSettings
from artifactscoder.html import dom, javascript, mask, repetition

VOID, OPTIONAL = dom.VOID, dom.OPTIONAL
SCRIPT_TYPES = frozenset({"", "text/javascript", "application/javascript", "module"})

# Comments or texts that stand where the work should be, as whole statements of a script or as whole texts.
_SKELETON = re.compile(
    r"(?://|/\*|<!--)\s*(?:todo|fixme)?\W*(?:your code (?:goes )?here"
    r"|(?:add|insert|implement|put|write) (?:\w+ ){0,5}here|implementation goes here"
    r"|rest of (?:the )?(?:code|implementation|script|styles)|(?:same|code) as (?:above|before)"
    r"|to be implemented|not implemented|omitted for brevity|existing code|remaining (?:code|logic|functions?))",
    re.IGNORECASE,
)
_STUB_TEXT = re.compile(
    r"\b(?:todo: ?\w+|lorem ipsum|content goes here|coming soon|under construction|your \w+ here)\b",
    re.IGNORECASE,
)


def cleared(
    row: dict[str, Any], settings: RulesSettings, masking: bool
) -> tuple[dict[str, Any], str, tuple[str, str] | None]:
    """A page's row, masked where that is wanted, the ledger's detail of it, and the first rule that the page breaks."""
    detail = ""
    if masking:
        row, detail = mask.masked(row, ["prompt", "html", "answer"])
    return row, detail, next(check(row["html"], row["extracted"], settings), None)


def check(html: str, kind: str, settings: RulesSettings) -> Iterator[tuple[str, str]]:
    """Yield (rule, what was seen) for each rule that the page breaks; the first one is the reason it is rejected."""
    if kind == "none":
        yield "no_page", "the answer holds no page"
        return
    if kind == "truncated":
        yield "truncated", "the page has no closing </html>"
    if len(html) < settings.min_chars:
        yield "too_short", f"{len(html)} characters, {settings.min_chars} are asked for"
    if len(html) > settings.max_chars:
        yield "too_long", f"{len(html)} characters, {settings.max_chars} are allowed"
        return
    if repetition.repeats(html, settings.repetition):
        yield "repetition", "one passage repeated makes up most of the page"
    page = dom.parse(html)
    if settings.external_scripts == "reject" and page.external:
        yield "external_script", page.external[0][:200]
    if problem := unclosed(html, settings.unclosed):
        yield "unclosed", problem
    for script in scripts(html):
        if problem := javascript_error(script):
            yield "javascript_syntax", problem
            break
    if match := _SKELETON.search(html):
        yield "placeholder", " ".join(match.group(0).split())[:120]
    elif (stubs := _STUB_TEXT.findall(page.text)) and len(" ".join(stubs)) * 8 > len(page.text):
        yield "placeholder", "; ".join(stubs[:3])[:120]
    drawn = {"canvas", "svg", "img", "video", "audio"} & set(page.tags)
    if len(page.text) < settings.min_text and not drawn and not any(s.strip() for s in page.scripts):
        yield "no_content", f"{len(page.text)} characters of text, no picture and no script"


class _Balance(HTMLParser):
    """Counts elements that are closed without being open, or left open."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.problems: list[str] = []
        self.foreign = 0  # inside svg or math, `<path/>` closes itself

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in VOID:
            return
        self.stack.append(tag)
        self.foreign += tag in ("svg", "math")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self.foreign and tag not in ("svg", "math"):
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if tag not in self.stack:
            if tag != "p":  # a stray </p> makes an empty paragraph
                self.problems.append(f"</{tag}> closes nothing")
            return
        while (top := self.stack.pop()) != tag:
            self.foreign -= top in ("svg", "math")
            if top not in OPTIONAL:
                self.problems.append(f"<{top}> is not closed")
        self.foreign -= tag in ("svg", "math")


def unclosed(html: str, allowed: int) -> str:
    """A sentence on the elements that do not match when there are more than `allowed`; else empty."""
    parser = _Balance()
    parser.feed(html)
    parser.close()
    parser.problems += [f"<{tag}> is not closed" for tag in parser.stack if tag not in OPTIONAL]
    n = len(parser.problems)
    return f"{n} elements do not match, the first: {parser.problems[0]}" if n > allowed else ""


class _Scripts(HTMLParser):
    """Inline classic and module scripts as written (a browser's parser gives the same text)."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "script" and not values.get("src"):
            self._inside = (values.get("type") or "").strip().lower() in SCRIPT_TYPES
            if self._inside:
                self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found[-1] += data


def scripts(html: str) -> list[str]:
    """The inline JavaScript of a page, one text a script element."""
    parser = _Scripts()
    parser.feed(html)
    parser.close()
    return [text for text in parser.found if text.strip()]


def javascript_error(script: str) -> str:
    """Where a script first fails to parse ("line 12: ..."); empty when it parses."""
    node = javascript.parsed(script.encode())
    if not node.has_error:
        return ""
    while True:
        child = next((c for c in node.children if c.has_error or c.is_missing), None)
        if child is None or node.is_error:
            break
        node = child
    line = node.start_point[0] + 1
    text = script.splitlines()[line - 1].strip()[:80] if script.splitlines() else ""
    return f"line {line} of a script does not parse: {text}"
