"""Faults really made in jobs of the plugin: each time the same run completes, and pays for nothing twice."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from line import TWO, accounted, command, live, place, profile, resume, slurm, until

from artifactscoder import tables
from artifactscoder.ledger import beside
from checkout import ROOT, SMALL, answers, asked_again, overlay, server, snakemake

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]
TARGET = "results/sft/code/game-puzzle.parquet"
NODE = "cn03"  # the one that is hurt: tests of training may run beside these, and take the first nodes


def rows(folder: Path, table: str = TARGET) -> list[dict]:
    """The accounts of a table, each with a verdict."""
    lines = list(tables.rows(beside(folder / table)))
    assert lines and {line["status"] for line in lines} <= {"ok", "rejected"}
    return lines


def states(folder: Path, rule: str) -> list[str]:
    return [job["State"].split()[0] for job in accounted(folder) if job["Comment"].startswith(f"rule_{rule}")]


@pytest.mark.parametrize("fault", ["scancel", "node down", "preempted", "preempted for good"])
def test_a_shard_that_loses_its_job_goes_on_where_it_was(asked: Path, tmp_path: Path, fault: str) -> None:
    log = tmp_path / "answers.log"
    with place(tmp_path / "run", asked) as folder, server(log, delay=1.5) as url:
        files = [folder / "profiles/demo/recipe.yaml", overlay(folder, url, TWO)]
        partition = {"preempted": "low", "preempted for good": "spot"}.get(fault, "cpu")
        where = {"slurm_partition": partition, "slurm_extra": f"'--nodelist={NODE}'"}
        name = profile(folder, retries=1, sft_code=where)
        words = command(folder, name, files, TARGET)
        with open(folder / "output.log", "w") as output:
            run = subprocess.Popen(words, cwd=folder, stdout=output, stderr=output)
        said = (folder / "output.log").read_text
        until(lambda: [j for j, comment in live(folder).items() if comment.startswith("rule_sft_code")], told=said)
        before = len(answers(log))
        until(lambda: len(answers(log)) >= before + 6, told=said)
        (job,) = live(folder)
        moment = time.time()
        if fault == "scancel":
            slurm("scancel", job)
            until(lambda: job not in live(folder))
        elif fault == "node down":
            slurm("scontrol", "update", f"nodename={NODE}", "state=down", "reason=test")
            until(lambda: NODE not in slurm("squeue", "-h", "-j", job, "-o", "%N"))
            resume()
        else:
            slurm("srun", "--partition=cpu", "--account=lab", f"--nodelist={NODE}", "--exclusive", "true")
        over = time.time()
        assert run.wait(900) == 0, said()[-4000:]
        assert len(rows(folder)) >= 24
        # What runs on a node that is only said to have failed lives on here until Slurm's SIGKILL, after 30 s.
        asked_again(log, {"scancel": [], "node down": [(moment, over + 30)]}.get(fault, [(moment, over)]))
        if fault in ("scancel", "preempted for good"):
            assert states(folder, "sft_code") in (["CANCELLED", "COMPLETED"], ["PREEMPTED", "COMPLETED"])
        else:  # Slurm itself put it into the queue again, under the same number
            assert states(folder, "sft_code") == ["COMPLETED"]


@pytest.mark.parametrize(
    ("resources", "state"),
    [
        ({"runtime": "attempt"}, "TIMEOUT"),
        ({"runtime": "2 * attempt", "slurm_extra": "'--signal=TERM@60'"}, "FAILED"),  # warned before the limit
    ],
)
def test_a_job_that_outruns_its_time_is_asked_again_with_more_and_pays_for_nothing_twice(
    asked: Path, tmp_path: Path, resources: dict, state: str
) -> None:
    log = tmp_path / "answers.log"
    with place(tmp_path / "run", asked) as folder, server(log, delay=18) as url:
        files = [folder / "profiles/demo/recipe.yaml", overlay(folder, url, TWO)]
        name = profile(folder, retries=3, sft_code=resources)
        done = subprocess.run(command(folder, name, files, TARGET), cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        *cut, last = states(folder, "sft_code")
        assert set(cut) == {state} and last == "COMPLETED"
        assert len(rows(folder)) >= 24
        # At the limit Slurm asks the job to end, and waits for half a minute: as long as four answers were under way.
        assert asked_again(log, []) == {}


def test_a_job_that_outruns_its_memory_is_asked_again_with_more_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    log = tmp_path / "answers.log"
    with place(tmp_path / "run") as folder, server(log) as url:
        files = [folder / "profiles/demo/recipe.yaml", overlay(folder, url, TWO)]
        name = profile(folder, retries=1, sft_tasks={"mem_mb": "80 + 900 * (attempt - 1)"})
        target = "results/sft/tasks/game-puzzle.parquet"
        done = subprocess.run(command(folder, name, files, target), cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        first, second = states(folder, "sft_tasks")
        assert first in ("FAILED", "OUT_OF_MEMORY", "CANCELLED") and second == "COMPLETED" and rows(folder, target)
        assert asked_again(log, []) == {}


def test_after_one_changed_seed_the_jobs_submitted_are_those_that_the_dry_run_announced(tmp_path: Path) -> None:
    with place(tmp_path / "run") as folder:
        seeds = folder / "subcategories.jsonl"
        seeds.write_text((ROOT / "workflow/seeds/subcategories.jsonl").read_text())
        (folder / "seeds.yaml").write_text(json.dumps({**SMALL, "seeds": {"subcategories": str(seeds)}}))
        files = ["profiles/demo/recipe.yaml", "seeds.yaml"]
        targets = [f"results/sft/code/{name}.parquet" for name in ("game-puzzle", "tool-calculator")]
        done = snakemake(folder, "--profile", "profiles/demo", "--configfile", *files, "--", *targets)
        assert done.returncode == 0, done.stdout[-3000:]

        lines = [json.loads(line) for line in seeds.read_text().splitlines()]
        first = next(line for line in lines if line["id"].startswith("game-puzzle/"))
        first["brief"] += " A hint costs ten points."
        seeds.write_text("".join(json.dumps(line) + "\n" for line in lines))
        words = command(folder, profile(folder), [folder / name for name in files], *targets)
        told = subprocess.run([*words[:3], "-n", *words[3:]], cwd=folder, capture_output=True, text=True).stdout
        table = [line.split() for line in told.split("Job stats:")[1].partition("total")[0].splitlines()]
        announced = Counter({row[0]: int(row[1]) for row in table if len(row) == 2 and row[1].isdigit()})
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        sent = [job["Comment"].removeprefix("rule_") for job in accounted(folder)]
        assert Counter(comment.partition("_wildcards_")[0] for comment in sent) == announced
        paid = {"sft_tasks", "sft_variants", "sft_decontaminate", "sft_code"}
        assert {f"{rule}_wildcards_game-puzzle" for rule in paid} <= set(sent)
        assert all(announced[rule] == 1 for rule in paid), "those of the one category that changed"
