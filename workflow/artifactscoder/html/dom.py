"""What a page is made of, from its source: element sequence, roles, text, scripts and styles.

Parsed by lexbor (HTML5 error recovery, as a browser does it), about 1 ms for 20 KB.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
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
    """A parsed page; sequences are in document order. `said`: the texts that count."""

    tags: list[str] = field(default_factory=list)
    roles: Counter[str] = field(default_factory=Counter)
    said: list[str] = field(default_factory=list)
    words: Counter[str] = field(default_factory=Counter)
    scripts: list[str] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)
    attributes: Counter[str] = field(default_factory=Counter)
    external: list[str] = field(default_factory=list)

    @cached_property
    def text(self) -> str:
        """What the page says, white space folded."""
        return " ".join(" ".join(self.said).split())


@dataclass(frozen=True)
class Tree:
    """The nodes of a page, each list in document order.

    `html`: the source. `elements`: with the name of each in `tags`. `texts`: those that are more than white space, with
    what each says in `said` and its `mem_id` in `places`. `comments`: of HTML. `kinds`: the names that elements have.
    """

    html: str
    root: LexborNode
    elements: list[LexborNode]
    tags: list[str]
    texts: list[LexborNode]
    said: list[str]
    places: list[int]
    comments: list[LexborNode]
    kinds: frozenset[str]

    def named(self, *names: str) -> list[LexborNode]:
        """The elements of these names, in document order; a selector takes twice the time."""
        wanted = self.kinds.intersection(names)
        return [node for node, tag in zip(self.elements, self.tags, strict=True) if tag in wanted] if wanted else []


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
    kinds = set(names)
    other = {name for name in kinds if name[:1] in ("-", "!")}
    elements = [node for node, name in zip(nodes, names, strict=True) if name not in other]
    texts = [node for node, name in zip(nodes, names, strict=True) if name == "-text"]
    comments = []
    if "-comment" in kinds:
        comments = [node for node, name in zip(nodes, names, strict=True) if name == "-comment"]
    tags = [name for name in names if name not in other]
    said, places = [node.text_content or "" for node in texts], [node.mem_id for node in texts]
    return Tree(html, root, elements, tags, texts, said, places, comments, frozenset(kinds - other))


def read(tree: Tree, attributes: bool = True) -> Page:
    """The same from the nodes. `attributes`: whether their names are counted, which takes a quarter of the time."""
    page = Page()
    lower = tree.html.lower()
    named = [f"[{name}]" for name in ("hidden", "role") if name in lower]  # a selector looks at every node
    marked = [(node, node.attributes) for node in tree.root.css(", ".join(named))] if named else []
    unseen = tree.named(*_UNSEEN)
    skipped = below([*unseen, *(node for node, given in marked if "hidden" in given)])
    page.said = [text for place, text in zip(tree.places, tree.said, strict=True) if place not in skipped]
    page.words = words_of(" ".join(page.said))
    page.tags = tree.tags
    if attributes:
        page.attributes = Counter(chain.from_iterable([node.attributes for node in tree.elements]))
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
    found = Counter(text.lower().split())  # most pieces stand often, and most are one word
    for piece in [piece for piece in found if not (piece.isalpha() and len(piece) > 1 or piece.isdecimal())]:
        count = found.pop(piece)
        for word in _WORD.findall(piece):
            found[word] += count
    return found


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
