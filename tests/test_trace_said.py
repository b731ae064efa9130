"""What a trace says: numbers that are worked out again, and words that help where an id is not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from artifactscoder import cli, seeds, tables
from artifactscoder import config as configs
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.eval import compare
from artifactscoder.ledger import beside
from artifactscoder.trace import near
from artifactscoder.trace.curves import NOT_KEPT
from artifactscoder.train import grpo, torchrun
from artifactscoder.train.reward_function import FIXED
from small_run import traced


@pytest.mark.parametrize("column", ["checklist", "low", "high", "reward", "percent", "rendered", "tokens", "failed"])
def test_a_number_of_the_table_that_its_answers_do_not_give_is_said_with_what_they_give(
    run: Config, column: str
) -> None:
    path = run.results / "eval/table.parquet"
    was, held = path.read_bytes(), pq.read_table(path)
    id_ = tables.column(run.results / "eval/judge/base.parquet", "id")[0]
    assert traced(run, id_).doubts == []
    [line] = held.to_pylist()
    try:
        pq.write_table(pa.Table.from_pylist([{**line, column: 77}], schema=held.schema), path)
        [doubt] = traced(run, id_).doubts
    finally:
        path.write_bytes(was)
    altered = "77" if column == "failed" else "77.0"
    assert (
        doubt
        == f"eval/table: the table's line is what its answers give? {column} is {altered}, it gives {line[column]}"
    )


def a_curve(run: Config, name: str, row: dict[str, Any], *attempts: dict[str, float]) -> None:
    """A curve of one step, and the metrics of the attempts at it."""
    folder = run.results / "train" / name
    schema = pa.schema([("step", pa.int64()), *((column, pa.float64()) for column in row)])
    tables.write(folder / "curve.parquet", schema, [{"step": 2, **row}])
    named = json.loads((folder / "manifest.json").read_text())["run"]
    metrics = folder / "work" / named / "metrics"
    metrics.mkdir(parents=True, exist_ok=True)
    for number, measured in enumerate(attempts, 1):
        text = json.dumps({"step": 2, "data": measured}) + "\n"
        (metrics / f"attempt-{number:03d}.jsonl").write_text(text)


def test_a_loss_that_verl_did_not_write_is_noticed(run: Config) -> None:
    """Of two attempts at a step the last one counts."""
    a_curve(
        run, "sft", {"loss": 3.0, "lr": 0.1}, {"train/loss": 9.0, "train/lr": 0.1}, {"train/loss": 3.0, "train/lr": 0.1}
    )
    assert traced(run, "train/sft/2").doubts == []
    a_curve(run, "sft", {"loss": 2.0, "lr": 0.1}, {"train/loss": 3.0, "train/lr": 0.1})
    (run.results / "train/sft/work/run-sft/metrics/attempt-002.jsonl").unlink()
    assert traced(run, "train/sft/2").doubts == [
        "step: the curve is what verl's metrics say? loss is 2.0, it gives 3.0"
    ]


def test_a_curve_of_which_verl_s_metrics_are_gone_is_said_to_be_unchecked(run: Config) -> None:
    a_curve(run, "cpt", {"loss": 2.0})
    found = traced(run, "train/cpt/2")
    assert found.doubts == [] and found.stops[-1].facts["not checked"] == NOT_KEPT


def test_every_column_of_a_curve_has_a_name_in_verl_s_metrics() -> None:
    assert {"loss", "grad_norm", "tokens"} <= torchrun.CURVE.keys() and {"kl", "val_score"} <= grpo.CURVE.keys()


def test_an_id_that_is_nearly_one_is_answered_with_that_one(run: Config) -> None:
    sample = tables.column(run.results / "sft/code/game-puzzle.parquet", "id")[0]
    prompt = tables.column(run.results / "rl/prompts/prompts.parquet", "id")[0]
    document = tables.column(run.results / "cpt/code/games-play-00.parquet", "id")[0]
    for wrong, meant in (
        (sample.replace("/01/", "/1/"), sample),
        (sample[:-2] + sample[-1], sample),
        (sample.replace("puzzle", "puzle"), sample),
        (sample.replace("/01/", "x/01/"), sample),
        (prompt[:-1], prompt),
        (document[:-3] + document[-2:], document),
        ("train/sfft", "train/sft"),
    ):
        with pytest.raises(UserError) as refused:
            traced(run, wrong)
        assert f"did you mean '{meant}'" in str(refused.value), wrong
    assert traced(run, f"{sample}/").id == sample
    with pytest.raises(UserError) as refused:
        traced(run, "nothing")
    assert "did you mean" not in str(refused.value)


def test_a_record_of_a_shard_that_the_configuration_names_no_more_is_said_to_be_that(run: Config) -> None:
    gone, values = "tool-calculator", run.model_dump(mode="json")
    values["sft"]["categories"] = ["game-puzzle"]
    narrow = configs.from_dict(values, "the test's")
    id_ = tables.column(run.results / f"sft/tasks/{gone}.parquet", "id")[0]
    assert traced(run, id_).doubts == []
    with pytest.raises(UserError, match=f"stands in .*sft/tasks/{gone}.parquet, whose shard the run's configuration"):
        traced(narrow, id_)
    assert id_ in near.said(run, f"{id_}x") and near.said(narrow, f"{id_}x") == ""


def test_only_answers_that_grpo_learned_from_are_counted_and_without_one_there_is_no_mean(run: Config) -> None:
    path = run.results / "train/grpo/rewards.parquet"
    schema = pa.schema([*FIXED.items(), ("score", pa.float64())])
    id_ = next(tables.rows(run.results / "rl/parquet/rl_train.parquet"))["extra_info"]["id"]

    def said(*rows: tuple[int, str, str, float | None]) -> dict[str, Any]:
        names = ("step", "split", "status", "score")
        tables.write(path, schema, ({"id": id_, **dict(zip(names, row, strict=True))} for row in rows))
        return next(stop for stop in traced(run, id_).stops if stop.step == "train/grpo").facts["answers_to_it"]

    failed, unused = (3, "unused", "failed", None), (4, "unused", "ok", 0.9)
    try:
        assert said(failed, failed) == {"answers": 0, "failed": 2}
        assert said(unused) == {"answers": 0}
        learned = [(5, "train", "ok", 0.25), (5, "train", "ok", 0.5), (9, "train", "ok", 0.3)]
        assert said(failed, unused, *learned) == {"answers": 3, "steps": [5, 9], "mean_score": 0.35, "failed": 1}
    finally:
        path.unlink()


def test_a_model_of_cpt_is_traced_though_sft_does_not_start_from_it(run: Config) -> None:
    """The target `cpt` trains it in any case."""
    values = run.model_dump(mode="json")
    values["train"]["cpt"]["enabled"] = False
    apart = configs.from_dict(values, "the test's")
    found = traced(apart, "train/cpt")
    assert [(stop.step, stop.id) for stop in found.stops[1:]] == [("train/cpt", "cpt"), ("train/export", "cpt")]
    assert found.doubts == [] and [stop.step for stop in traced(run, "train/sft").stops].count("train/cpt") == 1
    assert "train/cpt" not in [stop.step for stop in traced(apart, "train/sft").stops]


def test_a_mean_without_an_interval_is_traced_without_one(
    run: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compare, "interval", lambda *_: (None, None))
    path = run.results / "eval/table.parquet"
    was, held = path.read_bytes(), pq.read_table(path)
    bare = dict.fromkeys(("low", "high", "low_failed_as_0", "high_failed_as_0"))
    id_ = tables.column(run.results / "eval/judge/base.parquet", "id")[0]
    try:
        pq.write_table(pa.Table.from_pylist([held.to_pylist()[0] | bare], schema=held.schema), path)
        assert cli.main(["trace", id_, "--results", str(run.results)]) == 0
    finally:
        path.write_bytes(was)
    said = capsys.readouterr().out
    assert "checklist: " in said and "low" not in said.partition("eval/table")[2] and "None" not in said


def test_what_is_of_a_dropped_task_is_led_to_that_task(run: Config) -> None:
    path = run.results / "sft/distinct_tasks/game-puzzle.parquet"
    was = {each: each.read_bytes() for each in (path, beside(path))}
    held, ledger = pq.read_table(path), pq.read_table(beside(path))
    task = held["id"][0].as_py()
    rejected = {"status": "rejected", "reason": "near_duplicate", "detail": "0.9 like another"}
    lines = [{**line, **(rejected if line["id"] == task else {})} for line in ledger.to_pylist()]
    try:
        pq.write_table(held.slice(1), path)
        pq.write_table(pa.Table.from_pylist(lines, schema=ledger.schema), beside(path))
        with pytest.raises(UserError) as refused:
            traced(run, f"{task}/layout")
    finally:
        for each, data in was.items():
            each.write_bytes(data)
    assert f"'{task}' was rejected at sft/distinct_tasks (near_duplicate: 0.9 like another)" in str(refused.value)


def test_a_sample_of_grpo_that_is_not_there_is_told_its_column(run: Config) -> None:
    with pytest.raises(UserError, match="its columns `step` and `sample` have those there are"):
        traced(run, "train/grpo/3/nobody")


def test_every_kind_is_called_by_its_name(run: Config) -> None:
    topic = tables.column(run.results / "cpt/tree/games-play.parquet", "id")[0]
    document = tables.column(run.results / "cpt/code/games-play-00.parquet", "id")[0]
    sample = tables.column(run.results / "sft/code/game-puzzle.parquet", "id")[0]
    named = {topic: "CPT topic", document: "CPT document", "templates/0000/01": "CPT template", sample: "SFT sample"}
    named |= {sample.rpartition("/")[0]: "SFT task"}
    assert {id_: traced(run, id_).kind for id_ in named} == named


def test_nothing_is_printed_as_none(run: Config, capsys: pytest.CaptureFixture[str]) -> None:
    id_ = tables.column(run.results / "sft/score/game-puzzle.parquet", "id")[0]
    assert cli.main(["trace", id_, "--results", str(run.results)]) == 0
    assert ": None" not in capsys.readouterr().out


def test_outside_of_the_project_the_sentence_says_where_to_stand(
    run: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds._lines.cache_clear()
    monkeypatch.chdir(tmp_path)
    assert cli.main(["trace", "game-puzzle/number-place/01", "--results", str(run.results)]) == 2
    assert f"stand in the project's folder: here is {tmp_path}" in capsys.readouterr().err
