"""Claims about what a reader of the report takes from it: no figure, filter or edge of a table leads astray."""

from __future__ import annotations

import functools
import html
import http.server
import io
import json
import re
import shutil
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from artifactscoder import config as configs
from artifactscoder import tables
from artifactscoder.config import Config
from artifactscoder.eval import table as eval_table
from artifactscoder.report import build, data, samples
from finished_run import ENDLESS, MODELS, PAID
from reported import Open, choose, column, found, ledger_rows

pytest_plugins = ["report_opened"]


@pytest.fixture(scope="module")
def text(report: Path) -> str:
    """The page's source, its entities resolved."""
    return html.unescape(report.read_text())


def test_the_cost_of_grpos_judge_is_counted_and_unknown_where_its_journal_is_gone(
    config: Config, report: Path, tmp_path: Path
) -> None:
    [row] = [row for row in build._spending(config, []) if row["step"] == "train/grpo"]
    summed = [sum(paid[n] for paid in PAID) for n in range(3)]
    assert row["planned"]["requests"] > 0
    assert row["actual"] == dict(
        zip(("requests", "tokens_in", "tokens_out", "cost"), (len(PAID), *summed), strict=True)
    )
    assert data.rewards_paid(tmp_path) is None


def test_grpo_is_called_calm_only_where_its_steps_were_compared(config: Config, report: Path, text: str) -> None:
    assert "a rise of 0.100; the draw of prompts and answers alone can make one of 0.020" in text
    assert "Nothing drifted beyond its limit" in text
    longer = config.train.grpo.watch.model_copy(update={"first": 26})
    grpo = config.train.grpo.model_copy(update={"watch": longer})
    later = config.model_copy(update={"train": config.train.model_copy(update={"grpo": grpo})})
    assert build._training(later, config.results)["calm"].startswith("30 steps, the watch needs 31 ")


def test_an_added_component_of_the_reward_stands_in_the_chart_by_its_column(
    config: Config, report: Path, tmp_path: Path
) -> None:
    """Also where its module is not there any more; a table from before it was added has the others alone."""
    shutil.copytree(config.results / "train", tmp_path / "train")
    path = tmp_path / "train/grpo/rewards.parquet"
    held, added = pq.read_table(path), ["s_has_dark_mode", "s_self_contained", "i_self_contained"]
    for name in added:
        held = held.append_column(name, pa.array([0.25] * len(held)))
    pq.write_table(held, path)
    settings = {
        "extra": {"gone:has_dark_mode": 0.1, "self_contained": 0.1},
        "gates": ["rep", "render", "self_contained"],
    }
    more = configs.from_dict({**config.model_dump(mode="json"), "reward": settings})
    head = build._training(more, tmp_path)["grpo"].head
    assert head == ["step", *build.REWARD_PARTS.values(), *added]
    assert build._training(more, config.results)["grpo"].head == ["step", *build.REWARD_PARTS.values()]


def test_the_best_score_names_its_set_and_where_nobody_judged_there_is_none(
    config: Config, report: Path, text: str
) -> None:
    assert "<b>52.0 %</b><span>checklist, grpo on held-out</span>" in text
    rows = [{"model": name, "checklist": None} for name in MODELS]
    shown = build._headline(config.results, [], samples.Samples(), [{"name": "mine", "rows": rows}])
    assert shown[-1] == ("checklist, mine", "–")
    rows[1]["checklist"] = 0.0
    shown = build._headline(config.results, [], samples.Samples(), [{"name": "mine", "rows": rows}])
    assert shown[-1] == ("checklist, sft on mine", "0.0 %")


def test_a_mean_without_an_interval_is_shown_without_one(config: Config, report: Path, tmp_path: Path) -> None:
    """As of a group with fewer than two tasks."""
    shutil.copytree(config.results / "eval", tmp_path / "eval")
    path, bare = tmp_path / "eval/table.parquet", {"low": None, "high": None}
    first, second, third = tables.rows(path)
    same = {"set": "held-out", "judge": "a-judge", "tasks": 1, **bare}
    tables.write(path, eval_table.TABLE, [{**first, **bare}, second, third, {**third, **bare, "main": False}])
    group = {**same, "by": "class", "group": "alone", "model": "sft", "judged": 1, "checklist": 31.0}
    tables.write(tmp_path / "eval/groups.parquet", eval_table.GROUPS, [group])
    counts = dict.fromkeys(("better", "equal", "worse"), 1)
    pair = {**same, **counts, "a": "base", "b": "sft", "difference": 2.5, "p": 1.0, "p_holm": 1.0}
    tables.write(tmp_path / "eval/pairs.parquet", eval_table.PAIRS, [pair])
    agreed = {"set": "held-out", "a": "a-judge", "b": "b-judge", "answers": 20}
    tables.write(tmp_path / "eval/agreement.parquet", eval_table.AGREEMENT, [agreed])
    found = build._evaluation(tmp_path)
    page = build.templates().get_template("evaluation.html.j2").render(evaluation=found)
    assert page.count("<td>–</td>") >= 4 and "– to –" not in page and "None" not in page
    for mean in ("<td>4.0 %</td><td>–</td>", "<td>+2.5</td><td>–</td>", "<td>31.0 %</td><td>–</td>"):
        assert mean in page
    assert "<td>52.0 %</td><td>–</td>" in page and "<td>52.0 %</td><td>49.0 to 56.0</td>" in page
    bars = json.loads(found[0]["chart"].figure)["data"][0]["error_x"]
    assert bars == {**bars, "array": [None, 4, 4], "arrayminus": [None, 3, 3]}
    assert found[0]["chart"].rows[0] == ["base", "4", "", ""]


def test_what_was_asked_for_has_one_count(config: Config, text: str) -> None:
    asked = len(column(config, "sft/variants", "kind"))
    assert f"<b>{asked}</b><span>asked for</span>" in text and f"{asked} pages that were asked for" in text


def test_all_files_beside_the_page_are_counted(report: Path, text: str) -> None:
    sizes = [path.stat().st_size for path in (report.parent / "data").rglob("*") if path.is_file()]
    assert f"Data beside this page: {len(sizes)} files, {sum(sizes) / 1e6:.1f} MB" in text


def test_the_page_names_its_run_and_commit_and_how_much_of_a_list_it_shows(config: Config, text: str) -> None:
    assert re.search(r"by commit [0-9a-f]{12}\+? from", text) and "GRPO's run is a-run, by commit cccccccccccc." in text
    assert "The pages of 6 of 20 tasks" in text
    dropped = [row["detail"].partition(" like ")[2] for row in ledger_rows(config, "sft/dedup") if row["detail"]]
    shown = re.findall(r"<summary>(\d+) pages? like (\S+?)(?:, \d+ of them here)?</summary>", text)
    assert f"{len(shown)} of {len(set(dropped))} clusters" in text
    assert shown and all(int(count) == dropped.count(kept) for count, kept in shown)


def test_a_search_that_other_filters_leave_empty_names_them_and_lifts_them(config: Config, show: Open) -> None:
    page = show()
    [lost, *_] = [row["id"] for row in ledger_rows(config, "sft/code") if row["status"] == "rejected"]
    page.locator("#filters [name=text]").fill(lost)
    expect(page.locator("#found")).to_contain_text("These filters are set: verdict scored. The search alone finds 1.")
    page.get_by_role("button", name="search without them").click()
    assert found(page) == [lost] and page.locator("#lift").is_hidden()
    assert choose(page, least="99.9", text="no such words") == []
    assert "score weighted [%] from 99.9" in page.locator("#found").text_content()


def test_a_page_of_a_dropped_task_says_what_its_task_is_like(config: Config, show: Open) -> None:
    [task, *_] = [row for row in ledger_rows(config, "sft/distinct_tasks") if row["status"] == "rejected"]
    alike, _, twin = task["detail"].partition(" like ")
    page = show(rest=f"#sample={task['id']}/layout")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"{task['id']} left at sft/distinct_tasks (near_duplicate: {alike} like {twin}).")
    dialog.get_by_role("link", name=twin).click()
    assert found(page) and all(id_.startswith(f"{twin}/") for id_ in found(page))
    show(rest="#sample=constructor").get_by_text("This run asked for no page of that id.").wait_for()


def test_only_what_leads_to_pages_has_a_pointer_and_a_bar_of_unrendered_pages_does(config: Config, show: Open) -> None:
    page = show()
    assert page.evaluate("leads({ customdata: 'distinct_tasks: near_duplicate 12' })") is None
    assert page.evaluate("leads({ y: 'blank', data: { name: 'train/grpo' } })") is None
    plot = page.locator("#losses .plot").nth(1)
    plot.scroll_into_view_if_needed()
    plot.locator(".trace.bars").first.wait_for()
    page.evaluate("""gallery.set(leads({ y: "blank", data: { name: "sft/score" } }))""")
    lost = {row["id"] for row in ledger_rows(config, "sft/score") if row["reason"] == "not_rendered_blank"}
    assert set(found(page)) == lost != set()
    page.locator("#funnel .plot .sankey-node").first.wait_for()
    losses = page.locator("#funnel .plot")
    for name, led in (("truncated", True), ("variants", False)):
        page.locator("#funnel .sankey-node", has_text=name).first.locator(".node-rect").hover()
        assert ("leads" in losses.get_attribute("class")) is led, name


def test_a_request_of_one_endless_word_does_not_widen_the_dialog(config: Config, show: Open) -> None:
    page = show()
    [first, *_] = choose(page, text=ENDLESS)
    page.locator("#list li a").first.click()
    dialog = page.get_by_role("dialog", name=first)
    assert ENDLESS in dialog.locator(".look").text_content()
    assert dialog.evaluate("dialog => dialog.scrollWidth <= dialog.clientWidth")


def test_the_length_of_a_selected_page_is_not_called_an_answer(show: Open) -> None:
    page = show()
    choose(page, verdict="in the set")
    page.locator("#list li a").first.click()
    last = page.locator("dialog .life li", has_text="sft/select")
    assert "900 tokens long" in last.text_content()


def edges(box: Locator) -> list[float]:
    """How far the left and the right edge of a scrollable box differ from its middle, in its own picture."""
    picture = np.asarray(Image.open(io.BytesIO(box.screenshot())).convert("L"), float)
    strip = picture[-3]  # below the last row's words
    middle = np.median(strip)
    return [abs(strip[2] - middle), abs(strip[-3] - middle)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_table_wider_than_its_box_has_a_shade_where_there_is_more(show: Open, scheme: str) -> None:
    page = show(viewport={"width": 500, "height": 900}, color_scheme=scheme)
    box = page.locator("#evaluation > .scroll").first
    box.scroll_into_view_if_needed()
    page.add_style_tag(content=".scroll tbody th { position: static; } td, th { border: 0 !important; }")
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
    left, right = edges(box)
    assert left < 3 and right > 8
    box.evaluate("box => box.scrollTo(box.scrollWidth, 0)")
    left, right = edges(box)
    assert left > 8 and right < 3


def test_a_chosen_theme_is_kept(report: Path, show: Open) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=report.parent))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        page = show(f"http://127.0.0.1:{server.server_port}", color_scheme="light")
        page.locator("#theme").click()
        page.wait_for_load_state("networkidle")
        page.reload()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        page.locator("#list li").first.wait_for()
    finally:
        server.shutdown()


def shine(colour: list[float]) -> float:
    """Relative luminance (WCAG) of red, green and blue from 0 to 255."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (one / 255 for one in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def rgb(page: Page, colour: str) -> list[float]:
    drawn = "c => { document.body.style.color = c; return getComputedStyle(document.body).color; }"
    return [float(part) for part in re.findall(r"[\d.]+", page.evaluate(drawn, colour))[:3]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_number_of_the_map_is_read_on_its_cell(show: Open, scheme: str) -> None:
    page = show(color_scheme=scheme)
    plot = page.locator("#coverage .plot")
    plot.scroll_into_view_if_needed()
    number = plot.locator(".heatmap-label text").first
    number.wait_for()
    ink = shine(rgb(page, number.evaluate("text => getComputedStyle(text).fill")))
    low, high = [rgb(page, colour) for _, colour in plot.evaluate("plot => plot.data[0].colorscale")]
    for part in range(21):
        ground = shine([a + (b - a) * part / 20 for a, b in zip(low, high, strict=True)])
        assert (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05) >= 4.5, f"{part / 20:.0%} of the scale"


def test_the_most_frequent_languages_say_of_how_many(
    config: Config, report: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = data.Corpus(languages=Counter({f"l{n}": n + 1 for n in range(30)}), libraries=Counter(one=3))
    monkeypatch.setattr(data, "corpus", lambda config, results: many)
    found = build._corpus(config, config.results)
    assert found["languages"].label == "Pages by language, the 12 most frequent of 30"
    assert found["libraries"].label == "Pages by library"


def test_unplanned_sources_of_cpt_have_a_dash(config: Config) -> None:
    source = {"name": "code", "documents": 3, "tokens": 90, "planned": None, "weight": 0.5}
    made = build.templates().get_template("corpus.html.j2")
    chart = build.charts.bars([{"category": "a", "tokens": 1}], "category", "tokens", "CPT tokens")
    page = made.render(sources=[source], corpus_pages=3, categories=chart, languages=None, libraries=None)
    assert page.count("<td>–</td>") == 2
