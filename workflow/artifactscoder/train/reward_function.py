"""The bridge from verl to the reward engine, and the table of every reward that was given.

verl calls `compute_score` in its reward workers, once a sample, as soon as the sample is complete. It asks the engine
and returns the score with all numeric components. Each call appends one JSON line to a file of its own process,
flushed before the score is returned, so that nothing is scored that is not on record. A sample that cannot be scored
because something around it failed (the engine waits and retries first) raises: verl then trains without it
(`verl_groups`). A failure is never a score, and it is on record too; one that only the user can mend (a component of
theirs that fails) halts the run there.

`collect_rewards` joins these lines with verl's dumps of the rollouts, which name the samples that were trained on, and
writes one row a sample. What a killed job had scored without training on it stays in the table, marked as unused.

Rows of the RL Parquet: `prompt` (messages), `data_source`, `reward_model.ground_truth` (the reference page, may be
empty), `extra_info` with `index`, `id`, `prompt` (the request's text) and `checklist` (JSON list of objects).
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from artifactscoder import tables
from artifactscoder.errors import UserError
from artifactscoder.reward.task import Score, Task
from artifactscoder.train import curves, watch

ENGINE = "artifactscoder.reward.engine:RewardEngine"

FIXED = {
    "sample": pa.string(),  # uid_session, as in verl's dumps
    "step": pa.int64(),
    "attempt": pa.int64(),  # of the run, counted from 1: a job that was killed or halted is followed by another
    "split": pa.string(),  # train, val; unused: no dump names it
    "id": pa.string(),
    "status": pa.string(),  # ok, failed
    "error": pa.string(),
    "answer_sha256": pa.string(),
    "skeleton": pa.string(),  # watch.skeleton
    "seconds": pa.float64(),
}


class Engine(Protocol):
    """What scores a page."""

    async def score(self, answer: str, task: Task, sample: str, tokens: int | None = None) -> Score: ...


@cache
def _engine(name: str, settings: str) -> Engine:
    """One engine a process: it holds the connections to the render service and the judge."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute).from_settings(Path(settings))


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict[str, Any] | None = None,
    *,
    settings: str,
    log_dir: str,
    attempt: int = 0,
    engine: str = ENGINE,
    **_: Any,
) -> dict[str, float]:
    """Score one answer. `settings`, `log_dir`, `attempt` and `engine` come from verl's `reward_kwargs`.

    Returns the numeric keys of the engine's answer, `score` among them, but no times. Raises what the engine raises.
    """
    info = extra_info or {}
    sample = info["sample"]
    record: dict[str, Any] = {
        "sample": f"{sample['uid']}_{sample['session']}",
        "step": sample["step"],
        "attempt": attempt,
        "id": str(info["id"]),
        "answer_sha256": hashlib.sha256(solution_str.encode()).hexdigest(),
        "skeleton": watch.skeleton(solution_str),
    }
    start = time.monotonic()
    try:
        task = Task(record["id"], info["prompt"], json.loads(info["checklist"]), ground_truth or "")
        scorer = _engine(engine, settings)
        parts = (await scorer.score(solution_str, task, record["sample"], sample.get("tokens"))).parts
        score = float(parts["score"])
    except BaseException as error:
        record.update(status="failed", error=f"{type(error).__name__}: {error}"[:500])
        _append(Path(log_dir), record, start)
        raise
    record.update(status="ok", error="", parts=parts)
    _append(Path(log_dir), record, start)
    numbers = {k: float(v) for k, v in parts.items() if isinstance(v, int | float) and not k.endswith("_seconds")}
    return {**numbers, "score": score}


def _append(folder: Path, record: dict[str, Any], start: float) -> None:
    record["seconds"] = round(time.monotonic() - start, 3)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{os.uname().nodename}-{os.getpid()}.jsonl"
    with open(path, "ab", buffering=0) as file:  # one write a line: a kill leaves whole lines
        file.write(json.dumps(record, ensure_ascii=False).encode("utf-8", "replace") + b"\n")


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.jsonl")):
        for line in curves.whole_lines(path):
            yield json.loads(line)


class Records:
    """Reward records as they are written, each read once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[Path, curves.GrowingLines] = {}

    def new(self) -> Iterator[dict[str, Any]]:
        """Records that are whole and were not read before."""
        for path in sorted(self.folder.glob("*.jsonl")):
            for line in self._files.setdefault(path, curves.GrowingLines(path)).new():
                yield json.loads(line)


def faults(errors: Iterable[str]) -> list[str]:
    """Of the errors on record those that only the user can mend."""
    return [error for error in errors if error.startswith(f"{UserError.__name__}: ")]


def failures(log_dir: Path) -> dict[str, str]:
    """sample -> error of those that could not be scored."""
    return {row["sample"]: row["error"] for row in _lines(log_dir) if row["status"] == "failed"}


def _dumped(folder: Path) -> dict[str, tuple[int, float]]:
    """sample -> (step, score) of verl's dumps; a batch's synthetic padding has names of its own and no reward."""
    found = {}
    for row in _lines(folder):
        found[row["uid"].rpartition("_")[0]] = (int(row["step"]), float(row["score"]))
    return found


def collect_rewards(log_dir: Path, rollout_dir: Path, output: Path, validation_dir: Path | None = None) -> int:
    """Write `output`, one row a sample in the order of steps; returns the number of rows.

    Columns: those of `FIXED`, then the engine's (numbers as float64, text as string; null where a sample failed).
    Raises RuntimeError if a dump and a record disagree on a score: then one of them is not what was trained on.
    """
    dumps = {"train": _dumped(rollout_dir), "val": _dumped(validation_dir) if validation_dir else {}}
    rows, parts = [], dict[str, pa.DataType]()
    for record in _lines(log_dir):
        row = {**record, **record.pop("parts", {})}
        row["split"] = "unused"
        for split, samples in dumps.items():
            if row["sample"] in samples and row["status"] == "ok":
                row["split"], (row["step"], score) = split, samples[row["sample"]]
                if abs(score - row["score"]) > 1e-4:
                    raise RuntimeError(f"{row['sample']}: scored {row['score']}, trained on as {score} ({rollout_dir})")
        for key, value in row.items():
            if key not in FIXED and key != "parts":
                parts[key] = pa.float64() if isinstance(value, int | float) else pa.string()
        rows.append(row)
    rows.sort(key=lambda row: (row["step"], row["sample"]))
    schema = pa.schema([*FIXED.items(), *parts.items()])
    return tables.write(output, schema, ({k: row.get(k) for k in schema.names} for row in rows))
