"""Calibration: the gold pages show what they say, and a judge is told fit from unfit by them."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from artifactscoder import seeds, tables
from artifactscoder.errors import UserError
from artifactscoder.render import RenderOptions, RenderPool
from artifactscoder.sft import calibrate
from checkout import ROOT
from openai_server import completion
from test_score import Judge, number_of, page

CONFIGS = ["--config", "config.yaml", "--config", "profiles/demo/recipe.yaml"]
# What the user's own gold pages, numbered, are said to be.
LEVELS = {
    1: {"executability": 10, "accessibility": 0},
    2: {"executability": 5, "accessibility": 7.5, "readability": 2.5},
    3: {"executability": 0, "accessibility": 2.5},
}


def own_gold(folder: Path, levels: dict[int, dict[str, float]] = LEVELS) -> Path:
    path = folder / "gold.jsonl"
    with open(path, "w") as file:
        for number, given in levels.items():
            (folder / f"{number}.html").write_text(page(number))
            row = {"slug": f"page-{number}", "page": f"{number}.html", "prompt": "Make a page.", "levels": given}
            file.write(json.dumps(row) + "\n")
    return path


async def command(folder: Path, overlay: dict, *arguments: str) -> tuple[int, str]:
    """(exit code, output) of `artifactscoder sft calibrate` with its results and journal in `folder`."""
    path = folder / "mine.yaml"
    places = {"results": str(folder / "results"), "journal": str(folder / "journal")}
    path.write_text(yaml.safe_dump({**places, **overlay}))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "artifactscoder.cli", "sft", "calibrate", *CONFIGS, "--config", str(path)),
        *("--browsers", "2", *arguments),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said = (await process.communicate())[0].decode()
    assert process.returncode is not None
    return process.returncode, said


async def test_a_judge_of_the_gold_levels_is_fit_one_that_always_says_10_or_leaves_a_page_out_is_not(tmp_path) -> None:
    def leaves_out(html: str, slug: str, number: int) -> float | web.Response:
        return web.json_response(completion("no")) if number_of(html) == 3 else LEVELS[number_of(html)].get(slug, 5)

    right = Judge(lambda html, slug, number: LEVELS[number_of(html)].get(slug, 5))
    kind = Judge(lambda html, slug, number: 10)
    mute = Judge(leaves_out)
    async with right.open() as url, kind.open() as other, mute.open() as third:
        endpoints = {
            "right": {"kind": "api", "url": url, "model": "right-model"},
            "kind": {"kind": "api", "url": other, "model": "kind-model", "price_in": 200.0},
            "mute": {"kind": "api", "url": third, "model": "mute-model"},
        }
        settings = {"judges": ["right", "kind", "mute"], "group": 5}
        overlay = {"endpoints": endpoints, "sft": {"score": settings}, "seeds": {"gold": str(own_gold(tmp_path))}}
        code, said = await command(tmp_path, overlay)
        received = [right.received, kind.received]
        overlay["sft"] = {"score": {**settings, "judges": ["right"]}}
        alone, again = await command(tmp_path, overlay)
    assert code == 1 and "right is fit to judge" in said and "Traceback" not in said
    assert "kind is not fit: its mean error is 6.07 points (sft.calibrate.max_error is 2.0); its agreement" in said
    assert "with gold is 0.00 (sft.calibrate.min_agreement is 0.6)\n" in said
    assert "mute is not fit: 1 of 3 gold pages have no verdict (1 bad_json)\n" in said
    assert alone == 0 and "right is fit" in again and [right.received, kind.received] == received == [15, 15]
    assert "15 attempts for 15 answers, 150 prompt" in said and "cost 0.03" in said


async def test_the_table_tells_error_bias_agreement_and_repeatability(configure) -> None:
    pages = [{"slug": "one", "levels": {"readability": 0}}, {"slug": "two", "levels": {"readability": 10}}]
    given = {"one": [0, 2.5], "two": [10, 7.5]}
    judged = [
        {"id": id_, "votes": json.dumps([{"scores": {"readability": value}} for value in values])}
        for id_, values in given.items()
    ]
    whole, row = calibrate.measure(pages, judged)
    assert whole == {**row, "dimension": "all"} and row["levels"] == 2
    assert (row["error"], row["bias"], row["repeat"]) == (1.25, 0.0, 1.25)
    # By hand: squared distances of (0, 0), (0, 1), (4, 4), (4, 3) are 0, 1, 0, 1; by chance the mean is 6.5.
    assert row["kappa"] == pytest.approx(1 - 0.5 / 6.5, abs=1e-6)


async def test_the_gold_pages_render_and_fail_where_they_say_so(configure) -> None:
    config = configure()
    pages = seeds.gold(config)
    assert len(pages) >= 12 and len({slug for page in pages for slug in page["levels"]}) >= 20
    assert {level for page in pages for level in page["levels"].values()} == {0, 2.5, 5, 7.5, 10}
    options = RenderOptions(**{**config.render.model_dump(), "first_ms": 200})
    async with RenderPool(options, browsers=2) as pool:
        renders = await asyncio.gather(*(pool.render(page["html"]) for page in pages))
    for gold, render in zip(pages, renders, strict=True):
        verdict = render.verdict
        assert verdict.rendered, (gold["slug"], verdict.reason)
        stops = gold["levels"].get("executability", 10) == 2.5
        assert bool(verdict.script_errors) == stops, (gold["slug"], verdict.script_errors)


async def test_the_procedural_judge_is_marked_and_measured_offline(tmp_path) -> None:
    code, said = await command(tmp_path, {"seeds": {"gold": str(own_gold(tmp_path))}}, "--output", str(tmp_path / "o"))
    assert code == 1 and "procedural (procedural: built-in rules, no model)" in said
    rows = list(tables.rows(tmp_path / "o/calibrate.parquet"))
    assert {row["judge"] for row in rows} == {"procedural"} and rows[0]["levels"] == 7
    assert {row["judge"] for row in tables.rows(tmp_path / "o/1-procedural.parquet")} == {"procedural"}


@pytest.mark.parametrize(
    ("levels", "sentence"),
    [
        ({"beauty": 10}, "page-1 gives 'beauty', which .* does not hold"),
        ({"readability": 9}, "page-1 gives readability the level 9, which does not exist"),
    ],
)
def test_a_mistake_in_the_gold_file_is_one_sentence(levels, sentence, configure, tmp_path) -> None:
    path = own_gold(tmp_path, {1: levels})
    with pytest.raises(UserError, match=sentence):
        seeds.gold(configure(seeds={"gold": str(path)}))


def test_a_gold_page_that_is_not_there_is_one_sentence(configure, tmp_path) -> None:
    path = own_gold(tmp_path)
    (tmp_path / "1.html").unlink()
    with pytest.raises(UserError, match="cannot read .*1.html"):
        seeds.gold(configure(seeds={"gold": str(path)}))
