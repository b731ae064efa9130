"""Flaws of models, put into good pages on purpose, so that every filter of the pipeline has something to find.

In: a page, a kind, a seed. Out: the page as a model with that weakness would have written it. `choose` says which
requests get a flaw (about 18 %), `twin` makes a near-duplicate. Deterministic.
"""

from __future__ import annotations

import random
import re

from .helpers import FOOTERS, TIPS, VALUES
from .words import rng_of

KINDS = ("broken-script", "cut-off", "placeholder", "blank", "no-style", "loop")
SHARE = 0.18  # of the requests whose page gets a flaw
TWIN_LEAST = 0.86  # character 5-gram Jaccard of a twin to its original

_HEX = re.compile(r"#[0-9a-fA-F]{6}\b")


def choose(request: str, seed: int) -> str | None:
    """The flaw that the page of this request gets, or None."""
    rng = rng_of("flaw", request, seed)
    return rng.choice(KINDS) if rng.random() < SHARE else None


def flaw(html: str, kind: str, seed: int) -> str:
    """`html` with the flaw `kind`; raises ValueError for a kind that is not in KINDS."""
    rng = rng_of("flawed", kind, seed, len(html))
    makers = {
        "broken-script": _broken_script,
        "cut-off": _cut_off,
        "placeholder": _placeholder,
        "blank": _blank,
        "no-style": _no_style,
        "loop": _loop,
    }
    if kind not in makers:
        raise ValueError(f"'{kind}' is no kind of flaw; there are {', '.join(KINDS)}")
    return makers[kind](html, rng)


def _broken_script(html: str, rng: random.Random) -> str:
    """A syntax error (a bracket too few) or an error at run time (a call of what does not exist)."""
    start = html.rfind("<script>")
    if start < 0:
        return html.replace("</body>", "<script>\nstartPage(;\n</script>\n</body>", 1)
    head, script = html[: start + 8], html[start + 8 :]
    if rng.random() < 0.5:
        return head + script.replace("});\n", "}\n", 1).replace(");\n", ";\n", 1)
    line = rng.choice(("setUpEverything();", "const page = document.querySelector('#app').firstChild.data;"))
    return head + "\n" + line + script


def _cut_off(html: str, rng: random.Random) -> str:
    """The page up to somewhere between its body and the end of its script, in the middle of a line."""
    low = max(html.find("<body"), len(html) // 3) + 40
    high = max(html.rfind("</script>") - 20, low + 1)
    at = rng.randrange(min(low, len(html) - 2), min(high, len(html) - 1))
    while at > low and html[at - 1] in "\n>;}":
        at -= 1
    return html[:at]


def _placeholder(html: str, rng: random.Random) -> str:
    """The head of the page and a skeleton that says what should stand there."""
    title = _title(html)
    parts = re.findall(r"<h2>(.*?)</h2>", html)[:3] or ["Main part"]
    sections = "".join(
        f'<section class="card">\n<h2>{name}</h2>\n<!-- TODO: add the {name.lower()} here -->\n'
        f"<p>{rng.choice(('Content goes here.', 'Coming soon.', 'TODO: write this part.'))}</p>\n</section>\n"
        for name in parts
    )
    script = (
        "<script>\n// TODO: implement the functions of the page\nfunction start() {\n  // your code here\n}\n</script>"
    )
    head = html[: html.find("<body")]
    return f"{head}<body>\n<h1>{title}</h1>\n<main>\n{sections}</main>\n{script}\n</body>\n</html>\n"


def _blank(html: str, rng: random.Random) -> str:
    """Everything is there, nothing is shown: a rule or an attribute hides it."""
    if rng.random() < 0.5:
        return html.replace("</style>", "body > * { display: none !important; }\n</style>", 1)
    return re.sub(r"<body([^>]*)>", r"<body\1>\n<div hidden>", html, count=1).replace("<script>", "</div>\n<script>", 1)


def _no_style(html: str, rng: random.Random) -> str:
    """The page without its style sheet."""
    return re.sub(r"<style>.*?</style>\n?", "", html, flags=re.DOTALL)


def _loop(html: str, rng: random.Random) -> str:
    """A passage of the body that comes again and again until the answer was cut off."""
    start = html.find("<section")
    start = start if start >= 0 else max(html.find("<body"), 0)
    end = html.find("</section>", start)
    passage = html[start : end + 11 if 0 < end < start + 900 else start + 300]
    times = rng.randrange(30, 60)
    return html[:start] + passage * times + passage[: rng.randrange(10, max(11, len(passage) // 2))]


def _title(html: str) -> str:
    found = re.search(r"<title>(.*?)</title>", html)
    return found.group(1) if found else "Page"


def similarity(a: str, b: str) -> float:
    """Jaccard similarity of the character 5-grams of two texts, lower-cased."""
    x, y = (_grams(text.lower().strip()) for text in (a, b))
    return len(x & y) / max(1, len(x | y))


def _grams(text: str) -> set[str]:
    return {text[i : i + 5] for i in range(max(1, len(text) - 4))}


def twin(html: str, seed: int) -> str:
    """A near-duplicate: colours, figures and a text or two are changed, as long as it stays close to the original."""
    rng = rng_of("twin", seed, len(html))
    page = html
    edits = [_recoloured, _refigured, _refooted, _retipped, _retitled]
    rng.shuffle(edits)
    for edit in edits[:3]:
        changed = edit(page, rng)
        if similarity(changed, html) >= TWIN_LEAST:
            page = changed
    if page == html:
        page = html.replace("</body>", "<!-- second version -->\n</body>", 1)
    return page if page != html else html + "<!-- second version -->\n"


def _recoloured(html: str, rng: random.Random) -> str:
    colours = _HEX.findall(html)
    return html.replace(rng.choice(colours), f"#{rng.randrange(1 << 24):06x}", 1) if colours else html


def _refigured(html: str, rng: random.Random) -> str:
    return re.sub(r"(?:const|var) VALUES = \[.*?\];", rng.choice(VALUES), html, count=1)


def _refooted(html: str, rng: random.Random) -> str:
    return re.sub(r"<footer class=\"foot\">.*?</footer>", rng.choice(FOOTERS), html, count=1)


def _retipped(html: str, rng: random.Random) -> str:
    return re.sub(r"<p>[^<]*</p>(?=\n</aside>)", rng.choice(TIPS), html, count=1)


def _retitled(html: str, rng: random.Random) -> str:
    title = _title(html)
    return html.replace(f">{title}<", f">{rng.choice(('Our', 'My', 'The New'))} {title}<")
