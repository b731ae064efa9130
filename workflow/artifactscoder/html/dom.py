"""What a page is made of, from its source: element sequence, roles, text, scripts and styles.

Parsed by lexbor (HTML5 error recovery, as a browser does it), about 1 ms for 20 KB.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

HIDDEN = frozenset({"script", "style", "template", "noscript", "head", "title", "meta", "link"})
_SPACE = re.compile(r"\s+")
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
    """Read a page. Text inside script, style, template and head does not count as text."""
    page = Page()
    root = LexborHTMLParser(html).root
    if root is None:
        return page
    texts: list[str] = []
    stack: list[tuple[LexborNode, bool]] = [(root, False)]
    while stack:
        node, hidden = stack.pop()
        tag = node.tag or ""
        if tag == "-text":
            if not hidden:
                texts.append(node.text_content or "")
            continue
        if tag.startswith(("-", "!")):
            if tag not in ("-document",):
                continue
        else:
            page.tags.append(tag)
            attributes = node.attributes
            page.attributes.update(attributes.keys())
            if role := _role(tag, attributes):
                page.roles[role] += 1
            if tag == "script":
                if source := attributes.get("src"):
                    page.external.append(source)
                else:
                    page.scripts.append(node.text(deep=True))
                continue
            if tag == "style":
                page.styles.append(node.text(deep=True))
                continue
            hidden = hidden or tag in HIDDEN or "hidden" in attributes
        children = []
        child = node.child
        while child is not None:
            children.append((child, hidden))
            child = child.next
        stack.extend(reversed(children))
    page.text = _SPACE.sub(" ", " ".join(texts)).strip()
    page.words = Counter(_WORD.findall(page.text.lower()))
    return page


def _role(tag: str, attributes: dict[str, str | None]) -> str | None:
    if explicit := attributes.get("role"):
        return explicit.split()[0] if explicit.split() else None
    if tag == "input":
        return INPUT_ROLES.get((attributes.get("type") or "text").lower(), "textbox")
    return ROLES.get(tag)
