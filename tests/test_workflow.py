"""The workflow as its user meets it: what reruns, what a mistake says, what by hand looks like."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from artifactscoder import cli
from checkout import ROOT, SMALL, checkout, overlay, server, snakemake

WITHOUT_CPT = {"train": {"tiny_model": None, "base": "base", "cpt": {"enabled": False}}}


def jobs(output: str) -> dict[str, int]:
    """The job counts that a dry run announces."""
    table = output.split("Job stats:")[1].split("total")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


def ran(output: str) -> Counter[str]:
    """How many jobs of each step ran, by the messages of their rules."""
    return Counter(re.findall(r"^Job \d+: (\w+/\w+): ", output, re.MULTILINE))


@pytest.mark.timeout(900)
def test_one_changed_seed_reruns_one_shard_and_sends_only_the_new_requests(tmp_path: Path) -> None:
    log = tmp_path / "answers.log"
    (tmp_path / "run").mkdir()
    with checkout(tmp_path / "run") as folder, server(log) as url:
        seeds = folder / "subcategories.jsonl"
        seeds.write_text((ROOT / "workflow/seeds/subcategories.jsonl").read_text())
        files = [
            folder / "profiles/demo/recipe.yaml",
            overlay(folder, url, {**SMALL, "seeds": {"subcategories": str(seeds)}}),
        ]
        run = ["--profile", "profiles/demo", "--configfile", *map(str, files)]
        run += ["--", *(f"results/sft/score/{name}.parquet" for name in ("game-puzzle", "tool-calculator"))]
        done = snakemake(folder, *run)
        assert done.returncode == 0, done.stdout[-3000:]
        before = Counter(line.split()[1] for line in log.read_text().splitlines())
        assert "Nothing to be done" in snakemake(folder, *run).stdout

        rows = [json.loads(line) for line in seeds.read_text().splitlines()]
        first = next(row for row in rows if row["id"].startswith("game-puzzle/"))
        first["brief"] += " A hint costs ten points."
        seeds.write_text("".join(json.dumps(row) + "\n" for row in rows))
        planned = jobs(snakemake(folder, "-n", *run).stdout)
        again = snakemake(folder, *run)
        assert again.returncode == 0, again.stdout[-3000:]
        took = ran(again.stdout)
        paid = {step: took[step] for step in ("sft/tasks", "sft/variants", "sft/code")}
        assert paid == dict.fromkeys(paid, 1), "behind the comparisons, the paid jobs of the one category that changed"
        assert took["sft/score"] == 2, "behind the comparison of pages all, answered by the journal"
        announced = Counter[str]()
        for rule, count in planned.items():
            announced["sft/dedup" if rule.startswith("sft_dedup") else rule.replace("_", "/", 1)] += count
        assert took == announced, "no job more and none less than the dry run said"
        graph = snakemake(folder, *run[:-3], "--rulegraph", "dot", *run[-3:]).stdout
        assert all(f'label = "{name}"' in graph for name in planned if name.startswith("sft_")), "drawn whole when done"
        after = Counter(line.split()[1] for line in log.read_text().splitlines())
        assert all(after[digest] == count for digest, count in before.items()), "an answered request was asked again"
        new = sum(after.values()) - sum(before.values())
        assert 0 < new <= 1 + 2 + 8 + 8, "tasks, variants, pages and scores of one subcategory"


@pytest.mark.timeout(900)
def test_a_category_whose_tasks_a_comparison_changes_is_made_in_the_same_run(tmp_path: Path) -> None:
    """Whether another category's new task is a twin of one of its own no dry run can know: it comes on top of that."""
    with checkout(tmp_path) as folder:
        seeds = folder / "subcategories.jsonl"
        seeds.write_text((ROOT / "workflow/seeds/subcategories.jsonl").read_text())
        (folder / "small.yaml").write_text(yaml.safe_dump({**SMALL, "seeds": {"subcategories": str(seeds)}}))
        run = ["--profile", "profiles/demo", "--configfile", "profiles/demo/recipe.yaml", "small.yaml", "--"]
        run += [f"results/sft/variants/{name}.parquet" for name in ("game-puzzle", "tool-calculator")]
        assert snakemake(folder, *run).returncode == 0
        table = folder / "results/sft/distinct_tasks/tool-calculator.parquet"
        whole = pq.read_table(table)
        pq.write_table(whole.slice(1), table)  # as if the first task had had a twin in game-puzzle until now
        assert ran(snakemake(folder, *run).stdout) == {"sft/variants": 1}
        seeds.write_text(seeds.read_text().replace("Nine-by-nine boards", "Boards"))
        mine = {"sft_tasks": 1, "sft_distinct_tasks": 1, "sft_variants": 1}
        assert jobs(snakemake(folder, "-n", *run).stdout) == mine
        assert ran(snakemake(folder, *run).stdout) == {"sft/tasks": 1, "sft/distinct_tasks": 1, "sft/variants": 2}
        assert pq.read_table(table).equals(whole)
        assert len(pq.read_table(folder / run[-1])) == 4 * len(whole), "each task in four kinds"


def test_a_dry_run_at_paper_scale_needs_no_data_and_plans_under_3000_jobs(tmp_path: Path) -> None:
    with checkout(tmp_path) as folder:
        done = snakemake(folder, "all", "-n", REFERENCE_API_KEY="unused")
    assert done.returncode == 0, done.stdout[-2000:]
    planned = jobs(done.stdout)
    assert planned["sft_code"] == 80 and sum(planned.values()) < 3000


def test_after_a_change_of_settings_a_missing_table_is_still_planned_and_made(tmp_path: Path) -> None:
    """Once the configuration was a rule's output: its rerun hid the missing tables until the next call."""
    with checkout(tmp_path) as folder:
        (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
        demo = ["--profile", "profiles/demo", "--configfile", "profiles/demo/recipe.yaml", "small.yaml"]
        first, second = (f"results/sft/{step}/game-puzzle.parquet" for step in ("tasks", "variants"))
        assert snakemake(folder, *demo, "--", first).returncode == 0
        (folder / "more.yaml").write_text("eval: {tasks: {held-out: {count: 7}}}")
        changed = [*demo, "more.yaml", "--"]
        others = {"sft_tasks": 1, "sft_distinct_tasks": 1, "sft_variants": 1}
        assert jobs(snakemake(folder, "-n", *changed, second).stdout) == others
        assert "Nothing to be done" in snakemake(folder, "-n", *changed, first).stdout
        assert snakemake(folder, *changed, second).returncode == 0 and (folder / second).exists()
        assert "count: 7" in (folder / "results/config.yaml").read_text()


def test_a_base_model_that_is_replaced_in_its_folder_is_packed_and_trained_anew(tmp_path: Path) -> None:
    with checkout(tmp_path) as folder:
        base = folder / "base"
        base.mkdir()
        for name in ("config.json", "tokenizer.json", "model.safetensors"):
            (base / name).write_text('{"of": "first"}')
        files = [folder / "profiles/demo/recipe.yaml", overlay(folder, "http://unused/v1", SMALL | WITHOUT_CPT)]
        rules = ["cpt_pack", "sft_select", "train_sft"]
        targets = ["cpt/pack/games-play-00.idx", "sft/select/sft_train.parquet", "train/sft/manifest.json"]
        also = ["cpt/pack/games-play-00.bin", "cpt/pack/games-play-00.ledger.parquet",
                "sft/select/sft_train.ledger.parquet", "train/sft/curve.parquet"]  # fmt: skip
        for name in ("cpt/dedup/games-play-00", *(f"sft/score/{name}" for name in SMALL["sft"]["categories"])):
            path = folder / f"results/{name}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        # In place of the steps, what makes the files that are not there.
        tools = folder / "tools"
        tools.mkdir()
        (tools / "python").symlink_to(sys.executable)
        made = " ".join(f"results/{name}" for name in (*targets, *also))
        (tools / "artifactscoder").write_text(
            f"#!/bin/sh\nfor f in {made}; do mkdir -p $(dirname $f); test -e $f || touch $f; done\n"
        )
        (tools / "artifactscoder").chmod(0o755)
        run = ["--profile", "profiles/demo", "--configfile", *map(str, files), "--allowed-rules", *rules, "--"]
        run += [f"results/{name}" for name in targets]

        def planned() -> dict[str, int]:
            said = snakemake(folder, "-n", *run).stdout
            return {} if "Nothing to be done" in said else jobs(said)

        words = [str(tools / "python"), "-m", "snakemake", *run]
        path = os.pathsep.join(sys.path)
        done = subprocess.run(words, cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
        assert done.returncode == 0 and not planned(), done.stderr[-3000:]
        (base / "config.json").write_text('{"of": "second"}')
        assert planned() == {"train_sft": 1}
        (base / "tokenizer.json").write_text('{"of": "second"}')
        assert planned() == dict.fromkeys(rules, 1)


def test_the_rulegraph_is_drawn_again_when_the_rules_have_changed_and_only_then(tmp_path: Path) -> None:
    with checkout(tmp_path) as folder:
        for name in ("rules", "workflow"):
            (folder / name).unlink()
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        run = ["--profile", "profiles/demo", "--configfile", "profiles/demo/recipe.yaml"]
        run += ["--", "results/report/rulegraph.dot"]
        assert snakemake(folder, *run).returncode == 0
        assert "Nothing to be done" in snakemake(folder, "-n", *run).stdout
        with open(folder / "rules/sft.smk", "a") as rules:
            rules.write('\n\nrule sft_more:\n    output:\n        f"{RESULTS}/sft/more",\n')
        assert jobs(snakemake(folder, "-n", *run).stdout) == {"rulegraph": 1}


def test_a_missing_key_stops_a_run_before_anything_does_and_nothing_that_asks_no_one(tmp_path: Path) -> None:
    """A dry run goes through, and says at its end what the run would say."""
    words = "needs the key of the endpoint 'gemini', which stands in the environment variable REFERENCE_API_KEY"
    with checkout(tmp_path) as folder:

        def done(*more: str) -> tuple[int, str]:
            ended = snakemake(folder, "--cores", "2", *more, REFERENCE_API_KEY="")
            return ended.returncode, ended.stdout

        asks, asks_no_one = "results/rl/parquet/rl_train.parquet", "results/rl/prompts/prompts.parquet"
        code, said = done("-n", "--", asks)
        assert code == 0 and f"\nA run would stop at its start: rl/reference {words}" in said, said[-2000:]
        code, said = done("--", asks)
        assert code != 0 and words in said and "Traceback" not in said, said[-2000:]
        assert not (folder / "results").exists(), "the prompts, which need no key, were not begun either"
        assert done("--unlock")[0] == 0
        code, said = done("--", asks_no_one)
        assert code == 0 and "REFERENCE_API_KEY" not in said and (folder / asks_no_one).exists(), said[-2000:]


def test_a_base_model_that_is_not_there_stops_a_run_before_any_page_is_paid_for(tmp_path: Path) -> None:
    """Once the last step said so: it counts tokens with it."""
    procedural = {name: section for name, section in yaml.safe_load(RECIPE.read_text()).items() if name != "train"}
    with checkout(tmp_path) as folder:
        (folder / "my.yaml").write_text(yaml.safe_dump({**procedural, **SMALL, "train": {"base": "models/mine"}}))
        run = ["--cores", "2", "--configfile", "my.yaml", "--", "data"]
        words = "sft/select needs the base model's tokenizer: there is no tokenizer.json in models/mine; set train.base"
        done = snakemake(folder, "-n", *run)
        assert done.returncode == 0 and f"A run would stop at its start: {words}" in done.stdout, done.stdout[-2000:]
        done = snakemake(folder, *run)
        assert done.returncode != 0 and words in done.stdout and not (folder / "results").exists(), done.stdout[-2000:]
        (folder / "models/mine").mkdir(parents=True)
        (folder / "models/mine/tokenizer.json").write_text("{}")
        assert "would stop" not in snakemake(folder, "-n", *run).stdout, "data needs no weights"


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        ({"sft": {"keep": 5}}, "'sft.keep' is not a key that is known here"),
        ({"decontaminate": {"benchmarks": ["no.jsonl"]}}, "cannot read the benchmark file no.jsonl"),
    ],
)
def test_a_mistake_in_the_configuration_is_one_sentence(mistake: dict, sentence: str, tmp_path: Path) -> None:
    with checkout(tmp_path) as folder:
        (folder / "mine.yaml").write_text(yaml.safe_dump(mistake))
        done = snakemake(folder, "-n", "data", "--configfile", "mine.yaml", REFERENCE_API_KEY="unused")
    assert done.returncode != 0 and sentence in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_subcommand_explains_itself(name: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*name.split(), "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0 and len(text.splitlines()) > 8 and f"artifactscoder {name}" in text


def test_the_overview_fits_one_screen_and_names_every_step(capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) <= 40 and all(len(line) <= 120 for line in text.splitlines())
    words = set(re.findall(r"[\w-]+", text))
    assert all(set(name.split()) <= words for name in cli.COMMANDS if "-" not in name)
    assert cli.main(["sft", "--help"]) == 0
    text = capsys.readouterr().out
    assert all((f"  {name} " in text) == name.startswith("sft ") for name in cli.COMMANDS), (
        "a stage's, with their parts"
    )


RECIPE = ROOT / "profiles/demo/recipe.yaml"
DEMO = ["--config", "config.yaml", "--config", "profiles/demo/recipe.yaml"]


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["sft", "scores"], "there is no step 'sft scores'"),
        (
            ["sft", "tasks", "--config", "nowhere.yaml", "--category", "x", "--output", "o"],
            "cannot read the configuration",
        ),
        (["sft", "tasks", *DEMO, "--category", "nothing", "--output", "{o}"], "there is no category 'nothing'"),
        (
            ["sft", "variants", *DEMO, "--input", "nowhere.parquet", "--output", "{o}"],
            "there is no file nowhere.parquet",
        ),
        (["sft", "variants", *DEMO, "--input", "README.md", "--output", "{o}"], "cannot be read as Parquet"),
        (["sft", "score", *DEMO, "--input", "{wrong}", "--output", "{o}"], "has no column"),
        (
            ["cpt", "pack", *DEMO, "--input", "{wrong}", "--model", "nowhere", "--output", "{o}"],
            "no tokenizer.json in nowhere",
        ),
        (["cpt", "websight-source", *DEMO, "--output", "{o}"], "no file matches cpt.websight.input"),
        (
            ["cpt", "websight", *DEMO, "--source", "README.md", "--shard", "0", "--output", "{o}"],
            "is not a list of WebSight files",
        ),
        (["render", "page", *DEMO, "nowhere.html", "--output", "{o}"], "cannot read nowhere.html"),
    ],
)
def test_a_users_mistake_is_one_sentence_and_exit_code_2(command, sentence, tmp_path, capsys) -> None:
    from artifactscoder import tables
    from artifactscoder.records import signature

    tables.write(tmp_path / "wrong.parquet", signature(128), [])
    places = {"{o}": str(tmp_path / "out.parquet"), "{wrong}": str(tmp_path / "wrong.parquet")}
    assert cli.main([places.get(word, word) for word in command]) == 2
    said = capsys.readouterr().err.strip()
    assert sentence in said and len(said.splitlines()) == 1
    assert not (tmp_path / "out.parquet").exists()


def test_an_unreachable_endpoint_is_one_sentence_and_loses_nothing(tmp_path: Path, capsys) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "endpoints": {"mine": {"kind": "api", "url": "http://127.0.0.1:9/v1", "model": "m", "patience_s": 0.2}},
                "roles": {"teacher": "mine"},
                "journal": str(tmp_path / "journal"),
            }
        )
    )
    command = ["sft", "tasks", *DEMO, "--config", str(path), "--category", "game-puzzle"]
    assert cli.main([*command, "--output", str(tmp_path / "out.parquet")]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and "endpoint 'mine' at http://127.0.0.1:9/v1 cannot be reached" in said[0]
    assert not (tmp_path / "out.parquet").exists()


def test_snakemake_ends_when_it_is_asked_to_while_it_waits_for_the_files_of_a_job(tmp_path: Path) -> None:
    """Without cluster/mends.py it hangs: its own handler waits for a lock that the thread holds which it interrupts."""
    (tmp_path / "Snakefile").write_text(
        "from artifactscoder.cluster import mends\nmends.mend_sigterm()\n"
        "rule late:\n    output: 'never'\n    shell: ':'\n"
    )
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--latency-wait", "4"]
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while "Waiting at most 4 seconds" not in (tmp_path / "log").read_text():
            assert time.monotonic() < deadline and process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.1)
        process.terminate()
        assert process.wait(30) != 0
    finally:
        process.kill()


def test_a_process_that_crashes_leaves_no_file_with_the_keys_of_its_environment(tmp_path: Path) -> None:
    """A trainer that aborted left one, where Slurm lets jobs write such files."""
    crash = "from artifactscoder import cli; import os; cli.main([]); os.abort()"
    left = f"ulimit -S -c unlimited; {sys.executable} -c 'import os; os.abort()'; ls"
    if "core" not in subprocess.run(["bash", "-c", left], cwd=tmp_path, capture_output=True, text=True).stdout:
        pytest.skip("this machine keeps no core files in the working folder")
    (tmp_path / "ours").mkdir()
    words = ["bash", "-c", f"ulimit -S -c unlimited; {sys.executable} -c '{crash}'"]
    assert subprocess.run(words, cwd=tmp_path / "ours", capture_output=True).returncode in (134, -signal.SIGABRT)
    assert list((tmp_path / "ours").iterdir()) == []
