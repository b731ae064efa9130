"""A trace agrees with the tables, and a table that was altered afterwards does not pass."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest

from artifactscoder import cli, indexed, tables
from artifactscoder import config as configs
from artifactscoder.audit import record as audit_record
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.ledger import beside
from artifactscoder.llm import prompts
from artifactscoder.records import DROPPED
from artifactscoder.tables import Row
from artifactscoder.trace import text
from artifactscoder.trace import train as trace_of_train
from artifactscoder.trace.book import Stop
from artifactscoder.train import windows
from small_run import traced


def ids(run: Config, step: str) -> list[str]:
    """All ids that ever came to a step."""
    return [id_ for path in sorted((run.results / step).glob("*.ledger.parquet")) for id_ in tables.column(path, "id")]


def row(run: Config, step: str, id_: str) -> Row | None:
    """A record's row at a step, by reading every table of it."""
    found = (path for path in (run.results / step).glob("*.parquet") if not path.stem.endswith(".ledger"))
    return next((row for path in found for row in tables.rows(path) if row.get("id") == id_), None)


STEPS = ("sft/tasks", "sft/code", "sft/score", "cpt/tree", "cpt/code", "cpt/websight", "rl/prompts", "eval/generate")


def test_ten_random_ids_agree_with_the_tables(run: Config) -> None:
    everything = sorted({id_ for step in STEPS for id_ in ids(run, step)})
    for id_ in random.Random().sample(everything, 10):
        found = traced(run, id_)
        assert found.doubts == [], id_
        assert found.checked >= len([stop for stop in found.stops if stop.status != "none"]) / 2, id_
        for stop in found.stops:
            if stop.id != id_ or stop.step in ("seed", "rl/parquet", "cpt/pack"):
                continue
            there = row(run, stop.step, id_)
            assert (there is not None) == (stop.status == "ok"), (id_, stop.step)
            for name in ("html", "prompt", "percent", "title", "answer", "maker"):
                if there is not None and name in stop.facts:
                    assert stop.facts[name] == there[name], (id_, stop.step, name)


def test_a_sample_is_followed_from_its_seed_into_the_training(run: Config) -> None:
    id_ = tables.column(run.results / "sft/select/sft_train.parquet", "id")[0]
    found = traced(run, id_)
    assert [stop.step for stop in found.stops] == [
        "seed", "sft/tasks", "sft/distinct_tasks", "sft/variants", "sft/decontaminate", "sft/distinct_variants",
        "sft/code", "sft/dedup", "sft/rules", "sft/score", "sft/select", "train/sft", "train/export",
    ]  # fmt: skip
    by_step = {stop.step: stop for stop in found.stops}
    asked = by_step["sft/code"].asked[0]
    page = row(run, "sft/code", id_)
    assert page is not None and asked.key == page["request"] and asked.answer == page["answer"]
    assert asked.prompt == "sft_code" and len(asked.prompt_digest) == 12 and asked.endpoint["model"] == "procedural"
    assert page["prompt"] in asked.messages[1]["content"] and asked.tokens_out > 0
    assert by_step["train/sft"].facts["run"] == "run-sft"
    assert len(by_step["sft/score"].facts["scores"]) == 25


def test_a_near_duplicate_names_its_kept_twin_and_the_twin_those_dropped_for_it(run: Config) -> None:
    one = next(tables.rows(run.results / "sft/distinct_variants/dropped.parquet"))
    stop = next(stop for stop in traced(run, one["id"]).stops if stop.step == "sft/distinct_variants")
    assert (stop.facts["twin"], stop.reason) == (one["twin"], one["reason"])
    kept = next(stop for stop in traced(run, one["twin"]).stops if stop.step == "sft/distinct_variants")
    assert one["id"] in [each["id"] for each in kept.facts["dropped"]]
    path = run.results / "sft/distinct_variants/dropped.parquet"
    was = path.read_bytes()
    try:
        changed(path, one["id"], edit("jaccard", 0.99))
        assert any(doubt.startswith("sft/distinct_variants: it is as much") for doubt in traced(run, one["id"]).doubts)
    finally:
        path.write_bytes(was)


def changed(path: Path, id_: str, change: Callable[[Row], None]) -> None:
    """Alter one row of a table, as somebody who edits it would; the schema stays."""
    held = pq.read_table(path)
    rows = held.to_pylist()
    change(next(row for row in rows if row["id"] == id_))
    pq.write_table(pa.Table.from_pylist(rows, schema=held.schema), path)


def edit(column: str, value: Any = None) -> Callable[[Row], None]:
    def change(row: Row) -> None:
        old = row[column]
        row[column] = value if value is not None else f"{old} " if isinstance(old, str) else old + 1

    return change


def answer_of(row: Row) -> None:
    row["messages"][2]["content"] += "<!-- better -->"


ALTERED: list[tuple[str, str, Callable[[Row], None]]] = [
    ("sft/tasks", "game-puzzle", edit("description")),
    ("sft/tasks", "game-puzzle.ledger", edit("cost", 3.0)),
    ("sft/distinct_tasks", "game-puzzle", edit("title")),
    ("sft/variants", "game-puzzle", edit("prompt")),
    ("sft/decontaminate", "game-puzzle", edit("prompt")),
    ("sft/distinct_variants", "game-puzzle", edit("maker", "gpt")),
    ("sft/code", "game-puzzle", edit("html")),
    ("sft/code", "game-puzzle.ledger", edit("tokens_out")),
    ("sft/dedup", "game-puzzle", edit("html")),
    ("sft/rules", "game-puzzle", edit("html")),
    ("sft/score", "game-puzzle", edit("percent")),
    ("sft/score", "game-puzzle", edit("score:accessibility", 10.0)),
    ("sft/score", "game-puzzle", edit("screenshot", b"another")),
    ("sft/select", "sft_train", answer_of),
    ("sft/select", "sft_train", edit("percent", 99.0)),
    ("cpt/tree", "games-play", edit("path", ["Games and play", "Chess"])),
    ("cpt/prompts", "games-play-00", edit("prompt")),
    ("cpt/code", "games-play-00", edit("answer")),
    ("cpt/dedup", "games-play-00", edit("html")),
    ("cpt/websight", "websight-0000", edit("prompt")),
    ("rl/prompts", "prompts", edit("checklist", "[]")),
    ("rl/reference", "pages", edit("html")),
    ("rl/valid", "pages", edit("html")),
    ("eval/tasks", "tasks", edit("checklist", "[]")),
    ("eval/generate", "base", edit("answer")),
    ("eval/render", "base", edit("reason", "ok")),
    ("eval/judge", "base", edit("s_chk", 1.0)),
    ("eval/score", "base", edit("percent", 100.0)),
]


@pytest.mark.parametrize(
    ("step", "table", "change"), ALTERED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_an_altered_table_is_noticed(run: Config, step: str, table: str, change: Callable[[Row], None]) -> None:
    path = run.results / step / f"{table}.parquet"
    was = path.read_bytes()
    chosen = tables.column(run.results / "sft/select/sft_train.parquet", "id")
    id_ = next(
        id_
        for id_ in tables.column(path, "id")
        if not step.startswith("sft/") or any(c.startswith(id_) for c in chosen)
    )
    traced_id = next(c for c in chosen if c.startswith(id_)) if step.startswith("sft/") else id_
    if step == "cpt/tree":
        traced_id = tables.column(run.results / "cpt/code/games-play-00.parquet", "id")[0]
        id_ = traced_id.rpartition("/")[0]
    assert traced(run, traced_id).doubts == []
    try:
        changed(path, id_, change)
        doubts = traced(run, traced_id).doubts
    finally:
        path.write_bytes(was)
    assert any(doubt.startswith(step) for doubt in doubts), doubts


def test_a_row_that_was_taken_out_is_noticed(run: Config) -> None:
    path = run.results / "sft/rules/game-puzzle.parquet"
    was, held = path.read_bytes(), pq.read_table(path)
    id_ = held["id"][0].as_py()
    try:
        pq.write_table(held.slice(1), path)
        assert any("table and ledger agree" in doubt for doubt in traced(run, id_).doubts)
    finally:
        path.write_bytes(was)


def test_a_record_that_vanished_from_table_and_ledger_alike_is_noticed(run: Config) -> None:
    path = run.results / "sft/rules/game-puzzle.parquet"
    was = {path: path.read_bytes(), beside(path): beside(path).read_bytes()}
    id_ = tables.column(path, "id")[0]
    try:
        for each in was:
            held = pq.read_table(each)
            pq.write_table(held.filter(pa.compute.not_equal(held["id"], id_)), each)
        assert any("is in the ledger" in doubt for doubt in traced(run, id_).doubts)
    finally:
        for each, data in was.items():
            each.write_bytes(data)


def test_what_has_not_run_yet_is_no_doubt(run: Config) -> None:
    values = run.model_dump(mode="json")
    shutil.copytree(run.results, run.results.parent / "half", dirs_exist_ok=True)
    shutil.rmtree(run.results.parent / "half/sft/score")
    values["results"] = str(run.results.parent / "half")
    found = traced(configs.from_dict(values, "test"), ids(run, "sft/score")[0])
    assert found.doubts == [] and found.stops[-1].step == "sft/score" and found.stops[-1].status == "none"


def test_another_sample_s_row_in_the_training_set_is_noticed_by_the_manifest(run: Config) -> None:
    """The traced row is sound, but the file is not the one that was trained on."""
    path = run.results / "sft/select/sft_train.parquet"
    was = path.read_bytes()
    first, second = tables.column(path, "id")[:2]
    try:
        changed(path, second, answer_of)
        assert any(
            doubt.startswith("train/sft: the data is what was trained on") for doubt in traced(run, first).doubts
        )
    finally:
        path.write_bytes(was)


def test_tokens_that_are_not_the_page_s_are_noticed(run: Config) -> None:
    id_ = tables.column(run.results / "cpt/dedup/games-play-00.parquet", "id")[0]
    path = run.results / "cpt/pack/games-play-00.bin"
    was = path.read_bytes()
    try:
        path.write_bytes(bytes([was[0] ^ 1]) + was[1:])
        doubts = traced(run, id_).doubts
        assert any(doubt.startswith("cpt/pack") for doubt in doubts)
        assert any(doubt.startswith("train/cpt: the token files") for doubt in doubts)
    finally:
        path.write_bytes(was)


def test_weights_that_are_not_those_exported_are_noticed(run: Config) -> None:
    path = run.results / "train/sft/export/model.safetensors"
    was = path.read_bytes()
    assert traced(run, "train/sft").doubts == []
    try:
        path.write_bytes(was[:-1] + bytes([was[-1] ^ 1]))
        assert any(doubt.startswith("train/export: the weights") for doubt in traced(run, "train/sft").doubts)
    finally:
        path.write_bytes(was)


def test_an_altered_reference_to_another_record_is_noticed_and_no_crash(run: Config) -> None:
    """A prompt's template, a page's twin: ids that lead nowhere."""
    id_ = tables.column(run.results / "cpt/code/games-play-00.parquet", "id")[0]
    prompts_, dropped = (
        run.results / "cpt/prompts/games-play-00.parquet",
        run.results / "cpt/dedup/pairs/dropped.parquet",
    )
    was = {path: path.read_bytes() for path in (prompts_, dropped)}
    try:
        changed(prompts_, id_, edit("template", "templates/0999/01"))
        assert any(doubt.startswith("cpt/prompts: the prompt is") for doubt in traced(run, id_).doubts)
        prompts_.write_bytes(was[prompts_])
        for twin in ("games-play/99/99/001", "websight/nowhere/0000001"):
            tables.write(dropped, DROPPED, [{"id": id_, "twin": twin, "jaccard": 0.9, "reason": "near_duplicate"}])
            assert any(doubt.startswith("cpt/dedup: its twin stands") for doubt in traced(run, id_).doubts)
    finally:
        for path, data in was.items():
            path.write_bytes(data)


def test_a_seed_that_changed_since_is_said_to_be_so(run: Config, tmp_path: Path) -> None:
    seeds = tmp_path / "subcategories.jsonl"
    rows = [json.loads(line) for line in run.seeds.subcategories.read_text().splitlines()]
    id_ = ids(run, "sft/code")[0]
    for one in rows:
        if id_.startswith(one["id"]):
            one["brief"] += " And a clock."
    seeds.write_text("".join(json.dumps(one) + "\n" for one in rows))
    values = run.model_dump(mode="json")
    values["seeds"]["subcategories"] = str(seeds)
    doubts = traced(configs.from_dict(values, "test"), id_).doubts
    assert len(doubts) == 1, doubts
    doubt = doubts[0]
    assert doubt.startswith("sft/tasks") and "not what it was when the step ran" in doubt


def test_a_prompt_that_changed_since_the_last_run_is_named(
    run: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after an edit of workflow/prompts: the step has not run again yet."""
    results = tmp_path / "results"
    shutil.copytree(run.results, results)
    record = {"began": 1.0, "ended": 2.0, "well": True, "place": "/", "jobs": {}}
    (results / "audit").mkdir()
    (results / "audit/20261130T000000Z.json").write_text(json.dumps({**record, **audit_record.depends(run)}))
    shutil.copytree(prompts.FOLDER, tmp_path / "prompts")
    path = tmp_path / "prompts/sft_code.txt"
    path.write_text(path.read_text().replace("### user\n", "### user\nPlease.\n"))
    monkeypatch.setattr(prompts, "FOLDER", tmp_path / "prompts")
    prompts.load.cache_clear()
    try:
        assert cli.main(["trace", ids(run, "sft/score")[0], "--results", str(results)]) == 1
    finally:
        prompts.load.cache_clear()
    said = capsys.readouterr().out
    assert "DOES NOT HOLD  sft/code: " in said and "changed since the last run: prompt sft_code\n" in said


def test_results_that_were_moved_are_traced_where_they_are(run: Config, tmp_path: Path) -> None:
    shutil.copytree(run.results, tmp_path / "elsewhere")
    id_ = tables.column(run.results / "sft/select/sft_train.parquet", "id")[0]
    assert cli.main(["trace", id_, "--results", str(tmp_path / "elsewhere")]) == 0
    changed(tmp_path / "elsewhere/sft/select/sft_train.parquet", id_, answer_of)
    doubts = traced(configs.of_run(tmp_path / "elsewhere"), id_).doubts
    assert [doubt.split(": ")[0] for doubt in doubts] == ["sft/select", "train/sft"]


def test_a_step_of_cpt_names_the_documents_that_it_read(run: Config) -> None:
    (run.results / "train/cpt/curve.parquet").unlink(missing_ok=True)
    schema = pa.schema([("step", pa.int64()), ("loss", pa.float64())])
    tables.write(run.results / "train/cpt/curve.parquet", schema, [{"step": n, "loss": 3.0} for n in (1, 2)])
    stop = traced(run, "train/cpt/2").stops[-1]
    known = {id_ for path in (run.results / "cpt/pack").glob("*.ledger.parquet") for id_ in tables.column(path, "id")}
    assert len(stop.facts["windows"]) == 4
    assert all(window["documents"] and set(window["documents"]) <= known for window in stop.facts["windows"])
    with pytest.raises(UserError, match="has the steps 1 to 2"):
        traced(run, "train/cpt/3")


def test_the_documents_of_a_steps_windows_are_found_with_one_look_into_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, length, owner = random.Random(5), 16, list[str]()
    names = tuple(tmp_path / f"shard-{n}" for n in range(4))
    for n, name in enumerate(names):
        sizes = [rng.randint(1, 40) for _ in range(30)]
        with indexed.Writer(name, 100) as writer:
            for size in sizes:
                writer.add([1] * size)
        ids = [f"{n}/{i}" for i in range(len(sizes))]
        tables.write(beside(name), pa.schema([("id", pa.string())]), [{"id": id_} for id_ in ids])
        owner += [id_ for id_, size in zip(ids, sizes, strict=True) for _ in range(size)]
    source = windows.Source("s", 1.0, names, len(owner))
    every = range(source.windows(length))
    looked: list[Path] = []
    column = tables.column
    monkeypatch.setattr(tables, "column", lambda path, name: looked.append(path) or column(path, name))
    found = trace_of_train._documents(source, every, length)
    assert found == {n: list(dict.fromkeys(owner[n * length : (n + 1) * length])) for n in every}
    assert looked == [beside(name) for name in names]
    looked.clear()
    assert trace_of_train._documents(source, [0], length) == {0: found[0]} and len(looked) == 1


def test_the_command_line(run: Config, capsys: pytest.CaptureFixture[str]) -> None:
    id_ = ids(run, "sft/score")[0]
    journal = sorted((path, path.stat().st_mtime_ns) for path in run.journal.rglob("*"))
    assert cli.main(["trace", id_, "--results", str(run.results)]) == 0
    assert "all hold" in capsys.readouterr().out
    assert cli.main(["trace", id_, "--results", str(run.results), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["proven"] and found["id"] == id_ and found["stops"][1]["asked"][0]["prompt"] == "sft_tasks"
    path = beside(run.results / "sft/score/game-puzzle.parquet")
    was = path.read_bytes()
    try:
        changed(path, id_, edit("tokens_in"))
        assert cli.main(["trace", id_, "--results", str(run.results)]) == 1
        assert "DOES NOT HOLD  sft/score: " in capsys.readouterr().out
    finally:
        path.write_bytes(was)
    assert sorted((path, path.stat().st_mtime_ns) for path in run.journal.rglob("*")) == journal, "a trace only reads"
    for wrong in ("nothing", "game-puzzle/none/01", "train/sft/x", "base/held-out/none/none/none"):
        assert cli.main(["trace", wrong, "--results", str(run.results)]) == 2
    assert cli.main(["trace", id_, "--results", "/nowhere"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_what_a_model_wrote_cannot_steer_the_terminal() -> None:
    stop = Stop("sft/code", "a/b/01/c", facts={"html": "<p>\x1b[2J\x1b]0;title\x07</p>"}, detail="\x9b31m")
    assert not set("\x1b\x07\x9b") & set(text.lines("a", "SFT sample", [stop]))
