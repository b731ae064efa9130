"""A pool of browsers that renders pages one at a time each.

In: HTML. Out: a `Render`, for every page within its time limit plus the 2 s that ending it may take (twice that if
the page took the browser down and was tried again). What the machinery does wrong is a `RenderUnavailable`.
Two browsers on two cores render about 7 ordinary pages a second, at 130 MB a browser; one browser a core is best.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from artifactscoder.errors import UserError
from artifactscoder.render import chromium, mirror, profiles
from artifactscoder.render.actions import Done, Hand
from artifactscoder.render.cdp import Browser, BrowserLost, ProtocolError
from artifactscoder.render.containment import Containment, choose
from artifactscoder.render.guard import Deeds
from artifactscoder.render.judgement import judge
from artifactscoder.render.page import Reason, Render, RenderOptions, RenderUnavailable, Verdict
from artifactscoder.render.tab import CaptureStuck, NavigationFailed, PageCrashed, Shot, Tab

MAX_DOCUMENT = 60_000_000
"""Characters of a page. The pipe to the browser takes messages of 100 MB, a third more than the page."""
PAGES_PER_BROWSER = 200
"""Then it is replaced, lest what pages leave behind adds up."""
OPEN_SECONDS = 15.0
OPEN_TRIES = 3
CAPTURE_TRIES = 3
BUDGET_PART = 0.6
"""Part of a page's real time that may go by before it is photographed as it is."""
STARVED_PART = 0.2
"""A page that ran into its limit with less processor time than this part of it was kept waiting by others."""
PING_EVERY = 5.0
PING_SECONDS = 10.0
"""In which a browser that has nothing to do must answer; else it is replaced."""
WATCH_AFTER = 1.0
WATCH_EVERY = 0.5


@dataclass
class _Place:
    """Room for one browser in the pool."""

    browser: Browser | None = None
    spare: asyncio.Task[Tab] | None = None
    """The next page's tab, opened while this page is looked at."""


@dataclass
class _Seen:
    """One try of a page."""

    failed: Reason | None
    shots: list[Shot]
    deeds: Deeds
    done: list[Done] = field(default_factory=list)
    doubtful: bool = False
    """Whether the machine may be to blame: a browser that ended, a page that got no processor."""
    workers: bool = False


class RenderPool:
    """`async with RenderPool(options, browsers=2) as pool: render = await pool.render(html)`.

    Belongs to the event loop that entered it. `executable` is the browser, found if not given.
    """

    def __init__(
        self,
        options: RenderOptions | None = None,
        browsers: int = 2,
        executable: Path | None = None,
        containment: Containment | None = None,
    ) -> None:
        self.options = options or RenderOptions()
        self.browsers = browsers
        self.containment = containment or Containment()
        """What keeps the browsers in; unless given, the strongest there is, found at the start."""
        self._contained = containment is not None
        self._executable = executable
        self._places = [_Place() for _ in range(browsers)]
        self._free: asyncio.Queue[_Place] = asyncio.Queue()
        self._mirror: mirror.Mirror | None = None
        self._starting = asyncio.Semaphore(os.cpu_count() or 1)
        self._closed = True
        self._tending: asyncio.Task[None] | None = None
        self.ended: collections.Counter[str] = collections.Counter(recycled=0, lost=0, silent=0)
        """Browsers replaced: after their share of pages; because they had ended or a page had broken them; because they
        did not answer."""

    def running(self) -> list[Browser]:
        """The browsers there are."""
        return [place.browser for place in self._places if place.browser is not None]

    async def __aenter__(self) -> RenderPool:
        """Start every browser; UserError if there is no Chromium or no mirror, RenderUnavailable if one does not
        start."""
        if self.options.mirror:
            self._mirror = mirror.load()
        self._executable = self._executable or chromium.find()
        if not self._contained:
            self.containment = choose(self._executable, self.options.sandbox)
        await asyncio.to_thread(profiles.sweep)
        self._closed = False
        starts = [asyncio.ensure_future(self._running(place)) for place in self._places]
        try:
            await asyncio.gather(*starts)
        except BaseException:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
            await self.close()
            raise
        for place in self._places:
            self._free.put_nowait(place)
        self._tending = asyncio.create_task(self._tend())
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End every browser. Renders under way raise RenderUnavailable."""
        self._closed = True
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.gather(self._tending, return_exceptions=True)
        await asyncio.gather(*(browser.close() for browser in self.running()))

    async def _tend(self) -> None:
        """Replace browsers that died or fell silent while they had nothing to do, before a page has to wait for it."""
        while True:
            await asyncio.sleep(PING_EVERY)
            for _ in range(self._free.qsize()):
                if self._free.empty():
                    break
                place = self._free.get_nowait()
                browser = place.browser
                try:
                    if browser is not None and not browser.lost:
                        await asyncio.wait_for(browser.post("Browser.getVersion"), PING_SECONDS)
                except (TimeoutError, BrowserLost, ProtocolError):
                    assert browser is not None
                    self.ended["lost" if browser.lost else "silent"] += 1
                    browser.kill()
                    place.browser = None
                finally:
                    try:
                        with contextlib.suppress(UserError, OSError):  # the next page or look tries again, and says so
                            await self._running(place)
                    finally:
                        self._free.put_nowait(place)

    async def render(self, html: str, options: RenderOptions | None = None) -> Render:
        """Render one page, with the pool's options or its own (`memory_mb` is always the pool's).

        Waits for a free browser. Raises RenderUnavailable if no browser can be had or the pool is closed.
        """
        if self._closed:
            raise RenderUnavailable("The render pool is closed")
        options = options or self.options
        if len(html) > MAX_DOCUMENT:
            return Render(Verdict(False, "navigation_failed"))
        if options.mirror and self._mirror is None:
            self._mirror = mirror.load()
        render, workers = await self._shown(html, options)
        if render.verdict.reason == "blank" and workers:
            # What a worker draws does not reach the picture one time in twenty, and Chromium does not say so.
            render, _ = await self._shown(html, options)
        return render

    async def _shown(self, html: str, options: RenderOptions) -> tuple[Render, bool]:
        """The render of a page by the next free browser, and whether the page has workers."""
        place = await self._free.get()
        began = asyncio.get_running_loop().time()
        try:
            seen = await self._seen(place, html, options)
        except BaseException:
            # Also when cancelled: whatever the page was doing, it ends here.
            if place.browser is not None:
                place.browser.kill()
            raise
        finally:
            self._free.put_nowait(place)
        verdict = await asyncio.to_thread(judge, seen.shots, seen.deeds, options, seen.failed, seen.done)
        verdict.seconds = round(asyncio.get_running_loop().time() - began, 3)
        pictures = [shot.picture for shot in seen.shots] + [done.picture for done in seen.done]
        return Render(verdict, [picture for picture in pictures if picture]), seen.workers

    async def _seen(self, place: _Place, html: str, options: RenderOptions) -> _Seen:
        """What there is to see of a page, of its second try if the first was perhaps not its own fault."""
        seen = await self._tried(place, html, options)
        if seen.doubtful and not self._closed:
            seen = await self._tried(place, html, options)
        if self._closed:
            raise RenderUnavailable("The render pool was closed")
        return seen

    async def _tried(self, place: _Place, html: str, options: RenderOptions) -> _Seen:
        """One try: one tab, or one for each picture where each has to be the tab's last."""
        moments = [options.first_ms + number * options.interval_ms for number in range(options.screenshots)]
        seen = _Seen(None, [], Deeds())
        for part in [[moment] for moment in moments] if options.full_page else [moments]:
            fresh = await self._looked(place, html, options, part)
            fresh.shots = seen.shots + fresh.shots
            seen = fresh
            if seen.failed is not None:
                break
        return seen

    async def _looked(self, place: _Place, html: str, options: RenderOptions, moments: list[int]) -> _Seen:
        """What is seen of a page in one tab, which is ended whatever happens."""
        for _ in range(CAPTURE_TRIES):
            tab = await self._opened(place, options)
            browser, loop = tab.browser, asyncio.get_running_loop()
            failed: Reason | None = None
            shots: list[Shot] = []
            hand = Hand(tab)
            watch = _Watch(browser, 2 * self.options.memory_mb)
            self._open_spare(place)
            try:
                async with asyncio.timeout(options.timeout_s):
                    until = loop.time() + BUDGET_PART * options.timeout_s
                    library = self._mirror if options.mirror else None
                    shots = await tab.look(html, moments, until, library)
                    await hand.play(until)
            except CaptureStuck:
                await tab.close(hung=True)
                continue
            except TimeoutError:
                failed = "timeout"
            except NavigationFailed:
                failed = "navigation_failed"
            except (PageCrashed, BrowserLost, ProtocolError):
                failed = "crashed"
            finally:
                watch.end()
            seen = _Seen(failed, shots, tab.guard.conclude(), hand.done, workers=bool(tab.guard.workers))
            if failed == "crashed":
                seen.doubtful = not browser.overweight
                browser.kill()
            elif failed == "timeout" or not seen.deeds.budget_expired:
                seen.doubtful = watch.starved()
            await tab.close(hung=failed is not None)
            if shots and failed == "timeout":
                seen.failed = None  # the page was seen; it is the action that hung
            return seen
        raise RenderUnavailable(f"No browser draws the page in {CAPTURE_TRIES} tries")

    async def _running(self, place: _Place) -> Browser:
        """The browser of a place: the one it has, or a new one in its stead."""
        browser = place.browser
        lost = browser is not None and (browser.lost or browser.shell_ended())
        if browser is not None and not lost and browser.pages < PAGES_PER_BROWSER:
            return browser
        if browser is not None:
            why = "lost" if lost else "recycled"
            await browser.close()
            place.browser = None
            self.ended[why] += 1
        if self._closed:
            raise RenderUnavailable("The render pool was closed")
        assert self._executable is not None
        async with self._starting:
            browser = await Browser.start(self._executable, self.options.memory_mb, self.containment)
        if self._closed:
            browser.kill()
            raise RenderUnavailable("The render pool was closed")
        place.browser = browser
        return browser

    async def _opened(self, place: _Place, options: RenderOptions) -> Tab:
        """An empty tab ready for the page. Three browsers that cannot make one are a RenderUnavailable."""
        said: Exception | None = None
        for _ in range(OPEN_TRIES):
            spare, place.spare = place.spare, None
            browser = await self._running(place)
            browser.pages += 1
            try:
                if spare is not None:
                    tab = await spare
                    if tab.browser is browser and tab.fits(options):
                        tab.options = options
                        return tab
                    if tab.browser is browser:
                        await tab.close(hung=False)
                return await _new_tab(browser, options)
            except (BrowserLost, ProtocolError, TimeoutError) as error:
                said = error
                if not browser.lost or spare is None:
                    browser.kill()
        raise RenderUnavailable(f"No browser opens a tab: {said!r}") from said

    def _open_spare(self, place: _Place) -> None:
        """Have the next page's tab opened, unless the browser is about to be replaced."""
        browser = place.browser
        if browser is not None and not browser.lost and browser.pages < PAGES_PER_BROWSER:
            place.spare = asyncio.ensure_future(_new_tab(browser, self.options))
            place.spare.add_done_callback(lambda done: done.cancelled() or done.exception())


async def _new_tab(browser: Browser, options: RenderOptions) -> Tab:
    tab = Tab(browser, options)
    await asyncio.wait_for(tab.open(), OPEN_SECONDS)
    return tab


class _Watch:
    """Looks after a browser whose page takes longer than most."""

    def __init__(self, browser: Browser, limit_mb: int) -> None:
        self._browser = browser
        self._limit_mb = limit_mb
        self._since: tuple[float, float] | None = None
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        """End the browser if its processes together outgrow the limit, which holds for each of them only."""
        await asyncio.sleep(WATCH_AFTER)
        self._since = time.monotonic(), self._browser.processor_seconds()
        while not self._browser.lost:
            if await asyncio.to_thread(self._browser.outgrows, self._limit_mb):
                self._browser.overweight = True
                self._browser.kill()
                return
            await asyncio.sleep(WATCH_EVERY)

    def starved(self) -> bool:
        """Whether the browser got so little of the processor that others must have had it."""
        if self._since is None:
            return False
        began, used = self._since
        return self._browser.processor_seconds() - used < STARVED_PART * (time.monotonic() - began)

    def end(self) -> None:
        """Look no more."""
        self._task.cancel()
