"""What a page is made of, from its source: element sequence, roles, text, scripts and styles.

Parsed by lexbor (HTML5 error recovery, as a browser does it), about 1 ms for 20 KB.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from selectolax.lexbor import LexborHTMLParser, LexborNode

_UNSEEN = "head, title, script, style, template, noscript, [hidden]"
_WORD = re.compile(r"[^\W\d_]{2,}|\d+", re.UNICODE)

# Implicit ARIA roles (HTML-AAM) of the elements that carry structure or interaction.
ROLES = {
    "header": "banner", "nav": "navigation", "main": "main", "aside": "complementary", "footer": "contentinfo",
    "section": "region", "article": "article", "form": "form", "search": "search", "dialog": "dialog",
    "h1": "heading1", "h2": "heading2", "h3": "heading3", "h4": "heading4", "h5": "heading5", "h6": "heading6",
    "ul": "list", "ol": "list", "li": "listitem", "dl": "list", "table": "table", "tr": "row", "th": "columnheader",
    "td": "cell", "button": "button", "a": "link", "textarea": "textbox", "select": "combobox", "option": "option",
    "progress": "progressbar", "meter": "meter", "output": "status", "details": "group", "fieldset": "group",
    "img": "img", "svg": "img", "canvas": "img", "figure": "figure", "video": "video", "audio": "audio",
    "label": "label", "p": "paragraph", "blockquote": "blockquote", "pre": "code", "code": "code",
}  # fmt: skip
INPUT_ROLES = {
    "checkbox": "checkbox", "radio": "radio", "range": "slider", "number": "spinbutton", "search": "searchbox",
    "button": "button", "submit": "button", "reset": "button", "color": "colour", "date": "date", "file": "file",
}  # fmt: skip


VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())
# Elements whose end tag HTML lets one leave out.
OPTIONAL = frozenset(
    "html head body p li dt dd option optgroup tr td th thead tbody tfoot colgroup rt rp caption".split()
)
# Of those that close themselves in svg, most are written so: they have no depth of their own.
FLAT = VOID | OPTIONAL | frozenset("path circle rect line ellipse polygon polyline use stop".split())
DEEPEST = 256
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)")


def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


@dataclass
class Page:
    """A parsed page; sequences are in document order."""

    tags: list[str] = field(default_factory=list)
    roles: Counter[str] = field(default_factory=Counter)
    text: str = ""
    words: Counter[str] = field(default_factory=Counter)
    scripts: list[str] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)
    attributes: Counter[str] = field(default_factory=Counter)
    external: list[str] = field(default_factory=list)


def parse(html: str) -> Page:
    """Read a page. Text inside script, style, template and head, and that of `hidden` elements, does not count."""
    root = tree(html)
    return Page() if root is None else read(root)


def tree(html: str) -> LexborNode | None:
    """The document's nodes."""
    return LexborHTMLParser(html).root


def read(root: LexborNode, attributes: bool = True) -> Page:
    """The same from the nodes. `attributes`: whether their names are counted, which takes half of the time."""
    page = Page()
    skipped = below(root, _UNSEEN)
    telling = {node.mem_id for node in root.css("[role], input, script")}
    tags, texts = page.tags, list[str]()
    roles, names = list[str](), list[str]()
    for node in root.traverse(include_text=True):
        tag = node.tag or ""
        if tag == "-text":
            if node.mem_id not in skipped:
                texts.append(node.text_content or "")
            continue
        if tag[:1] in ("-", "!"):
            continue
        tags.append(tag)
        given = node.attributes if attributes or node.mem_id in telling else {}
        names += given
        if role := _role(tag, given):
            roles.append(role)
        if tag == "script":
            if source := given.get("src"):
                page.external.append(source)
            else:
                page.scripts.append(node.text(deep=True))
        elif tag == "style":
            page.styles.append(node.text(deep=True))
    page.roles, page.attributes = Counter(roles), Counter(names)
    page.text = " ".join(" ".join(texts).split())
    page.words = words_of(page.text)
    return page


def too_deep(html: str, limit: int = DEEPEST) -> bool:
    """Whether elements nest deeper than that: parsing takes the product of length and depth, in browsers too.

    Elements whose end tag may be left out do not count, nor do those without one.
    """
    marks = np.frombuffer(html.encode("utf-8", "replace"), dtype=np.uint8)
    after = marks[1:][marks[:-1] == ord("<")]
    steps = np.where(after == ord("/"), -1, (after | 32 >= ord("a")) & (after | 32 <= ord("z")))
    if not len(steps) or steps.cumsum().max() - min(0, steps.cumsum().min()) <= limit:
        return False
    depth = 0
    for close, name in _TAG.findall(html):
        if name.lower() not in FLAT:
            depth = max(0, depth - 1) if close else depth + 1
            if depth > limit:
                return True
    return False


def below(root: LexborNode, selector: str) -> set[int]:
    """The `mem_id` of every node at or below those that a selector finds, each looked at once."""
    found: set[int] = set()
    for node in root.css(selector):
        if node.mem_id not in found:
            found.update(inner.mem_id for inner in node.traverse(include_text=True))
    return found


def words_of(text: str) -> Counter[str]:
    """How often each word stands in a text, in lower case."""
    return Counter(_WORD.findall(text.lower()))


def _role(tag: str, attributes: dict[str, str | None]) -> str | None:
    if explicit := attributes.get("role"):
        return explicit.split()[0] if explicit.split() else None
    if tag == "input":
        return INPUT_ROLES.get((attributes.get("type") or "text").lower(), "textbox")
    return ROLES.get(tag)


def role_of(kind: str) -> str | None:
    """The role of a visible element as a verdict names it: `h1`, `input:range`, `role=tab`."""
    tag, _, type_ = kind.partition(":")
    if kind.startswith("role="):
        return kind[5:]
    return _role(tag, {"type": type_})
