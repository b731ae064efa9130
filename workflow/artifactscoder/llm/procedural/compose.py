"""A complete page for a request, composed by rule.

In: the text of a request, a seed, a degree of care. Out: one HTML file. The words of the request choose the parts,
the look and the texts; a generator seeded by (request, seed) decides the rest, so the same arguments give the same
bytes. Every part, palette, layout and helper is a block of verbatim lines, which lets a very small model learn to
write such pages. Costs about a millisecond.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TypeVar

from . import care as craft
from . import phrasebook as book
from .helpers import (
    DATA_COMMENT,
    DIALECTS,
    FAMILIES,
    FOOTERS,
    HELPERS,
    INTROS,
    NAV,
    NOTES,
    STORAGE_COMMENT,
    SUMMARIES,
    TIPS,
    VALUES,
)
from .style import FONTS, LAYOUTS, PALETTES, RESET, RESPONSIVE, RISE, SYSTEMS, Layout, Palette
from .widgets import WIDGETS, WISH_SLUGS, Widget
from .words import Topic, phrases, rng_of, sentence_case, topic

Asked = TypeVar("Asked", Palette, Layout)
VIEWPORT = '<meta name="viewport" content="width=device-width, initial-scale=1">'
MAX_BYTES, MAX_LINES = 4608, 110

# A wish, and how requests word it. The first seven are parts of their own.
WISHES = {
    "theme": r"colou?r (scheme|world)|second (matching )?theme|theme switch|dark mode|light (and|or) dark|colour roles",
    "live": r"real.?time|live (data|source|feed|values)|every second|by themselves",
    "points": r"gamif|badges|quests|rewards|achievement|game elements",
    "language": r"internationali|languages|translat|right.to.left|multilingual|local dates",
    "reader": r"accessib|screen.reader|wcag|large(r)? type|strong contrast|high contrast",
    "keys": r"keyboard (command|shortcut)|gesture|shortcuts|main way of operating|drag and drop",
    "export": r"experienced|power user|advanced|undo history|saved views|bulk action|import and export",
    "chart": r"\bcharts?\b|visuali[sz]|diagrams?\b|read from graphics",
    "animation": r"animat|\bmotion\b|transitions|keyframe",
    "responsive": r"responsive|mobile|\bphones?\b|small screen|tablet",
    "minimal": r"minimal|restrained|few controls|uncluttered|essential purpose",
    "layout": r"split screen|sidebar|mosaic|bento|magazine|wide column|spatial|dominates",
}
# Phrases of the texts that tasks are worded with: they say how, not what about.
BOILERPLATE = frozenset(
    phrase
    for text in (
        *book.PURPOSES,
        *book.LIMITS,
        *book.WISHES,
        *book.AUDIENCES,
        *book.LOOKS,
        *book.SCREENS,
        *book.ACCESS,
    )
    + tuple(text for texts in book.KINDS.values() for text in texts)
    + tuple(text for part in WIDGETS.values() for text in part.asks)
    for phrase in phrases(re.sub(r"\{\w+\}", ",", text))
)
CHARTS = ("bars", "lines", "donut", "stats")
COMPANIONS = (
    "accordion",
    "tabs",
    "rating",
    "form",
    "search",
    "timeline",
    "votes",
    "carousel",
    "table",
    "todo",
)


@dataclass(frozen=True)
class Look:
    """The choices of a page that are not its parts."""

    palette: Palette
    layout: Layout
    system: str
    dialect: int
    font: str
    family: int


def compose(request: str, seed: int, care: float = 1.0, *, parts: Sequence[str] = ()) -> str:
    """The page for `request`; `care` in 0..1 is its craftsmanship; `parts` names widgets instead of choosing them."""
    rng = rng_of("compose", request, seed)
    subject = topic(request, rng, BOILERPLATE)
    wishes = _wishes(request)
    aspects = craft.kept(care, request, seed)
    look = _look(subject, wishes, _emphasis(request), rng)
    texts = rng.getrandbits(32)

    def page(chosen: Sequence[str]) -> str:
        widgets = [WIDGETS[slug] for slug in chosen]
        for roomy in (True, False):
            html = _page(subject, widgets, look, wishes, aspects, random.Random(texts), roomy)
            if _fits(html):
                break
        return html

    if parts:
        return page(parts)
    firsts, asked, others = _parts(subject, wishes, rng)
    alone = "second" not in aspects or "minimal" in wishes
    most = 1 if alone else rng.choices((1, 2, 3), (0.08, 0.72, 0.2))[0]
    most = max(most, 2) if asked and not alone else most
    kept = ""
    for first in firsts:
        chosen = [first]
        best = page(chosen)
        for slug in dict.fromkeys((*asked, *others)):
            if len(chosen) == most:
                break
            longer = page([*chosen, slug])
            if slug != first and _fits(longer):
                chosen.append(slug)
                best = longer
        if alone or not asked or set(asked) & set(chosen):
            return best
        kept = kept or best  # what the request wishes has no room beside this part; the next may be smaller
    return kept


def _fits(html: str) -> bool:
    return len(html.encode()) <= MAX_BYTES and html.count("\n") <= MAX_LINES


def _wishes(request: str) -> frozenset[str]:
    text = request.lower()
    return frozenset(name for name, pattern in WISHES.items() if re.search(pattern, text))


def _emphasis(request: str) -> str:
    """The wish that the request ends with, which is its emphasis; empty if it has none."""
    text = request.lower()
    ends = {name: max((m.start() for m in re.finditer(pattern, text)), default=-1) for name, pattern in WISHES.items()}
    last = max(ends, key=lambda name: ends[name])
    return last if ends[last] >= 0 else ""


def affinity(words: Sequence[str], lead: int = 8) -> dict[str, float]:
    """How much the words of a request call for each widget; the first `lead` words count threefold.

    A word that many widgets claim counts less; each keyword counts at most twice.
    """
    claims: dict[str, int] = {}
    for part in WIDGETS.values():
        for word in part.words:
            claims[word] = claims.get(word, 0) + 1
    weighted: dict[str, float] = {}
    for i, word in enumerate(words):
        weighted[word] = weighted.get(word, 0.0) + (3.0 if i < lead else 1.0 if i < 70 else 0.3)
    scores = {}
    for part in WIDGETS.values():
        score = 0.0
        for key in part.words:
            hits = sum(weight for word, weight in weighted.items() if _meets(word, key))
            score += min(hits, 4.0) / sqrt(claims[key])
        scores[part.slug] = score
    return scores


def _meets(word: str, key: str) -> bool:
    return word == key or (len(key) > 3 and word.startswith(key) and len(word) - len(key) < 4)


def _parts(subject: Topic, wishes: frozenset[str], rng: random.Random) -> tuple[list[str], list[str], list[str]]:
    """Widgets for a request: candidates for the first part, parts that its wishes ask for, parts that go with them."""
    scores = {slug: score + 1.5 * rng.random() for slug, score in affinity(subject.words).items()}
    plain = sorted((slug for slug in scores if slug not in WISH_SLUGS), key=lambda slug: -scores[slug])
    asked = [slug for slug in WISH_SLUGS if slug in wishes]
    rng.shuffle(asked)
    if "chart" in wishes:
        asked.insert(0, max(CHARTS, key=lambda slug: scores[slug]))
    near, far = plain[1:5], list(COMPANIONS)
    rng.shuffle(near)
    rng.shuffle(far)
    return plain[:5], asked, near + far


def _look(subject: Topic, wishes: frozenset[str], emphasis: str, rng: random.Random) -> Look:
    """The choices of look. Requests that differ in their emphasis alone (the variants of one task) never share both
    the system and the way the script is written, so that their pages do not come out as near-duplicates.
    """
    palette = _asked_for(PALETTES, subject.words, rng)
    layouts = (
        [one for one in LAYOUTS if one.slug in ("single", "column", "poster", "split", "phone")]
        if "minimal" in wishes
        else LAYOUTS
    )
    layout = _asked_for(layouts, subject.words, rng)
    manners = [(system, dialect) for system in SYSTEMS for dialect in range(len(DIALECTS))]
    manner = rng.choice(manners)
    if emphasis in WISHES:
        rng_of("manners", subject.opening).shuffle(manners)
        manner = manners[list(WISHES).index(emphasis)]
    return Look(palette, layout, *manner, rng.choice(FONTS), rng.randrange(len(FAMILIES)))


def _asked_for(options: Sequence[Asked], words: Sequence[str], rng: random.Random) -> Asked:
    """An option whose words stand in the request, else any."""
    there = set(words)
    hits = [(len(there & set(one.words.split())), one) for one in options]
    most = max(count for count, _ in hits)
    return rng.choice([one for count, one in hits if count == most])


def _page(
    subject: Topic,
    parts: list[Widget],
    look: Look,
    wishes: frozenset[str],
    aspects: frozenset[str],
    rng: random.Random,
    roomy: bool,
) -> str:
    body = _body(subject, parts, look, wishes, aspects, rng, roomy)
    script = _script(subject, parts, look, aspects, rng)
    style = _style(parts, look, wishes, aspects, "\n".join(body + script))
    head = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">' + (VIEWPORT if "hover" in aspects else ""),
        f"<title>{subject.title}</title>",
    ]
    if "header" in aspects:
        head.append("<!-- One file, nothing is loaded: styles, parts, script. -->")
    opening = "<body>" if "listeners" in aspects else '<body onload="begin()">'
    lines = [
        *head,
        "<style>",
        *style,
        "</style>",
        "</head>",
        opening,
        *body,
        "<script>",
        *script,
        "</script>",
    ]
    return "\n".join([*lines, "</body>", "</html>"]) + "\n"


def _style(parts: list[Widget], look: Look, wishes: frozenset[str], aspects: frozenset[str], page: str) -> list[str]:
    lines = [look.palette.line, look.font]
    for aspect, needle, line in (*RESET, *SYSTEMS[look.system]):
        if (not aspect or aspect in aspects) and re.search(needle, page):
            lines.append(line)
    lines += look.layout.css
    seen: set[str] = set()
    for part in parts:
        lines += [line for line in part.css if line not in seen]
        seen.update(part.css)
    if "animation" in wishes:
        lines += RISE
    if "narrow" in aspects:
        lines.append(look.layout.narrow)
        if "responsive" in wishes:
            lines += RESPONSIVE
    return lines


def _filled(text: str, subject: Topic) -> str:
    things = [thing.lower() for thing in subject.things]
    holes = {"short": subject.short, "first": things[0], "second": things[1], "third": things[2]}
    text = text.replace("@First@", subject.things[0])
    for name, value in holes.items():
        text = text.replace(f"@{name}@", value)
    return sentence_case(text)


def _body(
    subject: Topic,
    parts: list[Widget],
    look: Look,
    wishes: frozenset[str],
    aspects: frozenset[str],
    rng: random.Random,
    roomy: bool,
) -> list[str]:
    intro = _filled(rng.choice(INTROS), subject)
    tip = rng.choice(TIPS)
    summary = _filled(rng.choice(SUMMARIES), subject)
    footer = rng.choice(FOOTERS)
    lines = ['<a class="skip" href="#main">Skip to content</a>'] if "skip" in aspects else []
    lines += ['<header class="top">', f"<h1>{subject.title}</h1>", f"<p>{intro}</p>"]
    if look.layout.extra == "nav" and len(parts) > 1 and "landmarks" in aspects:
        lines.append('<nav aria-label="Parts"></nav>')
    lines += ["</header>", '<main class="main" id="main">']
    for part in parts:
        plain, special = part.headings
        doubled = set(special.lower().split()) & set(subject.short.split())
        heading = plain if doubled or rng.random() < 0.6 else _filled(special, subject)
        if "comments" in aspects:
            lines.append(f"<!-- {part.label} -->")
        lines += [f'<section class="card" id="{part.slug}">', f"<h2>{heading}</h2>"]
        lines += [line.lstrip("~") for line in part.html if "extra" in aspects or line[0] != "~"]
        lines.append("</section>")
    aside = ['<aside class="card">', "<h2>Good to know</h2>", tip, "</aside>"]
    if len(parts) == 1:
        aside.insert(2, f"<p>{summary}</p>")
    extra = look.layout.extra if roomy and "foot" in aspects else "none"
    if len(parts) == 1 and extra in ("", "nav") and "minimal" not in wishes:
        extra = "aside"
    if extra == "aside":
        lines += aside
    lines.append("</main>")
    if extra == "tile":
        lines += aside
    if "foot" in aspects:
        lines.append(footer)
    return [craft.markup(line, aspects) for line in lines]


def _script(subject: Topic, parts: list[Widget], look: Look, aspects: frozenset[str], rng: random.Random) -> list[str]:
    data = {
        "TOPICS": "const TOPICS = [" + ", ".join(f"'{thing}'" for thing in subject.things[:4]) + "];",
        "VALUES": rng.choice(VALUES),
        "NOTES": rng.choice(NOTES),
    }
    own: list[str] = []
    for part in parts:
        own += part.js
    if look.layout.extra == "nav" and len(parts) > 1 and "landmarks" in aspects:
        own += NAV
    own = craft.script(own, aspects)
    needed = _called("\n".join(own), DIALECTS[look.dialect] | HELPERS | FAMILIES[look.family])
    lines = ["'use strict';", DATA_COMMENT] if "strict" in aspects else []
    lines += [line for name, line in data.items() if re.search(rf"\b{name}\b", "\n".join(own + needed))]
    lines += needed
    lines = [*craft.script(lines, aspects), *own]
    if "listeners" not in aspects:
        lines = ["function begin() {", *lines, "}"]
    return lines


def _called(script: str, blocks: dict[str, tuple[str, ...]]) -> list[str]:
    """The helpers that a script calls, and those that they call themselves, out of `blocks`."""
    names = {"start"}
    text = script
    while True:
        more = {name for name in blocks if re.search(rf"\b{name}\(", text)} - names
        if not more:
            break
        names |= more
        text = "\n".join("\n".join(blocks[name]) for name in more)
    lines: list[str] = []
    for name, block in blocks.items():
        if name in names:
            if name == "load":
                lines.append(STORAGE_COMMENT)
            lines += block
    return lines
