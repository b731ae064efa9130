"""Two runs are told apart by what changed, and each job that was made again by what did that."""

from __future__ import annotations

import copy
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml
from rocrate.rocrate import ROCrate

from artifactscoder import cli
from artifactscoder.audit import diff, record
from artifactscoder.config import Config
from artifactscoder.report import rulegraph
from checkout import ROOT, SMALL, checkout, snakemake

TABLES = [f"results/sft/tasks/{name}.parquet" for name in ("game-puzzle", "tool-calculator")]
RULEGRAPH = """digraph snakemake_dag {
    graph[bgcolor=white, margin=0];
    0[label = "demo", color = "0.1 0.6 0.85", style="rounded"];
    1[label = "sft_score", color = "0.1 0.6 0.85", style="rounded"];
    2[label = "sft_select", color = "0.1 0.6 0.85", style="rounded"];
    3[label = "train_sft", color = "0.1 0.6 0.85", style="rounded"];
    4[label = "cpt_tree", color = "0.1 0.6 0.85", style="rounded"];
    3 -> 0
    1 -> 2
    2 -> 3
    4 -> 0
}"""


@pytest.mark.timeout(300)
def test_each_run_leaves_a_record_and_two_say_what_made_what_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with checkout(tmp_path) as folder:
        seeds = folder / "subcategories.jsonl"
        seeds.write_text((ROOT / "workflow/seeds/subcategories.jsonl").read_text())
        small = {**SMALL, "seeds": {"subcategories": str(seeds)}}
        (folder / "small.yaml").write_text(yaml.safe_dump(small))
        run = ["--profile", "profiles/demo", "--configfile", "profiles/demo/recipe.yaml", "small.yaml", "--", *TABLES]

        def again() -> dict[str, Any]:
            done = snakemake(folder, *run)
            assert done.returncode == 0, done.stdout[-3000:]
            monkeypatch.chdir(folder)
            assert cli.main(["audit", "diff", "--json"]) == 0
            return json.loads(capsys.readouterr().out)

        assert snakemake(folder, *run).returncode == 0
        assert "Nothing to be done" in snakemake(folder, *run).stdout
        assert len(record.every(folder / "results")) == 1, "a run that makes nothing leaves no record"

        rows = [json.loads(line) for line in seeds.read_text().splitlines()]
        first = next(row for row in rows if row["id"].startswith("game-puzzle/"))
        first["brief"] += " A hint costs ten points."
        seeds.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found = again()
        assert [(one["part"], one["name"]) for one in found["changes"]] == [("seeds", f"{seeds}: {first['id']}")]
        assert found["again"] == [{"job": "sft/tasks/game-puzzle", "rule": "sft_tasks", "causes": ["its seeds"]}]

        small["sft"] = {**small["sft"], "tasks": {"per_subcategory": 3}}
        (folder / "small.yaml").write_text(yaml.safe_dump(small))
        found = again()
        changed = {one["name"]: (one["before"], one["after"]) for one in found["changes"]}
        assert changed == {"sft.tasks.per_subcategory": (2, 3)}
        assert {one["job"] for one in found["again"]} == {f"sft/tasks/{Path(table).stem}" for table in TABLES}
        assert all(one["causes"] == ["setting sft.tasks.per_subcategory"] for one in found["again"])

        (folder / TABLES[0]).unlink()
        found = again()
        assert found["changes"] == [] and found["again"][0]["causes"] == ["asked for again, or its output was gone"]
        assert cli.main(["audit", "diff"]) == 0
        said = capsys.readouterr().out
        assert "changed: nothing" in said and "made again: 1 of 2 jobs" in said

        rows[0]["brief"] += " Changed after the last run."
        seeds.write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert cli.main(["audit", "crate"]) == 0
        crate = ROCrate(folder / "results")
        said = crate.mainEntity["description"]
        assert said == f"Changed since the last run: {seeds}: {rows[0]['id']}."
        actions = crate.root_dataset["mentions"]
        assert len(actions) == 4 and all(action["instrument"].id == crate.mainEntity.id for action in actions)


def a_record(**more: Any) -> record.Record:
    job = {
        "rule": "sft_code", "outputs": ["results/sft/code/a.parquet"], "inputs": {"results/sft/variants/a.parquet": ""},
        "params": ["'1'"], "code": "c", "software": "", "began": 10.0, "ended": 11.0,
    }  # fmt: skip
    before = {
        **job,
        "rule": "sft_variants",
        "outputs": ["results/sft/variants/a.parquet"],
        "inputs": {"seeds.txt": "1"},
    }
    return copy.deepcopy({
        "name": "A", "began": 1.0, "ended": 20.0, "well": True, "place": "/a", "commit": "1", "versions": {},
        "settings": {"seed": 0}, "prompts": {"sft_code": "p"}, "seeds": {}, "inputs": {}, "code": {}, "images": {},
        "recipe": {"sft/code": {"prompts": ["p"], "settings.sft.code.sampling.temperature": 0.7}},
        "jobs": {"sft/variants/a": before, "sft/code/a": job}, **more,
    })  # fmt: skip


def causes(a: record.Record, b: record.Record) -> dict[str, list[str]]:
    return {again.job: again.causes for again in diff.compare(a, b).again}


def test_a_prompt_a_rule_an_image_an_input_are_each_named() -> None:
    a, b = a_record(), a_record(name="B", began=30.0)
    for each in (a, b):  # Snakemake writes down a start after the end where a rule has a `run` part
        each["jobs"]["sft/variants/a"]["ended"] = 9.9
    assert causes(a, b) == {}
    code = b["jobs"]["sft/code/a"]
    code["began"] = 31.0
    assert causes(a, b) == {"sft/code/a": ["asked for again, or its output was gone"]}
    code["params"] = ["'2'"]
    b["prompts"]["sft_code"] = "q"
    b["recipe"]["sft/code"]["prompts"] = ["q"]
    assert causes(a, b) == {"sft/code/a": ["prompt sft_code"]}
    code["code"], code["software"] = "other", "image"
    assert causes(a, b) == {"sft/code/a": ["its rule changed", "its image changed", "prompt sft_code"]}
    b["jobs"]["sft/variants/a"] |= {"began": 30.5, "inputs": {"seeds.txt": "2"}}
    found = causes(a, b)
    assert found["sft/variants/a"] == ["seeds.txt changed"]
    assert found["sft/code/a"][-1] == "after sft_variants"
    b["jobs"]["sft/code/b"] = {**code, "outputs": ["results/sft/code/b.parquet"]}
    assert causes(a, b)["sft/code/b"] == ["new"]
    del b["jobs"]["sft/code/a"]
    assert diff.compare(a, b).gone == ["sft/code/a"]


def test_a_commit_of_a_changed_tree_is_marked_before_and_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = a_record(commit="a" * 40 + "+"), a_record(name="B", began=30.0, commit="b" * 40)
    for before, after, said in ((a, b, "aaaaaaaaaaaa+ -> bbbbbbbbbbbb"), (b, a, "bbbbbbbbbbbb -> aaaaaaaaaaaa+")):
        assert f"  commit    {said}" in list(diff.lines(diff.compare(before, after)))
    paths = [tmp_path / f"{one['name']}.json" for one in (a, b)]
    for path, one in zip(paths, (a, b), strict=True):
        path.write_text(json.dumps(one))
    assert cli.main(["audit", "diff", *map(str, paths)]) == 0
    assert ", commit aaaaaaaaaaaa+  " in capsys.readouterr().out


def test_runs_of_two_folders_differ_in_what_their_jobs_were_made_of() -> None:
    a, b = a_record(), a_record(name="B", began=30.0, place="/b")
    for job in b["jobs"].values():
        job["began"] += 100
    assert causes(a, b) == {}, "made at another time, of the same"
    b["jobs"]["sft/code/a"]["params"] = ["'2'"]
    b["recipe"]["sft/code"]["settings.sft.code.sampling.temperature"] = 0.8
    assert causes(a, b) == {"sft/code/a": ["setting sft.code.sampling.temperature"]}


def test_a_long_name_of_an_output_is_put_together_again(tmp_path: Path) -> None:
    """Snakemake cuts names that a file system would not take into folders marked by @."""
    import base64

    output = tmp_path / "results/sft/tasks/games.parquet"
    output.parent.mkdir(parents=True)
    output.touch()
    name = base64.b64encode(str(output).encode()).decode()
    path = tmp_path / "metadata" / f"@{name[:20]}" / name[20:]
    path.parent.mkdir(parents=True)
    said = {"rule": "sft_tasks", "log": ["logs/sft/tasks/games.log"], "input": [], "params": [], "code": "x"}
    path.write_text(json.dumps({**said, "starttime": 1.0, "endtime": 2.0, "incomplete": False}))
    (path.parent / "garbage!").write_text("{")
    assert list(record.jobs(tmp_path / "metadata", str(tmp_path / "results"))) == ["sft/tasks/games"]


def test_no_key_is_in_a_record(configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-very-secret")
    config: Config = configure(endpoints={"it": {"kind": "procedural", "vision": True, "key_env": "SOME_API_KEY"}})
    assert "sk-very-secret" not in json.dumps(record.depends(config))


def test_pictures_hold_a_stage_and_what_is_next_to_it(tmp_path: Path) -> None:
    dot = tmp_path / "rulegraph.dot"
    dot.write_text("Building DAG of jobs...\n" + RULEGRAPH)
    assert cli.main(["audit", "pictures", "--rulegraph", str(dot), "--output", str(tmp_path)]) == 0

    def names(picture: str) -> set[str]:
        root = ElementTree.fromstring((tmp_path / f"{picture}.svg").read_text())
        return {text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")}

    assert names("rulegraph") == {"sft_score", "sft_select", "train_sft", "cpt_tree"}
    assert names("sft") == {"sft_score", "sft_select", "train_sft"} and names("cpt") == {"cpt_tree"}
    once = rulegraph.svg(rulegraph.rules(dot))
    first, *rest, last = RULEGRAPH.splitlines()  # Snakemake numbers and orders the rules as it likes
    numbered = (re.sub(r"\b\d\b", lambda found: str(9 - int(found[0])), line) for line in reversed(rest))
    dot.write_text("\n".join([first, *numbered, last]))
    assert once == rulegraph.svg(rulegraph.rules(dot)), "the same graph gives the same picture"


def test_what_cannot_be_compared_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["audit", "diff", "--results", str(tmp_path)]) == 2
    assert cli.main(["audit", "diff", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 2
    (tmp_path / "a.json").write_text("{")
    assert cli.main(["audit", "diff", str(tmp_path / "a.json"), str(tmp_path / "a.json")]) == 2
    assert cli.main(["audit", "diff", str(tmp_path)]) == 2
    assert cli.main(["audit", "crate", "--results", str(tmp_path)]) == 2
    assert cli.main(["audit", "pictures", "--rulegraph", str(tmp_path / "a.json"), "--output", str(tmp_path)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 6 and all(line.startswith("artifactscoder: ") for line in said)
