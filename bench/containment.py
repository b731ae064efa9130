"""What the layers around a browser cost: the same pages in the same browser, layer upon layer, in turns.

A layer that this machine does not grant is left out. The figures are processor time and wall time a page, medians of
the rounds, the start and the end of the browser included in the processor time. The last line is JSON with the
processor time of each over that of none. `--quick` renders 10 pages a round, else 50.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import time
from pathlib import Path

from artifactscoder.llm.procedural.compose import compose
from artifactscoder.render import RenderOptions, RenderPool, chromium
from artifactscoder.render.containment import Containment, choose

SEEDS = Path(__file__).resolve().parents[1] / "workflow/seeds/subcategories.jsonl"
OPTIONS = RenderOptions(width=800, height=600)
ROUNDS = 3


def used() -> float:
    """Processor seconds of all browsers that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


async def once(containment: Containment, pages: list[str]) -> tuple[float, float]:
    """Processor and wall time a page [ms]."""
    before = used()
    async with RenderPool(OPTIONS, browsers=1, containment=containment) as pool:
        began = time.perf_counter()
        for html in pages:
            assert (await pool.render(html)).verdict.rendered, "a page did not render"
        wall = time.perf_counter() - began
    return 1000 * (used() - before) / len(pages), 1000 * wall / len(pages)


async def measure(count: int) -> None:
    briefs = [json.loads(line) for line in SEEDS.read_text().splitlines()]
    pages = [compose(f"{row['name']}. {row['brief']}", 1) for row in briefs[:: len(briefs) // count][:count]]
    best = choose(chromium.find())
    print(best.describe())
    layers = {"none": Containment()}
    if best.own_user:
        layers["own user"] = Containment(own_user=True)
    if best.sandbox:
        layers["sandbox"] = Containment(own_user=best.own_user, sandbox=True)
    layers["all"] = best
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in layers}
    for _ in range(ROUNDS):
        for name, containment in layers.items():
            costs[name].append(await once(containment, pages))
    middle = {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in costs.items()}
    for name, (processor, wall) in middle.items():
        print(f"{name:10} {processor:6.0f} ms of processor, {wall:6.0f} ms a page")
    print(json.dumps({name: round(processor / middle["none"][0], 3) for name, (processor, _) in middle.items()}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10 pages a round instead of 50")
    asyncio.run(measure(10 if parser.parse_args().quick else 50))


if __name__ == "__main__":
    main()
