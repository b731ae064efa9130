"""Pages with a label: whether a person who opens them sees what they are for. Made by seeded functions, the same
every time; `pages()` gives (kind, renders, html). The labels follow from how a page is made, and were looked over on
contact sheets of their pictures (`python bench/verdict.py --sheets FOLDER`)."""

from __future__ import annotations

from . import failing, fresh, rendering

Page = tuple[str, bool, str]


def pages() -> list[Page]:
    """Those that the verdict's rules and thresholds were settled on."""
    found = [(kind, True, html) for kind, html in rendering.pages()]
    found += [(kind, False, html) for kind, html in failing.pages()]
    return found


def fresh_pages() -> list[Page]:
    """Those that were written afterwards."""
    return list(fresh.pages())
