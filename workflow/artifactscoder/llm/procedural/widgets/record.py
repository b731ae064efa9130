"""The record of one widget and the way it is written down.

A widget is the smallest working piece of a page: markup, a rule or two of style and a script, given as whole lines.
Every line is used verbatim in each page that carries the widget, and the scripts lean on shared helpers, because a
small model with a line-wise tokeniser learns whole lines. What varies sits in page-level constants (`TOPICS`,
`VALUES`, `NOTES`: four of each) and in the heading. A leading `~` marks a line that a careless author would leave out
(checks, empty states, keyboard ways): the widget must still run without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent

# Markup that many widgets share.
BOARD = '<div class="board" role="group"></div>'
OUTPUT = '<output aria-live="polite"></output>'
BIG = '<output class="big" aria-live="polite"></output>'
QUIET = '<output class="big" aria-live="off"></output>'  # changes too often to be read out
LIST = "<ul></ul>"
SVG = '<svg viewBox="0 0 600 260" role="img" aria-label="Drawing of the data"></svg>'
CANVAS = '<canvas width="600" height="260" role="img" aria-label="Moving picture"></canvas>'
ENTRY = '<form><label>New entry <input maxlength="60"></label> <button>Add</button></form>'


def columns(count: int) -> str:
    """A board of so many columns."""
    return f'<div class="board" role="group" style="--n: {count}"></div>'


def slide(label: str, low: int = 0, high: int = 100, value: int = 40) -> str:
    """A labelled slider."""
    return f'<label>{label} <input type="range" min="{low}" max="{high}" value="{value}"></label>'


@dataclass(frozen=True)
class Widget:
    """One part of a page.

    `words`: words in a request that call for it (matched as prefixes). `asks`: noun phrases that a task
    text may use to demand it. `headings` may hold the hole `@short@`. `html`, `css`, `js`: lines, possibly
    marked with a leading `~`.
    """

    slug: str
    label: str
    headings: tuple[str, ...]
    words: tuple[str, ...]
    asks: tuple[str, ...]
    html: tuple[str, ...]
    css: tuple[str, ...]
    js: tuple[str, ...]


def _script(block: str) -> tuple[str, ...]:
    lines = [line for line in dedent(block).split("\n") if line.strip()]
    return tuple("~  " + line[1:] if line[0] == "~" else "  " + line for line in lines)


def widget(
    slug: str,
    label: str,
    *,
    headings: tuple[str, ...],
    words: str,
    asks: tuple[str, ...],
    html: tuple[str, ...],
    js: str,
    css: str = "",
    why: str = "",
) -> Widget:
    """Build the record; `why` becomes the comment above the script."""
    comment = (f"// {why}",) if why else ()
    script = (*comment, f"start('{slug}', (root) => {{", *_script(js), "});")
    return Widget(slug, label, headings, tuple(words.split()), asks, html, (css,) if css else (), script)
