"""Whether the same page gives the same pixels: two processes with a browser each, beside a core that is kept busy.

The pages: composed ones, with and without flaws, the gold pages of the seeds, and those of bench/restless.py, which
move, draw lots, read clocks and wait. Every page is rendered 10 times (5 in each process, in another order in each)
to PNG, while a third process keeps a core busy all the time. A page is the same if all its pictures and all that its
verdict says as evidence are. Prints each page that is not, with what differs; the last line is JSON: pages, and the
shares of those with the same pixels and of those with the same evidence. Fails below 95 %.
`--quick`: 60 pages, 4 times. `--pages NAME`: those whose name holds this. `--composed N`: so many composed pages.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import io
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops
from restless import PAGES as RESTLESS

from artifactscoder.llm.procedural import ideas
from artifactscoder.llm.procedural.compose import compose
from artifactscoder.llm.procedural.flaws import KINDS, flaw
from artifactscoder.render.page import RenderOptions
from artifactscoder.render.pool import RenderPool

SEEDS = Path(__file__).resolve().parents[1] / "workflow/seeds"
OPTIONS = RenderOptions(image="png", timeout_s=60)
PROCESSES = 2
LEAST = 0.95
NAMED = 5
"""So few pages are all named, also those that are the same."""
CARE = (1.0, 1.0, 1.0, 0.8, 0.5)


def composed(count: int) -> dict[str, str]:
    """Pages for variants of tasks over all subcategories, some made with less care, every fourth with a flaw."""
    rows, kinds = _rows("subcategories"), _rows("variants")
    pages = {}
    for number in range(count):
        row, kind = rows[number * max(1, len(rows) // count) % len(rows)], kinds[number % len(kinds)]
        (task,) = ideas.tasks(row["id"].split("/")[0], row["name"], row["brief"], 1, number)
        (prompt,) = ideas.variants(task["title"], task["description"], [kind], number).values()
        html, weakness = compose(prompt, number, CARE[number % len(CARE)]), KINDS[number // 4 % len(KINDS)]
        flawed = number % 4 == 3
        name = f"composed-{number}-{kind['slug']}" + (f"-{weakness}" if flawed else "")
        pages[name] = flaw(html, weakness, number) if flawed else html
    return pages


def _rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SEEDS / f"{name}.jsonl").read_text().splitlines()]


def page_set(count: int) -> dict[str, str]:
    gold = {f"gold-{path.stem}": path.read_text() for path in sorted((SEEDS / "gold").glob("*.html"))}
    return composed(count) | gold | RESTLESS


async def work(pages: dict[str, str], rounds: int, folder: Path, number: int) -> None:
    """Render every page so many times; leaves each picture and each evidence under the digests' names."""
    order = random.Random(number)
    async with RenderPool(OPTIONS, browsers=1) as pool:
        for turn in range(rounds):
            names = list(pages)
            order.shuffle(names)
            for name in names:
                render = await pool.render(pages[name])
                stem = folder / f"{name}~{number}{turn}"
                stem.with_suffix(".png").write_bytes(b"".join(render.screenshots))
                verdict = render.verdict.evidence() | {"budget_expired": render.verdict.budget_expired}
                stem.with_suffix(".json").write_text(json.dumps(verdict, sort_keys=True))


def difference(pictures: list[bytes], verdicts: list[dict[str, Any]]) -> str:
    """In words, how the renders of one page differ from the first of them."""
    said = []
    groups = [count for _, count in collections.Counter(pictures).most_common()]
    if len(groups) > 1:
        other = next(picture for picture in pictures if picture != pictures[0])
        said.append(f"{'+'.join(map(str, groups))} pictures, {_pixels(pictures[0], other)}")
    for name in verdicts[0]:
        values = {json.dumps(verdict[name]) for verdict in verdicts}
        if len(values) > 1:
            said.append(f"{name} {' / '.join(sorted(values))[:200]}")
    return "; ".join(said)


def _pixels(first: bytes, second: bytes) -> str:
    if not first or not second:
        return "one without a picture"
    with Image.open(io.BytesIO(first)) as a, Image.open(io.BytesIO(second)) as b:
        if a.size != b.size:
            return f"sizes {a.size} and {b.size}"
        differing = ImageChops.difference(a.convert("RGB"), b.convert("RGB"))
        changed = sum(differing.convert("L").point(lambda level: 255 if level else 0).histogram()[255:])
        return f"{changed} px in {differing.getbbox()}"


def compare(names: list[str], folder: Path, named: bool) -> dict[str, Any]:
    same_pixels = same_evidence = 0
    for name in names:
        pictures = [path.read_bytes() for path in sorted(folder.glob(f"{name}~*.png"))]
        texts = [path.read_text() for path in sorted(folder.glob(f"{name}~*.json"))]
        verdicts = [json.loads(text) for text in texts]
        evidence = [{key: value for key, value in verdict.items() if key != "budget_expired"} for verdict in verdicts]
        pixels, figures = len(set(pictures)) == 1, all(one == evidence[0] for one in evidence)
        same_pixels, same_evidence = same_pixels + pixels, same_evidence + figures
        if not (pixels and figures) or named:
            print(f"{name}: {difference(pictures, verdicts) or 'always the same'}", flush=True)
    count = len(names)
    shares = {"pages": count, "same_pixels": same_pixels / count, "same_evidence": same_evidence / count}
    return {key: round(value, 4) for key, value in shares.items()}


def measure(pages: dict[str, str], rounds: int, busy: int, keep: Path | None, named: bool) -> dict[str, Any]:
    """Render in processes of their own, then compare."""
    with tempfile.TemporaryDirectory() as made:
        folder = keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pages.json").write_text(json.dumps(pages))
        load = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        try:
            command = [sys.executable, __file__, "--work", str(folder), "--rounds", str(rounds)]
            workers = [subprocess.Popen([*command, "--number", str(number)]) for number in range(PROCESSES)]
            assert not any([worker.wait() for worker in workers]), "a process failed"
        finally:
            for process in load:
                process.kill()
        return compare(list(pages), folder, named)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="60 pages, 4 times each")
    parser.add_argument("--pages", default="", metavar="NAME", help="only pages whose name holds this")
    parser.add_argument("--composed", type=int, default=100, metavar="N", help="how many composed pages")
    parser.add_argument("--rounds", type=int, default=5, help="renders of a page in each process")
    parser.add_argument("--busy", type=int, default=1, help="processes that do nothing but use a processor")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave pictures and verdicts here")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--number", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        pages = json.loads((args.work / "pages.json").read_text())
        asyncio.run(work(pages, args.rounds, args.work, args.number))
        return
    pages = page_set(args.composed)
    if args.quick:
        names = sorted(pages)
        pages = {name: pages[name] for name in random.Random(1).sample(names, 60)}
        args.rounds = 2
    pages = {name: html for name, html in pages.items() if args.pages in name}
    shares = measure(pages, args.rounds, args.busy, args.keep, len(pages) <= NAMED)
    print(json.dumps(shares))
    sys.exit(shares["same_pixels"] < LEAST)


if __name__ == "__main__":
    main()
