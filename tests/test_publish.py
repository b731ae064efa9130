"""What is published says what really ran, holds no secret, and goes nowhere unless that is asked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard

import small_run
from artifactscoder import cli, files, seeds, tables
from artifactscoder import config as configs
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.eval.table import TABLE
from artifactscoder.ledger import Ledger, Usage, beside
from artifactscoder.models import fingerprint
from artifactscoder.publish import datasets, prepare
from artifactscoder.records import scored
from artifactscoder.rl import parquet
from artifactscoder.sft import select
from artifactscoder.train import runs, tiny_model
from fake_hub import Hub

PAGE = "<!DOCTYPE html>\n<html><head><title>Tips</title></head><body><p>12 % of 40</p></body></html>"
TOKEN = "hf_" + "T0k3n" * 8


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a run: its sets, a model with its manifests, a table of results."""
    folder = tmp_path_factory.mktemp("made")
    config = small_run.configured(folder, train={"tiny_model": {"vocab": 640}, "cpt": {"enabled": False}})
    results = config.results
    configs.write(config, results / "config.yaml")
    ids = [f"{category}/a/01/{kind}" for category in small_run.CATEGORIES for kind in ("layout", "real-time")]
    names = [f"score:{row['slug']}" for row in seeds.dimensions(config)]
    blank = dict.fromkeys(("spread", "reasons", "votes", "evidence", "screenshot", "answer", "extracted"))
    for category in small_run.CATEGORIES:
        rows = [
            {**blank, "id": id_, "group": category, "kind": id_.split("/")[3], "prompt": "A tip calculator.",
             "html": PAGE, "maker": "procedural", "request": f"key-{id_}", "percent": 80.0, "judge": "procedural",
             **dict.fromkeys(names, 7.5)}
            for id_ in ids if id_.startswith(category)
        ]  # fmt: skip
        tables.write(results / f"sft/score/{category}.parquet", scored(n.removeprefix("score:") for n in names), rows)
    chosen = results / "sft/select/sft_train.parquet"
    tables.write(chosen, select.SCHEMA, (_row(config, id_) for id_ in ids))
    ledger = Ledger(beside(chosen))
    ledger.enter([*ids, "game-puzzle/a/01/minimalist"])
    for id_ in ids:
        ledger.leave(id_, "ok", usage=Usage(tokens_out=60))
    ledger.leave("game-puzzle/a/01/minimalist", "rejected", "below_min_percent")
    ledger.close()
    prompt = {"id": "forms/a/plain", "task": "forms/a", "prompt": "A form.", "checklist": "[]"}
    for split, name in (("train", "rl_train"), ("val", "rl_val")):
        row = parquet.set_row(config, prompt, PAGE, split, 0)
        tables.write(results / f"rl/parquet/{name}.parquet", parquet.SCHEMA, [row])
    assert config.train.tiny_model is not None
    export = results / "train/sft/export"
    tiny_model.make([PAGE] * 20, export, config.train.tiny_model)
    told = {"run": "run-sft", "final_step": 3, "settings": config.train.sft.model_dump(mode="json"), "samples": 4}
    told |= {"model": {"path": "/somewhere/else", "fingerprint": "f" * 64}, "seconds": 1.0}
    told |= {"data": {"path": str(chosen), "sha256": runs.sha256(chosen)}, "checkpoint": "/somewhere/else/step_3"}
    runs.write_manifest(results / "train/sft/manifest.json", told)
    kept = {"parameters": 1234, "fingerprint": fingerprint(export), "checkpoint": "/somewhere/else/step_3"}
    runs.write_manifest(export / "manifest.json", kept)
    line = {"set": "held-out", "model": "sft", "judge": "procedural", "main": True, "tasks": 5, "judged": 5}
    line |= {"checklist": 41.5, "low": 30.0, "high": 50.0, "rendered": 0.8, "reward": 0.4}
    tables.write(results / "eval/table.parquet", TABLE, [line])
    return folder


def _row(config: Config, id_: str) -> dict[str, Any]:
    texts = zip(("system", "user", "assistant"), (config.sft.select.system, "A tip calculator.", PAGE), strict=True)
    category, _, _, kind = id_.split("/")
    messages = [{"role": role, "content": text} for role, text in texts]
    kept = {"category": category, "kind": kind, "percent": 80.0, "tokens": 60, "maker": "procedural"}
    return {"id": id_, "messages": messages, **kept}


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of its results, to alter; the folder of them."""
    shutil.copytree(made, tmp_path / "run")
    path = tmp_path / "run/results/config.yaml"
    values = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**values, "results": str(tmp_path / "run/results")}))
    return tmp_path / "run/results"


def publish(run: Path, *arguments: str) -> int:
    return cli.main(["publish", "--results", str(run), *arguments])


def test_folders_of_all_there_is_load_as_a_stranger_would_load_them(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(run) == 0
    printed = capsys.readouterr().out.split()
    assert [Path(path).name for path in printed] == ["dataset-sft", "dataset-rl", "model-sft"]
    held = pq.read_table(run / "publish/dataset-sft/data/train-00000-of-00001.parquet").to_pylist()
    assert [row["id"] for row in held] == tables.column(run / "sft/select/sft_train.parquet", "id")
    assert held[0]["messages"][2]["content"] == PAGE and held[0]["scores"]["accessibility"] == 7.5
    assert held[0]["request"] == f"key-{held[0]['id']}" and held[0]["judge"] == "procedural"
    splits = sorted(path.name for path in (run / "publish/dataset-rl/data").iterdir())
    assert splits == ["train-00000-of-00001.parquet", "validation-00000-of-00001.parquet"]
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert AutoTokenizer.from_pretrained(run / "publish/model-sft")("<p>").input_ids
    assert AutoModelForCausalLM.from_pretrained(run / "publish/model-sft").num_parameters() > 0
    for name in ("dataset-sft", "dataset-rl", "model-sft"):
        assert (run / "publish" / name / "LICENSE").read_text().lstrip().startswith("Apache License")


def test_the_cards_say_what_ran_and_that_no_model_made_it(run: Path) -> None:
    assert publish(run) == 0
    card = DatasetCard.load(run / "publish/dataset-sft/README.md")
    assert card.data.license == "apache-2.0" and {"procedural", "demo"} <= set(card.data.tags or [])
    assert card.data.to_dict()["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*.parquet"}]
    assert "Made without a model" in card.text and "| train | 4 |" in card.text
    assert "| sft/select | the best, fairly spread: sft_train.parquet | 5 | 4 | 1 | 0 |" in card.text
    assert "sft_code `" in card.text and "240 tokens" in card.text and "2 categories, 2 kinds" in card.text
    model = ModelCard.load(run / "publish/model-sft/README.md")
    [result] = model.data.eval_results or []
    assert (result.metric_value, result.dataset_type) == (41.5, "artifactscoder-held-out")
    assert (
        "**A demo.**" in model.text
        and "| held-out (5 of 5) | sft | procedural | 41.5 | 30.0 to 50.0 | 80 %" in model.text
    )
    assert "run-sft" in model.text and "1,234 parameters" in model.text
    told = (run / "publish/model-sft/manifest.json").read_text()
    assert "/somewhere" not in told and json.loads(told)["line"][0]["started_from"] == "f" * 64
    assert "{{" not in card.text + model.text and "{%" not in card.text + model.text


def test_a_model_s_card_has_a_dash_where_one_task_gives_no_interval(run: Path) -> None:
    [line] = tables.rows(run / "eval/table.parquet")
    tables.write(run / "eval/table.parquet", TABLE, [{**line, "low": None, "high": None}])
    assert publish(run, "model-sft") == 0
    assert "| 41.5 | – | 80 %" in ModelCard.load(run / "publish/model-sft/README.md").text


def test_a_model_s_card_says_from_what_training_its_tasks_were_kept(run: Path) -> None:
    """Held-out tasks from RL alone; a benchmark's from SFT and RL, where the configuration names it."""
    path = run / "config.yaml"
    values, [line] = yaml.safe_load(path.read_text()), list(tables.rows(run / "eval/table.parquet"))
    values["eval"]["tasks"] |= {"named": {"path": "named.json"}, "other": {"path": "other.json"}}
    values["decontaminate"]["benchmarks"] = ["tests/../named.json"]
    path.write_text(yaml.safe_dump(values))
    tables.write(run / "eval/table.parquet", TABLE, [{**line, "set": name} for name in ("held-out", "named", "other")])
    assert publish(run, "model-sft") == 0
    text = ModelCard.load(run / "publish/model-sft/README.md").text
    assert "- held-out: tasks kept out of RL, in whatever technology; the requests of SFT were not compared" in text
    assert "- named: requests of SFT and RL that share 13 words in a row" in text
    assert "- other: the training data was not compared" in text and "no training saw" not in text


def test_the_rl_card_says_what_its_rows_hold_and_that_nobody_scored_them(run: Path) -> None:
    assert publish(run, "dataset-rl") == 0
    text = DatasetCard.load(run / "publish/dataset-rl/README.md").text
    row = pq.read_table(run / "publish/dataset-rl/data/train-00000-of-00001.parquet").to_pylist()[0]
    named = [*row, *row["reward_model"], *row["extra_info"]]
    assert [name for name in named if f"`{name}" not in text and f".{name}`" not in text] == []
    assert "nobody\nscored them" in text and "judg" not in text and "masked by rules before rendering;" in text
    assert publish(run, "dataset-sft") == 0
    assert "chosen by a program's scores" in DatasetCard.load(run / "publish/dataset-sft/README.md").text


def test_the_snippet_of_a_model_s_card_runs_as_it_stands_and_prints_the_answer_alone(run: Path) -> None:
    values = yaml.safe_load((run / "config.yaml").read_text())
    values["eval"]["sampling"] = {"temperature": 0.0, "max_tokens": 16_384}
    (run / "config.yaml").write_text(yaml.safe_dump(values))
    assert publish(run, "model-sft") == 0
    folder = run / "publish/model-sft"
    code = ModelCard.load(folder / "README.md").text.split("```python\n")[1].split("```")[0]
    context = json.loads((folder / "config.json").read_text())["max_position_embeddings"]
    assert f"max_new_tokens={context // 2})" in code
    short = code.replace(f"max_new_tokens={context // 2}", "max_new_tokens=8")
    done = subprocess.run([sys.executable, "-c", short], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "tip calculator" not in done.stdout


def test_a_card_names_the_base_its_sets_and_that_a_model_was_not_evaluated(run: Path) -> None:
    values = yaml.safe_load((run / "config.yaml").read_text())
    values["train"] |= {"tiny_model": None, "base": str(run / "models/Some-30B")}
    (run / "config.yaml").write_text(yaml.safe_dump(values))
    [line] = tables.rows(run / "eval/table.parquet")
    tables.write(run / "eval/table.parquet", TABLE, [{**line, "model": "base"}])
    config = configs.load([run / "config.yaml"])
    prepare(config, "model-sft", "mit", "Org/Some-30B", {"dataset-sft": "me/sft", "dataset-rl": "me/rl"})
    card = ModelCard.load(run / "publish/model-sft/README.md")
    assert card.data.base_model == "Org/Some-30B" and card.data.datasets == ["me/sft"]
    assert "This model was not evaluated" in card.text and "## Limits" in card.text
    assert "repositories-licenses" in card.text and not (run / "publish/model-sft/LICENSE").exists()
    prepare(config, "model-sft", "mit")
    assert ModelCard.load(run / "publish/model-sft/README.md").data.base_model is None


def test_a_model_of_cpt_is_published_though_sft_does_not_start_from_it(run: Path) -> None:
    shutil.copytree(run / "train/sft", run / "train/cpt")
    path = run / "train/cpt/manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "run": "run-cpt"}))
    assert publish(run, "model-cpt", "model-sft") == 0
    text = ModelCard.load(run / "publish/model-cpt/README.md").text
    assert "| continual pre-training | run-cpt |" in text and "run-sft" not in text
    assert "the requests of SFT and CPT were not compared" in text
    assert "run-cpt" not in (run / "publish/model-sft/README.md").read_text()


@pytest.mark.parametrize(
    ("name", "table", "schema"),
    [("dataset-sft", "sft/select/sft_train", select.SCHEMA), ("dataset-rl", "rl/parquet/rl_val", parquet.SCHEMA)],
)
def test_an_empty_set_is_one_sentence_and_no_folder(
    run: Path, name: str, table: str, schema: pa.Schema, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / f"{table}.parquet"
    tables.write(path, schema, [])
    assert publish(run, name) == 2
    assert f"artifactscoder: {path} holds no row; nothing to publish as {name}: " in capsys.readouterr().err
    assert not (run / "publish").exists()


def test_a_card_says_that_the_tree_of_its_commit_was_changed(run: Path) -> None:
    for number, commit in enumerate(("a" * 40, "b" * 40 + "+")):
        files.write_bytes(run / f"audit/2026113{number}T000000Z.json", json.dumps({"commit": commit}).encode())
    assert publish(run, "dataset-rl") == 0
    assert "commit `bbbbbbbbbbbb+`." in (run / "publish/dataset-rl/README.md").read_text()


def test_a_licence_or_a_base_that_the_hub_cannot_know_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (["--licence", "banana"], "'banana' is no licence that the Hub has a name for"),
        (["--licence", "Apache-2.0"], "did you mean apache-2.0"),
        (["--base", "Some-30B"], "say OWNER/NAME"),
    ):
        assert publish(run, *arguments) == 2
        assert said in capsys.readouterr().err and not (run / "publish").exists()


def test_a_file_edited_in_the_published_folder_leaves_the_trained_model_as_it_is(run: Path) -> None:
    assert publish(run, "model-sft") == 0
    for path in (run / "publish/model-sft").iterdir():
        with open(path, "ab") as file:
            file.write(b"more")
    config = configs.load([run / "config.yaml"])
    assert prepare(config, "model-sft", "apache-2.0").is_dir(), "its fingerprint is still that of its manifest"


def test_data_of_real_models_are_not_called_a_demo_and_need_a_licence_to_be_pushed(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / "config.yaml"
    values = yaml.safe_load(path.read_text())
    values["endpoints"]["it"] |= {"kind": "api", "model": "big-coder", "revision": "r7", "url": "http://localhost:1"}
    path.write_text(yaml.safe_dump(values))
    assert publish(run, "dataset-sft") == 0
    card = DatasetCard.load(run / "publish/dataset-sft/README.md")
    assert card.data.license == "unknown" and "procedural" not in (card.data.tags or [])
    assert "coder `big-coder@r7`" in card.text and "Made without a model" not in card.text
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert publish(run, "dataset-sft", "--push", "--to", "me") == 2
    assert "--licence" in (said := capsys.readouterr().err) and "big-coder@r7" in said


SECRETS = {
    "openai_key": "sk-proj-" + "Ab3" * 14,
    "hugging_face_token": "hf_" + "Zy8x" * 9,
    "email": "jane.doe@fastmail.com",
    "the value of HF_TOKEN": "not-of-any-form",
}


@pytest.mark.parametrize("rule", SECRETS)
@pytest.mark.parametrize("where", ["user", "html", "checklist", "reference"])
def test_a_secret_in_any_column_is_refused_by_name_and_place_and_nothing_is_left(
    run: Path, rule: str, where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = SECRETS[rule]
    monkeypatch.setenv("HF_TOKEN", SECRETS["the value of HF_TOKEN"])
    name = "dataset-sft" if where in ("user", "html") else "dataset-rl"
    (run / "publish" / name / "data").mkdir(parents=True)  # of an earlier call
    path = run / ("sft/select/sft_train.parquet" if name == "dataset-sft" else "rl/parquet/rl_val.parquet")
    rows = list(tables.rows(path))
    row = rows[-1]
    if name == "dataset-sft":
        row["messages"][1 if where == "user" else 2]["content"] += f" <b>write to {secret} now</b>"
    elif where == "checklist":
        row["extra_info"]["checklist"] = json.dumps([{"id": "a", "title": f"shows {secret} there"}])
    else:
        row["reward_model"]["ground_truth"] += f"<script>const key = '{secret}';</script>"
    tables.write(path, select.SCHEMA if name == "dataset-sft" else parquet.SCHEMA, rows)
    assert publish(run, name) == 2
    said = capsys.readouterr().err
    assert f"{name} is not published" in said and rule in said and secret not in said
    assert (row.get("id") or row["extra_info"]["id"]) in said
    assert not (run / "publish" / name).exists() and not list(run.glob("publish/.*"))


def test_a_set_larger_than_a_shard_comes_in_several(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "SHARD_BYTES", 400)
    assert publish(run, "dataset-sft") == 0
    names = sorted(path.name for path in (run / "publish/dataset-sft/data").iterdir())
    assert (
        names == [f"train-{number:05d}-of-{len(names):05d}.parquet" for number in range(len(names))] and len(names) > 1
    )
    held = [id_ for name in names for id_ in tables.column(run / "publish/dataset-sft/data" / name, "id")]
    assert held == tables.column(run / "sft/select/sft_train.parquet", "id")


def test_a_model_that_was_changed_since_its_export_is_not_published(run: Path) -> None:
    path = run / "train/sft/export/model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="not the model that its manifest names"):
        prepare(configs.load([run / "config.yaml"]), "model-sft", "apache-2.0")


def pushed(run: Path, hub: Hub, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    """As a user pushes: a process with HF_TOKEN in its environment."""
    command = [sys.executable, "-m", "artifactscoder.cli", "publish", "--results", str(run), "--push", "--to", "me"]
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": token, "HF_HUB_OFFLINE": "0"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_a_push_sends_the_folders_as_private_repositories_and_says_the_token_nowhere(run: Path) -> None:
    with Hub() as hub:
        done = pushed(run, hub)
    assert done.returncode == 0, done.stderr
    assert set(hub.repos) == {f"me/artifactscoder-{name}" for name in ("dataset-sft", "dataset-rl", "model-sft")}
    for name, repo in hub.repos.items():
        folder = run / "publish" / name.removeprefix("me/artifactscoder-")
        there = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert repo["files"] == there and repo["private"] is True
        assert repo["kind"] == folder.name.split("-")[0]
    assert hub.tokens - {""} == {f"Bearer {TOKEN}"}
    assert TOKEN not in done.stdout + done.stderr
    assert not any(TOKEN.encode() in path.read_bytes() for path in run.rglob("*") if path.is_file())


def test_a_push_that_is_refused_is_one_sentence_without_the_token(run: Path) -> None:
    with Hub(status=403) as hub:
        done = pushed(run, hub)
    assert done.returncode == 2 and "could not be pushed to me/artifactscoder-dataset-sft" in done.stderr
    assert "Traceback" not in done.stderr and TOKEN not in done.stdout + done.stderr


def test_without_a_token_or_an_owner_nothing_is_sent(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    for arguments, word in (
        (["--push"], "--to"),
        (["--push", "--to", "me"], "HF_TOKEN"),
        (["--push", "--to", "a/b"], "slash"),
    ):
        assert publish(run, *arguments) == 2
        assert word in capsys.readouterr().err
    assert publish(run, "dataset-cpt") == 2 and publish(run, "model-grpo") == 2
    assert not (run / "publish").exists()
