"""How long the report over 60,000 synthetic pages takes to build, how large it is, and how fast it opens and scrolls.

Writes the tables of a finished run (80 categories, 72,000 pages asked for, some 60,000 of them scored, 30 KB of code
and a JPEG of 36 KB each), builds the report as the rule does, and opens it from disk in Chromium: until the first row
of the gallery is painted, through the gallery by the wheel, a search in all requests, a sample. Needs 9 GB of disk.
The last line is JSON: seconds, MB, and frames in ms. `--quick` takes 8,000 pages.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from artifactscoder import config as configs  # noqa: E402
from artifactscoder.render import chromium  # noqa: E402
from finished_run import GRAPH, Run  # noqa: E402

# Two frames after the gallery has its rows, they are on the screen.
PAINTED = """document.addEventListener("gallery", () => requestAnimationFrame(() => requestAnimationFrame(() => {
  document.documentElement.dataset.painted = performance.now();
})));"""
FRAMES = """() => { window.frames_ms = []; let last = performance.now();
  const next = (now) => { frames_ms.push(now - last); last = now; requestAnimationFrame(next); };
  requestAnimationFrame(next); }"""


def configuration(folder: Path, quick: bool) -> Path:
    """A configuration of all categories and kinds, written to `folder`."""
    values = configs.load([ROOT / "config.yaml"]).model_dump(mode="json")
    values["results"], values["journal"] = str(folder / "results"), str(folder / "journal")
    values["sft"]["tasks"]["per_subcategory"] = 1 if quick else 3
    values["report"]["pages"] = 60_000
    values["sft"]["subcategories"] = 10 if quick else 25
    path = folder / "config.yaml"
    configs.write(configs.from_dict(values, "the bench's"), path)
    return path


def build(config: Path, results: Path) -> dict[str, float]:
    """Run `artifactscoder report` in a process of its own; seconds and its peak of memory [MB]."""
    (results / "report").mkdir()
    (results / "report/rulegraph.dot").write_text(GRAPH)
    command = [sys.executable, "-m", "artifactscoder.cli", "report", "--config", str(config), "--results", str(results)]
    command += ["--rulegraph", str(results / "report/rulegraph.dot"), "--output", str(results / "report/index.html")]
    start, used = time.perf_counter(), os.times()
    subprocess.run(command, check=True, cwd=ROOT)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    now = os.times()
    cpu = now.children_user + now.children_system - used.children_user - used.children_system
    return {"build_s": time.perf_counter() - start, "build_cpu_s": cpu, "build_peak_mb": peak}


def sizes(report: Path) -> dict[str, float]:
    """What lies in the report's folder [MB], and in how many files."""
    data = report / "data"
    parts = {name: _megabytes(data / name) for name in ("samples.js", "scores.js", "pages", "pictures")}
    parts["index.html"] = _megabytes(report / "index.html")
    words = sum(path.stat().st_size for path in data.glob("pages/*/words.js")) / 1e6
    files = sum(path.is_file() for path in report.rglob("*"))
    return {f"{name.split('.')[0]}_mb": size for name, size in parts.items()} | {"words_mb": words, "files": files}


def _megabytes(path: Path) -> float:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(one.stat().st_size for one in files if one.is_file()) / 1e6


def drive(page: Page, address: str) -> dict[str, float]:
    """Open, scroll, search and look at a sample, as a reader does."""
    page.add_init_script(PAINTED)
    start = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.locator("html[data-painted]").wait_for()
    found = {"open_s": float(page.get_attribute("html", "data-painted") or "nan") / 1000}
    page.locator("#list li img").first.evaluate("image => image.decode()")
    found["open_with_picture_s"] = time.perf_counter() - start
    page.locator("#list").scroll_into_view_if_needed()
    page.wait_for_timeout(3000)  # the charts about it are drawn
    page.locator("#list").hover()
    page.evaluate(FRAMES)
    for _ in range(60):
        page.mouse.wheel(0, 700)
        page.wait_for_timeout(50)
    frames = page.evaluate("frames_ms")
    found |= {"frame_median_ms": statistics.median(frames), "frame_worst_ms": max(frames)}
    found["scrolled_rows"] = page.evaluate("Math.round(gallery.list.scrollTop / gallery.height) * gallery.columns")
    page.evaluate("gallery.list.scrollTop = gallery.list.scrollHeight")
    last = page.evaluate("gallery.order.length")
    page.locator(f"#list li[aria-posinset='{last}']").wait_for()
    search = page.get_by_role("searchbox")
    for name, words in (("search_first_s", "number 77"), ("search_again_s", "number 78")):
        start = time.perf_counter()
        search.fill(words)
        page.locator("#list[aria-busy=false]").wait_for()
        found[name] = time.perf_counter() - start
    start = time.perf_counter()
    page.locator("#list li a").first.click()
    page.locator("dialog pre").wait_for()
    found["sample_s"] = time.perf_counter() - start
    found["heap_mb"] = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="8,000 pages")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave run and report there")
    args = parser.parse_args()
    kept = args.keep and args.keep.resolve()
    os.chdir(ROOT)
    measured: dict[str, Any] = {}
    with contextlib.nullcontext(kept) if kept else tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        config = configuration(folder, args.quick)
        start = time.perf_counter()
        measured["pages"] = Run(configs.load([config]), kilobytes=30, pictures=40).make()
        print(f"tables of {measured['pages']:,} scored pages in {time.perf_counter() - start:.0f} s", flush=True)
        report = folder / "results/report"
        measured |= build(config, folder / "results") | sizes(report)
        print(measured, flush=True)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=str(chromium.find()), chromium_sandbox=os.geteuid() != 0
            )
            runs = []
            for _ in range(3):
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                runs.append(drive(page, (report / "index.html").as_uri()))
                print({name: round(value, 3) for name, value in runs[-1].items()}, flush=True)
                page.close()
            browser.close()
        measured |= {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    print(json.dumps({name: round(value, 3) for name, value in measured.items()}))


if __name__ == "__main__":
    main()
