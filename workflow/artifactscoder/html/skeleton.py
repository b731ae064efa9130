"""What a page is built of, without what it says: two pages that differ in words, numbers, colours or the length of
their lists only have the same skeleton.

The skeleton is the tree of the body's elements with their names and, of inputs, their types. Texts, scripts, styles,
other attributes and comments are left out, and of siblings in a row that are built alike only the first stays, so
that three cards and five are the same list. About 1 ms for 20 KB.
"""

from __future__ import annotations

from collections.abc import Iterator

import xxhash
from selectolax.lexbor import LexborHTMLParser, LexborNode

from artifactscoder.html.dom import too_deep

LEAST = 12  # elements of a skeleton; fewer say too little
_LEFT_OUT = frozenset(("script", "style", "noscript", "template"))


def skeleton(html: str) -> str:
    """The skeleton as a text like `main(h1,ul(li(a)))`; empty for fewer than LEAST elements, or absurdly deep ones."""
    body = None if too_deep(html) else LexborHTMLParser(html).body
    if body is None:
        return ""
    built: list[tuple[str, list[str]]] = [("", [])]  # from the body down: (name, its children so far)
    for depth, name in _elements(body):
        _close(built, depth)
        built.append((name, []))
    _close(built, 1)
    out = ",".join(built[0][1])
    return out if out.count("(") + out.count(",") + 1 >= LEAST else ""


def digest(html: str) -> bytes:
    """16 bytes that are equal for pages of one skeleton; zeros where there is none to compare."""
    found = skeleton(html)
    return xxhash.xxh3_128_digest(found.encode()) if found else bytes(16)


def _close(built: list[tuple[str, list[str]]], depth: int) -> None:
    """Hand all elements that stand at `depth` or deeper to their parents."""
    while len(built) > depth:
        name, parts = built.pop()
        text = f"{name}({','.join(parts)})" if parts else name
        if built[-1][1][-1:] != [text]:
            built[-1][1].append(text)


def _elements(body: LexborNode) -> Iterator[tuple[int, str]]:
    """(depth from 1, name) of the elements below the body, in document order."""
    above: list[LexborNode] = []
    node = body.child
    while node is not None or above:
        if node is None:
            node = above.pop().next
            continue
        name = node.tag or "-"
        if name[0] not in "-!_" and name not in _LEFT_OUT:
            kind = (node.attributes.get("type") or "text").strip().lower() if name == "input" else ""
            yield len(above) + 1, f"{name}:{kind}" if kind else name
            if node.child is not None:
                above.append(node)
                node = node.child
                continue
        node = node.next
