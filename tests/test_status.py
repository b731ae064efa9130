"""What runs now: read from Slurm's queue, journals, metrics and Snakemake's log, and nothing of it changed."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from artifactscoder import config as configs
from artifactscoder import tables
from artifactscoder.cluster import slurm, status
from artifactscoder.errors import UserError
from artifactscoder.journal import Journal
from artifactscoder.records import PAGE
from artifactscoder.train import grpo, torchrun

LOG = """Building DAG of jobs...
Error in rule sft_tasks:
    message: None
    jobid: 3
    log: logs/sft/tasks/a.log (check log file(s) for error details)
Error in rule sft_code:
    message: SLURM-job '12' failed, SLURM status is: 'FAILED'. Reason: Unknown.
    jobid: 1
    output: b.txt
    log: logs/sft/code/b.log, logs/slurm/rule_sft_code/b/12.log (check log file(s) for error details)
    shell:
        artifactscoder sft code
Exiting because a job execution failed.
"""


def text(lines: object) -> str:
    return "\n".join(lines)  # type: ignore[call-overload]


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Slurm's answers as recorded from 22.05: five jobs from this folder, one from another."""
    here = tmp_path.resolve()
    waiting = f"""1|RUNNING|None|cpu|0:03|uuid|{here}|rule_sft_code_wildcards_game-puzzle
2|PENDING|Resources|cpu|0:00|uuid|{here}|rule_sft_code_wildcards_game-arcade
3|PENDING|Priority|cpu|0:00|uuid|{here}|rule_sft_code_wildcards_shop
4|PENDING|Priority|cpu|0:00|uuid|{here}|rule_sft_select
5+0|RUNNING|None|gpu|1:00|artifactscoder-train-grpo-1a2b3c4d|{here}|script=1
6|RUNNING|None|cpu|1:00|uuid|/elsewhere|rule_sft_code_wildcards_x
"""
    over = f"""7|COMPLETED|0:0|cpu|00:03|uuid|{here}|rule_sft_tasks_wildcards_a
8|TIMEOUT|0:0|cpu|01:00|uuid|{here}|
9|CANCELLED by 0|0:0|cpu|00:03|uuid|{here}|rule_sft_tasks_wildcards_b
1|RUNNING|0:0|cpu|00:03|uuid|{here}|rule_sft_code_wildcards_game-puzzle
"""
    answers = {"squeue": waiting, "sacct": over}
    monkeypatch.setattr(slurm, "here", lambda: True)
    monkeypatch.setattr(slurm, "run", lambda *words, seconds=0: answers[words[0]])


def test_jobs_are_counted_by_rule_with_states_and_reasons(queue: None, tmp_path: Path) -> None:
    lines = text(status.jobs(tmp_path))
    assert "1 RUNNING, 1 PENDING (Resources), 1 PENDING (Priority)" in lines
    assert "artifactscoder-train-grpo-1a2b3c4d" in lines and "sft_select" in lines
    assert "not locked" in lines and "ended since yesterday: 1 COMPLETED, 1 CANCELLED" in lines
    user = getpass.getuser()
    both = f"scancel -u {user} --name artifactscoder-train-grpo-1a2b3c4d; scancel -u {user} --name uuid"
    assert text(status.stop(tmp_path)).endswith(both)


def test_without_slurm_a_line_says_so_and_the_rest_is_shown(tmp_path: Path, configure, monkeypatch, capsys) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    (tmp_path / ".snakemake/locks/0.input.lock").touch()
    assert status.run(configure(), tmp_path) == 0
    shown = capsys.readouterr().out
    assert "Slurm is not on this machine" in shown and "locked by a Snakemake" in shown and "Ctrl-C" in shown
    assert shown.count("none") == 4


def test_a_silent_slurm_is_one_line(tmp_path: Path, monkeypatch) -> None:
    def silent(*words: str, seconds: float = 0) -> str:
        raise UserError("squeue has not answered in 20 s; ask again, or ask the site")

    monkeypatch.setattr(slurm, "here", lambda: True)
    monkeypatch.setattr(slurm, "run", silent)
    assert text(status.jobs(tmp_path)).endswith("squeue has not answered in 20 s; ask again, or ask the site")


async def test_shards_under_way_count_answers_and_rows(tmp_path: Path, configure, pages) -> None:
    config = configure()
    for shard, count in (("game-puzzle", 3), ("tool-calculator", 2)):
        async with Journal(config.journal / "sft/code" / shard) as journal:
            for number in range(count):
                await journal.put(f"key{number}", {"answer": {"text": "x"}})
    with open(next((config.journal / "sft/code/game-puzzle").glob("*.jsonl")), "ab") as file:
        file.write(b'{"key": "torn')
    old = config.journal / "sft/tasks/old/1.jsonl"
    old.parent.mkdir(parents=True)
    old.write_text("{}\n")
    os.utime(old, (time.time() - 2 * status.QUIET_S,) * 2)
    pages("rows", {f"game-puzzle/{n}": "<p>" for n in range(5)}).rename(tmp_path / "rows.parquet")
    (config.results / "sft/distinct_variants").mkdir(parents=True)
    (tmp_path / "rows.parquet").rename(config.results / "sft/distinct_variants/game-puzzle.parquet")
    tables.write(config.results / "sft/code/tool-calculator.parquet", PAGE, [])
    (line,) = status.shards(config)
    assert line.startswith("sft/code/game-puzzle: 3 answers, 5 rows to do, last one ")


def test_a_large_journal_is_estimated(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(status, "SAMPLE", 1000)
    (tmp_path / "a.jsonl").write_bytes((b"x" * 9 + b"\n") * 5000)
    assert status.count_answers(tmp_path) == (5000, False)


def test_steps_are_counted_by_the_configuration_of_the_run(configure, tmp_path: Path, capsys) -> None:
    config = configure()
    configs.write(config, config.results / "config.yaml")
    (config.results / "sft/code").mkdir(parents=True)
    (config.results / "sft/code/game-puzzle.ledger.parquet").touch()
    status.run(configs.load([Path("config.yaml")]).model_copy(update={"results": config.results}), tmp_path)
    assert "sft   code 1/2\n" in capsys.readouterr().out


def test_training_tells_step_reward_and_checkpoint(configure, tmp_path: Path) -> None:
    assert {n: key for n, (_, key) in status.SCORE.items()} == {
        **dict.fromkeys(("cpt", "sft"), torchrun.CURVE["loss"]),
        "grpo": grpo.CURVE["score"],
    }
    config = configure()
    folder = config.results / "train/grpo/work/0123456789ab"
    (folder / "metrics").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints/latest_checkpointed_iteration.txt").write_text("25")
    rows = [
        {"step": 30, "data": {"critic/score/mean": 0.25}},
        {"step": 31, "data": {"critic/score/mean": 0.5, "val-core/x/reward/mean@1": 0.1}},
        {"step": 31, "data": {"val-core/x/reward/mean@1": 0.1}},
    ]
    (folder / "metrics/attempt-001.jsonl").write_text("")
    os.utime(folder / "metrics/attempt-001.jsonl", (1, 1))
    with open(folder / "metrics/attempt-002.jsonl", "w") as file:
        file.write("\n".join(map(json.dumps, rows)) + '\n{"step": 32, "da')
    begun = config.results / "train/sft/work/ab/metrics/attempt-001.jsonl"
    begun.parent.mkdir(parents=True)
    begun.touch()
    first, second = status.training(config)
    assert first == "sft: begun, no step yet; saved at step 0"
    assert second.startswith("grpo: step 31, reward 0.5, saved at step 25, last step ")
    assert second.endswith(" ago, attempt 2")


def test_the_last_failure_names_its_logs_and_their_last_words(tmp_path: Path) -> None:
    for path, words in {
        ".snakemake/log/2026-01-02T000000.000000.snakemake.log": LOG,
        "logs/sft/code/b.log": "much\n\nartifactscoder: the key is refused; correct it\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(words)
    lines = text(status.failure(tmp_path))
    assert lines.startswith("sft_code, 2 failures in ") and "SLURM status is: 'FAILED'" in lines
    assert f"log: {tmp_path}/logs/sft/code/b.log\n  much\n  artifactscoder: the key is refused" in lines
    assert f"log: {tmp_path}/logs/slurm/rule_sft_code/b/12.log\n  (not there)" in lines


@pytest.mark.cluster
def test_on_a_real_cluster_jobs_of_this_folder_are_seen(running_slurm, tmp_path: Path) -> None:
    account = next(iter(slurm.associations()), ("",))[0]
    options = [f"--account={account}"] * bool(account) + ["--parsable", "--mem=100", "--output=/dev/null", "--time=2"]
    sent = []
    try:
        for name, comment in (("some-uuid", "rule_sft_code_wildcards_a"), ("artifactscoder-train-x", "")):
            words = ["sbatch", *options, f"--job-name={name}", f"--comment={comment}", "--wrap=sleep 60"]
            sent.append(subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip())
        lines = text(status.jobs(tmp_path))
        assert "sft_code" in lines and "artifactscoder-train-x" in lines, lines
        stop = text(status.stop(tmp_path)).splitlines()[-1]
        subprocess.run(stop.partition(": ")[2], shell=True, check=True)
        time.sleep(8)
        assert "2 CANCELLED" in text(status.jobs(tmp_path))
    finally:
        subprocess.run(["scancel", *sent])
