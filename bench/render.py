"""Rendering: our service against one with the reference's behaviour, both behind HTTP, on the same pages.

40 pages of 5 to 40 KB and 20 of 0.3 to 1 MB (bench/pages.py), one browser a core on both sides, the same number of
requests under way, pictures of 1280 x 720 as JPEG of the viewport and as PNG of the whole page. Ours intercepts every
request, gives a page 3 s of its own time and says what it saw. The reference's waits for 500 ms of a quiet network
(bench/reference_service.py). They take turns, at two concurrencies, equal on both sides:
 4 a browser   the headline: in training hundreds of pages are asked for at once, and the reference takes all that come.
               Its waiting for one page is filled with the work of others; in ours three of four wait their turn
 1 a browser   what one page costs, nothing hidden. Of heavy pages the processor's part is most, and Chromium's own
               floor, measured below, is most of that, so here nobody can be three times as fast as the reference
Then, with one browser and no service, of both sizes:
 ours       the pool itself
 floor      Chromium alone: tab, navigation, load, one frame encoded; no virtual time, no figures, no verdict
 playwright the least that anyone would do with Playwright: set the content, abort requests, read the text, photograph
and the cost of a command over our pipes and over a CDP session of Playwright. Times on a busy machine are noisy: read
the ratios and the processor time. The last line is JSON: `pages_vs_baseline` (ours over theirs, the higher the
better) and `p99_vs_baseline` (the lower the better), each the worst of the rows with 4 a browser; the same of each row
by its name (`pages_heavy_jpeg`; with 1 a browser `pages_heavy_jpeg_1`); and `ratio`, ours over the floor.
`--quick`: JPEG of the viewport only, fewer rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import collections
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pages as sets
import psutil
from playwright.async_api import async_playwright

from artifactscoder.render import RenderClient, RenderOptions, RenderPool, chromium
from artifactscoder.render.cdp import Browser

HERE = Path(__file__).resolve().parent
BROWSERS = os.cpu_count() or 1
A_BROWSER = (4, 1)
"""Pages under way for each browser; the first is the headline."""
SIZE = {"width": 1280, "height": 720}
FORMS = {
    "JPEG of the viewport": {"image": "jpeg", "full_page": False, "quality": 80},
    "PNG of the whole page": {"image": "png", "full_page": True, "quality": 80},
}
OURS = """
import sys
from pathlib import Path
from artifactscoder.render import RenderOptions
from artifactscoder.render.serve import serve
sys.exit(serve(RenderOptions(timeout_s=60), int(sys.argv[2]), rendezvous=Path(sys.argv[1]), queue=256))
"""
Shoot = Callable[[str], Awaitable[object]]
"""Has a page rendered; False if that failed, as the reference's does at its own time limits."""


@dataclass
class Series:
    """One contender's times over the rounds, in seconds."""

    rates: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """Seconds a page."""
    failed: int = 0

    def row(self, name: str) -> str:
        p50, p99 = self.quantile(0.5) * 1000, self.quantile(0.99) * 1000
        cpu = statistics.median(self.cpu) * 1000
        return f"  {name:12} {statistics.median(self.rates):6.2f} {p50:9.0f} {p99:9.0f} {cpu:12.0f} {self.failed:7}"

    def quantile(self, share: float) -> float:
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def processor_seconds(processes: list[psutil.Process]) -> float:
    """Used so far by these, their descendants that live, and those that have ended."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            for one in (process, *process.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    times = one.cpu_times()
                    total += times.user + times.system + times.children_user + times.children_system
    return total


async def run(series: Series, shoot: Shoot, pages: list[str], under_way: int, processes: list[psutil.Process]) -> None:
    """One round: every page once, so many at a time."""
    waiting = iter(pages)

    async def worker() -> None:
        for html in waiting:
            began = time.perf_counter()
            series.failed += await shoot(html) is False
            series.times.append(time.perf_counter() - began)

    cpu, began = processor_seconds(processes), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(under_way)))
    series.rates.append(len(pages) / (time.perf_counter() - began))
    series.cpu.append((processor_seconds(processes) - cpu) / len(pages))


@contextlib.contextmanager
def baseline() -> Iterator[tuple[list[str], list[psutil.Process]]]:
    """The reference's service, a process a browser: its addresses and processes."""
    command = [sys.executable, str(HERE / "reference_service.py"), str(chromium.find())]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(BROWSERS)]
    try:
        ports = [process.stdout.readline().strip() for process in started if process.stdout]
        yield [f"http://127.0.0.1:{port}/render" for port in ports], [psutil.Process(one.pid) for one in started]
    finally:
        for process in started:
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            for member in family:
                with contextlib.suppress(psutil.Error):
                    member.kill()
            process.wait()


@contextlib.contextmanager
def service(folder: Path) -> Iterator[psutil.Process]:
    process = subprocess.Popen([sys.executable, "-c", OURS, str(folder), str(BROWSERS)], stdout=subprocess.DEVNULL)
    try:
        while not list(folder.glob("replica-*.json")):
            assert process.poll() is None, "our service does not start"
            time.sleep(0.1)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


@dataclass
class Peer:
    """A client of the reference's services: the next page goes where the fewest are."""

    urls: list[str]
    session: aiohttp.ClientSession
    folder: Path
    asked: int = 0
    busy: collections.Counter[str] = field(default_factory=collections.Counter)

    async def shoot(self, html: str, form: dict[str, Any]) -> bool:
        """Have a page rendered from a file to a file: the caller's cost in the reference, as is reading the picture."""
        self.asked += 1
        path, url = self.folder / f"{self.asked}.html", min(self.urls, key=self.busy.__getitem__)
        path.write_text(html)
        body = {"html_path": str(path), "image_path": str(path.with_suffix(".img")), **SIZE, **form}
        self.busy[url] += 1
        async with self.session.post(url, json=body) as answer:
            success = bool((await answer.json())["success"])
        self.busy[url] -= 1
        if success:
            path.with_suffix(".img").read_bytes()
        path.unlink()
        return success


async def services(sizes: dict[str, list[str]], forms: dict[str, dict[str, Any]], rounds: int) -> dict[str, float]:
    """The table of the two services; the ratios by name."""
    ratios: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        own = stack.enter_context(service(folder))
        urls, theirs = stack.enter_context(baseline())
        async with RenderClient(rendezvous=folder) as client, aiohttp.ClientSession() as session:
            peer = Peer(urls, session, folder)
            for title, form in forms.items():
                options = RenderOptions(**SIZE, **form, timeout_s=60)

                async def ours(html: str, options: RenderOptions = options) -> None:
                    render = await client.render(html, options)
                    assert render.verdict.reason == "ok" and render.screenshots, render.verdict

                async def reference(html: str, form: dict[str, Any] = form) -> bool:
                    return await peer.shoot(html, form)

                await run(Series(), ours, sizes["ordinary"][:4], BROWSERS, [own])
                await run(Series(), reference, sizes["ordinary"][:4], BROWSERS, theirs)
                for each, (size, pages) in itertools.product(A_BROWSER, sizes.items()):
                    a, b = Series(), Series()
                    for _ in range(rounds):
                        await run(a, ours, pages, each * BROWSERS, [own])
                        await run(b, reference, pages, each * BROWSERS, theirs)
                    print(f"{title}, {size} pages, {each} a browser")
                    print("               pages/s   p50 ms    p99 ms  CPU ms/page  failed")
                    print(a.row("ours") + "\n" + b.row("reference"), flush=True)
                    name = f"{size}_{form['image']}" + ("" if each == A_BROWSER[0] else f"_{each}")
                    rates = statistics.median(x / y for x, y in zip(a.rates, b.rates, strict=True))
                    ratios[f"pages_{name}"], ratios[f"p99_{name}"] = rates, a.quantile(0.99) / b.quantile(0.99)
    return ratios


async def bare(browser: Browser, html: str) -> None:
    """What Chromium must do for a picture, and nothing else."""
    url = "https://page.invalid/"
    context = (await browser.post("Target.createBrowserContext"))["browserContextId"]
    blank = {"url": "about:blank", "browserContextId": context, "enableBeginFrameControl": True, **SIZE}
    target = (await browser.post("Target.createTarget", blank))["targetId"]
    session = (await browser.post("Target.attachToTarget", {"targetId": target, "flatten": True}))["sessionId"]
    loaded = asyncio.Event()

    def on(method: str, params: dict[str, Any]) -> None:
        if method == "Fetch.requestPaused":
            answer: dict[str, Any] = {"requestId": params["requestId"], "responseCode": 200}
            if params["request"]["url"] == url:
                answer["responseHeaders"] = [{"name": "content-type", "value": "text/html; charset=utf-8"}]
                answer["body"] = base64.b64encode(html.encode()).decode()
            browser.post("Fetch.fulfillRequest", answer, session)
        elif method == "Page.loadEventFired":
            loaded.set()

    browser.listen(session, on)
    await asyncio.gather(browser.post("Fetch.enable", {}, session), browser.post("Page.enable", {}, session))
    await browser.post("Page.navigate", {"url": url}, session)
    await loaded.wait()
    frame = {"screenshot": {"format": "jpeg", "quality": 80, "optimizeForSpeed": True}}
    while not (await browser.post("HeadlessExperimental.beginFrame", frame, session)).get("screenshotData"):
        await asyncio.sleep(0.002)
    browser.forget(session, RuntimeError())
    await browser.post("Target.disposeBrowserContext", {"browserContextId": context})


@contextlib.asynccontextmanager
async def playwright_shoot() -> AsyncIterator[tuple[Shoot, Any]]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(chromium.find()), chromium_sandbox=os.geteuid() != 0
        )

        async def shoot(html: str) -> None:
            context = await browser.new_context(viewport=SIZE)
            page = await context.new_page()
            await page.route("**/*", lambda route: route.abort())
            await page.set_content(html, wait_until="load")
            await page.inner_text("body")
            await page.screenshot(type="jpeg", quality=80)
            await context.close()

        yield shoot, browser
        await browser.close()


async def single(size: str, pages: list[str], rounds: int) -> float:
    """One browser each without a service; ours over the floor in pages a second."""
    own = [psutil.Process()]
    options = RenderOptions(**SIZE, timeout_s=60)
    series = {name: Series() for name in ("ours", "floor", "playwright")}
    browser = await Browser.start(chromium.find(), 1500)
    async with RenderPool(options, 1) as pool, playwright_shoot() as (shoot, _):

        async def ours(html: str) -> None:
            await pool.render(html)

        async def floor(html: str) -> None:
            await bare(browser, html)

        contenders: dict[str, Shoot] = {"ours": ours, "floor": floor, "playwright": shoot}
        for contender in contenders.values():
            await run(Series(), contender, pages[:2], 1, own)
        for _ in range(rounds):
            for name, contender in contenders.items():
                await run(series[name], contender, pages, 1, own)
        print(f"{size} pages, one browser\n               pages/s   p50 ms    p99 ms  CPU ms/page  failed")
        for name, one in series.items():
            print(one.row(name), flush=True)
    await browser.close()
    return statistics.median(a / b for a, b in zip(series["ours"].rates, series["floor"].rates, strict=True))


async def commands() -> None:
    """What a command costs over our pipes and over Playwright's."""
    browser = await Browser.start(chromium.find(), 1500)
    async with playwright_shoot() as (_, peer):
        target = (await browser.post("Target.createTarget", {"url": "about:blank"}))["targetId"]
        session = (await browser.post("Target.attachToTarget", {"targetId": target, "flatten": True}))["sessionId"]
        page = await (await peer.new_context()).new_page()
        theirs = await page.context.new_cdp_session(page)
        one = {"expression": "1"}
        costs = {
            "our pipes": await _command_cost(lambda: browser.post("Runtime.evaluate", one, session)),
            "Playwright's CDP session": await _command_cost(lambda: theirs.send("Runtime.evaluate", one)),
        }
        print("a command, with the browser's part: " + ", ".join(f"{v:.2f} ms CPU over {k}" for k, v in costs.items()))
    await browser.close()


async def _command_cost(ask: Callable[[], Awaitable[Any]], count: int = 300) -> float:
    """Processor time of one command, in ms, all processes together."""
    began = processor_seconds([psutil.Process()])
    for _ in range(count):
        await ask()
    return (processor_seconds([psutil.Process()]) - began) / count * 1000


async def measure(quick: bool) -> None:
    sizes = {"ordinary": sets.ordinary(), "heavy": sets.heavy()}
    for name, pages in sizes.items():
        kilobytes = [len(page) // 1000 for page in pages]
        print(f"{len(pages)} {name} pages of {min(kilobytes)} to {max(kilobytes)} KB")
    print(f"{BROWSERS} browsers")
    forms = dict(list(FORMS.items())[:1]) if quick else FORMS
    ratios = await services(sizes, forms, 1 if quick else 3)
    floors = [await single(size, pages[:: 2 if quick else 1], 1 if quick else 3) for size, pages in sizes.items()]
    await commands()
    others = tuple(f"_{each}" for each in A_BROWSER[1:])
    headline = {name: value for name, value in ratios.items() if not name.endswith(others)}
    worst = {
        "pages_vs_baseline": min(value for name, value in headline.items() if name.startswith("pages")),
        "p99_vs_baseline": max(value for name, value in headline.items() if name.startswith("p99")),
    }
    print(json.dumps({name: round(value, 3) for name, value in (worst | ratios | {"ratio": min(floors)}).items()}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="JPEG of the viewport only, fewer rounds")
    asyncio.run(measure(parser.parse_args().quick))


if __name__ == "__main__":
    main()
