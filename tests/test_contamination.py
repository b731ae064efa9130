"""What stands in a benchmark is not trained on, and the ledger says what was found where."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from artifactscoder import benchmarks, seeds, tables
from artifactscoder.config.data import DecontaminateSettings
from artifactscoder.dedup import contamination, minhash
from artifactscoder.dedup.contamination import Benchmarks
from artifactscoder.errors import UserError
from artifactscoder.ledger import beside
from artifactscoder.records import VARIANT
from artifactscoder.report import accounts
from artifactscoder.rl import prompts as rl_prompts
from artifactscoder.sft import decontaminate

PREAMBLE = "You are a code expert. Use your knowledge to write one complete page that runs in a browser at once.\n"
TIDES = (
    "Build a tide table for a small harbour that shows high and low water for fourteen days, lets a skipper choose the "
    "draught of the boat, and marks in green every hour in which it clears the bar by half a metre."
)
STOCKS = (
    "Please implement a website for weekly plant reports that sums up watering and growth. Users enter a plant, choose "
    "the format of the report and get it as a table. Set the background to ivory and the components to forest green."
)
CHINESE = "请制作一个单页的番茄钟应用,支持自定义工作和休息时长,统计每天完成的次数,并用折线图显示一周的趋势。"


def artifactsbench(folder: Path, questions: list[str], lines: bool = True) -> Path:
    rows = [
        {"index": i, "question": text, "checklist": [{"id": 0, "title": "t"}], "class": "Tools", "difficulty": "easy"}
        for i, text in enumerate(questions, 1)
    ]
    path = folder / "artifacts_bench.json"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) if lines else json.dumps(rows))
    return path


def webgen(folder: Path, instructions: list[str]) -> Path:
    path = folder / "test.jsonl"
    rows = [
        {"id": f"{i:06d}", "instruction": text, "Category": {}, "ui_instruct": [{"task": "t", "expected_result": "r"}]}
        for i, text in enumerate(instructions, 1)
    ]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


@pytest.fixture
def index(tmp_path: Path) -> Benchmarks:
    others = [
        f"{PREAMBLE}Draw chart number {i} of the {'abcdefghijkl'[i]} series with {i * 7} bars." for i in range(12)
    ]
    paths = [
        artifactsbench(tmp_path, [PREAMBLE + TIDES, *others]),
        webgen(tmp_path, [STOCKS, CHINESE, "A pocket tuner for a ukulele with big letters"]),
    ]
    return Benchmarks(DecontaminateSettings(benchmarks=paths))


def test_13_words_in_a_row_are_enough_whatever_their_case_and_punctuation(index: Benchmarks) -> None:
    words = TIDES.split()
    part = " ".join(words[5:18]).upper().replace(" ", " -- ")
    found = index.overlap(f"In other words entirely: {part}, and then something else that is new.")
    assert found.startswith("1 of ") and found.endswith("stand in artifacts_bench.json item 1")
    shorter = " ".join(words[5:17])
    assert index.overlap(f"In other words entirely: {shorter}, and then something else that is new.") == ""


def test_a_reworded_request_is_found_by_its_likeness_and_the_likeness_is_exact(index: Benchmarks) -> None:
    reworded = " ".join("the" if i % 9 == 8 else word for i, word in enumerate(STOCKS.split()))
    found = index.overlap(reworded)
    exact = minhash.jaccard(minhash.shingles(reworded), minhash.shingles(STOCKS))
    assert 0.5 <= exact < 1 and found == f"{exact:.4f} like test.jsonl item 000001"


def test_what_many_items_share_is_no_overlap(index: Benchmarks) -> None:
    assert index.overlap(PREAMBLE + "A garden planner with beds, seeds and a calendar of frost dates.") == ""


def test_a_chinese_character_is_a_word(index: Benchmarks) -> None:
    found = index.overlap(
        "我想要一个页面:支持自定义工作和休息时长,统计每天完成的次数。别的都不需要了,谢谢你的帮助与耐心。"
    )
    assert (
        found.endswith("stand in test.jsonl item 000002") and index.overlap("做一个计算房贷的小工具,要有图表。") == ""
    )


def test_a_text_shorter_than_13_words_counts_when_all_of_it_stands_in_the_other(index: Benchmarks) -> None:
    assert index.overlap("lets a skipper choose the draught!") == "all 6 words stand in artifacts_bench.json item 1"
    assert "item 000003 stands in it (9 words)" in index.overlap(
        "For street musicians who play at night: a pocket tuner for a ukulele with big letters, a "
        "drone note, and a way to keep one's own tunings under names that the player chooses."
    )
    assert index.overlap("a small harbour") == "" and index.overlap("") == ""


def test_unrelated_prompts_pass_whatever_their_number(index: Benchmarks) -> None:
    draw = random.Random(1)
    words = (TIDES + STOCKS).split()
    assert not any(index.overlap(" ".join(draw.sample(words, 40))) for _ in range(200))


def test_json_lists_and_lines_are_read_alike(tmp_path: Path) -> None:
    one = benchmarks.read([artifactsbench(tmp_path, ["a b", "c d"])])
    assert one == benchmarks.read([artifactsbench(tmp_path, ["a b", "c d"], lines=False)])
    assert [item.name for item in one] == ["artifacts_bench.json item 1", "artifacts_bench.json item 2"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"prompt": "x", "tests": []}\n', "item 1 is of no benchmark format known here"),
        (b"[1]", "item 1 is of no benchmark format known here"),
        (b'{"question": 5, "checklist": []}', "it has question, checklist"),
        (b"{nonsense", "is neither JSON Lines nor a JSON list"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        (b"\n", "is empty"),
        (None, "cannot read the benchmark file"),
    ],
)
def test_a_file_of_another_kind_is_one_sentence(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    path = tmp_path / "bench.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        benchmarks.read([path])


def test_a_changed_file_changes_what_the_step_depends_on(tmp_path: Path) -> None:
    path = webgen(tmp_path, [STOCKS])
    before = benchmarks.digests([path])
    assert before == benchmarks.digests([path]) and before[0].startswith("test.jsonl ")
    webgen(tmp_path, [STOCKS + "."])
    assert benchmarks.digests([path]) != before


def variants(path: Path, prompts: list[str]) -> Path:
    fixed = {"category": "c", "task": "c/s/01", "kind": "layout", "maker": "procedural", "request": "r"}
    tables.write(path, VARIANT, ({"id": f"c/s/{i:02d}/layout", "prompt": p, **fixed} for i, p in enumerate(prompts)))
    return path


def test_the_ledger_names_file_item_and_overlap(configure, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = variants(tmp_path / "in.parquet", [STOCKS, "A page with nothing in common with any other page here.", TIDES])
    named = {"benchmarks": [str(webgen(tmp_path, [STOCKS]))]}
    decontaminate.run(configure(decontaminate=named), path, tmp_path / "out.parquet")
    assert tables.column(tmp_path / "out.parquet", "id") == ["c/s/01/layout", "c/s/02/layout"]
    line = next(tables.rows(beside(tmp_path / "out.parquet")))
    assert (line["status"], line["reason"]) == ("rejected", "contaminated")
    assert "(100 %) stand in test.jsonl item 000001" in line["detail"]
    decontaminate.run(configure(), path, tmp_path / "all.parquet")
    assert tables.count(tmp_path / "all.parquet") == 3
    assert "names no file: all pass" in capsys.readouterr().err


def test_a_contaminated_rl_prompt_is_replaced_by_the_next_one_drawn(configure, tmp_path: Path) -> None:
    results = tmp_path / "results"
    output = results / "rl/prompts/prompts.parquet"
    rl_prompts.run(configure(), output)
    first = list(tables.rows(output))
    task = first[0]["task"]
    family = next(one for one in seeds.rl_families(configure()) if one["slug"] == first[0]["family"])
    brief = next(one["brief"] for one in family["tasks"] if task.endswith("/" + one["slug"]))
    config = configure(decontaminate={"benchmarks": [str(webgen(tmp_path, [brief]))]})
    rl_prompts.run(config, output)
    rows = list(tables.rows(output))
    assert len(rows) == len(first) == 12 and task not in {row["task"] for row in rows}
    gone = {row["id"]: row for row in tables.rows(beside(output)) if row["status"] == "rejected"}
    assert first[0]["id"] in gone and "test.jsonl item 000001" in gone[first[0]["id"]]["detail"]
    (books,) = accounts.collect(config, results)
    assert books.problems == [] and books.entered == 12 + len(gone)


def test_hashes_that_meet_are_no_overlap(index: Benchmarks, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared hash is looked up in the words themselves."""
    monkeypatch.setattr(contamination, "_grams", lambda found, n: index.hashes[: max(0, len(found) - n + 1)])
    assert index.overlap("Fourteen words that stand in no item of any file at all, not even nearly so.") == ""
