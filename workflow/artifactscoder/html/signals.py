"""Measurable signs of craft in a page, each in 0..1: what a reviewer would look for, as far as source can tell.

From the source (markup, styles, scripts) and, where given, from what a browser measured. No model, no chance: the same
page gives the same signals, and more of the good thing gives a higher one. About 5 ms for 20 KB.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from artifactscoder.html import dom, validate

_WORD = re.compile(r"[a-z]{4,}")
_LETTERS = re.compile(r"[a-z]+")
_COMMON = frozenset(
    dom.words(
        """with that this from have page make should must each more than when where which their them they into about
        also only using user users build create write show shows site small simple website application other such
        some like over task file html code style styles script"""
    )
)
_COMMENT = re.compile(r"<!--.*?-->|/\*.*?\*/|(?<![:\"'])//[^\n]*", re.DOTALL)


def share(part: float, whole: float, empty: float = 1.0) -> float:
    """part / whole within 0..1; `empty` where there is nothing to count."""
    return max(0.0, min(1.0, part / whole)) if whole else empty


def enough(count: float, full: float) -> float:
    """0 for none, 1 from `full` on."""
    return max(0.0, min(1.0, count / full))


def relevance(request: str, html: str) -> float:
    """How many of the request's content words stand in the page, text or code; 1 from half of them on."""
    wanted = {word for word in _WORD.findall(request.lower()) if word not in _COMMON}
    if not wanted:
        return 1.0
    low = html.lower()
    return enough(sum(word[:6] in low for word in wanted) / len(wanted), 0.5)


def original(text: str, source: str) -> str:
    """The words of a text without its passages of five words or more that stand in `source`: what is copied is no work.

    In lower case, letters only, one space between.
    """
    words, given = _LETTERS.findall(text.lower()), _LETTERS.findall(source.lower())
    known = set(zip(*(given[i:] for i in range(5)), strict=False))
    kept = [True] * len(words)
    for place, passage in enumerate(zip(*(words[i:] for i in range(5)), strict=False)):
        if passage in known:
            kept[place : place + 5] = [False] * 5
    return " ".join(word for word, keep in zip(words, kept, strict=True) if keep)


def measure(html: str, evidence: dict[str, Any] | None = None, request: str = "") -> dict[str, float]:
    """All signals of a page by name."""
    page = dom.parse(html)
    style, script = "\n".join(page.styles), "\n".join(page.scripts)
    attributes, tags = page.attributes, Counter(page.tags)
    low = html.lower()

    def has(pattern: str, text: str) -> int:
        return len(re.findall(pattern, text))

    inline = sum(count for name, count in attributes.items() if name.startswith("on"))
    listeners = has(r"addEventListener|\.on[a-z]+\s*=", script)
    functions = has(r"\bfunction\b|=>", script)
    declared = has(r"\b(?:const|let)\b", script)
    old = has(r"\bvar\b", script)
    fields = tags["input"] + tags["select"] + tags["textarea"]
    named = attributes["aria-label"] + attributes["aria-labelledby"] + tags["label"]
    lines = [line.strip() for line in html.splitlines() if len(line.strip()) > 25]
    repeated = sum(count - 1 for count in Counter(lines).values())
    comments = _COMMENT.findall(html)
    commented = sum(len(text) for text in comments)
    long_lines = sum(len(line) > 160 for line in html.splitlines())
    landmarks = tags["header"] + tags["main"] + tags["nav"] + tags["footer"] + tags["section"] + tags["article"]
    heads = [int(tag[1]) for tag in page.tags if re.fullmatch("h[1-6]", tag)]
    jumps = sum(b > a + 1 for a, b in zip(heads, heads[1:], strict=False))
    controls = fields + tags["button"] + tags["summary"] + attributes["tabindex"]
    drawn = tags["canvas"] + tags["svg"]
    broken_script = any(validate.javascript_error(text) for text in page.scripts)

    signals = {
        "parses": 0.0 if broken_script or validate.unclosed(html, 0) else 1.0,
        "complete": 1.0 if "</html>" in low and "</body>" in low else 0.0,
        "relevance": relevance(request, original(html, request)),
        "head": share(
            low.startswith("<!doctype")
            + bool(re.search(r"<html[^>]*\slang=", low))
            + ("charset" in low)
            + bool(re.search(r"<title>\s*\S", low))
            + ('name="viewport"' in low),
            5,
        ),
        "landmarks": enough(landmarks, 4),
        "headings": 0.0 if not heads else max(0.0, 1.0 - 0.5 * (heads.count(1) != 1) - 0.25 * jumps),
        "modern_script": share(declared, declared + old, 0.5),
        "listeners": share(listeners, listeners + inline, 0.5),
        "functions": enough(functions, 5),
        "controls": enough(controls, 4),
        "working": 0.0 if not script.strip() else enough(listeners + inline, 2) * (1.0 - broken_script),
        "state": enough(has(r"textContent|innerHTML|classList|append|\.value\s*=|setAttribute|fillRect", script), 4),
        "labels": share(named, fields, 1.0),
        "aria": enough(sum(c for name, c in attributes.items() if name.startswith("aria-") or name == "role"), 5),
        "live": enough(has(r"aria-live|role=\"(?:status|alert)\"", html), 1),
        "focus": enough(has(r":focus", style), 1),
        "skip": enough(has(r"(?i)skip (?:to|link)|class=\"skip", html), 1),
        "keyboard": enough(has(r"keydown|keyup|onkey|tabindex|accesskey", html) + tags["button"] / 2, 2),
        "validation": enough(
            has(r"\brequired\b|pattern=|minlength|maxlength|\bmin=|\bmax=|checkValidity|isNaN|isFinite", html), 3
        ),
        "bounds": enough(has(r"Math\.(?:min|max)|\.length|\bif\s*\(", script), 5),
        "handling": enough(has(r"\btry\b|\bcatch\b|\?\.|\?\?", script), 2),
        "empty_state": enough(has(r"(?i)\b(?:empty|nothing|no \w+ (?:yet|found|left)|none)\b", html), 1),
        "messages": enough(has(r"(?i)\b(?:please|must|invalid|error|saved|done|added|enter|choose)\b", html), 2),
        "variables": enough(has(r"var\(--", style), 6),
        "layout": enough(has(r"display:\s*(?:grid|flex)", style), 2),
        "media": enough(has(r"@media|@container|minmax\(|clamp\(|auto-fi[tl]", style), 2),
        "motion": enough(has(r"transition|animation|@keyframes|requestAnimationFrame", html), 2),
        "reduced_motion": enough(has(r"prefers-reduced-motion", html), 1),
        "scheme": enough(has(r"prefers-color-scheme|color-scheme|data-theme", html), 1),
        "styled": enough(len(style), 600),
        "hover": enough(has(r":hover|:active|:disabled|cursor:\s*pointer", style), 2),
        "comments": enough(commented / max(1, len(html)), 0.03),
        "header_comment": 1.0 if any(len(text) > 30 for text in comments[:1]) else 0.0,
        "help": enough(has(r"<(?:p|small|details|figcaption|label)[\s>]|title=|placeholder=|describedby", html), 5),
        "unrepeated": 1.0 - enough(share(repeated, len(lines), 0.0), 0.4),
        "short_lines": 1.0 - enough(share(long_lines, len(html.splitlines()), 0.0), 0.2),
        "modern_features": enough(
            has(r"`[^`]*\$\{|\.map\(|\.filter\(|structuredClone|Intl\.|customElements|async |<dialog|<details|<output"
                r"|<template|<meter|<progress|clamp\(|:has\(|@container|localStorage", html), 4,
        ),
        "richness": enough(len(set(page.tags)), 18),
        "drawn": enough(drawn, 1),
        "storage": enough(has(r"localStorage|sessionStorage", script), 1),
        "timing": enough(has(r"setInterval|setTimeout|requestAnimationFrame|performance\.now", script), 1),
        "language": enough(has(r"Intl\.|toLocale|lang=\"(?!en)", html), 1),
        "self_contained": 1.0 - enough(len(page.external) + has(r"(?:src|href)=\"https?://", html), 2),
        "text": enough(len(page.text), 200),
    }  # fmt: skip
    signals.update(_measured(evidence) if evidence else {})
    return signals


def _measured(evidence: dict[str, Any]) -> dict[str, float]:
    """Signals from what a browser saw."""
    errors = len(evidence.get("script_errors", ()))
    return {
        "rendered": 1.0 if evidence.get("rendered") else 0.0,
        "error_free": max(0.0, 1.0 - 0.5 * errors - 0.25 * len(evidence.get("console_errors", ()))),
        "seen": enough(evidence.get("visible_elements", 0), 25),
        "seen_text": enough(evidence.get("text_chars", 0), 200),
        "colourful": enough(evidence.get("colours", 0), 40),
        "filled": 1.0 - max(0.0, (evidence.get("dominant_share", 1.0) - 0.9) / 0.1),
        "offline": 1.0 - enough(evidence.get("requests_refused_count", 0), 2),
        "calm": 1.0 - enough(evidence.get("dialogs", 0) + evidence.get("popups", 0), 1),
        "fits": 1.0 if evidence.get("width", 0) <= 1300 else 0.5,
    }


def mean(signals: dict[str, float], names: Iterable[str]) -> float:
    """Average of the named signals; one that was not measured counts as 0."""
    values = [signals.get(name, 0.0) for name in names]
    return sum(values) / len(values)


def weakest(signals: dict[str, float], names: Iterable[str]) -> str:
    """The named signal that is lowest."""
    return min(names, key=lambda name: signals.get(name, 0.0))
