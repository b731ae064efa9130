"""A render service in processes of its own, for tests that send to it, kill it and look for what it leaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from artifactscoder.guard import descendants
from artifactscoder.render import Render, RenderClient, RenderUnavailable, chromium

WORKFLOW = Path(chromium.__file__).parents[2]
SERVER = """
import json, sys
from pathlib import Path
from artifactscoder.render import RenderOptions
from artifactscoder.render.serve import serve
directory, browsers, queue, options = json.loads(sys.argv[1])
sys.exit(serve(RenderOptions(**options), browsers, rendezvous=Path(directory), queue=queue))
"""
OPTIONS = {"width": 800, "height": 600, "timeout_s": 15}


async def render_many(
    client: RenderClient, pages: Iterable[tuple[str, str]], at_once: int
) -> AsyncIterator[tuple[str, Render | RenderUnavailable]]:
    """Render pages given as (name, html), so many at once; each comes out by its name as soon as it is finished.

    A page for which there was no render service comes out with that error instead of a render.
    """
    free = asyncio.Semaphore(at_once)

    async def one(name: str, html: str) -> tuple[str, Render | RenderUnavailable]:
        async with free:
            try:
                return name, await client.render(html)
            except RenderUnavailable as error:
                return name, error

    under_way = [asyncio.create_task(one(*page)) for page in pages]
    try:
        for task in asyncio.as_completed(under_way):
            yield await task
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def marked(marker: str) -> list[int]:
    """The living processes of the browsers with these markers."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"ARTIFACTSCODER_BROWSER={marker}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def gone(marker: str, seconds: float = 5) -> bool:
    """Whether no process of these browsers is left, or will be within so long."""
    end = time.monotonic() + seconds
    while marked(marker) and time.monotonic() < end:
        time.sleep(0.05)
    return not marked(marker)


class Replica:
    """A service in a process of its own."""

    started: list[subprocess.Popen[bytes]] = []

    @classmethod
    def end_all(cls) -> None:
        """End what a test that failed has left running."""
        while cls.started:
            process = cls.started.pop()
            if process.poll() is None:
                process.kill()
                process.wait()

    def __init__(
        self, directory: Path, browsers: int = 1, queue: int | None = None, options: dict[str, object] | None = None
    ) -> None:
        known = set(directory.glob("replica-*.json"))
        arguments = json.dumps([str(directory), browsers, queue, options or OPTIONS])
        environment = os.environ | {"PYTHONPATH": str(WORKFLOW)}
        self.log = directory / f"log-{time.monotonic_ns()}"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVER, arguments], env=environment, stdout=log, stderr=log
            )
        self.started.append(self.process)
        end = time.monotonic() + 30
        while not (new := set(directory.glob("replica-*.json")) - known):
            assert time.monotonic() < end and self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        self.notice = new.pop()
        facts = json.loads(self.notice.read_text())
        self.url, self.token = facts["url"], facts["token"]

    def worker(self) -> int:
        """The process with the event loop, below the supervisor; 0 while there is none."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for child in children.read_text().split():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/cmdline").read_bytes().startswith(sys.executable.encode()):
                    return int(child)
        return 0

    def markers(self) -> set[str]:
        """Of the browsers that this service runs."""
        found = set()
        for number in descendants(self.process.pid):
            with contextlib.suppress(OSError):
                for variable in Path(f"/proc/{number}/environ").read_bytes().split(b"\0"):
                    if variable.startswith(b"ARTIFACTSCODER_BROWSER="):
                        found.add(variable.partition(b"=")[2].decode())
        return found

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal to the supervisor and wait for its end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(40)
