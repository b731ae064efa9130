"""What the jobs of a plan need of their user is said before the first of them starts, and only where a job needs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifactscoder.cluster import ready
from artifactscoder.config import Config
from artifactscoder.train import engines

KEYED = {"keyed": {"kind": "api", "url": "http://unused/v1", "model": "m", "key_env": "TEST_KEY"}}


def said(config: Config, *rules: str, model: str = "", image: bool = True) -> list[str]:
    return list(ready.lacking(config, {(rule, model) for rule in rules}, image))


def test_a_key_is_wanted_where_a_job_asks_with_it(settings, monkeypatch) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    models = ["keyed", "base"]
    config = settings(
        endpoints=KEYED, roles={"coder": "keyed"}, eval={"models": models}, train={"tiny_model": {}, "cpt": {}}
    )
    assert said(config, "sft_tasks", "cpt_dedup_bands", "sft_distinct_tasks", "report", "data", "train_grpo") == []
    assert said(config, "eval_generate", model="base") == [], "which no endpoint answers"
    assert said(config, "eval_generate_asked", model="it") == [], "another model's key is another job's affair"
    (only,) = said(config, "sft_code")
    assert only.startswith("sft/code needs the key of the endpoint 'keyed'") and "run `export TEST_KEY=...`" in only
    assert said(config, "sft_code", "cpt_code")[0].startswith("cpt/code and sft/code need the key")
    both = said(config, "eval_generate_asked", "sft_code", "cpt_code", model="keyed")
    assert both[0].startswith("cpt/code and 2 more steps need")
    monkeypatch.setenv("TEST_KEY", "good")
    assert said(config, "sft_code", "eval_generate_asked", model="keyed") == []


@pytest.mark.parametrize("enabled", [True, False])
def test_training_wants_the_base_model_whole_and_counting_its_tokenizer_alone(
    enabled: bool, settings, tmp_path: Path
) -> None:
    config = settings(train={"base": str(tmp_path), "tiny_model": None, "cpt": {"enabled": enabled}})
    assert said(config, "sft_score", "train_export", "train_grpo", "rl_parquet") == []
    assert said(config, "eval_generate", model="grpo") == []
    (tmp_path / "tokenizer.json").write_text("{}")
    assert said(config, "sft_select", "cpt_pack") == []
    for rule in ("train_cpt", "eval_generate"):
        (only,) = said(config, rule, "sft_select", model="base")
        assert "and sft/select need the base model: " in only and "lacks config.json, model.safetensors" in only
    assert len(said(config, "train_sft")) == (0 if enabled else 1), "what SFT starts from"
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    assert said(config, "train_cpt", "train_sft", "sft_select") == []


def test_training_without_an_image_wants_its_packages_here(settings, monkeypatch) -> None:
    monkeypatch.setitem(engines.NEEDS, "megatron", ("no_such_engine",))
    config = settings(train={"tiny_model": {}, "sft": {"device": "cuda", "engine": "megatron"}})
    assert said(config, "train_sft", image=True) == [] == said(config, "sft_score", image=False)
    (only,) = said(config, "train_sft", image=False)
    assert only.startswith("train.sft as configured needs no_such_engine, not installed here")
