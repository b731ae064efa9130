"""One page's life in a browser: opened, answered from memory, watched, photographed, ended.

In: a running browser, the HTML, the options. Out: pictures with the DOM figures of their moment, and the counts
of what the page tried. The page gets a context and a secure origin of its own (`https://p<digest>.invalid`, the
same for the same HTML), because a file origin can read files and an opaque one has no storage. Its clock is
virtual: what it does in the first three seconds is seen in the time its work takes, about 0.2 s for an ordinary
page. Frames are drawn when this module says so, by the same clock; therefore the same HTML gives the same pixels,
and content that fades in has faded in.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from artifactscoder.render import scripts
from artifactscoder.render.cdp import Browser, BrowserLost, ProtocolError
from artifactscoder.render.guard import Guard
from artifactscoder.render.mirror import Mirror
from artifactscoder.render.page import MAX_VISIBLE, RenderOptions

CLOCK_START = 1_736_942_400.0
"""What a page believes to be the time of its start: 2025-01-15 12:00 UTC, in seconds."""
FRAME_MS = 100
COARSE_FRAME_MS = 200
FINE_MS = 1000
"""Frames are nearer to each other in the first second, when most pages build themselves up."""
FIRST_FRAME_TRIES = 10
BETWEEN_MS = 2.5
"""Frames and pictures come so much after the full tenth of a second, at which a page's timers like to fire: what
falls on the same moment would come before or after by chance."""
STARVATION = 10_000
"""Tasks without delay after which the virtual clock moves on, so that endless chains of them end."""
END_SECONDS = 2.0
STUCK_SECONDS = 3.0
PACE_SECONDS = 0.01
WORKER_SECONDS = 1.0
"""How long in all a page waits for its workers."""
PROCESSORS = 4
"""What navigator.hardwareConcurrency says on every machine."""


class PageCrashed(Exception):
    """The page took its process down, or closed itself."""


class CaptureStuck(Exception):
    """The browser was asked for a picture and drew none: a race of its own that a new tab does not repeat."""


class NavigationFailed(Exception):
    """The browser would not load the page."""


@dataclass
class Shot:
    """A picture, the DOM figures of the same moment, and where the picture begins in the viewport."""

    picture: bytes
    figures: dict[str, Any]
    origin: tuple[float, float]


class Tab:
    """`open`, then `look`, then `close`. Beside the one that looks, a browser may have one that waits empty."""

    def __init__(self, browser: Browser, options: RenderOptions) -> None:
        self.browser = browser
        self.options = options
        self.guard = Guard(browser)
        self._context = self._target = self._session = ""
        self._ticks = 0.0
        self._lived = 0
        self._failure: Exception | None = None
        self._expired = asyncio.Event()
        self._beats = 0
        self._worker_seconds = WORKER_SECONDS
        self.on_drag: Callable[[dict[str, Any]], None] | None = None
        """Told what the page gives to be dragged."""

    def post(self, method: str, params: dict[str, Any] | None = None) -> asyncio.Future[dict[str, Any]]:
        """Send a command to the page."""
        return self.browser.post(method, params, self._session)

    async def open(self) -> None:
        """Make the empty tab; every failure here is the browser's, not the page's."""
        post, options = self.browser.post, self.options
        created = await post("Target.createBrowserContext", {"disposeOnDetach": True})
        self._context = created["browserContextId"]
        size = {"width": options.width, "height": options.height}
        blank = {"url": "about:blank", "browserContextId": self._context, "enableBeginFrameControl": True}
        self._target = (await post("Target.createTarget", blank | size))["targetId"]
        attach = {"targetId": self._target, "flatten": True}
        self._session = (await post("Target.attachToTarget", attach))["sessionId"]
        self.browser.listen(self._session, self._on_page)
        clock_set, *_ = await asyncio.gather(
            self.post("Emulation.setVirtualTimePolicy", {"policy": "pause", "initialVirtualTime": CLOCK_START}),
            *self.guard.enable(self._session, self._target),
            post("Browser.setDownloadBehavior", {"behavior": "deny", "browserContextId": self._context}),
            post("Target.setDiscoverTargets", {"discover": True}),
            self.post("Inspector.enable"),
            self.post("Emulation.setDeviceMetricsOverride", {**size, "deviceScaleFactor": 1, "mobile": False}),
            self.post("Emulation.setHardwareConcurrencyOverride", {"hardwareConcurrency": PROCESSORS}),
            self.post("Page.addScriptToEvaluateOnNewDocument", {"source": scripts.DETERMINISM}),
        )
        self._ticks = clock_set["virtualTimeTicksBase"]

    def fits(self, options: RenderOptions) -> bool:
        """Whether a tab opened for other options will do for these."""
        return (self.options.width, self.options.height) == (options.width, options.height)

    async def look(self, html: str, moments: list[int], until: float, mirror: Mirror | None = None) -> list[Shot]:
        """Load the page and photograph it at these moments of its clock, in ms; the caller limits the time.

        After `until`, by the loop's clock, it is photographed as it is. A picture of the whole page can only be
        the last.
        """
        document = html.encode("utf-8", "replace")
        url = f"https://p{hashlib.sha256(document).hexdigest()[:12]}.invalid/"
        if mirror is not None:
            document = mirror.relaxed(html).encode("utf-8", "replace")
        self.guard.serve(url, base64.b64encode(document).decode("ascii"), mirror)
        self.browser.listen(None, self._on_browser)
        # The clock must stand until the navigation is committed: a budget set before it is never used up.
        answer = await self.post("Page.navigate", {"url": url})
        if answer.get("errorText"):
            raise NavigationFailed(answer["errorText"])
        self.guard.deeds.budget_expired = True
        shots: list[Shot] = []
        for moment in moments:
            await self._live(moment, until)
            shots.append(await self._shot())
        return shots

    async def live(self, milliseconds: int, until: float) -> None:
        """Let the page live so much longer, at most `until` by the loop's clock, and draw the last moment's frame."""
        await self._live(self._lived + milliseconds, until)
        await self._frame(noDisplayUpdates=True)

    async def beat(self) -> None:
        """Draw a frame without letting time pass, for what waits for one: once the page has nothing else to do, for
        a frame that meets the page at work may never end."""
        await self.post("Runtime.evaluate", {"expression": "0"})
        self._beats += 1
        await self._frame(later=self._beats / 1000, noDisplayUpdates=True)

    async def _live(self, end: int, until: float) -> None:
        """Let the page live to this moment of its own clock, or of ours if it is too busy.

        Frames are drawn at fixed moments of the page's clock, so that transitions, observers and animations
        take their course; each costs about 3 ms, hence not sixty a second.
        """
        while self._lived < end:
            step = min(end - self._lived, FRAME_MS if self._lived < FINE_MS else COARSE_FRAME_MS)
            between = 0.0 if self._lived else BETWEEN_MS
            if not await self._spend(step + between, until - asyncio.get_running_loop().time()):
                self.guard.deeds.budget_expired = False
                self.post("Emulation.setVirtualTimePolicy", {"policy": "pause"})
                return
            self._lived += step
            if between:
                await self._first_frame()
            elif self._lived < end:
                await self._frame(noDisplayUpdates=True)
            if self.guard.workers:
                await self._abreast()

    async def _abreast(self) -> None:
        """Let workers catch up, whose threads know no virtual time; those that compute on and on are left behind."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        wait = {"expression": scripts.ABREAST, "awaitPromise": True}
        answers = [self.browser.post("Runtime.evaluate", wait, session) for session in self.guard.workers]
        await asyncio.wait(answers, timeout=max(0.0, self._worker_seconds))
        self._worker_seconds -= loop.time() - began

    async def _spend(self, milliseconds: float, seconds: float) -> bool:
        """Grant the page some of its own time; whether it was used up in so much of ours."""
        if seconds <= 0:
            return False
        self._expired.clear()
        budget = {"budget": milliseconds, "maxVirtualTimeTaskStarvationCount": STARVATION}
        self.post("Emulation.setVirtualTimePolicy", {"policy": "pauseIfNetworkFetchesPending", **budget})
        if self._failure is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._expired.wait(), seconds)
        if self._failure is not None:
            raise self._failure
        return self._expired.is_set()

    async def _first_frame(self) -> None:
        """Draw until something has been drawn: while the document's surface is being made, frames are lost, and
        what begins with the first frame would begin with the second."""
        for number in range(FIRST_FRAME_TRIES):
            if (await self._frame(later=number / 1000)).get("hasDamage"):
                return
            await asyncio.sleep(0.01)

    def _frame(self, later: float = 0.0, **params: Any) -> asyncio.Future[dict[str, Any]]:
        """Draw the frame of the present moment of the page's clock, or so many ms later."""
        moment = {"frameTimeTicks": self._ticks + BETWEEN_MS + self._lived + later, "interval": FRAME_MS}
        return self.post("HeadlessExperimental.beginFrame", moment | params)

    async def _shot(self) -> Shot:
        figures = await self._figures()
        if self.options.full_page:
            x, y = figures["scroll"]
            return Shot(await self._whole_page(int(figures["height"])), figures, (-x, -y))
        return Shot(await self.picture(), figures, (0.0, 0.0))

    async def picture(self) -> bytes:
        """What the viewport shows now."""
        self._beats += 1
        answer = await self._frame(later=self._beats / 1000, screenshot=self._image())
        if "screenshotData" not in answer:
            raise ProtocolError("a frame without a picture")
        return base64.b64decode(answer["screenshotData"])

    def _image(self) -> dict[str, Any]:
        image = {"format": self.options.image, "optimizeForSpeed": True}
        return image if self.options.image == "png" else image | {"quality": self.options.quality}

    async def _whole_page(self, height: int) -> bytes:
        """A picture beyond the viewport. It needs frames to go on, if only by microseconds, while it is taken.

        Often the last of these frames never ends, hence no frame can follow in this tab.
        """
        height = max(self.options.height, min(height, self.options.max_height))
        clip = {"x": 0, "y": 0, "width": self.options.width, "height": height, "scale": 1}
        taken = self.post("Page.captureScreenshot", {**self._image(), "captureBeyondViewport": True, "clip": clip})
        number = 0
        while not taken.done():
            number += 1
            frame = self._frame(later=number / 1000)
            await asyncio.wait({taken, frame}, timeout=STUCK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not taken.done() and not frame.done():
                raise CaptureStuck
            await asyncio.wait({taken}, timeout=PACE_SECONDS)
        return base64.b64decode((await taken)["data"])

    async def _figures(self) -> dict[str, Any]:
        return await self.evaluate(scripts.FIGURES % MAX_VISIBLE)

    async def evaluate(self, script: str) -> dict[str, Any]:
        """What a script says in an isolated world of the page's present document."""
        for _ in range(3):
            with contextlib.suppress(ProtocolError):  # the page may be about to replace its document
                world = {"frameId": self._target, "worldName": "artifactscoder"}
                context = (await self.post("Page.createIsolatedWorld", world))["executionContextId"]
                answer = await self.post(
                    "Runtime.evaluate", {"expression": script, "contextId": context, "returnByValue": True}
                )
                if "value" in answer["result"]:
                    return answer["result"]["value"]
            await asyncio.sleep(0.05)
        raise PageCrashed("no document to look at")

    async def close(self, hung: bool) -> None:
        """End the page, also one that does not answer; kill the browser if that takes more than 2 s."""
        self.browser.listen(None, lambda method, params: None)
        if hung:
            self.post("Runtime.terminateExecution")
            self.browser.post("Target.closeTarget", {"targetId": self._target})
        ended = self.browser.post("Target.disposeBrowserContext", {"browserContextId": self._context})
        try:
            await asyncio.wait_for(ended, END_SECONDS)
        except (TimeoutError, BrowserLost, ProtocolError):
            self.browser.kill()
        for session in (self._session, *self.guard.workers):
            self.browser.forget(session, PageCrashed("the page was ended"))

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        self.browser.forget(self._session, self._failure)
        self._expired.set()

    def _on_browser(self, method: str, params: dict[str, Any]) -> None:
        if method == "Browser.lost":
            self._fail(BrowserLost("the browser ended"))
        elif method == "Target.targetCreated":
            made = params["targetInfo"]
            foreign = made["targetId"] != self._target and made.get("browserContextId") == self._context
            if self._target and foreign and made["type"] in ("page", "tab"):
                self.browser.post("Target.closeTarget", {"targetId": made["targetId"]})
        elif method == "Target.detachedFromTarget" and params.get("sessionId") == self._session:
            self._fail(PageCrashed("the page closed itself"))

    def _on_page(self, method: str, params: dict[str, Any]) -> None:
        if method == "Emulation.virtualTimeBudgetExpired":
            self._expired.set()
        elif method == "Inspector.targetCrashed":
            self._fail(PageCrashed("the page's process ended"))
        elif method == "Input.dragIntercepted" and self.on_drag is not None:
            self.on_drag(params["data"])
        else:
            self.guard.on(method, params)
