"""`snakemake --profile slurm` on a real Slurm, by the product's own profile with smaller numbers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from artifactscoder import tables
from artifactscoder.ledger import beside
from checkout import ROOT, SMALL, checkout, overlay, server

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
TARGETS = [f"results/sft/code/{name}.parquet" for name in ("game-puzzle", "tool-calculator")]


def profile(folder: Path, account: str = "lab") -> str:
    """The product's profile for nodes of this size, without images."""
    values = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    for name in ("software-deployment-method", "apptainer-args"):
        values.pop(name)
    values |= {"latency-wait": 20, "slurm-init-seconds-before-status-checks": 2, "jobs": 2, "retries": 0}
    values["default-resources"] |= {"slurm_account": account, "mem_mb": "600 * attempt"}
    for resources in values["set-resources"].values():
        resources["mem_mb"] = "600 * attempt"
        resources["cpus_per_task"] = 1
    values["set-resources"]["train_grpo"] |= {"render_cpus": 1, "render_mem_mb": 600}
    (folder / "slurm-test").mkdir()
    (folder / "slurm-test/config.yaml").write_text(yaml.safe_dump(values))
    return "slurm-test"


def command(folder: Path, name: str, files: list[Path]) -> list[str]:
    words = [sys.executable, "-m", "snakemake", f"--profile={name}", "--configfile", *map(str, files), "--", *TARGETS]
    return words


def live(folder: Path) -> list[str]:
    text = subprocess.run(["squeue", "-h", "-o", "%i %k %Z"], capture_output=True, text=True, timeout=30).stdout
    return [line.split()[0] for line in text.splitlines() if line.endswith(str(folder)) and "rule_" in line]


def test_a_red_line_stops_the_run_before_anything_is_submitted(tmp_path: Path) -> None:
    with checkout(tmp_path) as folder:
        files = [folder / "profiles/demo/recipe.yaml"]
        words = command(folder, profile(folder, "nobody"), files)
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
        assert done.returncode != 0 and "artifactscoder preflight stops this run" in done.stdout + done.stderr
        assert "'nobody' is no account" in done.stdout + done.stderr and live(folder) == []


def test_a_killed_controller_leaves_no_job_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    log = tmp_path / "answers.log"
    (tmp_path / "run").mkdir()
    with checkout(tmp_path / "run") as folder, server(log) as url:
        files = [folder / "profiles/demo/recipe.yaml", overlay(folder, url, SMALL)]
        words = command(folder, profile(folder), files)
        with open(folder / "first.log", "w") as output:
            first = subprocess.Popen(words, cwd=folder, stdout=output, stderr=output)
        end = time.monotonic() + 120
        while not live(folder):
            assert time.monotonic() < end and first.poll() is None, (folder / "first.log").read_text()[-2000:]
            time.sleep(0.2)
        first.kill()
        first.wait()
        assert live(folder), "the job outlives its controller"
        unlock = [*words[: words.index("--")], "--unlock"]
        assert subprocess.run(unlock, cwd=folder, capture_output=True).returncode == 0
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=600)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said[-3000:]
        assert "jobs that a killed controller had left" in said and live(folder) == []
        asked = Counter(line.split()[1] for line in log.read_text().splitlines())
        assert asked and max(asked.values()) == 1, "an answered request was asked again"
        for table in TARGETS:
            lines = list(tables.rows(beside(folder / table)))
            assert lines and {line["status"] for line in lines} <= {"ok", "rejected"}
        jobs = subprocess.run(
            ["sacct", "-X", "-n", "-P", "-S", "now-1hour", "-o", "State,Partition,WorkDir"],
            capture_output=True,
            text=True,
        ).stdout
        mine = [line.split("|") for line in jobs.splitlines() if line.endswith(str(folder))]
        assert mine and {row[1] for row in mine} == {"cpu"}
        assert sum(row[0] == "COMPLETED" for row in mine) >= 6  # two shards of tasks, variants and code


def test_no_key_stands_in_a_job_or_a_log(tmp_path: Path) -> None:
    secret = "sk-this-must-stay-secret"
    with checkout(tmp_path) as folder:
        key = {"kind": "api", "url": "http://127.0.0.1:9/v1", "model": "m", "key_env": "LINE_KEY", "patience_s": 0}
        (folder / "key.yaml").write_text(yaml.safe_dump({"endpoints": {"mine": key}, "roles": {"teacher": "mine"}}))
        files = [folder / "profiles/demo/recipe.yaml", folder / "key.yaml"]
        environment = {**os.environ, "LINE_KEY": secret}
        words = command(folder, profile(folder), files)
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode != 0 and secret not in done.stdout + done.stderr
        shown = subprocess.run(["scontrol", "show", "job", "--details"], capture_output=True, text=True).stdout
        assert secret not in shown
        for path in [
            *(folder / ".snakemake").rglob("*"),
            *(folder / "logs").rglob("*"),
            *(folder / "results").rglob("*"),
        ]:
            assert not path.is_file() or secret.encode() not in path.read_bytes(), path
