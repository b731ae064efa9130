"""Results hold shards of every configuration that ran in them; what speaks of a run speaks of its own alone."""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path

import pytest

from artifactscoder import config as configs
from artifactscoder import seeds, shards, tables
from artifactscoder.audit import record
from artifactscoder.cluster import plan
from artifactscoder.config import Config
from artifactscoder.publish import cards
from artifactscoder.report import accounts, build, data
from checkout import ROOT
from finished_run import GRAPH, Run
from reported import CONFIG

KEPT, GONE = "game-puzzle", "tool-calculator"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The narrower configuration of two that made their tables in one folder, one after the other."""
    folder = tmp_path_factory.mktemp("made")
    places = {"results": str(folder / "results"), "journal": str(folder / "journal")}
    wide = configs.from_dict({**CONFIG, **places}, "the test's")
    narrow = configs.from_dict({**CONFIG, **places, "sft": {**CONFIG["sft"], "categories": [KEPT]}}, "the test's")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for config in (wide, narrow):
            Run(config).make()
        (folder / "results/cpt/stats/of-before-00.json").write_text(
            json.dumps({"groups": {"of-before": {"tokens": 7}}, "languages": {"xx": 1}, "libraries": {}})
        )
    return narrow


def test_a_report_counts_the_shards_of_its_configuration_and_names_those_of_others(
    made: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rulegraph.dot").write_text(GRAPH)
    build.run(made, made.results, tmp_path / "rulegraph.dot", tmp_path / "index.html")
    text = html.unescape((tmp_path / "index.html").read_text())
    asked = tables.count(made.results / f"sft/variants/{KEPT}.parquet")
    assert f"<b>{asked}</b><span>asked for</span>" in text and f"{asked} pages that were asked for" in text
    assert "the accounts balance" in text
    said = f"9 tables of shards that the configuration does not run are left out: {GONE}"
    assert f"{said}." in text and f"report: {said}\n" in capsys.readouterr().err
    assert GONE not in re.sub(f"left out: {GONE}", "", text.partition("categories that this run leaves out")[0])
    of_selected = next(book for book in accounts.collect(made, made.results) if book.step == "sft/select")
    assert of_selected.shards == 1 and not of_selected.problems


def test_tokens_of_a_root_that_is_no_longer_grown_are_not_in_the_corpus(made: Config) -> None:
    found = data.corpus(made, made.results)
    assert set(found.groups) == {"tree"} and set(found.languages) == {"en"}


def test_a_public_card_counts_no_record_of_another_configuration(made: Config) -> None:
    counts = cards._counts(made, "sft/code")
    assert counts["entered"] == tables.count(made.results / f"sft/code/{KEPT}.ledger.parquet")
    assert (made.results / f"sft/code/{GONE}.ledger.parquet").exists()


def test_the_record_of_a_run_has_no_job_of_a_shard_that_is_no_longer_run(
    made: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (KEPT, GONE):
        for step in ("tasks", "dedup_signature"):
            output = made.results / f"sft/{step}/{name}.parquet"
            output.parent.mkdir(exist_ok=True)
            output.touch()
            said = {"rule": step, "log": [f"logs/sft/{step}/{name}.log"], "starttime": 1.0, "endtime": 2.0}
            (tmp_path / base64.b64encode(str(output).encode()).decode()).write_text(json.dumps(said))
    monkeypatch.setattr(record, "folder", lambda config: tmp_path / "audit")
    path = record.write(made, 0.0, True, tmp_path)
    assert path is not None
    assert set(record.load(path)["jobs"]) == {f"sft/tasks/{KEPT}", f"sft/dedup_signature/{KEPT}"}


def test_every_step_has_as_many_shards_as_the_plan_says(made: Config) -> None:
    for config in (made, configs.load([ROOT / "config.yaml"])):
        assert {step: len(names) for step, names in shards.names(config).items()} == plan.shards(config)


def test_jobs_of_no_shard_are_the_configuration_s_own(made: Config) -> None:
    root = seeds.cpt_roots(made)[0]["slug"]
    own = ["sft/select", "cpt/templates", f"cpt/stats/{root}-00", "train/export/sft", "cpt/dedup_bands/3", "report"]
    assert shards.others(made, [*own, f"cpt/tree/{GONE}", "eval/judge/nobody"]) == {
        f"cpt/tree/{GONE}", "eval/judge/nobody"
    }  # fmt: skip


def test_of_a_stage_of_one_s_own_all_that_it_made_counts(made: Config, tmp_path: Path) -> None:
    """docs/howto.md adds one, whose shards nobody named."""
    for name in ("two", "one"):
        for path in (tmp_path / f"look/elements/{name}.parquet", tmp_path / f"look/elements/{name}.ledger.parquet"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    assert [path.stem for path in shards.done(made, tmp_path, "look/elements")] == ["one", "two"]
    assert shards.done(made, tmp_path, "look/nothing") == []
