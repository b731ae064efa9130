"""How often the verdict errs: on pages that render or do not, with a label (`bench/labelled`), in two halves.

Pages of a kind go to both halves in turns. The thresholds are chosen on the first half: of all on a grid those with the
fewest errors, of these those nearest to the ones in force. Then the errors of the chosen and of those in force are
counted on both halves and on pages written after the rules were settled, with 95 % intervals (Wilson). Some kinds show
something that pixels cannot tell from a page (a spinner, a skeleton, "404"): they are counted on their own. The last
line is JSON; `--sheets FOLDER` writes contact sheets of all pictures, wrong verdicts in yellow; `--quick` renders a
third of the pages.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import dataclasses
import functools
import io
import itertools
import json
import os
from dataclasses import dataclass
from pathlib import Path

from labelled import fresh_pages, pages
from PIL import Image, ImageDraw

from artifactscoder.render import RenderOptions, RenderPool, Verdict, judgement
from artifactscoder.render import pool as pool_module
from artifactscoder.render.guard import Deeds
from artifactscoder.render.judgement import judge
from artifactscoder.render.page import Reason
from artifactscoder.render.tab import Shot

SHOWS_ANOTHER = {"spinner for ever", "skeleton", "error page", "not found", "refuses to run"}
GRID = {
    "blank_colours": (1, 2, 3, 4),
    "blank_share": (0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999),
    "noise_edges": (0.2, 0.25, 0.3, 0.35, 0.4, 0.5),
    "noise_order": (0.05, 0.1, 0.15, 0.2, 0.25, 1.0),
}
TILE, ACROSS = (196, 110), 10


@dataclass
class Case:
    """A labelled page and what was seen of it."""

    kind: str
    renders: bool
    half: str
    """choose, held out, or fresh: written after the rules were settled."""
    shots: list[Shot]
    deeds: Deeds
    failed: Reason | None

    def wrong(self, options: RenderOptions) -> bool:
        return judge(self.shots, self.deeds, options, self.failed).rendered != self.renders


async def seen(every: int) -> list[Case]:
    """Render the pages as the pipeline does, and keep what the verdict was made from."""
    written = pages()[::every]
    chosen = written + fresh_pages()[::every]
    kept: dict[str, tuple[list[Shot], Deeds, Reason | None]] = {}

    numbers = itertools.count()  # verdicts are made in threads

    def keep(shots: list[Shot], deeds: Deeds, options: RenderOptions, failed: Reason | None) -> Verdict:
        verdict = judge(shots, deeds, options, failed)
        verdict.visible_text = key = str(next(numbers))
        kept[key] = (shots, deeds, failed)
        return verdict

    pool_module.judge = keep
    async with RenderPool(RenderOptions(), os.cpu_count() or 1) as pool:
        renders = await asyncio.gather(*(pool.render(html) for _, _, html in chosen))
    turns: collections.Counter[str] = collections.Counter()
    cases = []
    for number, ((kind, label, _), render) in enumerate(zip(chosen, renders, strict=True)):
        half = "choose" if turns[kind] % 2 == 0 else "held out"
        cases.append(Case(kind, label, half if number < len(written) else "fresh", *kept[render.verdict.visible_text]))
        turns[kind] += 1
    return cases


def choose(cases: list[Case]) -> RenderOptions:
    """The thresholds with the fewest errors on these cases."""
    force = RenderOptions()
    # Two at a time: those of emptiness and those of noise do not meddle with each other.
    for names in (("blank_colours", "blank_share"), ("noise_edges", "noise_order")):
        tried = []
        for values in itertools.product(*(GRID[name] for name in names)):
            options = dataclasses.replace(force, **dict(zip(names, values, strict=True)))
            far = sum(
                abs(GRID[name].index(value) - GRID[name].index(getattr(RenderOptions(), name)))
                for name, value in zip(names, values, strict=True)
            )
            tried.append((sum(case.wrong(options) for case in cases), far, values))
        force = dataclasses.replace(force, **dict(zip(names, min(tried)[2], strict=True)))
    return force


def interval(errors: int, count: int) -> str:
    """A rate and its 95 % interval (Wilson)."""
    if not count:
        return "-"
    z, p = 1.96, errors / count
    middle = (p + z * z / 2 / count) / (1 + z * z / count)
    reach = z / (1 + z * z / count) * (p * (1 - p) / count + z * z / 4 / count / count) ** 0.5
    return f"{errors}/{count} = {100 * p:.1f} % ({100 * max(0, middle - reach):.1f} to {100 * (middle + reach):.1f})"


def rates(cases: list[Case], options: RenderOptions) -> dict[str, str]:
    wrong = {id(case): case.wrong(options) for case in cases}
    groups = {
        "false not rendered": [case for case in cases if case.renders],
        "false rendered, nothing shows": [
            case for case in cases if not case.renders and case.kind not in SHOWS_ANOTHER
        ],
        "false rendered, something else shows": [case for case in cases if case.kind in SHOWS_ANOTHER],
    }
    return {name: interval(sum(wrong[id(case)] for case in group), len(group)) for name, group in groups.items()}


def sheets(cases: list[Case], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    per_sheet = ACROSS * 8
    for start in range(0, len(cases), per_sheet):
        part = cases[start : start + per_sheet]
        sheet = Image.new("RGB", (ACROSS * 200, -(-len(part) // ACROSS) * 135), "#888")
        draw = ImageDraw.Draw(sheet)
        for number, case in enumerate(part):
            x, y = number % ACROSS * 200, number // ACROSS * 135
            if case.shots:
                sheet.paste(Image.open(io.BytesIO(case.shots[0].picture)).convert("RGB").resize(TILE), (x, y))
            text = f"{start + number} {case.kind} {'+' if case.renders else '-'}"
            draw.text((x, y + 111), text, fill="yellow" if case.wrong(RenderOptions()) else "white")
        sheet.save(folder / f"sheet-{start // per_sheet}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a third of the pages")
    parser.add_argument("--sheets", type=Path, help="write contact sheets into this folder")
    args = parser.parse_args()
    # Each picture is measured once, not once for each threshold.
    judgement.measure = functools.cache(judgement.measure)
    cases = asyncio.run(seen(3 if args.quick else 1))
    if args.sheets:
        sheets(cases, args.sheets)
    halves = {name: [case for case in cases if case.half == name] for name in ("choose", "held out", "fresh")}
    chosen = choose([case for case in halves["choose"] if case.kind not in SHOWS_ANOTHER])
    figures: dict[str, object] = {"chosen": {name: getattr(chosen, name) for name in GRID}}
    print(f"{len(cases)} pages; chosen on the first half: {figures['chosen']}")
    for said, options in (("chosen", chosen), ("in force", RenderOptions())):
        for half, members in halves.items():
            found = rates(members, options)
            for name, rate in found.items():
                print(f"{said:8} {half:8} {name:36} {rate}")
            figures[f"{said}, {half}"] = found
    wrong = collections.Counter(case.kind for case in cases if case.wrong(RenderOptions()))
    print(f"wrong with those in force, by kind: {dict(wrong)}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
