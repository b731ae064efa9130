"""What a request is about: its title, its key phrases and the words it is made of.

In: any text. Out: a `Topic` whose texts hold letters, digits, blanks and hyphens only, so that they can stand in HTML
and in a quoted JavaScript string without escaping. No language knowledge beyond a list of stop words: a phrase is a
run of at most three words between stop words and punctuation.
"""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass

from .stopwords import FUNCTION, STOP

_TOKEN = re.compile(r"[^\W_]+(?:[-'\u2019][^\W_]+)*|[^\w\s]|\n")
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_SMALL = frozenset(["a", "an", "and", "as", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"])
_OPENERS = re.compile(
    r"^(please\s+)?((i|we)\s+(want|need|would like)\s+|(can|could) you\s+)?"
    r"(build|create|design|make|write|develop|program|give me|produce|compose|code|draw)\s+(me\s+|us\s+)?(an?\s+|the\s+)?",
    re.IGNORECASE,
)
_LEADS = re.compile(r"^(task|title|request|page|website|topic|idea)\s*[:\-]\s*", re.IGNORECASE)
# Parts of a page that a request names as its own subject far less often than as a means.
FALLBACKS = (
    "Overview",
    "Daily plan",
    "Open points",
    "Recent changes",
    "Favourites",
    "Archive",
    "First steps",
)


@dataclass(frozen=True)
class Topic:
    """`title`: title-cased, at most 28 characters; `short`: its subject in one or two words, lower case;
    `things`: five to seven distinct phrases in sentence case; `words`: all words of the request, lower case, in order;
    `opening`: how the request begins, which the variants of one task have in common.
    """

    title: str
    short: str
    things: tuple[str, ...]
    words: tuple[str, ...]
    opening: str


def rng_of(*parts: object) -> random.Random:
    """A generator that depends on the parts alone, on every machine and Python version alike."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))


def phrases(text: str) -> list[str]:
    """Key phrases in the order of the text, lower case, distinct; those of two or three words before single ones."""
    found: list[list[str]] = [[]]
    for token in _TOKEN.findall(text):
        word = token.lower().replace("\u2019", "'").split("'")[0]
        if not _WORD.fullmatch(word) or word in STOP or word.isdigit() or len(word) < 3:
            found.append([])
        else:
            found[-1].append(word)
    runs = [_trimmed(run) for run in found]
    pairs = [" ".join(run[-3:] if len(" ".join(run[-3:])) <= 22 else run[-2:]) for run in runs if len(run) > 1]
    singles = [run[0] for run in runs if len(run) == 1 and len(run[0]) > 3]
    return _distinct([phrase for phrase in pairs + singles if len(phrase) <= 26])


def _trimmed(run: list[str]) -> list[str]:
    """A run without participles at its end and adverbs at its start."""
    while run and run[-1].endswith(("ed", "ing", "ly")) and len(run[-1]) > 4:
        run = run[:-1]
    while run and run[0].endswith("ly"):
        run = run[1:]
    return run


def _distinct(items: list[str]) -> list[str]:
    kept: list[str] = []
    for item in items:
        words = set(item.split())
        if not any(words <= set(other.split()) or words >= set(other.split()) for other in kept):
            kept.append(item)
    return kept


def sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]


def title_case(text: str) -> str:
    words = text.split()
    return " ".join(
        word if any(c.isupper() for c in word) else word if i and word in _SMALL else sentence_case(word)
        for i, word in enumerate(words)
    )


def _plain(text: str) -> str:
    """Only what may stand in markup and scripts unescaped."""
    return " ".join(_WORD.findall(text.replace("\u2019", "").replace("'", "")))


def title_of(text: str) -> tuple[str, str]:
    """(title, the rest of the text). A leading heading is taken as it stands; otherwise the first key phrases."""
    text = _LEADS.sub("", text.strip())
    head = re.match(r"([^\n.:!?]{3,60}?)\s*(?:[:.!?]\s+|\n|$)", text)
    if head:
        candidate = _plain(head.group(1))
        if 1 < len(candidate.split()) <= 8 and not _OPENERS.match(head.group(1)):
            return title_case(_fit(candidate)), text[head.end() :]
    body = _OPENERS.sub("", text)
    found = phrases(body[:400])
    if not found:
        bare = [word for word in _WORD.findall(body) if word.lower() not in FUNCTION]
        return title_case(_fit(_plain(" ".join(bare[:4])))) or "Small Page", body
    first = found[0] if len(found[0].split()) > 1 or len(found) < 2 else f"{found[0]} and {found[1]}"
    return title_case(_fit(first)), body


def _fit(text: str, width: int = 28) -> str:
    """The first words of a heading, without what it says for whom or with what."""
    head = re.split(r"\s(?:for|with|in)\s", text)[0]
    words = (head if len(head) > 6 else text).split()
    while len(" ".join(words)) > width and len(words) > 1:
        words.pop()
    while words and words[-1].lower() in _SMALL:
        words.pop()
    return " ".join(words)[:width]


def topic(request: str, rng: random.Random, ignored: frozenset[str] = frozenset()) -> Topic:
    """Read a request; `rng` varies which phrases are taken; `ignored` phrases never become things."""
    text = request[:1500]
    title, rest = title_of(text)
    inside = set(title.lower().split())
    found = [phrase for phrase in phrases(rest) if phrase not in ignored and not set(phrase.split()) <= inside]
    pairs = [phrase for phrase in found if " " in phrase][:9]
    start = rng.randrange(2) if len(pairs) > 5 else 0
    things = [sentence_case(phrase) for phrase in (pairs[start:] + [p for p in found if " " not in p])[:7]]
    fallbacks = list(FALLBACKS)
    rng.shuffle(fallbacks)
    things += fallbacks[: max(0, 5 - len(things))]
    nouns = [word for word in re.split(r"\s(?:for|of|with|in|on|by|and|to|from)\s", title.lower())[0].split()]
    nouns = [word for word in nouns if word not in _SMALL] or title.lower().split()
    words = tuple(word.lower() for word in _WORD.findall(text))
    return Topic(title, " ".join(nouns[-2:]), tuple(things), words, text[:48])
