"""`snakemake --profile slurm` on a real Slurm, by the product's own profile with smaller numbers."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from line import TWO, accounted, command, live, place, processes, profile, slurm, until

from artifactscoder import tables
from artifactscoder.ledger import beside
from checkout import answers, asked_again, overlay, server

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(2400)]
TARGETS = [f"results/sft/code/{name}.parquet" for name in ("game-puzzle", "tool-calculator")]


def test_a_red_line_stops_the_run_before_anything_is_submitted(tmp_path: Path) -> None:
    with place(tmp_path / "run") as folder:
        files = [folder / "profiles/demo/recipe.yaml"]
        words = command(folder, profile(folder, account="nobody"), files, *TARGETS)
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
        assert done.returncode != 0 and "artifactscoder preflight stops this run" in done.stdout + done.stderr
        assert "'nobody' is no account" in done.stdout + done.stderr and live(folder) == {}


def test_a_killed_controller_leaves_no_job_and_nothing_is_asked_twice(asked: Path, tmp_path: Path) -> None:
    log = tmp_path / "answers.log"
    with place(tmp_path / "run", asked) as folder, server(log, delay=2) as url:
        files = [folder / "profiles/demo/recipe.yaml", overlay(folder, url, TWO)]
        words = command(folder, profile(folder), files, *TARGETS)
        said = (folder / "output.log").read_text
        with open(folder / "output.log", "w") as output:
            first = subprocess.Popen(words, cwd=folder, stdout=output, stderr=output)
            until(lambda: any("sft_code" in comment for comment in live(folder).values()), 900, said)
            answering = next(p for p in psutil.process_iter(["cmdline"]) if str(log) in (p.info["cmdline"] or []))
            before = len(answers(log))
            until(lambda: len(answers(log)) > before, told=said)
            answering.suspend()  # so that the jobs outlast a new start, however long that takes
            first.kill()
            first.wait()
            assert live(folder), "the job outlives its controller"
            unlock = [*words[: words.index("--")], "--unlock"]
            assert subprocess.run(unlock, cwd=folder, capture_output=True).returncode == 0
            second = subprocess.Popen(words, cwd=folder, stdout=output, stderr=output)
            until(lambda: "jobs that a killed controller had left" in said(), 900, said)
            answering.resume()
            assert second.wait(1200) == 0, said()[-3000:]
        assert asked_again(log, []) == {}, "an answered request was asked again"
        for table in TARGETS:
            lines = list(tables.rows(beside(folder / table)))
            assert lines and {line["status"] for line in lines} <= {"ok", "rejected"}
        jobs = accounted(folder)
        assert {job["Partition"] for job in jobs} == {"cpu"}
        assert sum(job["State"] == "COMPLETED" for job in jobs) == 2


def test_no_key_stands_in_a_job_its_script_a_process_or_a_file(asked: Path, tmp_path: Path) -> None:
    secret = "sk-this-must-stay-secret"
    with place(tmp_path / "run", asked) as folder, server(tmp_path / "answers.log", delay=0.5, key=secret) as url:
        files = [folder / "profiles/demo/recipe.yaml", overlay(folder, url, TWO, key_env="LINE_KEY")]
        words = command(folder, profile(folder), files, *TARGETS)
        seen: set[str] = set()
        with open(folder / "output.log", "w") as output:
            environment = {**os.environ, "LINE_KEY": secret}
            run = subprocess.Popen(words, cwd=folder, env=environment, stdout=output, stderr=output)
        while run.poll() is None:
            seen |= set(processes(folder).values())
            for job in live(folder):
                script = subprocess.run(["scontrol", "write", "batch_script", job, "-"], capture_output=True, text=True)
                seen |= {slurm("scontrol", "show", "job", "--details", job), script.stdout}
            time.sleep(0.5)
        assert run.returncode == 0, (folder / "output.log").read_text()[-3000:]
        assert any("#!/bin/sh" in text for text in seen) and any("sft code" in text for text in seen)
        assert not [text for text in seen if secret in text]
        written = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        assert {path.relative_to(folder).parts[0] for path in written} >= {".snakemake", "logs", "results", "journal"}
        assert not [path for path in written if secret.encode() in path.read_bytes()]
