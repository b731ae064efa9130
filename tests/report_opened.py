"""A report over a run that was drawn by chance, open in a browser: for test files that name this as their plugin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from artifactscoder import config as configs
from artifactscoder.config import Config
from artifactscoder.report import build
from finished_run import GRAPH, Run
from reported import CONFIG, Open


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    run = tmp_path_factory.mktemp("run")
    return configs.from_dict({**CONFIG, "results": str(run / "results"), "journal": str(run / "journal")}, "the test's")


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
