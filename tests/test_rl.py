"""The RL line: rows, splits and prompts."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from artifactscoder import tables
from artifactscoder.errors import UserError
from artifactscoder.report import accounts
from artifactscoder.rl import parquet, reference, valid
from artifactscoder.rl import prompts as rl_prompts


async def test_the_rl_line_splits_by_task_and_keeps_what_verl_needs(configure, tmp_path) -> None:
    config = configure()
    results = tmp_path / "results"
    folder = results / "rl"
    rl_prompts.run(config, folder / "prompts/prompts.parquet")
    prompts = list(tables.rows(folder / "prompts/prompts.parquet"))
    assert len(prompts) == 12 == len({row["prompt"] for row in prompts})
    assert all(len(json.loads(row["checklist"])) == 20 for row in prompts)
    await reference.run(config, folder / "prompts/prompts.parquet", folder / "reference/pages.parquet")
    await valid.run(config, folder / "reference/pages.parquet", folder / "valid/pages.parquet", 2)
    train, val = folder / "parquet/rl_train.parquet", folder / "parquet/rl_val.parquet"
    parquet.run(config, folder / "prompts/prompts.parquet", folder / "valid/pages.parquet", train, val)
    rows = {"train": list(tables.rows(train)), "val": list(tables.rows(val))}
    tasks_of = {name: {row["extra_info"]["task"] for row in found} for name, found in rows.items()}
    assert tasks_of["train"] and tasks_of["val"] and not tasks_of["train"] & tasks_of["val"]
    for row in rows["train"]:
        assert row["reward_model"]["ground_truth"].startswith("<!DOCTYPE html>")
        assert [message["role"] for message in row["prompt"]] == ["system", "user"]
        assert len(json.loads(row["extra_info"]["checklist"])) == 20
    assert [problem for account in accounts.collect(config, results) for problem in account.problems] == []


def test_2000_rl_prompts_at_full_size_are_distinct(configure, tmp_path) -> None:
    config = configure(rl={"prompts": {"count": 2000, "families": "all"}})
    rl_prompts.run(config, tmp_path / "prompts.parquet")
    rows = list(tables.rows(tmp_path / "prompts.parquet"))
    assert len(rows) == 2000 == len({row["prompt"] for row in rows}) == len({row["id"] for row in rows})
    share = Counter(row["family"] for row in rows)
    assert share["web-apps"] == 120 and share["forms"] == 60
    for family in share:
        for what in ("task", "stack"):
            counts = Counter(row[what] for row in rows if row["family"] == family).values()
            assert max(counts) - min(counts) <= 1, f"{what}s of {family} are drawn unevenly"


def test_more_rl_prompts_than_there_are_is_one_sentence(configure, tmp_path) -> None:
    config = configure(rl={"prompts": {"count": 500, "families": ["forms"]}})
    with pytest.raises(UserError, match="family 'forms' is to give 500 distinct prompts but has 12 tasks in 6 stacks"):
        rl_prompts.run(config, tmp_path / "prompts.parquet")
