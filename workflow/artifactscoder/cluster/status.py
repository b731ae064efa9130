"""status: what runs now, how far it is, and what failed last. It only reads, and submits and stops nothing.

In come the configuration's results and journal, Snakemake's own log, and Slurm's queue where there is Slurm; out goes
one screen: jobs by rule with Slurm's states and reasons, steps by shards done, shards under way by answers in their
journals, training by step and last reward, the log of the last failure, and how to stop cleanly.

Jobs count as this run's when they were submitted from this folder: the plugin names a job by the run's UUID and its
rule in the comment (`rule_sft_code_wildcards_games`); training jobs of their own are named `artifactscoder-...`.
Answers of a large journal are estimated from its first 4 MB.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import shlex
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from artifactscoder import config as configs
from artifactscoder import tables
from artifactscoder.cluster import plan, slurm
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.progress import duration
from artifactscoder.train import runs, watch

SAMPLE = 4 << 20  # bytes of a journal's file that are counted; the rest is estimated
QUIET_S = 3600  # a shard whose journal is older is not under way
INPUTS = {  # step -> the table that its shard reads, beneath results
    "sft/variants": "sft/distinct_tasks/{}.parquet",
    "sft/code": "sft/distinct_variants/{}.parquet",
    "sft/score": "sft/rules/{}.parquet",
    "cpt/code": "cpt/prompts/{}.parquet",
    "rl/reference": "rl/prompts/prompts.parquet",
    "rl/valid": "rl/reference/pages.parquet",
    "eval/generate": "eval/tasks/tasks.parquet",
    "eval/render": "eval/generate/{}.parquet",
    "eval/judge": "eval/render/{}.parquet",
    "eval/score": "eval/render/{}.parquet",
}
TABLES = {  # tables that are not named like their journals
    "cpt/websight": "websight-{}",
    "cpt/templates": "templates",
    "rl/reference": "pages",
    "rl/valid": "pages",
}
LOSS = ("loss", "train/loss")
SCORE = {"cpt": LOSS, "sft": LOSS, "grpo": ("reward", "critic/score/mean")}  # as in `CURVE` of torchrun and train/grpo


def run(config: Config, folder: Path = Path()) -> int:
    """Print the screen; always 0. `folder`: where Snakemake runs.

    Counts are those of the run's own configuration (results/config.yaml) where there is one.
    """
    if (config.results / "config.yaml").is_file():
        config = configs.load([config.results / "config.yaml"])
    parts = {
        "Jobs": jobs(folder),
        "Steps": steps(config),
        "Shards under way": shards(config),
        "Training": training(config),
        "Last failure": failure(folder),
        "To stop": stop(folder),
    }
    for title, lines in parts.items():
        print(f"{title}")
        for line in list(lines) or ["none"]:
            print(f"  {line}")
    return 0


# Jobs


def ours(found: list[slurm.Job], folder: Path) -> list[slurm.Job]:
    """The jobs that were submitted from this folder, by the plugin or by `train launch`."""
    here = str(folder.resolve())
    return [job for job in found if job.folder == here and (job.rule or job.name.startswith("artifactscoder-"))]


def jobs(folder: Path) -> Iterator[str]:
    """A line a rule: how many of its jobs are in which state, and why they wait; then how those of a day ended."""
    lock = folder / ".snakemake/locks"
    held = lock.is_dir() and any(lock.iterdir())
    yield "locked by a Snakemake that runs here, or was killed" if held else "not locked: no Snakemake runs here"
    if not slurm.here():
        yield "Slurm is not on this machine; jobs run here, if any"
        return
    try:
        waiting = ours(slurm.queue(), folder)
    except UserError as error:
        yield str(error)
        return
    by_rule: dict[str, Counter[str]] = {}
    for job in waiting:
        reason = f" ({job.reason})" if job.reason not in ("None", "") and job.state == "PENDING" else ""
        by_rule.setdefault(job.rule or job.name, Counter())[job.state + reason] += 1
    width = max(map(len, by_rule), default=0)
    for name, states in sorted(by_rule.items()):
        yield f"{name:<{width}}  " + ", ".join(f"{count} {state}" for state, count in states.most_common())
    if not waiting:
        yield "none in Slurm's queue from this folder"
    try:
        over = ours(slurm.ended(), folder)
    except UserError as error:
        yield f"ended ones are not known: {error}"
        return
    ended = Counter(job.state for job in over)
    if ended:
        yield "ended since yesterday: " + ", ".join(f"{count} {state}" for state, count in ended.most_common())


# Progress


def steps(config: Config) -> Iterator[str]:
    """A line a stage: shards of each step that are done, for steps that have begun."""
    by_stage: dict[str, list[str]] = {}
    for step, total in plan.shards(config).items():
        folder = config.results / step
        name = "*" if step != "rl/parquet" else "rl"
        done = len(list(folder.glob(f"{name}.ledger.parquet")))
        if done:
            stage, _, short = step.partition("/")
            by_stage.setdefault(stage, []).append(f"{short} {done}/{total}")
    for stage, parts in by_stage.items():
        yield f"{stage:<5} {', '.join(parts)}"


def shards(config: Config) -> Iterator[str]:
    """A line a shard that has answers of the last hour and no table yet."""
    for step in plan.JOURNALS:
        for folder in sorted((config.journal / step).glob("*")):
            table = config.results / step / f"{TABLES.get(step, '{}').format(folder.name)}.parquet"
            newest = max((path.stat().st_mtime for path in folder.glob("*.jsonl")), default=0.0)
            age = time.time() - newest
            if table.exists() or age > QUIET_S:
                continue
            answers, exact = count_answers(folder)
            rows = entered(config.results, step, folder.name)
            of = f", {rows:,} rows to do" if rows is not None else ""
            yield f"{step}/{folder.name}: {'' if exact else 'about '}{answers:,} answers{of}, last one {_ago(age)}"


def count_answers(folder: Path) -> tuple[int, bool]:
    """(answers in a shard's journal, whether they were counted to the end)."""
    total, exact = 0.0, True
    for path in folder.glob("*.jsonl"):
        size = path.stat().st_size
        with open(path, "rb") as file:
            lines = file.read(SAMPLE).count(b"\n")
        total += lines if size <= SAMPLE else lines * size / SAMPLE
        exact = exact and size <= SAMPLE
    return round(total), exact


def entered(results: Path, step: str, shard: str) -> int | None:
    """Rows of the table that the shard reads; none where it reads none or it is not there."""
    table = results / INPUTS.get(step, "-").format(shard)
    try:
        return tables.count(table)
    except UserError:
        return None


def _ago(seconds: float) -> str:
    return f"{duration(max(0.0, seconds))} ago"


def training(config: Config) -> Iterator[str]:
    """A line a trainer that has begun: step of how many, loss or reward, checkpoint, age of the last step."""
    results = config.results
    for name in SCORE:
        found = sorted((results / "train" / name / "work").glob("*/metrics/attempt-*.jsonl"), key=os.path.getmtime)
        if not found:
            continue
        folder = found[-1].parents[1]
        total = _steps(config, name)
        of = f" of {total}" if total else ""
        row = last_row(found[-1])
        if row is None:
            yield f"{name}: begun, no step yet; saved at step {runs.saved(folder / 'checkpoints')}{of}"
            continue
        word, key = SCORE[name]
        value = row["data"].get(key)
        shown = f", {word} {value:.4g}" if value is not None else ""
        saved = runs.saved(folder / "checkpoints")
        age = _ago(time.time() - found[-1].stat().st_mtime)
        attempt = f", attempt {len([p for p in found if p.parents[1] == folder])}"
        yield f"{name}: step {row['step']}{of}{shown}, saved at step {saved}, last step {age}{attempt}"
        yield from (f"  ALARM {alarm}" for alarm in watch.read(folder / "alarms.json"))


def last_row(path: Path) -> dict[str, Any] | None:
    """The last whole line of verl's metrics that belongs to a training step; none where there is none."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 20)))
        lines = file.read().split(b"\n")[:-1]
    for line in reversed(lines):
        try:
            row = json.loads(line)
            if any(not key.startswith("val-") for key in row["data"]):
                return dict(row)
        except (ValueError, LookupError, TypeError):
            continue  # the line before the window's begin, or torn by a kill
    return None


def _steps(config: Config, name: str) -> int:
    """Steps in all, as the trainer plans them; 0 where that cannot be told."""
    from artifactscoder.train import cpt, grpo, sft, windows

    try:
        if name == "cpt":
            return cpt.plan(windows.read(config.results / "cpt/pack/mixture.json"), config.train.cpt)
        if name == "sft":
            return sft.plan(tables.count(config.results / "sft/select/sft_train.parquet"), config.train.sft)[0]
        return grpo.plan(tables.count(config.results / "rl/parquet/rl_train.parquet"), config.train.grpo)
    except UserError:
        return 0


# Trouble


def failure(folder: Path) -> Iterator[str]:
    """The last failed job in Snakemake's newest log: its rule, its log and the log's last words."""
    logs = sorted((folder / ".snakemake/log").glob("*.snakemake.log"), key=lambda path: path.stat().st_mtime)
    if not logs:
        return
    text = logs[-1].read_text(errors="replace")
    blocks = re.findall(r"^Error in (?:rule|group) (\S+?):\n((?:    .*\n)*)", text, re.MULTILINE)
    if not blocks:
        return
    name, block = blocks[-1]
    yield f"{name}, {len(blocks)} failure{'s' if len(blocks) > 1 else ''} in {logs[-1]}"
    if message := re.search(r"^    message: (?!None$)(.*)", block, re.MULTILINE):
        yield message[1][:300]
    if log := re.search(r"^    log: (.*?)(?: \(check log file.*)?$", block, re.MULTILINE):
        for path in (folder / part.strip() for part in log[1].split(",")):
            yield f"log: {path}"
            yield from (f"  {line[:200]}" for line in _tail(path, 3))


def _tail(path: Path, count: int) -> list[str]:
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ["(not there)"]
    return [line for line in lines if line.strip()][-count:]


def stop(folder: Path) -> Iterator[str]:
    """How to end a run without losing what is done."""
    yield "Ctrl-C in the controller's terminal: it cancels its jobs; answers, tables and checkpoints stay"
    if not slurm.here():
        return
    user = getpass.getuser()
    try:
        names = sorted({job.name for job in ours(slurm.queue(), folder)})
    except UserError:
        return
    if names:
        yield "without the controller: " + "; ".join(f"scancel -u {user} --name {shlex.quote(name)}" for name in names)
