"""What a page is made of, from its source: element sequence, roles, text, scripts and styles.

Parsed by lexbor (HTML5 error recovery, as a browser does it), about 1 ms for 20 KB.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from selectolax.lexbor import LexborHTMLParser, LexborNode

_UNSEEN = ("head", "title", "script", "style", "template", "noscript")
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


@dataclass(frozen=True)
class Tree:
    """The nodes of a page in document order, comments among them and texts that are more than white space.

    `html`: the source. `names`: of each node (`-text`, `div`). `texts`: what each text node says, empty for others.
    `kinds`: the names that there are.
    """

    html: str
    root: LexborNode
    nodes: list[LexborNode]
    names: list[str]
    texts: list[str]
    kinds: frozenset[str]

    def named(self, *names: str) -> list[LexborNode]:
        """The elements of these names, in document order; a selector takes twice the time."""
        wanted = self.kinds.intersection(names)
        return [node for node, name in zip(self.nodes, self.names, strict=True) if name in wanted] if wanted else []


def parse(html: str) -> Page:
    """Read a page. Text inside script, style, template and head, and that of `hidden` elements, does not count."""
    found = tree(html)
    return Page() if found is None else read(found)


def tree(html: str) -> Tree | None:
    """The document's nodes, each fetched once for all that look at them; None for an empty document."""
    root = LexborHTMLParser(html).root
    if root is None:
        return None
    nodes = list(root.traverse(include_text=True, skip_empty=True))
    names = [node.tag or "" for node in nodes]
    texts = [node.text_content or "" if name == "-text" else "" for node, name in zip(nodes, names, strict=True)]
    return Tree(html, root, nodes, names, texts, frozenset(names))


def read(tree: Tree, attributes: bool = True) -> Page:
    """The same from the nodes. `attributes`: whether their names are counted, which takes a quarter of the time."""
    page = Page()
    lower = tree.html.lower()
    named = [f"[{name}]" for name in ("hidden", "role") if name in lower]  # a selector looks at every node
    marked = [(node, node.attributes) for node in tree.root.css(", ".join(named))] if named else []
    unseen = tree.named(*_UNSEEN)
    skipped = below([*unseen, *(node for node, given in marked if "hidden" in given)])
    said = [text for node, text in zip(tree.nodes, tree.texts, strict=True) if text and node.mem_id not in skipped]
    page.text = " ".join(" ".join(said).split())
    page.words = words_of(page.text)
    other = {name for name in tree.kinds if name[:1] in ("-", "!")}
    page.tags = [name for name in tree.names if name not in other]
    if attributes:
        elements = (n for n, name in zip(tree.nodes, tree.names, strict=True) if name not in other)
        page.attributes = Counter(chain.from_iterable([node.attributes for node in elements]))
    # Most elements have the role of their name; the few that may have another are looked at.
    told = {node.mem_id: (node.tag or "", given) for node, given in marked if "role" in given}
    told |= {node.mem_id: ("input", node.attributes) for node in tree.named("input")}
    plain = Counter(page.tags)
    plain.subtract(name for name, _ in told.values())
    for name, count in plain.items():
        if count and (role := ROLES.get(name)):
            page.roles[role] += count
    page.roles.update(role for name, given in told.values() if (role := _role(name, given)))
    for node in unseen:
        if node.tag == "style":
            page.styles.append(node.text(deep=True))
        elif node.tag == "script" and (source := node.attributes.get("src")):
            page.external.append(source)
        elif node.tag == "script":
            page.scripts.append(node.text(deep=True))
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


def below(nodes: Iterable[LexborNode]) -> set[int]:
    """The `mem_id` of every node at or below these, each looked at once."""
    found: set[int] = set()
    for node in nodes:
        if node.mem_id not in found:
            found.update(inner.mem_id for inner in node.traverse(include_text=True))
    return found


def words_of(text: str) -> Counter[str]:
    """How often each word stands in a text, in lower case."""
    pieces = Counter(text.lower().split())  # most pieces stand often, and most are one word
    found = {piece: count for piece, count in pieces.items() if piece.isdecimal() or piece.isalpha() and len(piece) > 1}
    for piece in [piece for piece in pieces if piece not in found] if len(found) < len(pieces) else ():
        for word in _WORD.findall(piece):
            found[word] = found.get(word, 0) + pieces[piece]
    return Counter(found)


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
