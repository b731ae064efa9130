"""`snakemake --profile slurm` on a real Slurm, by the product's own profile with smaller numbers."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest
import yaml
from line import accounted, command, live, profile, until

from artifactscoder import tables
from artifactscoder.ledger import beside
from checkout import SMALL, checkout, overlay, server

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
TARGETS = [f"results/sft/code/{name}.parquet" for name in ("game-puzzle", "tool-calculator")]


def test_a_red_line_stops_the_run_before_anything_is_submitted(tmp_path: Path) -> None:
    with checkout(tmp_path) as folder:
        files = [folder / "profiles/demo/recipe.yaml"]
        words = command(folder, profile(folder, account="nobody"), files, *TARGETS)
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
        assert done.returncode != 0 and "artifactscoder preflight stops this run" in done.stdout + done.stderr
        assert "'nobody' is no account" in done.stdout + done.stderr and live(folder) == {}


def test_a_killed_controller_leaves_no_job_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    log = tmp_path / "answers.log"
    (tmp_path / "run").mkdir()
    with checkout(tmp_path / "run") as folder, server(log, delay=8) as url:  # jobs that outlast a new start
        files = [folder / "profiles/demo/recipe.yaml", overlay(folder, url, SMALL)]
        words = command(folder, profile(folder), files, *TARGETS)
        with open(folder / "first.log", "w") as output:
            first = subprocess.Popen(words, cwd=folder, stdout=output, stderr=output)
        told = (folder / "first.log").read_text
        until(lambda: any("sft_code" in comment for comment in live(folder).values()), 200, told)
        first.kill()
        first.wait()
        assert live(folder), "the job outlives its controller"
        unlock = [*words[: words.index("--")], "--unlock"]
        assert subprocess.run(unlock, cwd=folder, capture_output=True).returncode == 0
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=600)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said[-3000:]
        assert "jobs that a killed controller had left" in said and live(folder) == {}
        asked = Counter(line.split()[1] for line in log.read_text().splitlines())
        assert asked and max(asked.values()) == 1, "an answered request was asked again"
        for table in TARGETS:
            lines = list(tables.rows(beside(folder / table)))
            assert lines and {line["status"] for line in lines} <= {"ok", "rejected"}
        jobs = accounted(folder)
        assert {job["Partition"] for job in jobs} == {"cpu"}
        assert sum(job["State"] == "COMPLETED" for job in jobs) >= 6  # two shards of tasks, variants and code


def test_no_key_stands_in_a_job_or_a_log(tmp_path: Path) -> None:
    secret = "sk-this-must-stay-secret"
    with checkout(tmp_path) as folder:
        key = {"kind": "api", "url": "http://127.0.0.1:9/v1", "model": "m", "key_env": "LINE_KEY", "patience_s": 0}
        (folder / "key.yaml").write_text(yaml.safe_dump({"endpoints": {"mine": key}, "roles": {"teacher": "mine"}}))
        files = [folder / "profiles/demo/recipe.yaml", folder / "key.yaml"]
        environment = {**os.environ, "LINE_KEY": secret}
        words = command(folder, profile(folder), files, *TARGETS)
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
