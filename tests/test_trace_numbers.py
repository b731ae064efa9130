"""The numbers that a trace shows of an evaluation and of a training are worked out again, not just shown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import small_run
from artifactscoder import tables, trace
from artifactscoder.config import Config
from artifactscoder.trace.curves import NOT_KEPT
from artifactscoder.train import grpo, torchrun


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    """A whole small run, made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(__file__).resolve().parents[1])
        yield asyncio.run(small_run.run(tmp_path_factory.mktemp("run")))


def traced(run: Config, id_: str) -> trace.Trace:
    return asyncio.run(trace.trace(run, id_))


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
