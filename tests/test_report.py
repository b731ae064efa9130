"""Claims about the report: it opens from disk, everything in it is found, followed and read out, and it is true."""

from __future__ import annotations

import functools
import http.server
import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from artifactscoder import files, seeds, shards, tables
from artifactscoder.config import Config
from artifactscoder.html import mask
from artifactscoder.report import accounts, funnel, lives, samples
from finished_run import EMAIL, HOSTILE
from reported import CATEGORIES, KINDS, Open, choose, column, found, ledger_rows, seen

pytest_plugins = ["report_opened"]

ELSEWHERE = "http://127.0.0.1:9"
# What a script that got into the page might try; returns directive and address of all that the policy refuses.
ATTEMPTS = """async (there) => {
  const refused = [];
  addEventListener("securitypolicyviolation", (one) => refused.push([one.effectiveDirective, one.blockedURI]));
  const add = (name, values) => document.body.append(Object.assign(document.createElement(name), values));
  add("img", { src: `${there}/a` });
  add("script", { src: `${there}/b.js` });
  add("script", { textContent: "document.title = 'taken'" });
  add("iframe", { src: `${there}/d` });
  document.body.insertAdjacentHTML("beforeend", "<img src='data:,' onerror='document.title = 1'>");
  await Promise.allSettled([fetch(`${there}/c`), fetch(location.href.replace("injected", "index"))]);
  for (let n = 0; refused.length < 7 && n < 100; n++) await new Promise((done) => setTimeout(done, 20));
  return refused;
}"""


def test_every_page_that_was_asked_for_is_in_the_gallery(config: Config, show: Open) -> None:
    page = show()
    asked = set(column(config, "sft/variants", "kind"))
    assert set(choose(page)) == asked and len(asked) > 100
    assert page.locator("#found").text_content() == f"{len(asked)} of {len(asked)} pages"


def test_a_printed_report_has_all_its_charts(show: Open) -> None:
    page = show()
    page.locator(".plot").first.scroll_into_view_if_needed()
    page.locator(".plot.js-plotly-plot").first.wait_for()
    undrawn = "document.querySelectorAll('.plot:not(:has(.main-svg))').length"
    assert page.evaluate(undrawn) > 0
    page.evaluate(f"addEventListener('afterprint', () => {{ window.undrawn = {undrawn} }})")
    page.pdf()
    assert page.evaluate("window.undrawn") == 0


def test_all_charts_are_drawn_and_each_has_its_numbers_as_a_table(show: Open) -> None:
    page = show()
    plots = page.locator(".plot")
    assert plots.count() >= 14
    for number in range(plots.count()):
        plots.nth(number).scroll_into_view_if_needed()
        plots.nth(number).locator("svg").first.wait_for()
    assert page.locator("figure.chart table").count() == plots.count()
    assert "below min" in page.locator("#funnel .sankey").first.text_content()


def test_a_cell_of_the_map_and_a_loss_lead_to_their_pages(config: Config, show: Open) -> None:
    page = show()
    coverage = page.locator("#coverage .plot")
    coverage.scroll_into_view_if_needed()
    cell = coverage.locator(".nsewdrag")
    box = cell.bounding_box()
    first = {"x": box["width"] / 6, "y": box["height"] / 4}
    cell.hover(position=first)
    coverage.locator(".hovertext").wait_for()
    cell.click(position=first)
    expect(page.locator("#filters [name=kind] option:checked")).to_have_text("layout")
    chosen = tables.column(config.results / "sft/select/sft_train.parquet", "id")
    category = seeds.categories(config)[0]["slug"]
    assert set(found(page)) == {id_ for id_ in chosen if id_.startswith(f"{category}/") and id_.endswith("/layout")}
    lost = {row["id"] for row in ledger_rows(config, "sft/code") if row["status"] == "rejected"}
    page.locator("#funnel .sankey-node", has_text="truncated").locator(".node-rect").click()
    assert set(found(page)) == lost != set()


def test_search_finds_ids_and_words_of_requests(config: Config, show: Open) -> None:
    page = show()
    prompts = column(config, "sft/variants", "prompt")
    number = re.search(r"number (\d+)", prompts[sorted(prompts)[7]])[0]
    assert choose(page, text=f"{number}.") == [sorted(prompts)[7]]
    some = "game-puzzle/sliding-tiles"
    assert set(choose(page, text=f"{some} minimalist")) == {
        id_ for id_, prompt in prompts.items() if some in id_ and "minimalist" in f"{id_} {prompt}".lower()
    }
    assert choose(page, text="nothing has such words") == [] and seen(page) == []


def test_filters_and_orders_say_what_the_tables_say(config: Config, show: Open) -> None:
    page = show()
    percents = column(config, "sft/score", "percent")
    chosen = set(tables.column(config.results / "sft/select/sft_train.parquet", "id"))
    everything = set(column(config, "sft/variants", "kind"))
    assert set(choose(page, verdict="in the set")) == chosen
    assert set(choose(page, verdict="scored, not in the set")) == set(percents) - chosen
    assert set(choose(page, verdict="rejected unscored")) == everything - set(percents)
    inside = {id_ for id_ in chosen if id_.startswith("tool-calculator/") and id_.endswith("/layout")}
    assert set(choose(page, category="Calculators", kind="layout", verdict="in the set")) == inside and inside
    assert set(choose(page, least="70", most="80")) == {id_ for id_, percent in percents.items() if 70 <= percent <= 80}
    readable = column(config, "sft/score", "score:readability")
    low = choose(page, score="Readability [0 to 10]", most="5", order="worst first")
    assert [readable[id_] for id_ in low] == sorted(score for score in readable.values() if score <= 5) != []

    def order(key: Callable[[float], float]) -> list[float]:
        return sorted(key(percent) for percent in percents.values())

    for view, key in (
        ("best", lambda x: -x), ("worst", lambda x: x), ("borderline", lambda x: abs(x - config.sft.select.min_percent))
    ):  # fmt: skip
        page.get_by_role("button", name=view, exact=True).click()
        assert [key(percents[id_]) for id_ in found(page)] == pytest.approx(order(key))
        assert seen(page)[:4] == found(page)[:4] and page.locator("button[aria-pressed=true]").text_content() == view


def test_a_sample_shows_picture_code_scores_and_its_life(config: Config, show: Open) -> None:
    page = show()
    [first, *_] = choose(page, verdict="in the set")
    page.locator("#list li a").first.click()
    dialog = page.get_by_role("dialog", name=first)
    dialog.wait_for()
    codes, requests = column(config, "sft/code", "html"), column(config, "sft/variants", "request")
    assert dialog.locator("pre").text_content() == codes[first] and HOSTILE in codes[first]
    assert dialog.locator(".look img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 800
    shown = dialog.locator("tbody tr").evaluate_all("rows => rows.map((row) => Number(row.children[1].textContent))")
    slugs = [slug for slug, *_ in page.evaluate("gallery.settings.dimensions")]
    assert shown == [column(config, "sft/score", f"score:{slug}")[first] for slug in slugs]
    steps = dialog.locator(".life b").all_text_contents()
    assert steps == ["seeds", *lives.OF_TASK, *lives.OF_PAGE, lives.SELECT, "sft_train.parquet"]
    assert requests[first] in dialog.locator(".life").text_content()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.closest('li')?.textContent").find(first) > 0, "back to its card"


def test_a_life_leads_to_the_page_that_was_kept_and_to_all_pages_of_the_seed(config: Config, show: Open) -> None:
    page = show()
    lost = sum(row["status"] == "rejected" for row in ledger_rows(config, "sft/dedup"))
    [dropped, *_] = choose(page, verdict=f"sft/dedup: near_duplicate ({lost})")
    page.locator("#list li a").first.click()
    page.locator("dialog .life li.rejected a").click()
    [kept] = [r["detail"] for r in ledger_rows(config, "sft/dedup") if r["id"] == dropped]
    kept = kept.partition(" like ")[2]
    page.get_by_role("dialog", name=kept).wait_for()
    assert page.url.endswith(f"#sample={kept.replace('/', '%2F')}")
    page.locator("dialog .life a").first.click()
    seed = kept.rsplit("/", 2)[0]
    assert found(page) == [id_ for id_ in page.evaluate("gallery.ids") if id_.startswith(f"{seed}/")]
    assert not page.locator("dialog").is_visible()


def masked(config: Config) -> dict[str, str]:
    """The code of every page as sft/rules would leave it."""
    return {
        id_: mask.masked({"html": html}, ["html"])[0]["html"]
        for id_, html in column(config, "sft/code", "html").items()
    }


def test_a_page_rejected_before_it_was_scored_shows_its_code_without_private_data(config: Config, show: Open) -> None:
    page = show()
    codes = masked(config)
    for reason in ("sft/rules: placeholder", "sft/score: not_rendered_blank"):
        page.evaluate(
            "(name) => gallery.set({ verdict: gallery.verdicts.findIndex((_, n) => gallery.ended(n) === name) })",
            reason,
        )
        [first, *_] = found(page)
        page.locator("#list li a").first.click()
        code = page.get_by_role("dialog", name=first).locator("pre").text_content()
        assert code == codes[first] and EMAIL not in code and EMAIL in column(config, "sft/code", "html")[first]
        page.keyboard.press("Escape")


def test_an_address_opens_a_sample_and_buttons_lead_to_its_neighbours(show: Open) -> None:
    page = show()
    ids = found(page)
    page = show(rest=f"#sample={ids[1]}")
    page.get_by_role("dialog", name=ids[1]).wait_for()
    page.get_by_role("button", name="next").click()
    page.get_by_role("dialog", name=ids[2]).wait_for()
    page = show(rest="#sample=no/such/page")
    assert "This run asked for no page" in page.get_by_role("dialog").text_content()


def test_the_keyboard_goes_through_the_gallery(show: Open) -> None:
    page = show()
    ids = found(page)
    columns = page.evaluate("gallery.columns")
    page.locator("#list").focus()
    page.keyboard.press("Tab")
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    page.get_by_role("dialog", name=ids[1 + 3 * columns]).wait_for()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_in_the_page_or_a_sample(show: Open, width: int, scheme: str) -> None:
    page = show(viewport={"width": width, "height": 844}, color_scheme=scheme)
    for number in range(page.locator(".plot").count()):
        page.locator(".plot").nth(number).scroll_into_view_if_needed()
    page.locator("details.cluster summary").first.click()
    page.locator("details.cluster pre").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == width, "the page is wider than the screen"
    wrong = {"the page": Axe().run(page).response["violations"]}
    page.locator("#list li a").first.click()
    page.locator("dialog .parts").wait_for()
    wrong["a sample"] = Axe().run(page, "dialog").response["violations"]
    named = {
        where: [(one["id"], one["impact"], one["nodes"][0]["html"][:200]) for one in ones]
        for where, ones in wrong.items()
    }
    assert named == {"the page": [], "a sample": []}


def test_it_works_from_a_static_server_too(report: Path, show: Open) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=report.parent))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        page = show(f"http://127.0.0.1:{server.server_port}")
        page.locator("#list li a").first.click()
        page.locator("dialog pre").wait_for()
    finally:
        server.shutdown()


def test_markup_of_a_model_would_not_run_and_the_page_can_ask_nobody_else(report: Path, browser: Browser) -> None:
    """As if a text had come into the page unescaped; opened from disk, where a policy can name no folder."""
    path = report.with_name("injected.html")
    path.write_text(report.read_text().replace("<main>", f"<main>{HOSTILE}"))
    page = browser.new_page()
    try:
        page.goto(path.as_uri())
        page.locator("#list li").first.wait_for()
        refused = page.evaluate(ATTEMPTS, ELSEWHERE)
        assert page.title() == "ArtifactsCoder report"
    finally:
        page.close()
        path.unlink()
    assert {tuple(one) for one in refused} == {
        ("img-src", f"{ELSEWHERE}/a"), ("script-src-elem", f"{ELSEWHERE}/b.js"), ("connect-src", f"{ELSEWHERE}/c"),
        ("frame-src", ELSEWHERE), ("connect-src", "file"), ("script-src-elem", "inline"), ("script-src-attr", "inline"),
    }  # fmt: skip


def test_near_duplicates_stand_side_by_side(config: Config, show: Open) -> None:
    page = show()
    cluster = page.locator("details.cluster").first
    cluster.locator("summary").click()
    expect(cluster.locator("pre").first).not_to_be_empty()
    kept, dropped = cluster.locator("h4").all_text_contents()[:2]
    codes = masked(config)
    assert cluster.locator("pre").all_text_contents()[:2] == [codes[kept], codes[dropped]]
    fresh = [line for line in codes[dropped].split("\n") if line not in codes[kept].split("\n")]
    assert cluster.locator("pre").nth(1).locator("mark").all_text_contents() == fresh
    [line] = [row for row in ledger_rows(config, "sft/dedup") if row["id"] == dropped]
    alike, _, twin = line["detail"].partition(" like ")
    assert twin == kept and f"dropped, {float(alike):.3f}" in cluster.text_content()


def test_the_funnel_names_every_loss_and_loses_nothing(config: Config, report: Path) -> None:
    books = accounts.collect(config, config.results)
    assert [problem for book in books for problem in book.problems] == []
    flows = funnel.flows(books, len(KINDS))
    into, out = Counter(), Counter()
    for flow in flows:
        into[flow.target] += flow.places
        out[flow.source] += flow.places
    assert out[funnel.SEEDS] == len(CATEGORIES) * 5 * 4 * len(KINDS)
    assert {name: into[name] for name in into if name in out} == {name: out[name] for name in out if name in into}
    assert into[funnel.SET] == tables.count(config.results / "sft/select/sft_train.parquet")
    lost = {flow.target for flow in flows if flow.status}
    named = {(book.step, reason) for book in books for _, reason in book.reasons if book.step.startswith("sft/")}
    assert lost == {f"{step.removeprefix('sft/')}: {reason}" for step, reason in named}


def test_of_more_pages_than_asked_for_best_borderline_and_worst_are_shown(
    config: Config, report: Path, tmp_path: Path
) -> None:
    few = config.model_copy(update={"report": config.report.model_copy(update={"pages": 9})})
    made = samples.write(few, config.results, tmp_path)
    pictures = list((tmp_path / "pictures").rglob("*.jpg"))
    paths = shards.done(config, config.results, "sft/score")
    percents = [percent for path in paths for percent in tables.column(path, "percent")]
    assert len(pictures) == made.shown == 9 < made.pages == len(percents)
    chosen = np.concatenate(list(samples._shown(few, config.results).values()))
    shown = sorted(np.array(percents)[chosen].tolist())
    ordered = sorted(percents)
    assert shown[-3:] == ordered[-3:] and shown[:3] == ordered[:3]
    distance = sorted(abs(percent - config.sft.select.min_percent) for percent in percents)
    assert sorted(abs(percent - config.sft.select.min_percent) for percent in shown[3:6]) == distance[:3]


def test_scores_that_go_together_are_correlated(config: Config, report: Path, tmp_path: Path) -> None:
    made = samples.write(config, config.results, tmp_path)
    paths = shards.done(config, config.results, "sft/score")
    names = [f"score:{slug}" for slug in made.levels]
    table = np.array([[row[name] for name in (*names, "percent")] for path in paths for row in tables.rows(path)])
    assert np.allclose(np.array(made.correlations, float), np.corrcoef(table.T), atol=1e-3)
    assert sum(map(sum, made.histogram.values())) == len(table)


def test_the_accounts_of_a_shard_of_websight_name_its_rows_alone(
    configure: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, shards, names = [7, 0, 30, 1], 5, []
    files.write_bytes(
        tmp_path / "cpt/websight/source.json",
        json.dumps({"files": [{"path": f"in/f {i}.parquet", "rows": rows} for i, rows in enumerate(sizes)]}).encode(),
    )
    monkeypatch.setattr(accounts, "slug", lambda name: names.append(name) or name.replace(" ", "-"))
    expect = accounts._expectations(configure(cpt={"websight": {"shards": shards}}), tmp_path)["cpt/websight"]
    parts = [list(expect(tmp_path / f"websight-{shard:04d}.parquet")) for shard in range(shards)]
    assert [len(part) for part in parts] == [7, 8, 7, 8, 8] and len(names) <= shards * len(sizes)
    assert sum(parts, []) == [f"websight/f-{i}/{n:07d}" for i, rows in enumerate(sizes) for n in range(rows)]
