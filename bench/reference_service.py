"""A render service with the behaviour of the reference implementation, to measure against; serves until it is ended.

`POST /render {"html_path", "image_path"}` -> `{"success": bool}`. One Chromium under Playwright a process, a context a
request without any interception, the page from a file: URL, waits for DOMContentLoaded, then for 500 ms without a
request (20 s each at most, 25 s in all), then a PNG of the whole page into the file named. Beyond the reference it
takes `image` and `full_page`, so that both sides can be measured with the same pictures.
Prints its port. Written from the description of that behaviour; no line is theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import Any

from aiohttp import web
from playwright.async_api import Browser, Error, async_playwright

STEP_MS, WALL_SECONDS = 20_000, 25.0


async def render(browser: Browser, asked: dict[str, Any]) -> bool:
    """Load the file, wait until the network is quiet, write a picture."""
    context = await browser.new_context(viewport={"width": asked["width"], "height": asked["height"]})
    try:
        page = await context.new_page()
        await page.goto(f"file://{asked['html_path']}", wait_until="domcontentloaded", timeout=STEP_MS)
        with contextlib.suppress(Error):
            await page.wait_for_load_state("networkidle", timeout=STEP_MS)
        form: dict[str, Any] = {"type": asked["image"], "full_page": asked["full_page"], "timeout": STEP_MS}
        if asked["image"] == "jpeg":
            form["quality"] = asked["quality"]
        await page.screenshot(path=asked["image_path"], **form)
        return True
    finally:
        await context.close()


async def serve(executable: str) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, chromium_sandbox=os.geteuid() != 0)

        async def handle(request: web.Request) -> web.Response:
            try:
                async with asyncio.timeout(WALL_SECONDS):
                    success = await render(browser, await request.json())
            except (Error, TimeoutError):
                success = False
            return web.json_response({"success": success})

        application = web.Application()
        application.add_routes([web.post("/render", handle)])
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    if len(sys.argv) == 2 and not sys.argv[1].startswith("--"):
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(sys.argv[1]))
