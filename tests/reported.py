"""What tests of the report share: the run that it is about, and what a reader does in its gallery."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from playwright.sync_api import Page

from artifactscoder import shards, tables
from artifactscoder.config import Config
from small_run import PROCEDURAL

CATEGORIES = ["game-puzzle", "tool-calculator"]
KINDS = ["layout", "minimalist", "real-time"]
CONFIG = {
    **PROCEDURAL,
    "sft": {
        "categories": CATEGORIES,
        "subcategories": 5,
        "tasks": {"per_subcategory": 4},
        "variants": {"kinds": KINDS},
        "select": {"min_percent": 75},
    },
    "cpt": {"tree": {"roots": ["games-play"]}},
}


Open = Callable[..., Page]


def column(config: Config, step: str, name: str) -> dict[str, Any]:
    """A column of all tables of a step, by id."""
    paths = shards.done(config, config.results, step)
    return {row["id"]: row[name] for path in paths for row in tables.rows(path, ["id", name])}


def found(page: Page) -> list[str]:
    """The ids of the rows that the gallery has found, in its order, when it has searched everything."""
    page.locator("#list[aria-busy=false]").wait_for()
    return page.evaluate("Array.from(gallery.order, (row) => gallery.ids[row])")


def seen(page: Page) -> list[str]:
    """The ids on the cards that are drawn."""
    return page.locator("#list li .id").all_text_contents()


def choose(page: Page, **filters: str) -> list[str]:
    """Set filters by the names that a reader sees, wait until all is searched, and return the ids."""
    page.get_by_role("button", name="clear").click()
    for label, value in filters.items():
        field = page.locator(f"#filters [name={label}]")
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(label=value)
        else:
            field.fill(value)
    return found(page)


def ledger_rows(config: Config, step: str) -> Iterator[dict[str, Any]]:
    for path in (config.results / step).glob("*.ledger.parquet"):
        yield from tables.rows(path)
