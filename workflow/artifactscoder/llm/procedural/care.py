"""Craftsmanship: what a careful author writes and a careless one leaves out, one aspect at a time.

Every aspect has a threshold; a page of a given care keeps the aspects below it. The thresholds are shifted a little
from page to page, so that two pages of the same care miss different things. At care 1 nothing is missing, at 0.1
nearly everything is.
"""

from __future__ import annotations

import re

from .words import rng_of

THRESHOLDS = {
    "calm": 0.80,  # rules for people who want less motion
    "header": 0.75,  # a comment that says what the page is
    "comments": 0.68,
    "skip": 0.65,
    "focus": 0.60,
    "strict": 0.55,
    "storage": 0.50,  # state that survives a reload
    "aria": 0.50,
    "extra": 0.45,  # input checks, empty states, keyboard ways
    "narrow": 0.42,  # rules for narrow screens
    "labels": 0.38,
    "hover": 0.35,
    "landmarks": 0.33,
    "const": 0.30,
    "polish": 0.26,
    "second": 0.25,  # more than one part
    "listeners": 0.22,  # no inline handlers
    "indent": 0.20,
    "foot": 0.20,
}
SHIFT = 0.07

_LABEL = re.compile(r"<label>([^<]*) (<(?:input|textarea)\b)([^>]*>(?:</textarea>)?)</label>")
_SELECT = re.compile(r"<label>[^<]* (<select.*?</select>)</label>")
_ARIA = re.compile(r' (?:aria-[a-z]+|role)="[^"]*"')
_LANDMARK = re.compile(r"(</?)(?:header|main|section|footer|aside|nav)\b")


def kept(care: float, *key: object) -> frozenset[str]:
    """The aspects that a page of this care keeps; `key` names the page."""
    rng = rng_of("care", *key)
    shifts = {name: rng.uniform(-SHIFT, SHIFT) for name in THRESHOLDS}
    return frozenset(name for name, level in THRESHOLDS.items() if care >= level + shifts[name])


def markup(line: str, aspects: frozenset[str]) -> str:
    """A line of the body as an author with these aspects writes it."""
    if "labels" not in aspects:
        line = _LABEL.sub(lambda m: f'{m[2]} placeholder="{m[1]}"{m[3]}', line)
        line = _SELECT.sub(r"\1", line)
    if "aria" not in aspects:
        line = _ARIA.sub("", line)
    if "landmarks" not in aspects:
        line = _LANDMARK.sub(r"\1div", line)
    return line


def script(lines: list[str], aspects: frozenset[str]) -> list[str]:
    """The lines of a script: `~` lines, comments, storage, declarations and indent as the aspects say."""
    out = []
    for line in lines:
        if line.startswith("~"):
            if "extra" not in aspects:
                continue
            line = line[1:]
        bare = line.strip()
        if bare.startswith("//") and "comments" not in aspects:
            continue
        if "storage" not in aspects:
            if bare.startswith("save(root"):
                continue
            line = without_load(line)
        if "const" not in aspects:
            line = re.sub(r"\b(?:const|let) ", "var ", line)
        out.append(line if "indent" in aspects else line.lstrip())
    return out


def without_load(line: str) -> str:
    """`load(root, X)` replaced by `X`."""
    start = line.find("load(root, ")
    if start < 0:
        return line
    depth, i = 0, start + 4
    comma = line.index(", ", start)
    while True:
        depth += {"(": 1, ")": -1}.get(line[i], 0)
        if depth == 0:
            return line[:start] + line[comma + 2 : i] + line[i + 1 :]
        i += 1
