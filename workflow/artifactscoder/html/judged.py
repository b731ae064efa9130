"""What a judge reads of a page: its code without all that no visitor sees and that could speak to the judge.

In: a page's source and, where it was rendered, the text that the browser showed. Out: the code, rewritten. Gone are
comments (of HTML, CSS and JavaScript), every `meta` but charset and viewport, `noscript`, text that is not visible,
generated text of style sheets, long descriptions in attributes, whatever speaks to a judge (html/directed.py), and the
bulk of data URLs. Elements stay where their text goes, so the structure can be judged. What was shown decides; where
there is no rendering, or it showed more than is kept of it, attributes and inline styles do. Notes in brackets say
what was left out. About 4 ms for 50 KB; a result longer than the limit is cut in its middle.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import tree_sitter
from selectolax.lexbor import LexborNode

from artifactscoder.html import directed, dom, javascript
from artifactscoder.html.dom import Tree
from artifactscoder.html.validate import SCRIPT_TYPES

LIMIT = 60_000
RUN = 32  # texts that are looked for at once in what was shown
LONGEST_VALUE = 300  # characters of an attribute; path data and handlers are long
LONGEST_LABEL = 80  # of an attribute that only describes
BLOB = 400  # letters and digits in a row: nobody reads them
LONGEST_CONTENT = 20  # of a text that a style sheet generates: icons and quotation marks are shorter

_SPECIAL = ("script", "style", "option", "title", "textarea", "desc")
_KEPT_META = frozenset({"viewport", "color-scheme", "theme-color"})
_LABELS = frozenset(
    "alt title placeholder summary label content abbr aria-label aria-description aria-roledescription".split()
)
_SHORT = {"option": 60, "title": 120, "textarea": 200, "desc": 0}  # text that no box of its own shows
_HIDING = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|opacity\s*:\s*0*(?:\.0+)?\s*(?:;|!|$)"
    r"|font-size\s*:\s*0|(?:left|top|right|bottom|text-indent|margin-left)\s*:\s*-\d{3,}"
    r"|clip-path\s*:\s*(?:inset\(\s*(?:50|100)%|circle\(\s*0)|clip\s*:\s*rect\(|(?<![-\w])(?:width|height)\s*:\s*0"
    r"|transform\s*:[^;]{0,40}scale\(\s*0\s*\)|color\s*:\s*transparent",
    re.IGNORECASE,
)
_CONTENT = re.compile(
    r"(?<![-\w])(content|--[\w-]+)(\s*:\s*)" + f"(\"[^\"\n]{{{LONGEST_CONTENT},}}\"|'[^'\n]{{{LONGEST_CONTENT},}}')"
)
_DATA_URL = re.compile(r"data:[\w/+.-]{0,40}[;,][^\"'\s)>]{80,}", re.IGNORECASE)
_BLOB = re.compile(rf"[A-Za-z0-9+/=_-]{{{BLOB},}}")
_IN_BLOB = re.sub(rb"[^x]", b" ", re.sub(rb"[A-Za-z0-9+/=_-]", b"x", bytes(range(256))), flags=re.DOTALL)
_LONG = re.compile(f'="[^"]{{{LONGEST_LABEL + 1},}}"')
_LINES = re.compile(r"\n(?:[ \t]*\n)+")


@dataclass(frozen=True)
class Reading:
    """`text`: what the judge reads. `hidden`: characters of text left out because no visitor sees it."""

    text: str
    hidden: int


def reading(
    html: str | Tree | None, seen: str | None = None, whole: bool = True, suspect: bool = True, limit: int = LIMIT
) -> Reading:
    """The page for the judge; its nodes, where they are given, are rewritten.

    `seen`: the visible text of its rendering, which is all of it if `whole`.
    `suspect`: whether anything in the page speaks to a judge; if not, it is not searched piece by piece.
    """
    tree = dom.tree(html) if isinstance(html, str) else html
    if tree is None:
        return Reading("", 0)
    shown = None if seen is None else " ".join(seen.split())
    hidden = _rewrite_texts(tree, shown, whole, suspect)
    for node in tree.comments:
        node.decompose()
    for node in tree.named("template"):  # what it holds is not among the nodes
        hidden += len(node.html or "")
        node.replace_with("[template]")
    for node in tree.named("meta"):
        if not ("charset" in node.attributes or node.attributes.get("name") in _KEPT_META):
            node.decompose()
    text = tree.root.html or ""
    if suspect or _LONG.search(text):  # looking at every attribute takes half of the time
        for node, tag in zip(tree.elements, tree.tags, strict=True):
            if tag not in ("template", "meta"):
                _shorten(node, node.attributes, suspect)
        text = tree.root.html or ""
    text = _LINES.sub("\n", text)
    text = "<!DOCTYPE html>\n" + (_BLOB.sub(_shortened, text) if _has_blob(text) else text)
    if (cut := len(text) - limit) > 0:
        head = 2 * limit // 3
        text = f"{text[:head]}\n[{cut} characters of the page are left out here]\n{text[head + cut :]}"
    return Reading(text, hidden)


def _rewrite_texts(tree: Tree, shown: str | None, whole: bool, suspect: bool) -> int:
    """Text that was not shown and comments in code are taken out; how many characters of such text."""
    unseen = set() if shown is not None and whole else _hidden(tree.root)
    never = dom.below(tree.named("noscript"))
    special = dom.below(tree.named(*_SPECIAL))
    apart, plain = special | never, "" if suspect or shown is None else shown
    hidden = cursor = 0
    for start in range(0, len(tree.texts), RUN):
        run = slice(start, start + RUN)
        said, places = tree.said[run], tree.places[run]
        # Texts mostly come in the order in which they were shown.
        if plain and apart.isdisjoint(places) and plain.startswith(joined := " ".join(said), cursor):
            cursor += len(joined) + 1
            continue
        for node, place, text in zip(tree.texts[run], places, said, strict=True):
            parent = ""
            if place in special:
                parent = (node.parent.tag if node.parent is not None else "") or ""
                if parent in ("script", "style"):
                    if place not in never:
                        _rewrite_code(node, parent, suspect)
                    continue
            words = " ".join(text.split())
            if not words:
                continue
            if parent in _SHORT:
                visible = place not in unseen or parent == "option"
                if len(words) > _SHORT[parent]:
                    node.replace_with(words[: _SHORT[parent]] + "...")
            elif shown is None or place in never:
                visible = place not in unseen and place not in never
            else:
                at = cursor if shown.startswith(words, cursor) else shown.find(words)
                cursor = at + len(words) + 1 if at >= 0 else cursor
                visible = at >= 0 or (not whole and place not in unseen)
            if not visible:
                hidden += len(words)
                node.replace_with(f"[{len(words)} characters that are not visible]")
            elif suspect and len(words) > 12 and any(directed.spans(directed.fold(words))):
                node.replace_with("[text to a judge]")
    return hidden


def _has_blob(text: str) -> bool:
    """Whether `_BLOB` finds anything: the pattern tries every place, this only looks for a long row."""
    return b"x" * BLOB in text.encode("utf-8", "surrogatepass").translate(_IN_BLOB)


def _hidden(root: LexborNode) -> set[int]:
    """The nodes at or below elements that an attribute or an inline style hides."""
    found = dom.below(root.css("[hidden], [inert], [aria-hidden=true]"))
    for node in root.css("[style]"):
        if node.mem_id not in found and _HIDING.search(node.attributes.get("style") or ""):
            found.update(inner.mem_id for inner in node.traverse(include_text=True))
    return found


def _shorten(node: LexborNode, attributes: dict[str, str | None], suspect: bool) -> None:
    """Attribute values cut to what a reader needs."""
    for name, value in attributes.items():
        if not value or len(value) <= 12 or (name == "class" and len(value) < LONGEST_VALUE):
            continue
        label = name in _LABELS or name.startswith("data-")
        if suspect and label and any(directed.spans(directed.fold(value))):
            node.attrs[name] = ""
        elif value.startswith("data:") and len(value) > LONGEST_LABEL:
            node.attrs[name] = f"{value[:30]}...({len(value)} characters)"
        elif len(value) > (most := LONGEST_LABEL if label else LONGEST_VALUE):
            node.attrs[name] = value[:most] + "..."


def _rewrite_code(node: LexborNode, tag: str, suspect: bool) -> None:
    """A script or a style sheet without comments and what else is not for the judge."""
    text = node.text_content or ""
    kind = (node.parent.attributes.get("type") or "").strip().lower() if node.parent is not None else ""
    if tag == "style":
        bare = _CONTENT.sub(r'\1\2"..."', _without_css_comments(text))
    else:
        bare = _without_js_comments(text) if kind in SCRIPT_TYPES else text
    bare = _DATA_URL.sub(_shortened, bare)
    if suspect:
        bare = _without_directed(bare)
    if bare != text:
        node.replace_with(bare)


def _shortened(match: re.Match[str]) -> str:
    return f"{match[0][:30]}...({len(match[0])} characters)"


def _without_css_comments(style: str) -> str:
    parts, place = [], 0
    while (start := style.find("/*", place)) >= 0:
        parts.append(style[place:start])
        end = style.find("*/", start + 2)
        place = end + 2 if end >= 0 else len(style)
    return "".join([*parts, style[place:]]) if parts else style


@lru_cache(maxsize=1)
def _comments() -> tree_sitter.Query:
    return tree_sitter.Query(javascript.language(), "[(comment) (html_comment)] @it")


def _without_js_comments(script: str) -> str:
    """By a parser: what looks like a comment within a string or a regular expression stays."""
    if "//" not in script and "/*" not in script and "<!--" not in script and "-->" not in script:
        return script
    source = script.encode("utf-8", "replace")
    found = tree_sitter.QueryCursor(_comments()).captures(javascript.parsed(source)).get("it", [])
    parts, place = [], 0
    for start, end in sorted((node.start_byte, node.end_byte) for node in found):
        if start >= place:
            parts.append(source[place:start])
            place = end
    return b"".join([*parts, source[place:]]).decode("utf-8", "replace")


def _without_directed(code: str) -> str:
    """Passages that speak to a judge are taken out, each to the end of its string or line."""
    folded = code.lower()
    if len(folded) != len(code):
        return code
    parts, place = [], 0
    for start, end in sorted(directed.spans(folded)):
        if start >= place:
            parts += [code[place:start], "..."]
            place = min((stop for mark in "\"'`\n" if (stop := code.find(mark, end)) >= 0), default=len(code))
    return "".join([*parts, code[place:]])
