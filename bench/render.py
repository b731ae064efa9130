"""Pages a second: our render pool against Playwright, on the same pages, browser, picture size and number of browsers.

The pool intercepts every request, gives a page 3 s of its own time, photographs it and decides what it is. Playwright
sets the content in a context of its own, aborts every request, reads the text and photographs at once, with no wait at
all: the least that anyone would do with it. The two take turns. The last line is JSON: pages a second of each and
`ratio` (ours over Playwright's, median of the rounds). `--quick` renders 40 pages a round, else 200.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from pathlib import Path

from playwright.async_api import Browser, Route, async_playwright

from artifactscoder.llm.procedural.compose import compose
from artifactscoder.render import chromium
from artifactscoder.render.page import RenderOptions
from artifactscoder.render.pool import RenderPool

SEEDS = Path(__file__).resolve().parents[1] / "workflow/seeds/subcategories.jsonl"
OPTIONS = RenderOptions(width=800, height=600)
BROWSERS = os.cpu_count() or 1
ROUNDS = 3


async def ours(pool: RenderPool, pages: list[str]) -> None:
    renders = await asyncio.gather(*(pool.render(html) for html in pages))
    assert all(render.verdict.reason == "ok" for render in renders), "a page did not render"


async def peer(browsers: list[Browser], pages: list[str]) -> None:
    waiting = iter(pages)

    async def work(browser: Browser) -> None:
        for html in waiting:
            context = await browser.new_context(viewport={"width": OPTIONS.width, "height": OPTIONS.height})
            page = await context.new_page()
            await page.route("**/*", abort)
            await page.set_content(html, wait_until="load")
            assert await page.inner_text("body"), "a page shows no text"
            await page.screenshot(type="jpeg", quality=OPTIONS.quality)
            await context.close()

    await asyncio.gather(*(work(browser) for browser in browsers))


async def abort(route: Route) -> None:
    await route.abort()


async def measure(count: int) -> None:
    briefs = [json.loads(line) for line in SEEDS.read_text().splitlines()]
    step = max(1, len(briefs) // count)
    pages = [compose(f"{row['name']}. {row['brief']}", 1) for row in briefs[::step][:count]]
    mine: list[float] = []
    theirs: list[float] = []
    async with RenderPool(OPTIONS, BROWSERS) as pool, async_playwright() as playwright:
        sandbox = os.geteuid() != 0
        browsers = [
            await playwright.chromium.launch(executable_path=str(chromium.find()), chromium_sandbox=sandbox)
            for _ in range(BROWSERS)
        ]
        await ours(pool, pages[:4])
        await peer(browsers, pages[:4])
        for number in range(ROUNDS):
            for rates, run in ((mine, ours(pool, pages)), (theirs, peer(browsers, pages))):
                start = time.perf_counter()
                await run
                rates.append(len(pages) / (time.perf_counter() - start))
            print(f"round {number + 1} of {ROUNDS}: pool {mine[-1]:.1f}, Playwright {theirs[-1]:.1f} pages/s")
        for browser in browsers:
            await browser.close()
    ratio = statistics.median(a / b for a, b in zip(mine, theirs, strict=True))
    figures = {"pages_per_s": statistics.median(mine), "playwright_pages_per_s": statistics.median(theirs)}
    print(json.dumps({name: round(value, 2) for name, value in (figures | {"ratio": ratio}).items()}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="40 pages a round instead of 200")
    asyncio.run(measure(40 if parser.parse_args().quick else 200))


if __name__ == "__main__":
    main()
