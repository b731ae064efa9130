"""A run can be foreseen, followed, held to a budget, and its answers looked after."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from artifactscoder import cli, progress, tables
from artifactscoder import config as configs
from artifactscoder.cluster import journals, plan, watch
from artifactscoder.errors import UserError
from artifactscoder.journal import PAID, Journal
from artifactscoder.ledger import beside
from artifactscoder.llm import drain, forecast
from artifactscoder.sft import tasks
from openai_server import Server

PRICED = {"kind": "api", "model": "test", "price_in": 1.0, "price_out": 2.0, "tokens_per_s": 100, "concurrency": 2}


def priced(configure, url: str, **sections):
    return configure(url, endpoints={"it": {**PRICED, "url": url}}, **sections)


def planned(capsys: pytest.CaptureFixture[str], config) -> dict:
    assert plan.run(config, jobs=8, as_json=True) == 0
    return json.loads(capsys.readouterr().out)


def _of(plan: dict, step: str) -> dict:
    return next(row for row in plan["steps"] if row["step"] == step)


def test_the_paper_s_numbers_are_foreseen() -> None:
    asked = {share.step: share.requests for share in forecast.shares(configs.load([Path("config.yaml")]))}
    assert asked["sft/tasks"] == 2_000 and asked["sft/variants"] == 20_000
    assert asked["sft/code"] == asked["sft/score"] == 240_000 and asked["rl/reference"] == 2_000


def test_websight_is_counted_from_its_files_before_a_run_and_said_to_be_left_out_without_them(
    settings, capsys, tmp_path: Path
) -> None:
    websight = {"sample": 0, "shards": 3, "input": str(tmp_path / "websight/*.parquet")}
    config = settings(cpt={"websight": websight})
    assert planned(capsys, config)["total"]["not_counted"] == ["cpt/websight"]
    assert plan.run(config, 8, False) == 0
    assert "cpt/websight: rows not counted yet" in (screen := capsys.readouterr().out)
    assert "3 requests a row, their pages and their disk are not in the sums" in screen
    pages = plan.pages(config)["cpt"]
    (tmp_path / "websight").mkdir()
    for number, rows in enumerate((5, 7)):
        pq.write_table(pa.table({"text": ["<p>page</p>"] * rows}), tmp_path / f"websight/{number}.parquet")
    found = planned(capsys, config)
    assert _of(found, "cpt/websight")["requests"] == 3 * 12 and found["total"]["not_counted"] == []
    assert plan.pages(config)["cpt"] == pages + 12
    left_out = settings(cpt={"websight": {**websight, "shards": 0, "input": "nowhere"}})
    assert planned(capsys, left_out)["total"]["not_counted"] == []


async def test_a_plan_believes_the_journal_more_than_its_assumptions(configure, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(forecast, "ENOUGH", 2)
    async with Server().open() as url:
        config = priced(configure, url)
        before = {row["step"]: row for row in planned(capsys, config)["steps"]}
        ledger = await tasks.run(config, "game-puzzle", config.results / "sft/tasks/game-puzzle.parquet")
        assert ledger.counts["ok"]
        after = planned(capsys, config)
    rows = {row["step"]: row for row in after["steps"]}
    assert before["sft/tasks"]["to_ask"] == 4 and not before["sft/tasks"]["measured"]
    assert rows["sft/tasks"]["to_ask"] == 2 and rows["sft/tasks"]["measured"]
    lines = list(tables.rows(beside(config.results / "sft/tasks/game-puzzle.parquet")))
    spent, tokens = sum(line["cost"] for line in lines), sum(line["tokens_out"] for line in lines)
    assert after["total"]["spent"]["cost"] == pytest.approx(spent) and spent > 0
    assert rows["sft/tasks"]["tokens_out"] == tokens, "two subcategories are answered, two are to come"
    assert rows["sft/tasks"]["seconds"] == pytest.approx(tokens / 100)
    plan.run(config.model_copy(update={"budget": configs.BudgetSettings(cost=spent)}), 8, False)
    screen = capsys.readouterr().out
    assert "so it is spent at" in screen and "~ assumed tokens" in screen


async def test_answers_of_another_model_say_nothing_of_the_one_that_the_role_has(
    configure, capsys, monkeypatch
) -> None:
    """As after the demo: its answers cost nothing, are short, and are not those of the paper's models."""
    monkeypatch.setattr(forecast, "ENOUGH", 1)
    async with Server().open() as url:
        config = priced(configure, url)
        foreseen = planned(capsys, config)["steps"]
        built_in = configure()
        await tasks.run(built_in, "game-puzzle", config.results / "sft/tasks/game-puzzle.parquet")
        assert _of(planned(capsys, built_in), "sft/tasks")["answered"] == 2
        assert planned(capsys, config)["steps"] == foreseen
        await tasks.run(config, "game-puzzle", config.results / "sft/tasks/game-puzzle.parquet")
        found = _of(planned(capsys, config), "sft/tasks")
    assert found["answered"] == 2 and found["measured"]


def test_a_server_in_the_job_is_planned_in_gpu_hours(configure, capsys) -> None:
    hosted = {"kind": "vllm", "path": "some/model", "model": "model", "gpus": 4, "tokens_per_s": 1000}
    config = configure("http://unused/v1", endpoints={"it": hosted})
    rows = {row["step"]: row for row in planned(capsys, config)["steps"]}
    code = rows["sft/code"]  # two shards, so two jobs of four GPUs, each with a server of 1,000 tokens/s
    assert code["gpu_hours"] == pytest.approx(4 * code["tokens_out"] / 1000 / 3600)
    assert code["seconds"] == pytest.approx(code["tokens_out"] / 2000)


def test_a_spent_budget_stops_in_order_and_a_higher_one_goes_on(configure, tmp_path) -> None:
    server = Server(delay=0.05)
    sections = {"sft": {"categories": ["game-puzzle"], "subcategories": 25, "tasks": {"per_subcategory": 2}}}

    async def work(budget: float) -> None:
        nonlocal received
        async with server.open() as url:
            config = priced(configure, url, budget={"cost": budget}, **sections)
            received = server.received
            await tasks.run(config, "game-puzzle", tmp_path / "tasks.parquet")

    def run(budget: float) -> None:
        drain.run(work(budget))

    received = 0
    with pytest.raises(UserError, match=r"the budget is spent: cost .* of budget.cost .*; nothing is lost: raise"):
        run(0.002)
    first = server.received
    spent = json.loads(next((tmp_path / "journal").rglob(PAID)).read_bytes())
    assert 2 < first < 25 and spent["cost"] >= 0.002, "it stopped on the way"
    assert spent["answers"] == first == sum(server.answered.values()), "what was under way is answered and recorded"
    with pytest.raises(UserError, match="the budget is spent"):
        run(0.002)
    assert server.received == first, "a spent budget asks nothing"
    run(100)
    assert server.received == 25 and max(server.answered.values()) == 1 and (tmp_path / "tasks.parquet").exists()


def test_others_of_the_run_count_against_the_budget(configure, tmp_path) -> None:
    folder = tmp_path / "journal/cpt/code/games-00"
    folder.mkdir(parents=True)
    paid = {"answers": 9, "tokens_in": 900, "tokens_out": 100, "cost": 5.0, "seconds": 1.0}
    (folder / PAID).write_text(json.dumps(paid))
    for limit in ({"cost": 5}, {"tokens": 1000}):
        config = priced(configure, "http://127.0.0.1:9/v1", budget=limit)
        with pytest.raises(UserError, match="the budget is spent"):
            asyncio.run(tasks.run(config, "game-puzzle", tmp_path / "tasks.parquet"))


def test_watch_shows_a_shard_on_its_way(configure, monkeypatch) -> None:
    async def run() -> list[str]:
        async with Server(delay=0.2).open() as url:
            sections = {"categories": ["game-puzzle"], "subcategories": 25, "tasks": {"per_subcategory": 1}}
            config = priced(configure, url, sft=sections)
            output = config.results / "sft/tasks/game-puzzle.parquet"
            step = asyncio.create_task(tasks.run(config, "game-puzzle", output))
            lines: list[str] = []
            while not step.done():
                await asyncio.sleep(0.05)
                seen = list(watch.screen(config))
                if "sft/tasks" in seen[1] and " 0/" not in seen[1]:
                    lines = seen
            await step
            assert list(watch.screen(config))[1] == "no step asks just now"
            return lines

    monkeypatch.setattr(progress, "EVERY_S", 0.1)
    lines = asyncio.run(run())
    assert "game-puzzle" in lines[1] and "/25" in lines[1] and lines[-2].startswith("1 under way, 0 silent"), lines


def test_watch_tells_a_silent_shard(configure) -> None:
    config = configure()
    path = config.results / "sft/code/.game-puzzle.progress.json"
    path.parent.mkdir(parents=True)
    paid = {"answers": 3, "cost": 1.5}
    values = dict(name="x", done=5, total=9, rate=1.0, left_s=4.0, tokens_per_s=7.0, paid=paid, ok=3, rejected=1)
    path.write_text(json.dumps({**values, "failed": 1, "time": time.time() - 3600, "host": "cn01", "pid": 1}))
    lines = list(watch.screen(config))
    assert "silent for 60 min" in lines[1] and lines[-2].startswith("0 under way, 1 silent; 0.0 rows/s")


async def test_answers_that_nothing_asks_for_any_more_can_be_removed(configure, tmp_path, capsys) -> None:
    server = Server()
    async with server.open() as url:
        sections = {"categories": ["game-puzzle"], "subcategories": 3}
        old = priced(configure, url, sft={**sections, "tasks": {"per_subcategory": 2}})
        new = priced(configure, url, sft={**sections, "tasks": {"per_subcategory": 3}})
        output = tmp_path / "tasks.parquet"
        for config in (old, new):
            await tasks.run(config, "game-puzzle", output)
        assert server.received == 6
        await asyncio.to_thread(journals.stats, new)
        assert capsys.readouterr().out.splitlines()[1].split()[-1] == "3", "the old prompt's answers are unused"
        await asyncio.to_thread(journals.prune, new, False)
        assert "would be removed" in capsys.readouterr().out
        await asyncio.to_thread(journals.prune, new, True)
        capsys.readouterr()
        await asyncio.to_thread(journals.prune, new, True)
        assert "nothing to remove" in capsys.readouterr().out
        await tasks.run(new, "game-puzzle", output)
        assert server.received == 6, "what is used has stayed"
        await tasks.run(old, "game-puzzle", output)
        assert server.received == 9, "what was removed is asked again"
        other = priced(configure, url, sft={"categories": ["tool-calculator"], "subcategories": 1})
        await asyncio.to_thread(journals.prune, other, True)
    assert not (old.journal / "sft/tasks/game-puzzle").exists(), "a shard that is no more has gone"


async def test_a_journal_that_a_job_has_open_is_not_pruned_however_long_the_job_waits(configure, capsys) -> None:
    config = configure()
    open_, gone, closed = (config.journal / name for name in ("sft/code/game-puzzle", "sft/code/x", "rl/valid/all"))
    for folder in (open_, gone, closed):
        async with Journal(folder) as journal:
            await journal.put("old", {"answer": {}}, (1, 1, 0.0, 0.0))
        async with Journal(folder) as journal:
            await journal.put("new", {"answer": {}}, (1, 1, 0.0, 0.0))
        for path in folder.glob("*.jsonl"):
            os.utime(path, (time.time() - 86_400,) * 2)
    async with Journal(open_) as journal, Journal(gone, shared=True):
        await asyncio.to_thread(journals.prune, config, True)
        assert journal.get("old") is not None and journal.get("new") is not None
        await journal.put("next", {"answer": {}})
    told = capsys.readouterr().out
    assert told.count("left alone, a job has it open") == 2 and "rl/valid/all: 1 answers" in told
    async with Journal(open_, frozen=True) as journal:
        assert {"old", "new", "next"} <= journal._index.keys()


async def test_a_job_that_opens_a_journal_while_it_is_pruned_keeps_its_files(configure, capsys, monkeypatch) -> None:
    config = configure()
    folder = config.journal / "rl/valid/all"
    for key in ("old", "new"):
        async with Journal(folder) as journal:
            await journal.put(key, {"answer": {}})
    late = Journal(folder, shared=True)
    looks = iter((False, True))

    def in_use(path: Path) -> bool:
        return next(looks)

    monkeypatch.setattr(journals, "in_use", in_use)
    await late.__aenter__()
    await asyncio.to_thread(journals.prune, config, True)
    assert late.get("old") and late.get("new") and "a job has opened it" in capsys.readouterr().out
    await late.__aexit__(None, None, None)


async def test_every_journal_is_counted_and_shards_that_are_no_more_are_told(configure, capsys) -> None:
    config = configure(
        cpt={"websight": {"shards": 2, "sample": 4}, "prompts": {"shards": 1}},
        eval={"models": ["base"]},
    )
    kept = [
        "cpt/websight/0001", "cpt/tree/games-play", "cpt/templates/all", "cpt/code/games-play-00",
        "sft/code/game-puzzle", "rl/valid/all", "eval/judge/base",
        "generate", "reward/explain", "sft/calibrate/gold", "train/grpo",
    ]  # fmt: skip
    gone = [
        "cpt/websight/0002", "cpt/tree/other", "cpt/code/games-play-01", "sft/code/other", "eval/judge/other",
    ]  # fmt: skip
    for name in [*kept, *gone]:
        async with Journal(config.journal / name, shared=True) as journal:
            await journal.put("one", {"answer": {}}, (1, 1, 0.0, 0.0))
    journals.stats(config)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert {"generate", "reward/explain", "sft/calibrate", "train/grpo"} <= {line[0] for line in lines}
    assert sum(int(line[2]) for line in lines) == sum(int(line[4]) for line in lines) == len(kept) + len(gone)
    journals.prune(config, True)
    *told, last = capsys.readouterr().out.splitlines()
    assert {line.partition(":")[0] for line in told} == set(gone) and f"{len(gone)} shards removed" in last
    assert {str(path.parent.relative_to(config.journal)) for path in config.journal.rglob("*.jsonl")} == set(kept)


def test_the_commands_run_by_hand(tmp_path, capsys) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(yaml.safe_dump({"results": str(tmp_path / "results"), "journal": str(tmp_path / "journal")}))
    more = ["--config", "config.yaml", "--config", str(overlay)]
    for words in (["plan"], ["watch", "--once"], ["journal", "stats"], ["journal", "prune"]):
        assert cli.main([*words, *more]) == 0, words
    out = capsys.readouterr().out
    assert " files without Slurm's logs," in out, "which preflight adds where there will be any"
    assert "240,000" in out and "no step asks just now" in out and "no answers in" in out and "nothing to remove" in out


@pytest.mark.parametrize("answers", [20_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_resuming_with_a_full_journal_is_quick(answers: int, tmp_path: Path) -> None:
    """100,000 answers of 4 KB: ready to ask in less than five seconds, and in straight proportion."""
    program = """
import asyncio, sys, time
from pathlib import Path
from artifactscoder.journal import Journal
async def main(folder, count):
    async with Journal(folder, shared=True) as journal:
        await asyncio.gather(*(journal.put(f"{i:032x}", {"answer": {"text": "x" * 4096}}, (1, 2, 0.5, 0.1))
                               for i in range(count)))
    start = time.perf_counter()
    async with Journal(folder, shared=True) as journal:
        opened = time.perf_counter() - start
        assert len(journal) == count and journal.paid.answers == count
        assert all(len(journal.get(f"{i:032x}")["answer"]["text"]) == 4096 for i in range(count))
        print(opened, time.perf_counter() - start)
asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""
    words = [sys.executable, "-c", program, str(tmp_path / "journal"), str(answers)]
    run = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "workflow"})
    assert run.returncode == 0, run.stderr[-1000:]
    opened, read = map(float, run.stdout.split())
    assert read < 5 * answers / 100_000 * (5 if answers < 100_000 else 1), (opened, read)
