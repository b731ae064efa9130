"""The data steps one after another on a small configuration: nothing is lost, nothing is asked twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from artifactscoder import indexed, tables
from artifactscoder.config.trainers import TinyModelSettings
from artifactscoder.cpt import code as cpt_code
from artifactscoder.cpt import mixture, pack, stats, templates, tree, websight
from artifactscoder.cpt import prompts as cpt_prompts
from artifactscoder.dedup import phases
from artifactscoder.html import tokens
from artifactscoder.html.extract import introduction
from artifactscoder.ledger import beside
from artifactscoder.report import accounts, build, data
from artifactscoder.rl import valid
from artifactscoder.sft import (
    code,
    decontaminate,
    distinct_tasks,
    distinct_variants,
    rules,
    score,
    select,
    tasks,
    variants,
)
from artifactscoder.train import tiny_model
from openai_server import Server


async def sft_line(config, results: Path) -> None:
    """tasks to score for every category, as the rules call it."""
    categories = config.sft.categories
    for name in categories:
        await tasks.run(config, name, results / f"sft/tasks/{name}.parquet")
    made = [results / f"sft/tasks/{name}.parquet" for name in categories]
    distinct_tasks.run(config, made, results / "sft/distinct_tasks/dropped.parquet")
    for name in categories:
        kept = results / f"sft/distinct_tasks/{name}.parquet"
        await variants.run(config, kept, name, results / f"sft/variants/{name}.parquet")
        decontaminate.run(
            config, results / f"sft/variants/{name}.parquet", results / f"sft/decontaminate/{name}.parquet"
        )
    made = [results / f"sft/decontaminate/{name}.parquet" for name in categories]
    distinct_variants.run(config, made, results / "sft/distinct_variants/dropped.parquet")
    for name in categories:
        kept = results / f"sft/distinct_variants/{name}.parquet"
        await code.run(config, kept, name, results / f"sft/code/{name}.parquet")
        phases.signature(
            config.sft.dedup, results / f"sft/code/{name}.parquet", results / f"sft/dedup/signature/{name}.parquet"
        )
    pages = [results / f"sft/code/{name}.parquet" for name in categories]
    signatures = [results / f"sft/dedup/signature/{name}.parquet" for name in categories]
    phases.pairs(config.sft.dedup, signatures, pages, results / "sft/dedup/pairs/dropped.parquet")
    for name in categories:
        kept = results / f"sft/dedup/{name}.parquet"
        made_of = results / f"sft/code/{name}.parquet"
        phases.filter(config.sft.dedup, made_of, results / "sft/dedup/pairs/dropped.parquet", kept)
        rules.run(config, kept, results / f"sft/rules/{name}.parquet")
        await score.run(config, results / f"sft/rules/{name}.parquet", name, results / f"sft/score/{name}.parquet", 2)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    """A tokenizer of the demo's kind."""
    folder = tmp_path_factory.mktemp("tiny")
    texts = [f"<!DOCTYPE html>\n<html>\n<p>page {i}</p>\n</html>" for i in range(50)]
    tiny_model.make(texts, folder, TinyModelSettings(vocab=640, layers=1, hidden=32, heads=2, kv_heads=1))
    return folder


async def test_the_sft_line_accounts_for_every_id(configure, tmp_path, tiny) -> None:
    config = configure(sft={"select": {"min_percent": 60, "keep": 12}})
    results = tmp_path / "results"
    await sft_line(config, results)
    inputs = [results / f"sft/score/{name}.parquet" for name in config.sft.categories]
    select.run(config, inputs, tiny, results / "sft/select/sft_train.parquet")
    books = {account.step: account for account in accounts.collect(config, results)}
    assert [problem for account in books.values() for problem in account.problems] == []
    assert (
        books["sft/tasks"].entered == 2 * 2 * 3
        and books["sft/variants"].entered == 3 * books["sft/distinct_tasks"].counts["ok"]
    )
    assert books["sft/code"].entered == books["sft/distinct_variants"].counts["ok"]
    for account in books.values():
        assert account.entered == sum(account.counts[status] for status in ("ok", "rejected", "failed"))
    rows = list(tables.rows(results / "sft/select/sft_train.parquet"))
    assert 0 < len(rows) <= 12 and {row["maker"] for row in rows} == {"procedural"}
    scored = list(tables.rows(inputs[0]))
    assert all(row["screenshot"][:2] == b"\xff\xd8" and json.loads(row["evidence"])["rendered"] for row in scored)
    assert len({row["percent"] for row in scored}) > 3, "pages differ, and so do their scores"


async def test_an_unbalanced_account_is_noticed(configure, tmp_path) -> None:
    config = configure(sft={"categories": ["game-puzzle"], "subcategories": 1})
    results = tmp_path / "results"
    path = results / "sft/tasks/game-puzzle.parquet"
    await tasks.run(config, "game-puzzle", path)
    assert accounts.collect(config, results)[0].problems == []
    lines = list(tables.rows(beside(path)))
    tables.write(beside(path), tables.open_table(beside(path)).schema_arrow, lines[1:])
    problems = accounts.collect(config, results)[0].problems
    assert any("entered and are not in the ledger" in problem and lines[0]["id"] in problem for problem in problems)
    rows = list(tables.rows(path))
    tables.write(beside(path), tables.open_table(beside(path)).schema_arrow, lines)
    tables.write(path, tables.open_table(path).schema_arrow, rows[:-1])
    assert "ok in the ledger and not in the table" in accounts.collect(config, results)[0].problems[0]


async def test_a_second_run_asks_nothing_and_writes_the_same_bytes(configure, tmp_path) -> None:
    server = Server()
    async with server.open() as url:
        config = configure(url, sft={"categories": ["game-puzzle"]})
        await sft_line(config, tmp_path / "one")
        asked = server.received
        await sft_line(config, tmp_path / "two")
    assert server.received == asked == sum(server.answered.values())
    for path in sorted((tmp_path / "one").rglob("*.parquet")):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes(), path


async def test_one_changed_task_sends_only_its_own_requests(configure, tmp_path) -> None:
    server = Server()
    async with server.open() as url:
        config = configure(url, sft={"categories": ["game-puzzle"]})
        path = tmp_path / "tasks.parquet"
        await tasks.run(config, "game-puzzle", path)
        await variants.run(config, path, "game-puzzle", tmp_path / "variants.parquet")
        before = server.received
        rows = list(tables.rows(path))
        rows[2]["description"] += " It also keeps a history of the last ten rounds."
        tables.write(path, tables.open_table(path).schema_arrow, rows)
        await variants.run(config, path, "game-puzzle", tmp_path / "variants.parquet")
    assert server.received == before + 1


def task_list(*titles: str) -> str:
    text = "A page that shows something of use to somebody, with all that belongs to it."
    return json.dumps({"tasks": [{"title": title, "description": text} for title in titles]})


async def test_places_left_empty_are_asked_for_again_with_the_titles_that_are_there(configure, tmp_path) -> None:
    from aiohttp import web

    from openai_server import completion

    asked: list[str] = []
    answers = [
        task_list("Egg timer", "egg TIMER!", "Tea timer", "Sand glass"),  # one twice, one of five does not come
        task_list("Tea timer", "Chess clock", "Metronome", "Sun dial"),  # one again, and one more than was asked for
    ]

    async def fault(number: int, request: web.Request) -> web.Response:
        asked.append((await request.json())["messages"][1]["content"])
        return web.json_response(completion(answers[number - 1]))

    path = tmp_path / "tasks.parquet"
    one = {"categories": ["tool-calculator"], "subcategories": 1, "tasks": {"per_subcategory": 5}}
    async with Server(fault).open() as url:
        await tasks.run(configure(url, sft=one), "tool-calculator", path)
        rows, lines = list(tables.rows(path)), list(tables.rows(beside(path)))
        bytes_ = path.read_bytes()
        await tasks.run(configure(url, sft=one), "tool-calculator", path)
    assert len(asked) == 2, "a second run asks nothing"
    assert path.read_bytes() == bytes_
    assert "Write 5 tasks" in asked[0] and "in other words: none." in asked[0]
    assert "Write 2 tasks" in asked[1] and "in other words: Egg timer; Tea timer; Sand glass." in asked[1]
    assert [row["title"] for row in rows] == ["Egg timer", "Tea timer", "Sand glass", "Chess clock", "Metronome"]
    assert [row["id"].split("/")[-1] for row in rows] == ["01", "02", "03", "04", "05"]
    assert len({row["request"] for row in rows}) == 2 and {line["status"] for line in lines} == {"ok"}
    assert sum(line["attempts"] for line in lines) == 2, "what both requests cost is in the ledger"


VERBS = "asks wonders calls hesitates decides complains returns forgets travels listens".split()


async def test_places_that_no_round_fills_are_rejected_by_name(configure, tmp_path) -> None:
    from aiohttp import web

    from openai_server import completion

    async def fault(number: int, request: web.Request) -> web.Response:
        return web.json_response(completion(task_list("Egg timer", "Egg timer")))

    one = {"categories": ["tool-calculator"], "subcategories": 1, "tasks": {"per_subcategory": 4, "rounds": 3}}
    server = Server(fault)
    async with server.open() as url:
        ledger = await tasks.run(configure(url, sft=one), "tool-calculator", tmp_path / "tasks.parquet")
    assert server.received == 3 and ledger.counts == {"ok": 1, "rejected": 3}
    reasons = [line["reason"] for line in tables.rows(beside(tmp_path / "tasks.parquet"))]
    assert reasons == ["", "same_title", "same_title", "missing"]


def test_private_data_is_masked_before_a_page_is_checked_and_the_ledger_counts_it(configure, tmp_path, pages) -> None:
    text = "".join(f"<p>Whoever {verb} finds enough to look at on this page.</p>" for verb in VERBS)  # no loop
    page = f"<!DOCTYPE html><html><body><h1>Us</h1>{text}<p>ana@firm.io, bob@firm.io</p></body></html>"
    path = pages("in", {"a/1": page, "a/2": page.replace("@firm.io", "@example.com")}, "Write to ana@firm.io.")
    rules.run(configure(), path, tmp_path / "out.parquet")
    one, two = tables.rows(tmp_path / "out.parquet")
    assert "<p>user@example.com, user2@example.com</p>" in one["html"] and one["html"] == one["answer"]
    assert one["prompt"] == "Write to user@example.com."
    assert [line["detail"] for line in tables.rows(beside(tmp_path / "out.parquet"))] == [
        "masked: 2 email",
        "masked: 1 email",
    ]
    rules.run(configure(mask=False), path, tmp_path / "raw.parquet")
    assert next(tables.rows(tmp_path / "raw.parquet"))["html"] == page and "@firm.io" not in two["html"]


async def test_private_data_does_not_get_into_reference_pages_or_tokens(configure, tmp_path, pages, tiny) -> None:
    text = "".join(f"<p>Whoever {verb} finds enough to look at on this page.</p>" for verb in VERBS)  # no loop
    page = f"<!DOCTYPE html><html><body><h1>Us</h1>{text}<p>ana@firm.io</p></body></html>"
    path = pages("in", {"a/1": page})
    await valid.run(configure(), path, tmp_path / "valid.parquet", 1)
    pack.run(configure(), path, tiny, tmp_path / "pack.idx")
    [row] = tables.rows(tmp_path / "valid.parquet")
    packed = indexed.Reader(tmp_path / "pack").tokens.tolist()
    for found in (row["html"], tokens.load(tiny).decode(packed)):
        assert "user@example.com" in found and "firm.io" not in found
    for name in ("valid", "pack"):
        assert next(tables.rows(beside(tmp_path / f"{name}.parquet")))["detail"] == "masked: 1 email"


async def test_a_judge_that_answers_in_the_wrong_form_gives_no_score(configure, tmp_path, pages) -> None:
    from aiohttp import web

    from openai_server import completion

    async def fault(number: int, request: web.Request) -> web.Response:
        return web.json_response(completion('{"scores": [{"dimension": "executability", "score": 9, "reason": ""}]}'))

    page = "<!DOCTYPE html><html><body><h1>Hello</h1><p>A page with some text on it.</p></body></html>"
    async with Server(fault).open() as url:
        config = configure(url, sft={"score": {"asks": 2}})
        await score.run(config, pages("in", {"a/1": page}), "in", tmp_path / "out.parquet", 1)
    [line] = tables.rows(beside(tmp_path / "out.parquet"))
    assert (line["status"], line["reason"], line["attempts"]) == ("rejected", "wrong_form", 2)
    assert tables.count(tmp_path / "out.parquet") == 0


async def test_the_cpt_line_accounts_for_every_id_and_every_token(configure, tmp_path, tiny) -> None:
    config = configure()
    results = tmp_path / "results" / "cpt"
    websight.sample(config, 4, results / "websight/sample.parquet")
    websight.source([results / "websight/sample.parquet"], results / "websight/source.json")
    await websight.run(config, results / "websight/source.json", 0, results / "websight/websight-0000.parquet")
    await tree.run(config, "games-play", results / "tree/games-play.parquet")
    await templates.run(config, results / "templates/templates.parquet")
    shards = ["websight-0000"]
    for number in range(2):
        name = f"games-play-{number:02d}"
        cpt_prompts.run(
            config,
            results / "tree/games-play.parquet",
            results / "templates/templates.parquet",
            number,
            results / f"prompts/{name}.parquet",
        )
        await cpt_code.run(config, results / f"prompts/{name}.parquet", name, results / f"code/{name}.parquet")
        shards.append(name)
    made = [results / ("websight" if "websight" in name else "code") / f"{name}.parquet" for name in shards]
    for name, path in zip(shards, made, strict=True):
        phases.signature(config.cpt.dedup, path, results / f"dedup/signature/{name}.parquet")
    signatures = [results / f"dedup/signature/{name}.parquet" for name in shards]
    phases.pairs(config.cpt.dedup, signatures, made, results / "dedup/pairs/dropped.parquet")
    for name, path in zip(shards, made, strict=True):
        kept = results / f"dedup/{name}.parquet"
        phases.filter(config.cpt.dedup, path, results / "dedup/pairs/dropped.parquet", kept)
        pack.run(config, kept, tiny, results / f"pack/{name}.idx")
        check_documents(kept, tiny, results / f"pack/{name}")
    mixture.run(config, [results / f"pack/{name}.idx" for name in shards], results / "pack/mixture.json")
    for name in shards:
        stats.run(results / f"dedup/{name}.parquet", beside(results / f"pack/{name}"), results / f"stats/{name}.json")
    check_corpus(config, tmp_path / "results")
    books = {account.step: account for account in accounts.collect(config, tmp_path / "results")}
    assert [problem for account in books.values() for problem in account.problems] == []
    shutil.copy(results / "pack/websight-0000.bin", results / "pack/games-play-01.bin")
    shutil.copy(results / "pack/websight-0000.idx", results / "pack/games-play-01.idx")
    [problem] = [p for account in accounts.collect(config, tmp_path / "results") for p in account.problems]
    assert "games-play-01.idx: " in problem and "and the ledger says" in problem
    prompts = [row["prompt"] for n in range(2) for row in tables.rows(results / f"prompts/games-play-{n:02d}.parquet")]
    assert len(prompts) == 4 * 3 == len(set(prompts)) and not [text for text in prompts if "{" in text]


def check_corpus(config, results: Path) -> None:
    """What the report shows of the corpus is what lies in the token files, and its section can be drawn."""
    found = data.corpus(config, results)
    made = {path.stem: indexed.Reader(path.with_suffix("")) for path in (results / "cpt/pack").glob("*.idx")}
    tree = [reader for name, reader in made.items() if name.startswith("games-play")]
    assert found.pages == sum(map(len, made.values())) and set(found.groups) == {"websight", "games-play"}
    assert found.groups["games-play"]["tokens"] == sum(len(reader.tokens) for reader in tree)
    assert {row["name"]: row["tokens"] for row in found.sources} == {
        "websight": found.groups["websight"]["tokens"], "tree": found.groups["games-play"]["tokens"]
    }  # fmt: skip
    shown = build.templates().get_template("corpus.html.j2").render(build._corpus(config, results))
    assert '<td class="left">websight</td>' in shown and "WebSight" in shown and ">en<" in shown


def check_documents(kept: Path, model: Path, packed: Path) -> None:
    """The tokens, cut at the index's boundaries, are the documents again."""
    tokenizer = tokens.load(model)
    end = tokenizer.id_to_token(pack.end_token(tokenizer))
    reader = indexed.Reader(packed)
    found = [tokenizer.decode(ids.tolist(), skip_special_tokens=False) for ids in reader]
    expected = []
    for row in tables.rows(kept):
        lead = "".join(f"{text}\n\n" for text in (row["prompt"], introduction(row["answer"])) if text)
        expected.append(lead + row["html"] + end)
    assert found == expected
    assert [line["tokens_out"] for line in tables.rows(beside(packed))] == reader.lengths.tolist()


def test_a_tree_at_full_size_has_80_thousand_leaves() -> None:
    from artifactscoder import config as configs

    config = configs.load([Path("config.yaml")])
    leaves = 25
    for count in config.cpt.tree.children:
        leaves *= count
    assert 78_000 <= leaves <= 82_000 and len(config.cpt.tree.children) == 4
    assert leaves * config.cpt.prompts.per_leaf == pytest.approx(8e6, rel=0.03)


def test_steps_do_not_hold_a_table_in_memory(configure, tmp_path) -> None:
    """20,000 pages of 16 KB (320 MB) pass through a process that stays under 500 MB."""
    import subprocess
    import sys

    from artifactscoder.records import PAGE

    body = "".join(f"<p>line {i} of a long page with words</p>\n" for i in range(370))

    def rows():
        for i in range(20_000):
            html = f"<!DOCTYPE html><html><body><h1>{i}</h1>{body}</body></html>"
            yield {
                "id": f"a/{i}", "group": "a", "kind": "k", "prompt": "p", "html": html, "answer": "",
                "extracted": "document", "maker": "m", "request": "r",
            }  # fmt: skip

    path = tmp_path / "in.parquet"
    tables.write(path, PAGE, rows())
    program = (
        "import sys; from pathlib import Path; from artifactscoder import tables\n"
        "from artifactscoder.records import PAGE\n"
        "with tables.Writer(Path(sys.argv[2]), PAGE) as writer:\n"
        "    for row in tables.rows(Path(sys.argv[1]), PAGE.names): writer.write(row)\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), str(tmp_path / "out.parquet")],
        capture_output=True, text=True, check=True, env={"PYTHONPATH": "workflow", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert int(done.stdout) / 1024 < 500, f"{done.stdout} kB"
