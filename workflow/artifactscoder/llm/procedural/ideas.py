"""Task texts as a teacher would write them: tasks, variants, topics, templates, page ideas and briefs.

In: the words of the seeds. Out: plain texts, distinct and deterministic in (arguments, seed), built from the clauses
of a brief, the widgets that its words call for and the phrasebook. Costs under a millisecond a text.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence

from . import phrasebook as book
from .compose import BOILERPLATE, affinity
from .widgets import WIDGETS, WISH_SLUGS
from .words import phrases, rng_of, sentence_case, title_case, title_of


def _count(text: str) -> int:
    return len(text.split())


def _a(text: str) -> str:
    """`text` in lower case with its article, unless it is a plural or a mass word."""
    text = text[:1].lower() + text[1:]
    if re.search(r"(?<!s)s$|ing$|and ", text.split(" with ")[0].split(" for ")[0]):
        return text
    return ("an " if text[0] in "aeio" else "a ") + text


def _joined(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def _asks(text: str, rng: random.Random, count: int) -> list[str]:
    """Demands for the widgets that a text calls for, likeliest first."""
    words = re.findall(r"[a-z-]+", text.lower())
    scores = {slug: score + 1.5 * rng.random() for slug, score in affinity(words).items()}
    slugs = [slug for slug in scores if slug not in WISH_SLUGS]
    return [rng.choice(WIDGETS[slug].asks) for slug in sorted(slugs, key=lambda slug: -scores[slug])[:count]]


def tasks(
    category_name: str, name: str, brief: str, n: int, seed: int, taken: Iterable[str] = ()
) -> list[dict[str, str]]:
    """`n` tasks of a subcategory, each {"title": 3 to 8 words, "description": 30 to 70 words}; no title is `taken`."""
    rng = rng_of("tasks", category_name, name, brief, seed)
    things = [title_case(phrase) for phrase in phrases(brief)][:8] or [title_case(category_name)]
    titles = _titles(name, things, rng, {title.lower() for title in taken})
    found = []
    for title in titles:
        who = rng.choice(book.AUDIENCES)
        found.append({"title": title, "description": _description(name, title, who, brief, rng)})
        if len(found) == n:
            return found
    raise ValueError(f"{n} tasks are more than there are titles for '{name}' ({len(found)})")


def _titles(name: str, things: list[str], rng: random.Random, seen: set[str]) -> Iterable[str]:
    """Distinct titles of three to eight words that are not in `seen`, without end in practice (several hundred)."""
    for _ in range(4000):
        thing, other = rng.choice(things), rng.choice(things)
        who = re.sub(r"^an? ", "", rng.choice(book.AUDIENCES))
        title = rng.choice(book.TITLES).format(name=title_case(name), thing=thing, other=other, who=title_case(who))
        if (
            3 <= _count(title) <= 8
            and title.lower() not in seen
            and thing != other
            or len(things) == 1
            and 3 <= _count(title) <= 8
            and title.lower() not in seen
        ):
            seen.add(title.lower())
            yield title


def _description(name: str, title: str, who: str, brief: str, rng: random.Random) -> str:
    purpose = rng.choice(book.PURPOSES).format(who=who, name=_a(name))
    things = phrases(brief)[:6]
    content = brief.strip()
    if len(things) > 3 and rng.random() < 0.4:
        content = rng.choice(book.CONTENTS).format(things=_joined(rng.sample(things, 3)))
    asks = rng.choice(book.PARTS).format(asks=_joined(_asks(f"{title} {name} {brief}", rng, 2)))
    text = " ".join(sentence_case(part) for part in (purpose, content, asks))
    for limit in rng.sample(book.LIMITS, 3):
        if _count(text) >= 45:
            break
        text += " " + limit
    return _within(text, 70)


def _within(text: str, most: int) -> str:
    """Whole sentences of a text, at most `most` words; a single longer sentence is cut at a word."""
    out = ""
    for sentence in re.findall(r"[^.!?]+[.!?]+(?=\s|$)|[^.!?]+$", text):
        if _count(out) + _count(sentence) > most:
            break
        out += sentence
    return out.strip() or " ".join(text.split()[:most]).rstrip(",;") + "."


def variants(title: str, description: str, kinds: list[dict], seed: int) -> dict[str, str]:
    """For each kind (a row with `slug`, `name`, `instruction`) a request of 30 to 80 words that stands alone."""
    found = {}
    for kind in kinds:
        rng = rng_of("variant", title, description, kind["slug"], seed)
        things = [thing for thing in phrases(f"{title}. {description}") if thing not in BOILERPLATE]
        things = things or [title.lower()]
        a, b = rng.choice(things[:4]), rng.choice(things[-3:])
        if kind["slug"] in book.KINDS:
            turn = rng.choice(book.KINDS[kind["slug"]]).format(a=a, b=b)
        else:
            wish = kind.get("instruction") or kind.get("brief") or kind.get("name", kind["slug"])
            wish = re.sub(r"^Rewrite the task (?:so that|for|to|down to|around)?\s*", "", str(wish))
            turn = _within(f"{sentence_case(wish.rstrip('.'))}, with {a} in view.", 40)
        core = _within(description, max(20, 76 - _count(title) - _count(turn)))
        text = f"{title}: {core} {turn}"
        if _count(text) < 42:
            text += " " + rng.choice(book.LIMITS)
        found[kind["slug"]] = text
    return found


def children(path: list[str], n: int, seed: int) -> list[str]:
    """`n` distinct topic names one level below the last of `path`, unlike every name on it, two to six words each."""
    rng = rng_of("children", *path, seed)
    words = [word for word in re.findall(r"[^\W_]+(?:-[^\W_]+)*", path[-1].lower()) if word not in _LINKS]
    facets = [word for facet in book.FACETS for word in facet.split()]
    cores = [word for word in words if word not in facets] or words or ["topic"]
    taken = {name.lower() for name in path}
    names: list[str] = []
    for form in book.FACET_FORMS:
        for facet in rng.sample(book.FACETS, len(book.FACETS)):
            core = " ".join(cores[-2:]) if rng.random() < 0.4 else rng.choice(cores)
            name = sentence_case(form.format(core=core, facet=facet))
            if name.lower() not in taken and facet not in words:
                taken.add(name.lower())
                names.append(name)
            if len(names) == n:
                return names
    raise ValueError(f"{n} topics are more than can be named below '{path[-1]}' ({len(names)})")


_LINKS = frozenset(["and", "of", "for", "the", "in", "at", "with", "from", "to", "on", "by", "local", "home", "teams"])


def templates(n: int, seed: int) -> list[str]:
    """`n` distinct prompt templates; each holds {topic} and some of {audience}, {style}, {feature}."""
    rng = rng_of("templates", seed)
    found: dict[str, None] = {}
    for _ in range(n * 60 + 200):
        wishes = rng.sample(book.WISHES, rng.choice((1, 2, 2, 3)))
        found[" ".join([rng.choice(book.OPENINGS), *wishes])] = None
        if len(found) == n:
            return list(found)
    raise ValueError(f"{n} templates are more than the phrasebook holds ({len(found)})")


def seed_idea(idea: str, text: str) -> str:
    """L1: a short idea of a page, 12 to 40 words, out of a description of one (`text`: the page's own words)."""
    rng = rng_of("seed_idea", idea, text)
    title, _ = title_of(idea)
    things = _fresh(phrases(idea) + phrases(text), title)[:6] or ["its main subject"]
    picked = rng.sample(things, min(3, len(things)))
    asks = _asks(f"{idea} {text[:600]}", rng, 1)
    form = rng.choice(
        (
            "{title}: a page about {things}, with {asks} and a clear head that says what it is for.",
            "A page called {title}. It presents {things} and offers {asks} in its main part.",
            "{title} shows {things} in a calm layout; visitors use {asks} and find their way back.",
        )
    )
    return form.format(title=title, things=_joined(picked), asks=asks[0])


def _fresh(items: Iterable[str], title: str) -> list[str]:
    inside = set(title.lower().split())
    return list(dict.fromkeys(item for item in items if not set(item.split()) <= inside))


def expand(seed_text: str) -> str:
    """L2: a brief of 60 to 120 words for a better page of the same purpose."""
    rng = rng_of("expand", seed_text)
    title, _ = title_of(seed_text)
    things = _fresh(phrases(seed_text), title)[:5] or ["its subject"]
    first, second = _asks(seed_text, rng, 2)
    who = rng.choice(book.AUDIENCES)
    sentences = [
        f"{title}: build one self-contained HTML file for {who}.",
        f"The page presents {_joined(things[:3])} and says in one line what it is for.",
        f"Its main part is {first}; beside it stands {second}.",
        *rng.sample(book.LIMITS, 2),
        f"The look is {rng.choice(book.LOOKS)}.",
        rng.choice(book.SCREENS),
        rng.choice(book.ACCESS),
    ]
    return _within(" ".join(sentences), 120)
