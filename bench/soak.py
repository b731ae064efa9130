"""Many pages in a row: does anything grow, slow down or stay behind?

Renders N pages (`--pages`, 10,000 if not given; `--quick`: 100) through one pool with a browser a core, and prints ten
times what a page costs, the memory of this process and of the browsers, open files, processes and profile folders.
After the pool has ended, no process and no folder may be left. Fails if the last tenth is worse than the second by
more than GROWTH allows. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pages as sets
import psutil
from restless import PAGES as RESTLESS

from artifactscoder.render import RenderOptions, RenderPool

BROWSERS = os.cpu_count() or 1
GROWTH = {"cpu_ms": 1.25, "own_mb": 1.25, "browsers_mb": 1.5, "files": 1.1, "processes": 1.5, "folders": 1.0}
"""How many times the second tenth's figure the last tenth's may be; browsers are of different ages."""


class Watch:
    """Counts what the pool uses; browsers that were replaced are counted to their last page."""

    def __init__(self, pool: RenderPool) -> None:
        self.pool = pool
        self.profiles: set[Path] = set()
        self.spent: dict[str, float] = {}
        self.before = 0.0
        self.began = time.perf_counter()

    def note(self) -> None:
        for browser in self.pool.running():
            self.profiles.add(browser.profile)
            self.spent[browser.marker] = max(self.spent.get(browser.marker, 0.0), browser.processor_seconds())

    def tenth(self, pages: int) -> dict[str, Any]:
        self.note()
        gc.collect()
        own = psutil.Process()
        spent = sum(self.spent.values()) + sum(own.cpu_times()[:2])
        figures = {
            "pages_per_s": pages / (time.perf_counter() - self.began),
            "cpu_ms": (spent - self.before) / pages * 1000,
            "own_mb": own.memory_info().rss / 2**20,
            "browsers_mb": sum(browser.memory_mb() for browser in self.pool.running()),
            "files": own.num_fds(),
            "processes": sum(len(browser.processes()) for browser in self.pool.running()),
            "folders": sum(profile.exists() for profile in self.profiles),
        }
        self.before, self.began = spent, time.perf_counter()
        return {name: round(value, 2) for name, value in figures.items()}


async def soak(count: int) -> tuple[list[dict[str, Any]], list[str], set[Path]]:
    """The figures of each tenth, and the markers and profile folders of all browsers."""
    everything = [*sets.ordinary(), *RESTLESS.values()]
    rows: list[dict[str, Any]] = []
    async with RenderPool(RenderOptions(timeout_s=60), BROWSERS) as pool:
        watch = Watch(pool)
        waiting = iter(range(count))
        done = 0

        async def worker() -> None:
            nonlocal done
            for number in waiting:
                render = await pool.render(everything[number % len(everything)])
                assert render.screenshots, render.verdict
                done += 1
                if done % 20 == 0:
                    watch.note()
                if done % max(1, count // 10) == 0:
                    rows.append(watch.tenth(count // 10))
                    print(done, json.dumps(rows[-1]), flush=True)

        await asyncio.gather(*(worker() for _ in range(2 * BROWSERS)))
        return rows, list(watch.spent), watch.profiles


def left(markers: list[str]) -> list[str]:
    """Command lines of processes of these browsers that still live."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("ARTIFACTSCODER_BROWSER") in markers:
                found.append(" ".join(process.cmdline())[:80])
        except psutil.Error:
            continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=10_000)
    parser.add_argument("--quick", action="store_true", help="100 pages")
    args = parser.parse_args()
    rows, markers, profiles = asyncio.run(soak(100 if args.quick else max(100, args.pages)))
    end = time.monotonic() + 10
    while (left(markers) or any(profile.exists() for profile in profiles)) and time.monotonic() < end:
        time.sleep(0.2)
    ratios = {name: rows[-1][name] / max(rows[1][name], 0.01) for name in GROWTH}
    grown = [f"{name} {rows[1][name]} -> {rows[-1][name]}" for name in GROWTH if ratios[name] > GROWTH[name]]
    orphans, stray = left(markers), sum(profile.exists() for profile in profiles)
    print("grown: " + (", ".join(grown) or "nothing") + f"; left: {len(orphans)} processes, {stray} folders")
    print(json.dumps({name: round(ratio, 3) for name, ratio in ratios.items()} | {"browsers": len(markers)}))
    sys.exit(bool(grown or orphans or stray))


if __name__ == "__main__":
    main()
