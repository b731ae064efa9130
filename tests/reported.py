"""A report over a run that was drawn by chance, open in a browser, and what a reader does in its gallery.

For test files that name this module in `pytest_plugins`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from artifactscoder import config as configs
from artifactscoder import tables
from artifactscoder.config import Config
from artifactscoder.report import accounts, build
from finished_run import GRAPH, Run

CATEGORIES = ["game-puzzle", "tool-calculator"]
KINDS = ["layout", "minimalist", "real-time"]
CONFIG = {
    "endpoints": {"it": {"kind": "procedural", "vision": True}},
    "roles": dict.fromkeys(("teacher", "coder", "reference", "judge", "vision_judge"), "it"),
    "sft": {
        "categories": CATEGORIES,
        "subcategories": 5,
        "tasks": {"per_subcategory": 4},
        "variants": {"kinds": KINDS},
        "select": {"min_percent": 75},
    },
    "cpt": {"tree": {"roots": ["games-play"]}},
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return configs.from_dict({**CONFIG, "results": str(tmp_path_factory.mktemp("run") / "results")}, "the test's")


@pytest.fixture(scope="module")
def report(config: Config) -> Path:
    """The page of a run of 120 places for a page."""
    root = Path(__file__).resolve().parents[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        Run(config).make()
        page = config.results / "report/index.html"
        (config.results / "report").mkdir()
        (config.results / "report/rulegraph.dot").write_text(GRAPH)
        build.run(config, config.results, config.results / "report/rulegraph.dot", page)
    return page


Open = Callable[..., Page]


@pytest.fixture
def show(browser: Browser, report: Path) -> Iterator[Open]:
    """Opens the report from disk, or from `url`; an error on its console, or a request elsewhere, is an error here."""
    wrong: list[str] = []
    pages = []

    def opened(url: str = "", rest: str = "", **context: Any) -> Page:
        start = url or report.parent.as_uri()
        page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **context})
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda one: None if one.url.startswith((start, "blob:")) else wrong.append(one.url))
        page.on("requestfailed", lambda one: wrong.append(f"{one.url} {one.failure}"))
        page.goto(f"{start}/index.html{rest}")
        page.locator("#list li").first.wait_for()
        pages.append(page)
        return page

    yield opened
    titles = {page.title() for page in pages}
    for page in pages:
        page.close()
    assert wrong == [] and titles == {"ArtifactsCoder report"}, "a page's script ran, or something was asked for"


def column(config: Config, step: str, name: str) -> dict[str, Any]:
    """A column of all tables of a step, by id."""
    paths = accounts.shards(config.results / step)
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
