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

_OPEN = re.compile(r"<!doctype\s+html[^>]*>|<html[\s>]", re.IGNORECASE)
_MARK = re.compile(
    r"(?P<doctype><!doctype\s+html[^>]*>)|(?P<open><html[\s>])|(?P<close></html\s*>)"
    r"|(?P<script><script[\s>])|(?P<end></script)",
    re.IGNORECASE,
)
_SVG_OPEN = re.compile(r"<svg[\s>]", re.IGNORECASE)
_SVG_CLOSE = re.compile(r"</svg\s*>", re.IGNORECASE)
_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
_TAG = re.compile(r"<[a-z][a-z0-9-]*[\s>/]", re.IGNORECASE)
_THINK = re.compile(r"<think>.*?</think>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Extraction:
    """`html`: the page, empty when there is none. `kind`: what was found."""

    html: str
    kind: Kind


def thoughts(answer: str) -> tuple[str, str]:
    """An answer without its <think> parts, and those parts. An unclosed <think> is all thought."""
    if "think>" not in answer and "think>" not in answer.lower():
        return answer, ""
    kept = "\n".join(_THINK.findall(answer))
    rest = _THINK.sub("", answer)
    low = rest.lower()
    if "</think>" in low:  # the opening tag stood in the prompt
        cut = low.rindex("</think>") + len("</think>")
        return rest[cut:].lstrip(), kept + rest[:cut]
    if "<think>" in low:
        cut = low.index("<think>")
        return rest[:cut].rstrip(), kept + rest[cut:]
    return rest.strip() if kept else rest, kept


def extract(answer: str) -> Extraction:
    """The last complete page of an answer; see the module for the order of preference."""
    text, _ = thoughts(answer)
    complete, begun = _documents(text)
    if complete:
        return Extraction(complete, "document")
    if begun is not None:
        return Extraction(_unfenced(text[begun:]), "truncated")
    svg_closes = list(_SVG_CLOSE.finditer(text))
    if svg_closes:
        end = svg_closes[-1].end()
        starts = [match.start() for match in _SVG_OPEN.finditer(text) if match.start() < end]
        if starts and not _TAG.search(text[: starts[0]].rsplit("```", 1)[-1]):
            return Extraction(wrap(_balanced_svg(text, starts, end)), "svg")
    fenced = [body for _, body in _FENCE.findall(text) if _TAG.search(body)]
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
    before = text[: page.start()] if page else ""
    return re.sub(r"```[ \t]*[\w+-]*[ \t]*\s*\Z", "", before).strip()


def _documents(text: str) -> tuple[str, int | None]:
    """The last complete document, and where one begins that was never closed.

    What a script holds as a string is no document; a second doctype on a line of its own begins the page anew.
    """
    complete, begun, doctype, script = "", None, False, False
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
                complete = text[begun : match.end()]
            begun, doctype = None, False
        elif begun is None:
            begun, doctype = start, kind == "doctype"
        elif kind == "doctype" and text[max(0, start - 1) : start] == "\n":
            begun, doctype = start, True
        elif kind == "open" and not doctype and text[max(0, start - 1) : start] == "\n":
            begun = start
    return complete, begun


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
