"""The page out of a model's answer.

Models wrap pages in prose, fences and thoughts, and are cut off. The LAST complete document is taken (a model that
corrects itself writes the better page last), then the last complete <svg>, then a fenced fragment, which is put into
a minimal document. What was taken is said, so that a table can show it. Linear in the answer's length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["document", "svg", "fragment", "truncated", "none"]

_OPEN = re.compile(r"<!doctype\s+html[\s>]|<html[\s>]", re.IGNORECASE)
_MARK = re.compile(
    r"<(?:(?P<doctype>!doctype\s+html[\s>])|(?P<open>html[\s>])|(?P<close>/html\s*>)"
    r"|(?P<script>script[\s>])|(?P<end>/script))",
    re.IGNORECASE,
)
_SVG_OPEN = re.compile(r"<svg[\s>]", re.IGNORECASE)
_SVG_CLOSE = re.compile(r"</svg\s*>", re.IGNORECASE)
_TAG = re.compile(r"<[a-z][a-z0-9-]*[\s>/]", re.IGNORECASE)
_THINK = re.compile(r"<(/?)think>", re.IGNORECASE)


@dataclass(frozen=True)
class Extraction:
    """`html`: the page, empty when there is none. `kind`: what was found. `pages`: complete documents in the answer."""

    html: str
    kind: Kind
    pages: int = 0


def thoughts(answer: str) -> tuple[str, str]:
    """An answer without its <think> parts, and those parts. An unclosed <think> is all thought."""
    if "think>" not in answer.lower():  # five times as fast as the pattern
        return answer, ""
    said: list[str] = []
    kept: list[str] = []
    place, opened = 0, None
    for mark in _THINK.finditer(answer):
        if not mark[1] and opened is None:
            said.append(answer[place : mark.start()])
            opened = mark.start()
        elif mark[1] and opened is not None:
            kept.append(answer[opened : mark.end()])
            place, opened = mark.end(), None
        elif mark[1]:  # the opening tag stood in the prompt: all before is thought
            kept.append("".join([*said, answer[place : mark.end()]]))
            said, place = [], mark.end()
    if not said and not kept:
        return answer, ""
    if opened is not None:
        kept.append(answer[opened:])
    else:
        said.append(answer[place:])
    return "".join(said).strip(), "\n".join(kept)


def extract(answer: str) -> Extraction:
    """The last complete page of an answer; see the module for the order of preference."""
    text, _ = thoughts(answer)
    complete, begun, pages = _documents(text)
    if complete:
        return Extraction(complete, "document", pages)
    if begun is not None:
        return Extraction(_unfenced(text[begun:]), "truncated")
    svg_closes = list(_SVG_CLOSE.finditer(text))
    if svg_closes:
        end = svg_closes[-1].end()
        starts = [match.start() for match in _SVG_OPEN.finditer(text) if match.start() < end]
        if starts and not _TAG.search(text[: starts[0]].rsplit("```", 1)[-1]):
            return Extraction(wrap(_balanced_svg(text, starts, end)), "svg")
    fenced = [body for body in _fenced(text) if _TAG.search(body)]
    if fenced:
        return Extraction(wrap(fenced[-1].strip()), "fragment")
    bare = text.strip()
    if bare.startswith("<") and _TAG.match(bare):
        return Extraction(wrap(bare), "fragment")
    return Extraction("", "none")


def introduction(answer: str) -> str:
    """What an answer says before its page; empty when it begins with the page."""
    text, _ = thoughts(answer)
    page = _OPEN.search(text) or _SVG_OPEN.search(text)
    before = (text[: page.start()] if page else "").rstrip()
    head, line = before[: before.rfind("\n") + 1], before[before.rfind("\n") + 1 :]
    said, fence, word = line.rpartition("```")
    return (head + said).strip() if fence and re.fullmatch(r"\s*[\w+-]*", word) else before.strip()


def _fenced(text: str) -> list[str]:
    """What stands in each ``` fence; the last one may be open."""
    bodies: list[str] = []
    body: list[str] | None = None
    for line in text.splitlines(keepends=True):
        if line.lstrip(" \t").startswith("```"):
            if body is not None:
                bodies.append("".join(body))
            body = [] if body is None else None
        elif body is not None:
            body.append(line)
    return bodies if body is None else [*bodies, "".join(body)]


def _documents(text: str) -> tuple[str, int | None, int]:
    """The last complete document, where one begins that was never closed, and how many are complete.

    What a script holds as a string is no document; a second doctype on a line of its own begins the page anew.
    """
    complete, begun, doctype, script = (0, 0), None, False, False
    pages = 0
    for match in _MARK.finditer(text):
        kind, start = match.lastgroup, match.start()
        if kind == "script":
            script = begun is not None
        elif kind == "end":
            script = False
        elif script:
            continue
        elif kind == "close":
            if begun is not None:
                complete = begun, match.end()
                pages += 1
            begun, doctype = None, False
        elif begun is None:
            begun, doctype = start, kind == "doctype"
        elif kind == "doctype" and text[max(0, start - 1) : start] == "\n":
            begun, doctype = start, True
        elif kind == "open" and not doctype and text[max(0, start - 1) : start] == "\n":
            begun = start
    return text[slice(*complete)], begun, pages


def wrap(fragment: str) -> str:
    """A fragment as a document of its own."""
    return f'<!DOCTYPE html>\n<html>\n<head><meta charset="utf-8"></head>\n<body>\n{fragment}\n</body>\n</html>'


def _unfenced(text: str) -> str:
    return re.sub(r"\n```[ \t]*\Z", "", text.rstrip())


def _balanced_svg(text: str, starts: list[int], end: int) -> str:
    """From the last <svg> whose closing tag is the one at `end` (svg elements may nest)."""
    depth = 0
    events = sorted(
        [(start, 1) for start in starts] + [(m.start(), -1) for m in _SVG_CLOSE.finditer(text, 0, end)],
        reverse=True,
    )
    for position, change in events:
        depth += -change
        if depth == 0:
            return text[position:end]
    return text[starts[0] : end]
